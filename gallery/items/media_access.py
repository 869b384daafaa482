"""May this caller see this media, and how: the one rule, asked by every page and every address.

=================  =========  =======================  =======================
                   published  published, but doubted   not published
=================  =========  =======================  =======================
a client           clear      clear                    not at all
staff              clear      blurred                  not at all
a reviewer         clear      blurred until cleared    blurred until cleared
=================  =========  =======================  =======================

What is doubted, who reviews, and how a clear look is counted is known by ``settings.MEDIA_GUARD``.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Protocol, TypeVar, cast

from django.conf import settings
from django.db.models import BooleanField, Case, Exists, Q, QuerySet, Value, When
from django.utils.module_loading import import_string

from gallery.items.item import Item, Status
from gallery.shared.access import Access

ItemT = TypeVar("ItemT", bound=Item)


class Sight(Enum):
    """A client gets what is published. Staff see nothing doubtful by accident. A reviewer may see
    everything, one clear look at a time."""

    CLIENT = "client"
    STAFF = "staff"
    REVIEWER = "reviewer"


class Guard(Protocol):
    """What decides about looking; the instance is named in ``settings.MEDIA_GUARD``."""

    def sight(self, access: Access) -> Sight:
        """What kind of looker sent a request."""
        ...

    def doubted(self, model: type[Item]) -> Q | Exists:
        """The condition on rows of images or videos that are banned or under review."""
        ...

    def first_filter(self, access: Access) -> str:
        """The rendition, one of ``renditions.STEPS`` but ``clear``, that this person sees first."""
        ...

    def note(self, access: Access, item: Item, what: str) -> str:
        """Count and audit one clear look. Answers a proof of it, which ``is_noted`` accepts.

        Raises a ``UserError`` for who may not look.
        """
        ...

    def is_noted(self, access: Access, item: Item, look: str) -> bool:
        """Whether ``note`` gave this proof to this person, for this item, not long ago."""
        ...


def guard() -> Guard:
    """The one in force."""
    return cast(Guard, import_string(settings.MEDIA_GUARD))


def seen_by(access: Access, items: QuerySet[ItemT]) -> QuerySet[ItemT]:
    """The items with ``shown``, ``blurred`` and ``clearable`` as they are for this caller."""
    sight = guard().sight(access)
    published = Q(status=Status.READY)
    reviews = Value(sight is Sight.REVIEWER)
    if sight is Sight.CLIENT:
        blurred: Case | Value = Value(False, output_field=BooleanField())
    else:
        harmless = published & ~Q(guard().doubted(items.model))
        blurred = Case(When(harmless, then=Value(False)), default=Value(True))
    answered = items.annotate(
        shown=Case(When(published, then=Value(True)), default=reviews),
        blurred=blurred,
        clearable=reviews,
    )
    return cast("QuerySet[ItemT]", answered)


def visible(access: Access, items: QuerySet[ItemT], pk: int) -> ItemT | None:
    """The item if this caller may see it at all."""
    item = seen_by(access, items.filter(pk=pk)).first()
    return item if item is not None and item.shown else None


def note_access(access: Access, items: Iterable[ItemT]) -> None:
    """The same for rows that were loaded elsewhere, in one query at most."""
    rows = list(items)
    if not rows:
        return
    if guard().sight(access) is Sight.CLIENT:
        for row in rows:
            row.shown, row.blurred, row.clearable = row.status == Status.READY, False, False
        return
    known = type(rows[0])._default_manager.filter(pk__in=[row.pk for row in rows])
    answers = {row.pk: row for row in seen_by(access, known.only("pk"))}
    for row in rows:
        if answer := answers.get(row.pk):
            row.shown, row.blurred, row.clearable = answer.shown, answer.blurred, answer.clearable
