"""List, confirm and refuse the changes of lists that wait for a second person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from gallery.shared.errors import Conflict, NotFound
from moderation.access.permissions import Actor, NotAllowed, Role, check
from moderation.access.words import word
from moderation.audit import trail
from moderation.lists import item_changing, list_writes
from moderation.lists.models import BannedItem, ListChange


def _of_items(command: Callable[..., int]) -> Callable[..., int]:
    def run(*, by: Actor, ids: list[int], **arguments: Any) -> int:
        return command(by=by, items=BannedItem.objects.filter(pk__in=ids), **arguments)

    return run


COMMANDS: Final[Mapping[str, Callable[..., Any]]] = {
    "create_list": list_writes.create_list,
    "change_list": list_writes.change_list,
    "change_method": list_writes.change_method,
    "delete_list": list_writes.delete_list,
    "change_item": item_changing.change_item,
    "retire": _of_items(item_changing.retire),
    "give_opinion": _of_items(item_changing.give_opinion),
    "move": _of_items(item_changing.move),
    "suspend": _of_items(item_changing.suspend),
}
"""Commands that may have to wait, by the name that is stored."""


def waiting(*, by: Actor) -> QuerySet[ListChange]:
    """Return all requested changes, newest first. Raises ``NotAllowed``."""
    check(by, "view lists")
    return ListChange.objects.select_related("list")


@transaction.atomic
def confirm(*, by: Actor, change_id: int, reason: str = "") -> ListChange:
    """Make the change.

    Raises ``NotAllowed``, ``NotFound``, ``Conflict``, and the errors of the command.
    """
    row = _locked(by, change_id)
    if row.asker_id == by.user.pk and by.role < Role.ADMIN:
        raise NotAllowed(gettext("You asked for this change: somebody else must confirm it."))
    arguments = dict(row.arguments)
    arguments["reason"] = f"change {row.pk}, asked for by {row.asked_by}: {row.reason}"[:255]
    COMMANDS[row.command](by=replace(by, confirmed=True), **arguments)
    return _decide(row, ListChange.State.APPLIED, "change.confirmed", by, reason)


@transaction.atomic
def refuse(*, by: Actor, change_id: int, reason: str = "") -> ListChange:
    """Refuse the change. The person who asked for it may do so too.

    Raises ``NotAllowed``, ``NotFound``, ``Conflict``.
    """
    row = _locked(by, change_id)
    return _decide(row, ListChange.State.REFUSED, "change.refused", by, reason)


def _locked(by: Actor, change_id: int) -> ListChange:
    check(by, "edit lists")
    if by.user is None or by.via_key:
        raise NotAllowed(gettext("A second person must confirm this in person; an API key cannot."))
    row = ListChange.objects.select_for_update().filter(pk=change_id).first()
    if row is None:
        raise NotFound(gettext("There is no change %(number)s.") % {"number": change_id})
    if row.state != ListChange.State.WAITING:
        raise Conflict(
            gettext("Change %(number)s is %(state)s already.")
            % {"number": change_id, "state": word(row.state)}
        )
    if row.expires_at <= timezone.now():
        raise Conflict(
            gettext("Change %(number)s has expired: ask for it again.") % {"number": change_id}
        )
    return row


def _decide(row: ListChange, state: str, verb: str, by: Actor, reason: str) -> ListChange:
    row.state, row.decided_by, row.decided_at = state, by.name, timezone.now()
    row.answer = reason[:1000]
    # Do not save the foreign key: the change may have deleted the list.
    row.save(update_fields=["state", "decided_by", "decided_at", "answer"])
    trail.record(
        by=by.name,
        verb=verb,
        subject=row,
        before={"asked_by": row.asked_by, "weakens": row.weakens},
        after={"list": row.list_name, "command": row.command},
        reason=reason,
    )
    return row
