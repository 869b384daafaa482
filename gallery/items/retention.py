"""What must not be released, deleted or forgotten now, and who says so.

A guard is a function named in ``settings.RETENTION_GUARDS``. It takes the model, ids of its rows
and what is about to be done, and answers which of them it withholds and why. Services ask with
the rows locked, so that what is answered stays true until they commit.
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

NAMED = 3
"""Items that a message names one by one."""


class Act(StrEnum):
    """``release``: let it be found again. ``delete``: for good, also when it is merged into
    another. ``forget``: let go of the original file, the row stays."""

    RELEASE = "release"
    DELETE = "delete"
    FORGET = "forget"


DONE: Mapping[Act, str] = {
    Act.RELEASE: "released",
    Act.DELETE: "deleted",
    Act.FORGET: "without its original",
}


@dataclass(frozen=True)
class Why:
    """``kind``: what items are counted by, as "an open case"; ``words``: "case 12 is open"."""

    kind: str
    words: str


Guard = Callable[[type[Item], Sequence[int], Act], Mapping[int, Why]]
QUARANTINE = Why("the quarantine", "it is quarantined")


class Withheld(Conflict):
    """What was asked for would take evidence away, or let it out.

    The message says nothing of cases; ``detailed`` does, for those who may see them.
    """

    code = "withheld"

    def __init__(self, model: type[Item], act: Act, items: Mapping[int, Why]) -> None:
        noun = str(model._meta.verbose_name)
        first, count = min(items), len(items)
        what = f"{noun.capitalize()} {first}" if count == 1 else f"{count} {noun}s"
        verb = "is" if count == 1 else "are"
        super().__init__(
            f"{what} {verb} withheld by the service's moderators and cannot be {DONE[act]} now."
        )
        self.items = items
        named = [f"{noun} {pk}: {items[pk].words}" for pk in sorted(items)[:NAMED]]
        more = f", and {count - NAMED} more" if count > NAMED else ""
        self.detailed = (
            f"{what} {verb} withheld and cannot be {DONE[act]} now ({'; '.join(named)}{more}). "
            "An administrator may, with a reason."
        )

    def told_to(self, access: Access) -> Withheld:
        """The same, with the reasons if the caller may see cases."""
        if access.allows("moderate"):
            self.message = self.detailed
        return self


def withheld(model: type[Item], rows: Iterable[Item], act: Act) -> dict[int, Why]:
    """Id → why, of the rows with which this must not be done now."""
    there = list(rows)
    ids = sorted(row.pk for row in there)
    if not ids:
        return {}
    found: dict[int, Why] = {}
    for path in settings.RETENTION_GUARDS:
        guard: Guard = import_string(path)
        for pk, why in guard(model, ids, act).items():
            found.setdefault(pk, why)
    if act is Act.DELETE:
        for row in there:
            if row.status == Status.QUARANTINED:
                found.setdefault(row.pk, QUARANTINE)
    return found


def check(
    model: type[Item], rows: Sequence[Item], act: Act, *, by: str, reason: str, override: bool
) -> None:
    """Raise ``Withheld`` if any of the locked rows is, unless it is overridden with a reason.

    An override is told to whoever listens, before the act, and is news itself.
    """
    kept = withheld(model, rows, act)
    if not kept:
        return
    if not override:
        raise Withheld(model, act, kept)
    if not reason:
        raise UserError("Say why: what is withheld needs a reason.", field="reason")
    chosen = [row for row in rows if row.pk in kept]
    overriding.send(sender=model, rows=chosen, act=act)
    for row in chosen:
        notify_changed(
            by=by,
            verb="withholding overridden",
            row=row,
            before=kept[row.pk].words,
            after=act.value,
            reason=reason,
        )


def may_forget(item: Item) -> bool:
    """Whether nobody needs the original of a locked row as evidence."""
    return not withheld(type(item), [item], Act.FORGET)


def check_override(access: Access) -> None:
    """Raises a ``UserError`` unless the caller may release or delete what is withheld."""
    checked: Callable[[Access], None] = import_string(settings.RETENTION_OVERRIDE)
    checked(access)


def may_override(access: Access) -> bool:
    """Whether ``check_override`` would pass."""
    try:
        check_override(access)
    except UserError:
        return False
    return True


def counts(kept: Mapping[int, Why]) -> list[tuple[str, int]]:
    """How many each kind of reason withholds."""
    return Counter(why.kind for why in kept.values()).most_common()
