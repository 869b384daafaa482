"""Which events are about a row or a person, and many looks in a row as one line.

Tables of the features above are named, not imported.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.apps import apps
from django.db import connection
from django.db.models import (
    CharField,
    Count,
    F,
    IntegerField,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Cast, Coalesce, Concat, TruncDate, TruncDay

from moderation.access.numbers import whole_number
from moderation.audit.models import AuditEvent
from moderation.audit.sentences import CASE, KINDS, USER
from moderation.audit.wordings import LOOK

Events = QuerySet[AuditEvent]
MOST_ROWS: Final = 1000
"""Rows with one data_id whose events are found."""
MOST_IN_BULK: Final = 20
"""Rows that are also looked for among the ids of events about many."""
MOST_ACTORS: Final = 500
BATCH: Final = "moderation.decisionbatch"

# One probe of the index for each actor, however many events each has.
ACTORS: Final = """
WITH RECURSIVE one AS (
    (SELECT actor FROM moderation_auditevent ORDER BY actor LIMIT 1)
    UNION ALL
    SELECT (SELECT actor FROM moderation_auditevent WHERE actor > one.actor ORDER BY actor LIMIT 1)
    FROM one WHERE one.actor IS NOT NULL
)
SELECT actor FROM one WHERE actor IS NOT NULL LIMIT %s
"""


def actors() -> list[str]:
    """Return everybody who is in the audit, in order."""
    with connection.cursor() as cursor:
        cursor.execute(ACTORS, [MOST_ACTORS])
        return [name for (name,) in cursor.fetchall()]


def about(term: str) -> Q:
    """Return the events that a search term names: a person, a data_id, "case 5" (or "image 7", …),
    an id, the name of a list, or the digest of an event."""
    word, _, rest = term.partition(" ")
    number = whole_number(rest)
    for label, kind in KINDS.items():
        names = (f"{kind.one} {number}", str(kind.numbered % {"number": number}))
        if number is not None and f"{word} {number}".lower() in names:
            return _rows({label: [number]})
    people = Q(actor__in=[term, f"user:{term}", f"key:{term}", f"command:{term}"])
    named = _rows(_called(term))
    if (pk := whole_number(term)) is not None:
        named |= Q(subject__in=list(KINDS), subject_id=pk) | _rows({CASE: [pk]})
    return people | Q(digest=term.lower()) | named


def _called(term: str) -> dict[str, list[int]]:
    """Return the rows that a name or a data_id names, by table."""
    conditions = {
        "gallery.image": Q(data_id=term),
        "videos.video": Q(data_id=term),
        CASE: Q(image__data_id=term) | Q(video__data_id=term) | Q(evidence__data_id=term),
        "moderation.bannedlist": Q(name__iexact=term),
        USER: Q(username=term),
    }
    return {label: _ids(label, condition) for label, condition in conditions.items()}


def _ids(label: str, condition: Q) -> list[int]:
    rows = apps.get_model(label)._default_manager.filter(condition).order_by("pk")
    return list(rows.values_list("pk", flat=True)[:MOST_ROWS])


def _rows(rows: Mapping[str, Collection[int]]) -> Q:
    """Return the events about the rows: alone, in a batch of decisions, or among others."""
    found = Q(pk__in=[])
    for label, ids in rows.items():
        if not ids:
            continue
        found |= Q(subject=label, subject_id__in=ids)
        in_bulk = Q(pk__in=[])
        for pk in list(ids)[:MOST_IN_BULK]:
            in_bulk |= Q(before__ids__contains=pk) | Q(after__ids__contains=pk)
        found |= Q(subject=label, subject_id=None) & in_bulk
        if label == CASE:
            batches = apps.get_model("moderation.decision")._default_manager.filter(case__in=ids)
            found |= Q(subject=BATCH, subject_id__in=list(batches.values_list("batch", flat=True)))
    return found


def folded(events: Events) -> Events:
    """Leave out each look that is followed by another one of the same person on the same day, with
    nothing else by that person between. ``runs`` says what a line stands for."""
    later = AuditEvent.objects.filter(
        actor=OuterRef("actor"), at__gte=OuterRef("at"), pk__gt=OuterRef("pk")
    ).order_by("at", "pk")
    mine = Concat("verb", Cast(TruncDate("at"), CharField()), output_field=CharField())
    following = Coalesce(Subquery(later.annotate(key=mine).values("key")[:1]), Value(""))
    here = Concat(Value(LOOK), Cast(TruncDate("at"), CharField()), output_field=CharField())
    return events.annotate(following=following, here=here).exclude(verb=LOOK, following=F("here"))


@dataclass(frozen=True)
class Run:
    """Looks in a row: how many, and when the first was."""

    looks: int
    began: datetime


def runs(heads: Collection[AuditEvent]) -> dict[int, Run]:
    """Return the runs that end with these looks, those of more than one."""
    ids = [event.pk for event in heads if event.verb == LOOK]
    if not ids:
        return {}
    inside = _in_run().order_by().values("actor")
    counted = (
        _with_edges(AuditEvent.objects.filter(pk__in=ids))
        .order_by()
        .annotate(
            looks=Subquery(inside.annotate(n=Count("pk")).values("n"), output_field=IntegerField()),
            began=Subquery(inside.annotate(first=Min("at")).values("first")),
        )
    )
    return {row.pk: Run(row.looks, row.began) for row in counted if row.looks > 1}


def in_run(head: int) -> Events:
    """Return the looks of the run that ends with this event; none if it is no look."""
    rows = _with_edges(AuditEvent.objects.filter(pk=head, verb=LOOK)).order_by()
    for row in rows:
        return AuditEvent.objects.filter(
            actor=row.actor,
            verb=LOOK,
            at__gte=row.day,  # type: ignore[attr-defined]
            pk__gt=row.edge,  # type: ignore[attr-defined]
            pk__lte=row.pk,
        )
    return AuditEvent.objects.none()


def _with_edges(events: Events) -> Events:
    """Annotate the beginning of the day, and the last event by the person before the run."""
    others = (
        AuditEvent.objects.filter(
            actor=OuterRef("actor"), pk__lt=OuterRef("pk"), at__gte=OuterRef("day")
        )
        .exclude(verb=LOOK)
        .order_by("-at", "-pk")
        .values("pk")[:1]
    )
    return events.annotate(day=TruncDay("at")).annotate(edge=Coalesce(Subquery(others), 0))


def _in_run() -> Events:
    return AuditEvent.objects.filter(
        actor=OuterRef("actor"),
        verb=LOOK,
        at__gte=OuterRef("day"),
        pk__gt=OuterRef("edge"),
        pk__lte=OuterRef("pk"),
    )
