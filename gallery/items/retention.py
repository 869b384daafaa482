"""Withheld items: they must not be released or deleted now, or their original must be kept.

A guard is a function named in ``settings.RETENTION_GUARDS``. It takes the model, ids of its rows
and the planned act, and returns which of them it withholds and why. Callers lock the rows first,
so that the answer stays true until they commit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings
from django.utils.module_loading import import_string

from gallery.items.item import Item, Status
from gallery.items.signals import notify_changed, overriding
from gallery.shared.access import Access
from gallery.shared.errors import Conflict, UserError

MAX_NAMED = 3
"""Most items that a message lists one by one."""


class Act(StrEnum):
    """``delete`` includes merging into another item. ``forget`` deletes only the original file,
    ``expire`` all files of an item that was quarantined long ago."""

    RELEASE = "release"
    DELETE = "delete"
    FORGET = "forget"
    EXPIRE = "expire"


ACT_RESULTS: Mapping[Act, str] = {
    Act.RELEASE: "released",
    Act.DELETE: "deleted",
    Act.FORGET: "without its original",
    Act.EXPIRE: "without its files",
}


@dataclass(frozen=True)
class WithheldReason:
    """``kind`` groups reasons for counting, such as "an open case". ``text``: "case 12 is open"."""

    kind: str
    text: str


RetentionGuard = Callable[[type[Item], Sequence[int], Act], Mapping[int, WithheldReason]]
QUARANTINE = WithheldReason("the quarantine", "it is quarantined")
NO_MEDIA = WithheldReason("deleted media", "its files were deleted")


class Withheld(Conflict):
    """An item must not be deleted or released: it is evidence or quarantined.

    The message does not mention cases; ``detailed`` does, for callers who may see them.
    """

    code = "withheld"

    def __init__(self, model: type[Item], act: Act, items: Mapping[int, WithheldReason]) -> None:
        noun = str(model._meta.verbose_name)
        first, count = min(items), len(items)
        what = f"{noun.capitalize()} {first}" if count == 1 else f"{count} {noun}s"
        verb, result = "is" if count == 1 else "are", ACT_RESULTS[act]
        super().__init__(
            f"{what} {verb} withheld by the service's moderators and cannot be {result} now."
        )
        self.items = items
        named = [f"{noun} {pk}: {items[pk].text}" for pk in sorted(items)[:MAX_NAMED]]
        more = f", and {count - MAX_NAMED} more" if count > MAX_NAMED else ""
        self.detailed = (
            f"{what} {verb} withheld and cannot be {result} now ({'; '.join(named)}{more}). "
            "An administrator may, with a reason."
        )

    def explained_to(self, access: Access) -> Withheld:
        """Return this error, with the reasons if the caller may see cases."""
        if access.allows("moderate"):
            self.message = self.detailed
        return self


def withheld(model: type[Item], rows: Iterable[Item], act: Act) -> dict[int, WithheldReason]:
    """Return id → reason for the rows that this act must not touch now."""
    there = list(rows)
    ids = sorted(row.pk for row in there)
    if not ids:
        return {}
    found: dict[int, WithheldReason] = {}
    for path in settings.RETENTION_GUARDS:
        guard: RetentionGuard = import_string(path)
        for pk, why in guard(model, ids, act).items():
            found.setdefault(pk, why)
    for row in there:
        if act is Act.DELETE and row.status == Status.QUARANTINED:
            found.setdefault(row.pk, QUARANTINE)
        if act is Act.RELEASE and row.media_deleted_at is not None:
            found.setdefault(row.pk, NO_MEDIA)
    return found


def check(
    model: type[Item], rows: Sequence[Item], act: Act, *, by: str, reason: str, override: bool
) -> None:
    """Raise ``Withheld`` if a locked row is withheld, unless ``override`` is given with a reason.

    An override is signalled before the act (``overriding``) and recorded as a change of its own.
    """
    kept = withheld(model, rows, act)
    if not kept:
        return
    if not override:
        raise Withheld(model, act, kept)
    if not reason:
        raise UserError("Give a reason: these items are withheld.", field="reason")
    chosen = [row for row in rows if row.pk in kept]
    overriding.send(sender=model, rows=chosen, act=act)
    for row in chosen:
        notify_changed(
            by=by,
            verb="withholding overridden",
            row=row,
            before=kept[row.pk].text,
            after=act.value,
            reason=reason,
        )


def may_forget(item: Item) -> bool:
    """Return whether the original of a locked row may be deleted: no case needs it as evidence."""
    return not withheld(type(item), [item], Act.FORGET)


def check_override(access: Access) -> None:
    """Raise a ``UserError`` unless the caller may release or delete withheld items."""
    checked: Callable[[Access], None] = import_string(settings.RETENTION_OVERRIDE)
    checked(access)


def may_override(access: Access) -> bool:
    try:
        check_override(access)
    except UserError:
        return False
    return True


def counts(kept: Mapping[int, WithheldReason]) -> list[tuple[str, int]]:
    """Return kind of reason → number of items, highest number first."""
    return Counter(why.kind for why in kept.values()).most_common()
