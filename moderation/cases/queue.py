"""The queue: which cases wait, and in which order.

The order is ``ReviewCase.rank``. Cases of one cluster show the same picture, so the queue shows
only the first of each cluster, with the cluster's size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from moderation.access.numbers import whole_number
from moderation.access.permissions import Actor
from moderation.cases.models import THRESHOLD_MET, CaseMatch, ReviewCase, ReviewCaseQuerySet, locked
from moderation.cases.states import CaseState
from moderation.lists.verdicts import MATCH_TYPES

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


Cases = ReviewCaseQuerySet

BANDS: Final[Mapping[str, tuple[_StrPromise, Q]]] = {
    "exact": (_("the same (0)"), Q(distance=0)),
    "near": (_("up to half the threshold"), Q(distance__gt=0, distance__lte=F("threshold") / 2)),
    "edge": (
        _("up to the threshold"),
        Q(distance__gt=F("threshold") / 2) & THRESHOLD_MET,
    ),
    "beyond": (_("beyond the threshold"), ~THRESHOLD_MET),
}
"""Ranges of distance relative to the threshold: name → words, condition."""

AGES: Final[Mapping[str, tuple[_StrPromise, timedelta | None, timedelta | None]]] = {
    "hour": (_("less than an hour"), None, timedelta(hours=1)),
    "day": (_("an hour to a day"), timedelta(hours=1), timedelta(days=1)),
    "week": (_("a day to a week"), timedelta(days=1), timedelta(weeks=1)),
    "older": (_("more than a week"), timedelta(weeks=1), None),
}

ME, NOBODY = "me", "nobody"
UNDECIDED, DECIDED = "undecided", "decided"


@dataclass(frozen=True)
class Filters:
    """Filters of cases; "" means no filter. ``read`` takes them from a URL.

    ``item``: cases with a match of this banned item. ``uploader``: of the client's uploader.
    """

    list: str = ""
    match_type: str = ""
    band: str = ""
    age: str = ""
    assignee: str = ""
    status: str = ""
    origin: str = ""
    item: str = ""
    uploader: str = ""

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> Filters:
        """Read the filters from a query string. Unknown values are ignored."""
        known: dict[str, Iterable[str]] = {
            "match_type": MATCH_TYPES,
            "band": BANDS,
            "age": AGES,
            "status": [*CaseState.values, UNDECIDED, DECIDED],
            "origin": ReviewCase.Origin.values,
        }
        given = {field.name: str(params.get(field.name) or "") for field in fields(cls)}
        for name, values in known.items():
            given[name] = given[name] if given[name] in values else ""
        for name in ("list", "item"):
            given[name] = "" if whole_number(given[name]) is None else given[name]
        given["uploader"] = given["uploader"].replace("\0", "")[:255]
        return cls(**given)

    @property
    def query(self) -> str:
        """A query string, without "?"."""
        return urlencode({name: value for name, value in asdict(self).items() if value})

    @property
    def decided(self) -> bool:
        return self.status in [DECIDED, *CaseState.decided()]


def cases(filters: Filters, by: Actor) -> Cases:
    """Return the filtered cases in the order of the queue; decided ones, the newest first."""
    found = ReviewCase.objects.filter(_status(filters.status)).filter(_age(filters.age))
    if filters.origin:
        found = found.filter(origin=filters.origin)
    if filters.assignee:
        found = found.filter(_assignee(filters.assignee, by))
    if filters.uploader:
        found = found.filter(of_uploader(filters.uploader))
    if filters.list or filters.item or filters.match_type or filters.band:
        found = found.filter(Exists(_matches(filters)))
    return found.order_by("-decided_at", "-pk") if filters.decided else in_order(found)


def of_uploader(name: str) -> Q:
    """Cases of this uploader, as it was when they were opened."""
    return Q(evidence__uploader=name)


def in_order(found: Cases) -> Cases:
    return found.order_by(F("rank").desc(), "pk")


def heads(found: Cases) -> Cases:
    before = Q(rank__gt=OuterRef("rank")) | Q(rank=OuterRef("rank"), pk__lt=OuterRef("pk"))
    others = found.order_by().filter(before, cluster=OuterRef("cluster"))
    return found.filter(~Exists(others))


def sizes(found: Cases, clusters: Iterable[str]) -> dict[str, int]:
    """Return cluster → number of these cases in it."""
    counted = found.order_by().filter(cluster__in=set(clusters)).values("cluster")
    return dict(counted.annotate(count=Count("pk")).values_list("cluster", "count"))


def siblings(case: ReviewCase) -> Cases:
    """Return the undecided cases of the same cluster, with the case itself."""
    return ReviewCase.objects.open().filter(cluster=case.cluster).order_by("pk")


def _matches(filters: Filters) -> QuerySet[CaseMatch]:
    found = CaseMatch.objects.order_by().filter(case=OuterRef("pk"))
    if filters.list:
        found = found.filter(list=int(filters.list))
    if filters.item:
        found = found.filter(item=int(filters.item))
    if filters.match_type:
        found = found.filter(match_type=filters.match_type)
    return found.filter(BANDS[filters.band][1]) if filters.band else found


def _status(status: str) -> Q:
    if status == DECIDED:
        return Q(state__in=CaseState.decided())
    waiting = Q(state__in=CaseState.undecided())
    return waiting if status in ("", UNDECIDED) else Q(state=status)


def _age(age: str) -> Q:
    if not age:
        return Q()
    _, least, greatest = AGES[age]
    now, wanted = timezone.now(), Q()
    if least is not None:
        wanted &= Q(created_at__lte=now - least)
    if greatest is not None:
        wanted &= Q(created_at__gt=now - greatest)
    return wanted


def _assignee(assignee: str, by: Actor) -> Q:
    if assignee == NOBODY:
        return ~locked()
    if assignee == ME:
        return locked() & Q(claimed_by=by.user)
    return locked() & Q(claimed_by__username=assignee)
