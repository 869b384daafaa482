"""Record a screening: store its matches, and open a case if a person must decide.

A subject gets no second case for the same item, whatever the first decision was. Later matches join
a case that is still open.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import Q

from gallery.shared import counters
from moderation.access.permissions import Actor
from moderation.audit import trail
from moderation.cases import facts, signals, webhook_events
from moderation.cases.facts import CaseSubject, cluster_of, evidence_of
from moderation.cases.models import CaseMatch, ReviewCase
from moderation.cases.states import CaseState
from moderation.lists import policies
from moderation.lists.verdicts import Action, Severity, Verdict, strictest
from moderation.screening import verdict_rules
from moderation.screening.types import ItemMatch, Screening

SAMPLES: Final = (ReviewCase.Origin.SAMPLE, ReviewCase.Origin.SHADOW)
"""Origins of sample cases: no match of an enforced list within its threshold opened them."""


@dataclass(frozen=True)
class RecordedScreening:
    """``case``: the one that the screening opened or joined, else an earlier one of its matches.

    ``matched``: the ids of items within their threshold, of lists in shadow too. ``asked``: a match
    needs a decision that no earlier case has. ``dismissed``: earlier cases dismissed every match.
    """

    case: ReviewCase | None = None
    opened: bool = False
    matched: Sequence[int] = ()
    asked: bool = False
    dismissed: bool = False


@transaction.atomic
def record_screening(
    *, by: Actor, origin: str, about: CaseSubject, screening: Screening
) -> RecordedScreening:
    """Store the matches of a subject. Open or extend a case if a person must decide.

    Matches of lists in shadow and matches beyond the threshold are stored without a case; a share
    of them (``BannedList.observe_share``) gets a sample case. The caller must have locked the
    subject's row. Each case that is opened or extended gets one audit event.
    """
    if not screening.matches and not screening.missing:
        return RecordedScreening()
    stored = _stored(about, screening)
    cased = {item: case for (item, _), case in stored.items() if case is not None}
    asking = [m for m in screening.within if m.item_id not in cased]
    case, opened = None, False
    doubtful = bool(screening.withheld and screening.missing and about.can_be_seen)
    if asking or (doubtful and not _open_case(about)):
        case, opened = _case(by, origin, about, screening, asking)
        _add_rows(case, about, asking)
    rest = [
        match
        for match in screening.matches
        if match.verdict == Verdict.ALLOW and (match.item_id, match.match_type) not in stored
    ]
    sampled = _sampled(rest, about, asked=bool(case or cased))
    _sample(by, about, screening, sampled)
    _add_rows(None, about, [match for match in rest if match not in sampled])
    within = {match.item_id for match in screening.matches if match.within}
    known = None if asking else _known({cased[m.item_id] for m in screening.within})
    return RecordedScreening(
        case or known,
        opened,
        sorted(within),
        asked=bool(asking),
        dismissed=known is not None and known.state == CaseState.DISMISSED,
    )


@transaction.atomic
def record_matches(*, about: CaseSubject, screening: Screening) -> None:
    """Store the matches of a subject that needs no decision."""
    stored = _stored(about, screening)
    fresh = [m for m in screening.matches if (m.item_id, m.match_type) not in stored]
    _add_rows(None, about, fresh)


def _stored(about: CaseSubject, screening: Screening) -> dict[tuple[int | None, str], int | None]:
    """Return (item id, match type) → case id or None, for the subject's stored matches."""
    rows = CaseMatch.objects.filter(**about.key)
    if about.by_content or (about.image is None and about.video is None):
        rows = rows.filter(sha256=about.sha256)
        if not about.sha256:
            # A check of a hash alone gives no other facts to compare.
            items = [match.item_id for match in screening.matches]
            rows = rows.filter(item__in=items, case__evidence__contains=dict(about.facts))
    found: dict[tuple[int | None, str], int | None] = {}
    # All cases count, those of floods too. But a sample case quarantines nothing before it is
    # confirmed, and one of a list in shadow never does. So these do not count, unless dismissed.
    withholds_nothing = Q(origin=ReviewCase.Origin.SHADOW) & ~Q(state=CaseState.DISMISSED)
    withholds_nothing |= Q(origin=ReviewCase.Origin.SAMPLE, state__in=CaseState.undecided())
    silent = set(
        ReviewCase.objects.filter(withholds_nothing, matches__in=rows).values_list("pk", flat=True)
    )
    for item, match_type, case in rows.values_list("item", "match_type", "case"):
        counts = None if case in silent else case
        found[item, match_type] = found.get((item, match_type)) or counts
    return found


def _known(ids: Collection[int]) -> ReviewCase | None:
    found = ReviewCase.objects.filter(pk__in=ids).order_by("-id")
    return min(found, key=lambda case: case.state == CaseState.DISMISSED, default=None)


def _open_case(about: CaseSubject) -> ReviewCase | None:
    """Lock and return the subject's first open case; samples and floods do not count."""
    rows = ReviewCase.objects.filter(**about.key, state=CaseState.OPEN).exclude(
        origin__in=[*SAMPLES, ReviewCase.Origin.FLOOD]
    )
    if about.by_content or (about.image is None and about.video is None):
        rows = rows.filter(evidence__sha256=about.sha256) if about.sha256 else rows.none()
    return rows.select_for_update().order_by("id").first()


def _case(
    by: Actor, origin: str, about: CaseSubject, screening: Screening, asking: Sequence[ItemMatch]
) -> tuple[ReviewCase, bool]:
    severity = max((m.list.severity for m in asking), default=_severity_of_doubt(screening))
    sure = max((verdict_rules.confidence(match) for match in asking), default=0.0)
    two_person = policies.needs_two_people(severity, any(one.list.two_person for one in asking))
    verdict = verdict_rules.verdict_of(asking) if asking else Verdict.REVIEW
    case = _open_case(about)
    if case is not None:
        before = {"verdict": case.verdict, "held": case.held}
        case.verdict = strictest([Verdict(case.verdict), verdict])
        case.severity = max(case.severity, severity)
        case.confidence = max(case.confidence, sure)
        case.two_person = case.two_person or two_person
        case.held = case.held or screening.withheld
        case.save(update_fields=["verdict", "severity", "confidence", "two_person", "held"])
        if case.held:
            signals.withheld.send(sender=ReviewCase, case=case)
        _record(by, "case.extended", case, asking, before)
        return case, False
    case = ReviewCase(
        origin=origin,
        image=about.image,
        video=about.video,
        verdict=verdict,
        severity=severity,
        confidence=sure,
        two_person=two_person,
        held=screening.withheld,
        cluster=cluster_of(about, screening, asking),
        evidence=evidence_of(about, screening),
    )
    hash_only = any(match.list.hash_only for match in asking)
    facts.keep_picture(case, about.picture, hash_only=hash_only)
    case.save(force_insert=True)
    webhook_events.enqueue_verdict(case, [match.list.name for match in asking])
    if case.held:
        signals.withheld.send(sender=ReviewCase, case=case)
    _record(by, "case.opened", case, asking, None)
    return case, True


def _severity_of_doubt(screening: Screening) -> int:
    return Severity.HIGH if screening.missing else Severity.MEDIUM


def _sampled(matches: Iterable[ItemMatch], about: CaseSubject, *, asked: bool) -> list[ItemMatch]:
    """Return the matches that get a sample case: a share of each list's subjects.

    Of enforced lists: matches beyond the threshold, unless the subject has a case anyway
    (``asked``). Of lists in shadow: all matches. A hash of content and list makes the choice, so
    the same picture is always chosen or never.
    """
    if not about.sha256:
        return []
    return [
        match
        for match in matches
        if not match.list.is_allow_list
        and (_in_shadow(match) or not (asked or match.within))
        and _draw(about, match.list.pk) < match.list.observe_share
    ]


def _in_shadow(match: ItemMatch) -> bool:
    return bool(match.list.action == Action.SHADOW)


def _draw(about: CaseSubject, list_id: int) -> float:
    digest = hashlib.sha256(f"{about.sha256}:{list_id}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def _sample(
    by: Actor, about: CaseSubject, screening: Screening, sampled: Sequence[ItemMatch]
) -> None:
    """Open one sample case per list. Its weight is the number of matches that it stands for."""
    for list_id in sorted({match.list.pk for match in sampled}):
        mine = [match for match in sampled if match.list.pk == list_id]
        case = ReviewCase.objects.create(
            origin=ReviewCase.Origin.SHADOW if _in_shadow(mine[0]) else ReviewCase.Origin.SAMPLE,
            image=about.image,
            video=about.video,
            verdict=Verdict.ALLOW,
            severity=Severity.LOW,
            confidence=max(verdict_rules.confidence(match) for match in mine),
            cluster=about.sha256,
            sampling_weight=1.0 / mine[0].list.observe_share,
            evidence=evidence_of(about, screening),
        )
        _add_rows(case, about, mine)
        _record(by, "case.opened", case, mine, None)


def _add_rows(case: ReviewCase | None, about: CaseSubject, matches: Sequence[ItemMatch]) -> None:
    if case is not None and about.can_be_seen:
        # The new rows replace those that were stored without a case.
        noted = CaseMatch.objects.filter(**about.key, sha256=about.sha256, case=None)
        noted.filter(item__in=[match.item_id for match in matches]).delete()
    CaseMatch.objects.bulk_create(
        CaseMatch(
            case=case,
            image=about.image,
            video=about.video,
            list=match.list,
            item_id=match.item_id,
            sha256=about.sha256,
            list_name=match.list.name,
            list_version=match.list.version,
            source=match.source,
            match_type=match.match_type,
            distance=match.distance,
            threshold=match.thresholds.threshold,
            observe=match.thresholds.near_miss,
            quality=match.quality,
            time_ms=match.time_ms,
            item_time_ms=match.item_time_ms,
            frame=match.frame,
            geometry=match.shown_by,
            edit=match.edit,
            verdict=match.verdict,
        )
        for match in matches
    )
    for labels, number in Counter((m.list.name, m.match_type, m.verdict) for m in matches).items():
        counters.count("list_matches", *labels, number=number)


def _record(
    by: Actor, verb: str, case: ReviewCase, matches: Sequence[ItemMatch], before: Any
) -> None:
    trail.record(
        by=by.name,
        verb=verb,
        subject=case,
        before=before,
        after={
            "verdict": case.verdict,
            "held": case.held,
            "origin": case.origin,
            "matches": [
                {"list": match.list.name, "item": match.item_id, "match_type": match.match_type}
                for match in matches
            ],
        },
    )
