"""What lets more through than before, and who may do it alone.

Asked by every command that changes a list or its items, so that no door is a way round it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any, Final, TypeVar, cast

from django.db import transaction
from django.utils import timezone

from gallery.shared.errors import UserError
from moderation.access.permissions import Actor, Deferred, Role
from moderation.audit import trail
from moderation.audit.models import AuditEvent
from moderation.lists import thresholds
from moderation.lists.list_values import STRICTNESS, Facts
from moderation.lists.models import (
    BannedItem,
    BannedList,
    ListChange,
    ListMethod,
)
from moderation.lists.verdicts import Action, Severity

WAITS: Final = timedelta(days=7)
"""How long a change waits for a second person."""

MUCH_LOWER: Final = 0.25
"""Share of a threshold, within a day, from which lowering it needs a second person."""

MUCH_LOWER_BITS: Final = 8
"""The same of pdq, whichever is less."""

MASS: Final = 20
"""Items of a list that may be taken out of force within a day without a second person."""

Command = TypeVar("Command", bound=Callable[..., Any])

DAY: Final = timedelta(days=1)
ALLOW: Final = BannedList.Kind.ALLOW


@dataclass(frozen=True)
class Request:
    """A change that was not made: the command, what it is called with, and what it weakens."""

    by: Actor
    list_id: int | None
    list_name: str
    command: str
    arguments: Mapping[str, Any]
    weakens: Sequence[str]
    reason: str = ""


class NeedsSecondPerson(Deferred):
    """The list is as it was; the change waits for a lead or an admin to confirm it."""

    code = "needs_second_person"

    def __init__(self, request: Request) -> None:
        super().__init__(
            f"Nothing was changed: {', '.join(request.weakens)}. This needs a second person or an "
            "admin, and waits for them among the changes of lists."
        )
        self.request = request

    def store(self) -> ListChange:
        """As a change of the list that waits."""
        row = ask(self.request)
        self.existing_id = row.pk
        return row


def deferrable(run: Command) -> Command:
    """Make a command one transaction, and have what it may not do alone wait for others."""

    @wraps(run)
    def wrapper(**arguments: Any) -> Any:
        try:
            with transaction.atomic():
                return run(**arguments)
        except NeedsSecondPerson as asked:
            asked.store()
            raise

    return cast(Command, wrapper)


def check(
    by: Actor,
    row: BannedList,
    weakens: Sequence[str],
    *,
    command: str,
    reason: str,
    arguments: Mapping[str, Any],
    critical: bool | None = None,
) -> None:
    """Raise ``NeedsSecondPerson`` for what a key asks, or anybody of a critical list.

    An admin in person may do it alone, of a critical list with a reason; so may a worker or a
    command on the server. ``critical``: where it is not the list's own severity that counts.
    """
    if not weakens or by.confirmed:
        return
    grave = row.severity >= Severity.CRITICAL if critical is None else critical
    if by.role == Role.ADMIN and not by.via_key:
        if grave and by.user is not None and not reason.strip():
            raise UserError("Say why: this weakens a critical list.", field="reason")
        return
    if by.via_key or grave:
        raise NeedsSecondPerson(
            Request(by, row.pk, row.name, command, dict(arguments), list(weakens), reason)
        )


@transaction.atomic
def ask(request: Request) -> ListChange:
    """Store what is asked for; what waits already is not asked twice."""
    by = request.by
    same = ListChange.objects.waiting().filter(
        list=request.list_id, command=request.command, asked_by=by.name
    )
    known = same.filter(arguments=request.arguments).first()
    if known is not None:
        return known
    row = ListChange.objects.create(
        list_id=request.list_id,
        list_name=request.list_name,
        command=request.command,
        arguments=request.arguments,
        weakens=list(request.weakens),
        reason=request.reason[:1000],
        asked_by=by.name,
        asker=by.user,
        expires_at=timezone.now() + WAITS,
    )
    trail.record(
        by=by.name,
        verb="change.asked",
        subject=row,
        after={"list": row.list_name, "command": row.command, "weakens": row.weakens},
        reason=row.reason,
    )
    return row


def of_list(before: Facts, after: Facts) -> list[str]:
    """What a change of a list lets through."""
    if after["kind"] == ALLOW:
        return _of_allow_list(before, after)
    found = []
    if before["enabled"] and not after["enabled"]:
        found.append("the list is switched off")
    if STRICTNESS[Action(after["action"])] < STRICTNESS[Action(before["action"])]:
        found.append(f"it acts by {after['action']} instead of {before['action']}")
    if after["severity"] < before["severity"] == Severity.CRITICAL:
        found.append("it is critical no more")
    if after["hash_only"] and not before["hash_only"]:
        found.append("it forgets what its items look like")
    for name, words in (
        ("hold_on_review", "what it sends to review is published meanwhile"),
        ("two_person", "its cases need one decision instead of two"),
    ):
        if before[name] and not after[name]:
            found.append(words)
    return found


def _of_allow_list(before: Facts, after: Facts) -> list[str]:
    if not after["enabled"]:
        return []
    if before["kind"] != ALLOW or not before["enabled"]:
        return ["an allow list is switched on"]
    old, new = set(before["allows_for"]), set(after["allows_for"])
    wider = bool(old) and (not new or bool(new - old))
    return ["an allow list outranks more lists"] if wider else []


def critical_for(outranked: Iterable[int]) -> bool:
    """Whether a list that an allow list outranks is critical; of no ids: any list."""
    ids = set(outranked)
    lists = BannedList.objects.filter(kind=BannedList.Kind.BANNED, severity=Severity.CRITICAL)
    return (lists.filter(pk__in=ids) if ids else lists).exists()


def is_critical(row: BannedList) -> bool:
    """Whether a list is critical, or an allow list outranks one that is."""
    if row.kind == ALLOW:
        return critical_for(row.allows_for.values_list("pk", flat=True))
    return row.severity >= Severity.CRITICAL


def of_method(row: BannedList, method: ListMethod, before: Facts) -> list[str]:
    """What a change of a banned list's match type lets through."""
    if row.kind == ALLOW:
        return []
    name, found = method.match_type, []
    if before["enabled"] and not method.enabled:
        found.append(f"{name} is switched off")
    if before["may_block"] and not method.may_block:
        found.append(f"{name} blocks no more")
    if method.enabled:
        now = method.thresholds.threshold
        was = _highest_today(row, name, thresholds.effective(name, before["threshold"]).threshold)
        much = min(was * MUCH_LOWER, MUCH_LOWER_BITS if name == "pdq" else was)
        if was - now > much:
            found.append(f"the threshold of {name} falls from {was:g} to {now:g} within a day")
    return found


def _highest_today(row: BannedList, match_type: str, threshold: float) -> float:
    """Of the thresholds since yesterday: many small steps are one large one."""
    events = AuditEvent.objects.filter(
        verb="list.method_changed",
        subject_id=row.pk,
        at__gt=timezone.now() - DAY,
        before__match_type=match_type,
        before__has_key="threshold",
    )
    earlier = (before["threshold"] for before in events.values_list("before", flat=True) if before)
    return max([threshold, *(thresholds.effective(match_type, one).threshold for one in earlier)])


def check_items(
    by: Actor, rows: Sequence[BannedItem], *, command: str, reason: str, **arguments: Any
) -> None:
    """Ask for a second person where many items of a banned list are taken out of force."""
    since = timezone.now() - DAY
    for list_id in sorted({row.list_id for row in rows}):
        mine = BannedList.objects.get(pk=list_id)
        if mine.kind == ALLOW:
            continue
        ids = [row.pk for row in rows if row.list_id == list_id]
        there = BannedItem.objects.filter(list=list_id).exclude(pk__in=ids)
        today = there.filter(retired_at__gt=since) | there.filter(suspended_at__gt=since)
        count = len(ids) + today.count()
        check(
            by,
            mine,
            [f"{count:,} items go out of force within a day"] if count > MASS else [],
            command=command,
            reason=reason,
            arguments={"ids": [row.pk for row in rows], "reason": reason, **arguments},
        )


def check_ending(by: Actor, item: BannedItem, *, reason: str, fields: Mapping[str, Any]) -> None:
    """Ask for a second person where an item of a banned list would end within a day."""
    ends = item.expires_at
    if item.list.kind == ALLOW or ends is None or ends > timezone.now() + DAY:
        return
    check(
        by,
        item.list,
        [f"item {item.pk} ends by {ends:%Y-%m-%d %H:%M}"],
        command="change_item",
        reason=reason,
        arguments={"item_id": item.pk, **fields, "expires_at": ends.isoformat()},
    )


def of_import(row: BannedList, counts: Mapping[str, Any]) -> bool:
    """Whether what an import counted weakens."""
    if row.kind == ALLOW:
        return bool(counts.get("added") or counts.get("reactivated"))
    return int(counts.get("retired", 0)) > MASS
