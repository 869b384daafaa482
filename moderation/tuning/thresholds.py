"""The evidence about a list's threshold, the preview of another one, and setting it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext

from gallery.shared.errors import NotFound, UserError
from moderation.access.permissions import Actor, check
from moderation.cases.models import THRESHOLD_MET, THRESHOLD_MET_SQL, CaseMatch, ReviewCase
from moderation.cases.states import CaseState
from moderation.cases.statistics import many_rows
from moderation.lists import list_writes
from moderation.lists.models import BannedList, ListMethod, RetroScan
from moderation.lists.thresholds import Thresholds
from moderation.lists.verdicts import PICTURE_TYPES
from moderation.tuning.curves import (
    EQUAL_WITHIN,
    Curves,
    Point,
    RecordedMatches,
    ThresholdChange,
    curves,
    grid,
    threshold_change,
)

WHOLE_NUMBERS: Final = frozenset({"pdq"})
MATCHES_SHOWN: Final = 24

# Matches with edited copies are left out: a list's threshold does not apply to their distances.
# One row per subject, however many matches and frames it has: its smallest distance, its last
# decision, and the smallest sampling weight of its decided cases.
EVIDENCE = f"""
SELECT min(m.distance),
       CASE (array_agg(c.state ORDER BY c.decided_at DESC) FILTER (WHERE c.decided_at IS NOT NULL))[1]
         WHEN 'confirmed' THEN 1 WHEN 'dismissed' THEN 0 ELSE -1 END,
       coalesce(min(c.sampling_weight) FILTER (WHERE c.decided_at IS NOT NULL), 1),
       bool_or({THRESHOLD_MET_SQL}), min(m.created_at)
FROM moderation_casematch m LEFT JOIN moderation_reviewcase c ON c.id = m.case_id
WHERE m.list_id = %s AND m.match_type = %s AND m.edit = ''
GROUP BY coalesce(nullif(m.sha256, ''), 'image ' || m.image_id, 'video ' || m.video_id,
                  'match ' || m.id)
"""  # noqa: E501, S608  # PostgreSQL's own layout, of constants alone


@dataclass(frozen=True)
class ThresholdEvidence:
    """What is known of one list and match type. ``since``: the time of the first recorded match."""

    list: BannedList
    method: ListMethod
    bounds: Thresholds
    evidence: RecordedMatches
    curves: Curves
    since: datetime | None

    @property
    def match_type(self) -> str:
        return str(self.method.match_type)

    @property
    def whole(self) -> bool:
        return self.match_type in WHOLE_NUMBERS


@dataclass(frozen=True)
class Preview:
    """What a proposed threshold would have changed about the recorded matches.

    ``point``: its estimates. ``matches``: the first ``MATCHES_SHOWN`` matches that it adds or
    drops, nearest to the current threshold first. ``left_open``: undecided cases that only dropped
    matches opened. They stay open, because nobody has reviewed them.
    """

    proposed: float
    move: ThresholdChange
    point: Point | None
    matches: Sequence[CaseMatch]
    left_open: int


def evidence(*, by: Actor, list_id: int, match_type: str) -> ThresholdEvidence:
    """Return the recorded matches and their curves, with one query for the matches.

    Raise ``NotAllowed`` and ``NotFound``.
    """
    check(by, "view lists")
    method = method_of(list_id, match_type)
    bounds = method.thresholds
    with many_rows() as cursor:
        cursor.execute(EVIDENCE, [list_id, match_type])
        rows = cursor.fetchall()
    known = RecordedMatches.of([row[:4] for row in rows])
    # Old matches may lie beyond the current observe distance: the grid ends at it.
    thresholds = grid(bounds.near_miss, whole=match_type in WHOLE_NUMBERS)
    return ThresholdEvidence(
        method.list,
        method,
        bounds,
        known,
        curves(known, thresholds),
        min((row[4] for row in rows), default=None),
    )


def method_of(list_id: int, match_type: str) -> ListMethod:
    """Return the row of a banned list's match type, with its list. Raise ``NotFound``."""
    found = ListMethod.objects.select_related("list").filter(list=list_id, match_type=match_type)
    method = found.first()
    if method is None:
        known = ", ".join(PICTURE_TYPES)
        raise NotFound(
            gettext("There is no list %(number)s, or %(match_type)r is none of %(known)s.")
            % {"number": list_id, "match_type": match_type, "known": known}
        )
    if method.list.is_allow_list:
        raise NotFound(
            gettext("An allow list opens no cases, so there are no decisions about its thresholds.")
        )
    return method


def preview(*, by: Actor, seen: ThresholdEvidence, proposed: float) -> Preview:
    """Return what would change. Raise ``NotAllowed``, and ``UserError`` for an impossible
    threshold."""
    check(by, "view lists")
    _check_proposed(seen, proposed)
    return Preview(
        proposed,
        threshold_change(seen.evidence, seen.bounds.threshold, proposed),
        seen.curves.at(proposed),
        list(_between(seen, proposed)[:MATCHES_SHOWN]),
        _only_dropped(seen, proposed).count(),
    )


def _check_proposed(seen: ThresholdEvidence, proposed: float) -> None:
    # "not 0 <= …" also rejects NaN.
    if not 0 <= proposed <= seen.bounds.near_miss:
        raise UserError(
            gettext(
                "Propose a distance from 0 to %(near_miss)s: beyond it nothing is recorded, so "
                "the change cannot be computed."
            )
            % {"near_miss": f"{seen.bounds.near_miss:g}"},
            field="threshold",
        )
    if seen.whole and proposed != int(proposed):
        raise UserError(gettext("Distances of pdq are whole numbers."), field="threshold")


def _between(seen: ThresholdEvidence, proposed: float) -> QuerySet[CaseMatch]:
    """Return one match for each subject whose smallest distance is between the two thresholds."""
    low, high = sorted((seen.bounds.threshold, proposed))
    mine = CaseMatch.objects.filter(list=seen.list, match_type=seen.match_type, edit="")
    nearer = mine.filter(distance__lte=low + EQUAL_WITHIN).exclude(sha256="")
    between = (
        mine.filter(distance__gt=low + EQUAL_WITHIN, distance__lte=high + EQUAL_WITHIN)
        .exclude(sha256__in=nearer.values("sha256"))
        .order_by("sha256", "image_id", "video_id", "distance", "-case_id", "id")
        .distinct("sha256", "image_id", "video_id")
    )
    order = "distance" if proposed > seen.bounds.threshold else "-distance"
    chosen = CaseMatch.objects.filter(pk__in=between.values("pk")).order_by(order, "pk")
    return chosen.select_related("case__image", "case__video", "image", "video")


def _only_dropped(seen: ThresholdEvidence, proposed: float) -> QuerySet[ReviewCase]:
    """Return undecided cases for which no match would be within its threshold any more."""
    asked = CaseMatch.objects.filter(THRESHOLD_MET, case=OuterRef("pk"))
    near = Q(distance__lte=proposed + EQUAL_WITHIN)
    others = ~Q(list=seen.list) | ~Q(match_type=seen.match_type) | Q(list=None) | near | ~Q(edit="")
    mine = asked.filter(list=seen.list, match_type=seen.match_type, edit="").exclude(near)
    return ReviewCase.objects.filter(
        Exists(mine), ~Exists(asked.filter(others)), state__in=CaseState.undecided()
    )


@dataclass(frozen=True)
class Applied:
    """``scan``: the rescan of stored content, if the threshold was raised."""

    method: ListMethod
    scan: RetroScan | None


def apply(
    *, by: Actor, list_id: int, match_type: str, threshold: float | None, reason: str
) -> Applied:
    """Set the threshold; ``None`` sets the default. Every process uses it from the next request on.

    Records an audit event. A raised threshold starts a rescan of stored content. Raise
    ``NotAllowed``, ``NotFound``, ``UserError`` without a reason or for an impossible distance, and
    ``NeedsSecondPerson`` if it falls by more than the caller may change alone.
    """
    check(by, "edit lists")
    if not reason.strip():
        raise UserError(gettext("Give a reason: it goes into the audit."), field="reason")
    before = _reach(method_of(list_id, match_type))
    fields: dict[str, Any] = {"threshold": threshold}
    method = list_writes.change_method(
        by=by, list_id=list_id, match_type=match_type, reason=reason.strip(), **fields
    )
    unfinished = RetroScan.objects.filter(
        list=list_id, state__in=[RetroScan.State.PENDING, RetroScan.State.RUNNING]
    )
    return Applied(method, unfinished.first() if _reach(method) > before else None)


def _reach(method: ListMethod) -> float:
    return method.thresholds.threshold
