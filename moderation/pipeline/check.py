"""Check content that is not stored: compare a file, a link or a hash with the enabled lists.

The content is stored only if a case needs it: as a small JPEG for the people who decide, and not
even that if a matching list must have no pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import orjson
from django.db import transaction
from django.utils import timezone

from gallery.items import conf as gallery_conf
from gallery.net.fetching import fetch
from gallery.shared.errors import Conflict, UserError
from gallery.shared.locking import lock
from moderation.access.permissions import Actor, can
from moderation.cases import opening
from moderation.cases.facts import CaseSubject
from moderation.cases.models import ReviewCase
from moderation.lists import index_refresh, policies
from moderation.lists.formats.rows import HashKind
from moderation.lists.item_reading import InvalidHash, hash_value
from moderation.lists.verdicts import Verdict
from moderation.pipeline import near_checks
from moderation.pipeline.models import CheckAnswer
from moderation.screening.content import Content, of_bytes, of_hash
from moderation.screening.screen import screen
from moderation.screening.types import ItemMatch, Screening

ANSWERS_KEPT: Final = timedelta(days=1)


class KeyReused(Conflict):
    """The same idempotency key came with a different request."""

    code = "idempotency_key_reused"


@dataclass(frozen=True)
class CheckRequest:
    """What to check: exactly one of a link, the bytes of a file, or a hash with its kind.

    ``quality``: of a pdq, 0 to 100. A pdq without quality leads to review at most. ``source``:
    where bytes are from, for the people who decide.
    """

    url: str | None = None
    data: bytes | None = None
    hash: str | None = None
    hash_type: str | None = None
    quality: int | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.url, self.data, self.hash)) != 1:
            raise UserError("Give exactly one of url, file or hash.")

    def digest(self) -> str:
        """Return a SHA-256 in hex, which is equal for equal requests."""
        data = None if self.data is None else hashlib.sha256(self.data).hexdigest()
        parts = [self.url, data, self.hash, self.hash_type, self.quality]
        return hashlib.sha256(orjson.dumps(parts)).hexdigest()


@dataclass(frozen=True)
class Checked:
    """``verdict``: that of the screening, or a stricter one for a sender of many variants."""

    verdict: Verdict
    screening: Screening
    case: ReviewCase | None


def check(*, by: Actor, request: CheckRequest, key: str = "") -> dict[str, Any]:
    """Return the API's answer to ``by``: whether the content is on a list. See ``_answer``.

    ``key``: the caller's name for this request. A repeated request with the same key gets the same
    answer and opens no second case. Raises ``FetchFailed``, ``InvalidHash`` and ``KeyReused``.
    Unreadable bytes are no error: they are reported in ``missing``.
    """
    if not key:
        return _answer(by, run(by=by, request=request))
    with transaction.atomic():
        lock(f"check {by.name} {key}")
        known = CheckAnswer.objects.filter(actor=by.name, key=key).first()
        if known is not None and known.created_at > timezone.now() - ANSWERS_KEPT:
            if known.request != request.digest():
                raise KeyReused("This Idempotency-Key was used for another request.")
            answer: dict[str, Any] = known.answer
            return answer
        answer = _answer(by, run(by=by, request=request))
        CheckAnswer.objects.update_or_create(
            actor=by.name,
            key=key,
            defaults={
                "request": request.digest(),
                "answer": answer,
                "created_at": timezone.now(),
            },
        )
        return answer


def forget_answers() -> int:
    """Delete answers that are no longer repeated. Returns how many."""
    return CheckAnswer.objects.filter(created_at__lt=timezone.now() - ANSWERS_KEPT).delete()[0]


def run(*, by: Actor, request: CheckRequest) -> Checked:
    """Compare, open a case if one is needed, and count what is near to items. See ``check``."""
    content, facts = _content(request)
    lists = policies.current()
    found = screen(content, lists) if lists else Screening(Verdict.ALLOW)
    case = None
    if found.matches or found.withheld:
        with transaction.atomic():
            lock(f"subject {facts.get('sha256') or facts}")
            case = opening.record_screening(
                by=by,
                origin=ReviewCase.Origin.CHECK,
                about=CaseSubject(facts, picture=found.jpeg()),
                screening=found,
            ).case
    if lists:
        index_refresh.ask_if_due()
    name = facts.get("sha256") or hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()
    strictest = near_checks.counted(
        by=by, content=name, verdict=found.verdict, matches=found.matches
    )
    return Checked(strictest or found.verdict, found, case)


def _content(request: CheckRequest) -> tuple[Content, dict[str, Any]]:
    if request.hash is not None:
        kind, value = _parsed(request.hash, request.hash_type)
        return of_hash(kind, value, request.quality), {kind: value}
    data = request.data
    if data is None:
        data = fetch(request.url or "", gallery_conf.fetch_policy()).data
    content = of_bytes(data)
    return content, {**content.hashes, "url": request.url or request.source, "bytes": len(data)}


def _parsed(text: str, hash_type: str | None) -> tuple[str, str]:
    kinds = {32: HashKind.MD5, 40: HashKind.SHA1}
    kind = kinds.get(len(text.strip())) if hash_type is None else HashKind(hash_type)
    if kind is None:
        raise InvalidHash(
            "Say by hash_type whether the hash is md5, sha1, sha256 or pdq.", field="hash_type"
        )
    return kind.value, hash_value(kind, text)


def _answer(by: Actor, checked: Checked) -> dict[str, Any]:
    """Return only the verdict, except for callers who may see what is on the lists.

    List, item, distance and case would show how far a picture must be changed to pass.
    """
    found = checked.screening
    answer: dict[str, Any] = {"verdict": str(checked.verdict.value)}
    if not can(by, "see matches"):
        return answer
    return {
        **answer,
        "matches": [_match(match) for match in found.matches if match.within],
        "methods_run": list(found.methods_run),
        "list_versions": dict(found.list_versions),
        "case": None if checked.case is None else checked.case.pk,
        "unhashable": list(found.unhashable),
        "missing": dict(found.missing),
        "partly": dict(found.partly),
    }


def _match(match: ItemMatch) -> Mapping[str, Any]:
    return {
        "list": match.list.name,
        "item": match.item_id,
        "match_type": match.match_type,
        "distance": match.distance,
        "threshold": match.thresholds.threshold,
        "quality": match.quality,
        "time": None if match.time_ms is None else match.time_ms / 1000,
        "frame": match.frame,
        "rendering": match.rendering or None,
        "edit": match.edit,
        "verdict": str(match.verdict.value),
    }
