"""The rule that decides whether and how a caller sees media. Every page and URL uses it.

=================  =========  =======================  =======================
                   published  published, but suspect   not published
=================  =========  =======================  =======================
a client           clear      clear                    not at all
staff              clear      blurred                  not at all
a reviewer         clear      blurred until cleared    blurred until cleared
=================  =========  =======================  =======================

``settings.MEDIA_GUARD`` says what is suspect, who reviews, and how a clear look is counted.
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


class ViewerKind(Enum):
    """A client sees published media. Staff see suspect media blurred. A reviewer may see
    everything, one clear look at a time."""

    CLIENT = "client"
    STAFF = "staff"
    REVIEWER = "reviewer"


class MediaGuard(Protocol):
    """Decides who may see what. ``settings.MEDIA_GUARD`` names the instance."""

    def viewer_kind(self, access: Access) -> ViewerKind: ...

    def suspect(self, model: type[Item]) -> Q | Exists:
        """Return the condition on images or videos that are banned or under review."""
        ...

    def first_filter(self, access: Access) -> str:
        """Return the step of ``renditions.STEPS``, not ``clear``, that this person sees first."""
        ...

    def note(self, access: Access, item: Item, what: str) -> str:
        """Count and audit one clear look. Return a token that ``is_noted`` accepts.

        Raises a ``UserError`` for callers who may not see the item clear.
        """
        ...

    def is_noted(self, access: Access, item: Item, look: str) -> bool:
        """Return whether ``note`` recently gave this token to this person for this item."""
        ...


def guard() -> MediaGuard:
    return cast(MediaGuard, import_string(settings.MEDIA_GUARD))


def with_visibility(access: Access, items: QuerySet[ItemT]) -> QuerySet[ItemT]:
    viewer = guard().viewer_kind(access)
    published = Q(status=Status.READY)
    reviews = Value(viewer is ViewerKind.REVIEWER)
    if viewer is ViewerKind.CLIENT:
        blurred: Case | Value = Value(False, output_field=BooleanField())
    else:
        harmless = published & ~Q(guard().suspect(items.model))
        blurred = Case(When(harmless, then=Value(False)), default=Value(True))
    answered = items.annotate(
        shown=Case(When(published, then=Value(True)), default=reviews),
        blurred=blurred,
        clearable=reviews,
    )
    return cast("QuerySet[ItemT]", answered)


def visible(access: Access, items: QuerySet[ItemT], pk: int) -> ItemT | None:
    item = with_visibility(access, items.filter(pk=pk)).first()
    return item if item is not None and item.shown else None


def set_visibility(access: Access, items: Iterable[ItemT]) -> None:
    """Set ``shown``, ``blurred`` and ``clearable`` on loaded rows, with at most one query."""
    rows = list(items)
    if not rows:
        return
    if guard().viewer_kind(access) is ViewerKind.CLIENT:
        for row in rows:
            row.shown, row.blurred, row.clearable = row.status == Status.READY, False, False
        return
    known = type(rows[0])._default_manager.filter(pk__in=[row.pk for row in rows])
    answers = {row.pk: row for row in with_visibility(access, known.only("pk"))}
    for row in rows:
        if answer := answers.get(row.pk):
            row.shown, row.blurred, row.clearable = answer.shown, answer.blurred, answer.clearable
