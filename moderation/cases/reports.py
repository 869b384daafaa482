"""The report of one case as a zip for authorities, and decisions as CSV."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any, Final

import orjson
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from gallery.shared.csv_export import csv_lines
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.audit.models import AuditEvent
from moderation.cases import wellbeing
from moderation.cases.models import CaseMatch, Decision, ReviewCase
from moderation.lists.models import BannedHash
from moderation.lists.verdicts import Severity

COLUMNS: Final = (
    "decision", "case", "batch", "by", "verb", "reason", "note", "state_before", "state_after",
    "looked", "blind_review", "lists", "created_at", "undone_at",
)  # fmt: skip
CHUNK: Final = 2_000
README: Final = """Report of case {case}, made {now} by {by}.

case.json       the case, its evidence at the time it was opened, and each match: list and its
                version, item, match type, distance against threshold and observe distance, place
hashes.json     every known hash of the subject and of the matched items
decisions.csv   who decided what, when and why; undone decisions have a time in undone_at
audit.json      the audit events of the case and of its decisions, with their digests
media/          {media}

Distances: smaller is more alike; 0 of a cryptographic hash means the same bytes.
Times are in UTC. manage.py verify_audit on the server verifies the chain of digests.
"""


@transaction.atomic
def build_case_report(*, by: Actor, case_id: int, media: bool = False) -> bytes:
    """Return the zip of a case. ``media``: include the files of the subject and the items.

    Records an audit event with the file names, and one look for each file. Raise ``NotAllowed`` and
    ``NotFound``.
    """
    check(by, "view the audit")
    if media:
        check(by, "export media")
    case = ReviewCase.objects.select_related("image", "video").existing(case_id)
    matches = list(case.matches.select_related("item").order_by("pk"))
    files = _files(case, matches) if media else {}
    words = "the files themselves: handle them as the law requires" if media else "left out"
    readme = README.format(case=case.pk, now=f"{timezone.now():%Y-%m-%d %H:%M}", by=by.name,
                           media=words)  # fmt: skip
    decisions = Decision.objects.filter(case=case)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packet:
        packet.writestr("README.txt", readme)
        packet.writestr("case.json", _json(_case(case, matches)))
        packet.writestr("hashes.json", _json(_hashes(case, matches)))
        packet.writestr("decisions.csv", "".join(decision_lines(decisions)))
        packet.writestr("audit.json", _json(_events(case)))
        for name, stored in files.items():
            with default_storage.open(stored) as stream:
                packet.writestr(f"media/{name}", stream.read())
    for name in files:
        # A downloaded file shows the media unfiltered.
        wellbeing.note_look(by=by, subject=case, what=f"packet, {name}")
    trail.record(by=by.name, verb="case.exported", subject=case, after={"media": sorted(files)})
    return out.getvalue()


def decision_lines(decisions: QuerySet[Decision]) -> Iterator[str]:
    rows = decisions.select_related("batch", "by").prefetch_related("case__matches").order_by("pk")
    return csv_lines(COLUMNS, map(_decision, rows.iterator(CHUNK)))


def _decision(one: Decision) -> tuple[Any, ...]:
    lists = sorted({match.list_name for match in one.case.matches.all()})
    return (
        one.pk, one.case_id, one.batch_id, one.by.get_username(), one.verb,
        one.batch.reason, one.batch.note, one.state_before, one.state_after, one.looked,
        one.blind_review, "; ".join(lists), one.created_at, one.undone_at,
    )  # fmt: skip


@transaction.atomic
def decisions_csv(*, by: Actor, decisions: QuerySet[Decision]) -> Iterator[str]:
    """Yield decisions as lines of CSV. Raise ``NotAllowed`` before the first line."""
    check(by, "view the audit")
    trail.record(by=by.name, verb="decision.exported", subject=Decision, count=decisions.count())
    return decision_lines(decisions)


def _json(value: Any) -> bytes:
    return orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2)


def _values(row: Any, *left_out: str) -> dict[str, Any]:
    names = [field.attname for field in row._meta.concrete_fields if field.name not in left_out]
    return {name: getattr(row, name) for name in names}


def _case(case: ReviewCase, matches: list[CaseMatch]) -> dict[str, Any]:
    return {
        **_values(case, "picture"),
        "severity": Severity(case.severity).name.lower(),
        "matches": [_values(match, "case") for match in matches],
    }


def _hashes(case: ReviewCase, matches: list[CaseMatch]) -> dict[str, Any]:
    subject = case.image or case.video
    kinds = ("md5", "sha1", "sha256", "pdq")
    known = {kind: case.evidence.get(kind) for kind in kinds}
    known |= subject.known_hashes if subject else {}
    items = [match.item_id for match in matches if match.item_id]
    rows = BannedHash.objects.filter(item__in=items).order_by("item", "kind", "time_ms", "value")
    return {
        "subject": {kind: value for kind, value in known.items() if value},
        "items": [_values(row, "id", "tx") for row in rows],
    }


def _events(case: ReviewCase) -> list[dict[str, Any]]:
    batches = case.decisions.values("batch")
    mine = Q(subject="moderation.reviewcase", subject_id=case.pk)
    made = Q(subject="moderation.decisionbatch", subject_id__in=batches)
    return [_values(event) for event in AuditEvent.objects.filter(mine | made).order_by("pk")]


def _files(case: ReviewCase, matches: list[CaseMatch]) -> dict[str, str]:
    subject = case.image or case.video
    whole = subject is not None and bool(subject.original)
    form = subject.format if subject is not None and whole else "jpg"
    own = (subject.original if whole else subject.thumbnail) if subject else case.picture
    named = {f"subject.{form}": own.name}
    for match in matches:
        if match.item is not None:
            named[f"item-{match.item_id}.jpg"] = match.item.picture.name
    return {
        name: stored for name, stored in named.items() if stored and default_storage.exists(stored)
    }
