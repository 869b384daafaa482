"""Checking what is not stored here: a file, a link or a hash against the enabled lists.

Nothing is kept of what is asked about, unless a case needs it: then a small JPEG for those who
decide, and not even that where a list that matched must have no pictures.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import orjson
from django.db import transaction
from django.utils import timezone

from gallery.items import conf as gallery_conf
from gallery.items.preprocessing import Hashes
from gallery.items.publishing import QueryRefused
from gallery.net.fetching import fetch
from gallery.shared.access import NOBODY, Sender
from gallery.shared.errors import Conflict, Unavailable, UserError
from gallery.shared.jpeg import Quality, encode_jpeg, shrink
from gallery.shared.locking import lock
from moderation.access.permissions import Actor, Role, can
from moderation.audit import trail
from moderation.cases import cases
from moderation.cases.case_facts import About
from moderation.cases.models import ReviewCase
from moderation.lists import hash_index_file, list_policies
from moderation.lists.formats.rows import Kind
from moderation.lists.formats.values import BadValue, parse_hash
from moderation.lists.list_policies import Policies
from moderation.lists.verdicts import Verdict
from moderation.pipeline import near_checks
from moderation.pipeline.gate import BROKEN
from moderation.pipeline.models import CheckAnswer
from moderation.screening import screening
from moderation.screening.content import Content, of_bytes, of_hash
from moderation.screening.matching import Match, Pixels
from moderation.screening.screening import Screening

REMEMBERED: Final = timedelta(days=1)
"""How long the same key gets the same answer."""

PICTURE_SIDE: Final = 1024
"""Pixels of what a case keeps to be looked at."""

QUERY: Final = Actor.machine("search")

logger = logging.getLogger(__name__)


class KeyReused(Conflict):
    """The same idempotency key came with another request."""

    code = "idempotency_key_reused"


class InvalidHash(UserError):
    """A hash that is none, or of which it cannot be told which kind it is."""

    code = "invalid_hash"


@dataclass(frozen=True)
class Asked:
    """What is to be checked: exactly one of a link, a file's bytes, or a hash with its kind.

    ``quality``: of a pdq, 0 to 100; without it a pdq leads to review at most.
    """

    url: str | None = None
    data: bytes | None = None
    hash: str | None = None
    hash_type: str | None = None
    quality: int | None = None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.url, self.data, self.hash)) != 1:
            raise UserError("Give exactly one of url, file or hash.")

    def digest(self) -> str:
        """What tells one request from another, SHA-256 in hex."""
        data = None if self.data is None else hashlib.sha256(self.data).hexdigest()
        told = [self.url, data, self.hash, self.hash_type, self.quality]
        return hashlib.sha256(orjson.dumps(told)).hexdigest()


def check(*, by: Actor, asked: Asked, key: str = "") -> dict[str, Any]:
    """Whether something is on a list, as the API answers it to ``by``; see ``_told``.

    ``key``: the caller's name for this request; asked with it again it gets the same answer, and
    opens no second case. Raises ``FetchFailed``, ``InvalidHash`` and ``KeyReused``; bytes that
    cannot be read are no error but a doubt, as ``missing`` says.
    """
    if not key:
        return _check(by, asked)
    with transaction.atomic():
        lock(f"check {by.name} {key}")
        known = CheckAnswer.objects.filter(actor=by.name, key=key).first()
        if known is not None and known.created_at > timezone.now() - REMEMBERED:
            if known.request != asked.digest():
                raise KeyReused("This Idempotency-Key was used for another request.")
            answer: dict[str, Any] = known.answer
            return answer
        answer = _check(by, asked)
        CheckAnswer.objects.update_or_create(
            actor=by.name,
            key=key,
            defaults={
                "request": asked.digest(),
                "answer": answer,
                "created_at": timezone.now(),
            },
        )
        return answer


def forget_answers() -> int:
    """Delete answers that nobody asks for any more. Answers how many."""
    return CheckAnswer.objects.filter(created_at__lt=timezone.now() - REMEMBERED).delete()[0]


def refuse_banned_query(data: bytes, sender: Sender = NOBODY) -> None:
    """Raise ``QueryRefused`` for a picture that must not be searched with; see ``QUERY_GATES``.

    What is only doubtful may be searched with: nothing is published by it. Raises ``Unavailable``
    where screening fails. A search that is not screened tells nothing of lists: what they hold back
    is in none of its results.
    """
    lists = list_policies.current()
    if not lists:
        return
    found = _screened(of_bytes(data), lists)
    if found.missing.get(screening.FRAMES) == BROKEN:
        raise Unavailable("Searching is closed as the picture could not be screened.")
    with transaction.atomic():
        about = About(vars(Hashes.of(data)))
        cases.note_matches(about=about, screening=found)
        if found.verdict == Verdict.BLOCK:
            names = sorted({m.list.name for m in found.within})
            trail.record(
                by=QUERY.name,
                verb="query.refused",
                subject=ReviewCase,
                after={"sha256": about.sha256, "lists": names},
            )
    by = Actor(sender.name, Role.NOBODY, client=sender.client)
    told = near_checks.counted(
        by=by, content=about.sha256, verdict=found.verdict, matches=found.matches
    )
    if Verdict.BLOCK in (found.verdict, told):
        raise QueryRefused("This picture must not be searched with.", field="file")


def _check(by: Actor, asked: Asked) -> dict[str, Any]:
    subject, facts = _subject(asked)
    lists = list_policies.current()
    found = _screened(subject, lists) if lists else Screening(Verdict.ALLOW)
    case = None
    if found.matches or found.held:
        with transaction.atomic():
            lock(f"subject {facts.get('sha256') or facts}")
            case = cases.record_screening(
                by=by,
                origin=ReviewCase.Origin.CHECK,
                about=About(facts, picture=small_jpeg(found.shown)),
                screening=found,
            ).case
    if lists:
        hash_index_file.ask_if_due()
    content = (
        facts.get("sha256") or hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()
    )
    told = near_checks.counted(by=by, content=content, verdict=found.verdict, matches=found.matches)
    return _told(by, told or found.verdict, found, case)


def _subject(asked: Asked) -> tuple[Content, dict[str, Any]]:
    """What is compared, and what a case would keep of it."""
    if asked.hash is not None:
        kind, value = _parsed(asked.hash, asked.hash_type)
        return of_hash(kind, value, asked.quality), {kind: value}
    data = asked.data
    if data is None:
        data = fetch(asked.url or "", gallery_conf.fetch_policy()).data
    subject = of_bytes(data)
    return subject, {**subject.hashes, "url": asked.url, "bytes": len(data)}


def _parsed(text: str, hash_type: str | None) -> tuple[str, str]:
    """Raises ``InvalidHash``."""
    kinds = {32: Kind.MD5, 40: Kind.SHA1}
    kind = kinds.get(len(text.strip())) if hash_type is None else Kind(hash_type)
    if kind is None:
        raise InvalidHash(
            "Say by hash_type whether the hash is md5, sha1, sha256 or pdq.", field="hash_type"
        )
    try:
        return kind.value, parse_hash(kind, text)
    except BadValue as error:
        problem = str(error)
        raise InvalidHash(f"{problem[0].upper()}{problem[1:]}.", field="hash") from error


def _screened(subject: Content, lists: Policies) -> Screening:
    """Never raises: what breaks is a doubt."""
    try:
        with transaction.atomic():
            return screening.screen(subject, lists)
    except Exception:
        logger.exception("a subject could not be screened")
        return screening.failed(BROKEN, lists)


def small_jpeg(shown: Pixels | None) -> bytes:
    """What a case keeps of a picture that is stored nowhere; empty if there is none."""
    if shown is None:
        return b""
    return encode_jpeg(shrink(shown, PICTURE_SIDE), Quality.CASE_PICTURE)


def _told(by: Actor, verdict: Verdict, found: Screening, case: ReviewCase | None) -> dict[str, Any]:
    """The verdict alone, but for those who may see what is on the lists: list, item and distance
    would say how far a picture must be changed to pass. So would the case of a single answer."""
    told = {"verdict": str(verdict.value)}
    if not can(by, "see matches"):
        return told
    return {
        **told,
        "matches": [_match(match) for match in found.matches if match.within],
        "methods_run": list(found.methods_run),
        "list_versions": dict(found.list_versions),
        "case": None if case is None else case.pk,
        "unhashable": list(found.unhashable),
        "missing": dict(found.missing),
        "partly": dict(found.partly),
    }


def _match(match: Match) -> Mapping[str, Any]:
    return {
        "list": match.list.name,
        "item": match.item_id,
        "match_type": match.match_type,
        "distance": match.distance,
        "threshold": match.threshold,
        "quality": match.quality,
        "time": None if match.time_ms is None else match.time_ms / 1000,
        "frame": match.frame,
        "rendering": match.rendering or None,
        "edit": match.edit,
        "verdict": str(match.verdict.value),
    }
