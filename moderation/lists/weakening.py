"""Rules for changes that weaken a list, so that it lets more through.

Every command that changes a list or its items checks these rules, so no interface can bypass them.
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
from moderation.lists.models import BannedItem, BannedList, ListChange, ListMethod
from moderation.lists.verdicts import Severity, is_stricter

CHANGE_WAITS: Final = timedelta(days=7)

MUCH_LOWER: Final = 0.25
"""Share by which a threshold may be lowered within a day without a second person."""

MUCH_LOWER_BITS: Final = 8
"""The same limit for pdq, in bits. The smaller of the two limits applies."""

MANY_ITEMS: Final = 20
"""Items of a list that may be retired or suspended within a day without a second person."""

Facts = dict[str, Any]

Command = TypeVar("Command", bound=Callable[..., Any])

DAY: Final = timedelta(days=1)
ALLOW: Final = BannedList.Kind.ALLOW


@dataclass(frozen=True)
class ChangeRequest:
    """A change that waits for a second person. ``weakens``: one sentence for each consequence."""

    by: Actor
    list_id: int | None
    list_name: str
    command: str
    arguments: Mapping[str, Any]
    weakens: Sequence[str]
    reason: str = ""


class NeedsSecondPerson(Deferred):
    """Nothing was changed. A lead or an admin must confirm the change first."""

    code = "needs_second_person"

    def __init__(self, request: ChangeRequest) -> None:
        super().__init__(
            f"Nothing was changed: {', '.join(request.weakens)}. A second person or an admin must "
            "confirm this; it waits under changes of lists."
        )
        self.request = request

    def store(self) -> ListChange:
        row = ask(self.request)
        self.existing_id = row.pk
        return row


def deferrable(run: Command) -> Command:
    """Run a command in one transaction. If it needs a second person, store it as waiting."""

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
    """Raise ``NeedsSecondPerson`` for an API key, and for other callers if the list is critical.

    An admin in person may make the change alone, but needs a reason if the list is critical.
    Workers and commands on the server may always make it. ``critical`` replaces the list's own
    severity.
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
            ChangeRequest(by, row.pk, row.name, command, dict(arguments), list(weakens), reason)
        )


@transaction.atomic
def ask(request: ChangeRequest) -> ListChange:
    """Store a request. If the same request already waits, return that one."""
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
        expires_at=timezone.now() + CHANGE_WAITS,
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
    if after["kind"] == ALLOW:
        return _of_allow_list(before, after)
    found = []
    if before["enabled"] and not after["enabled"]:
        found.append("the list is switched off")
    if is_stricter(before["action"], after["action"]):
        found.append(f"its action becomes {after['action']} instead of {before['action']}")
    if after["severity"] < before["severity"] == Severity.CRITICAL:
        found.append("it is no longer critical")
    if after["hash_only"] and not before["hash_only"]:
        found.append("the pictures and vectors of its items are deleted")
    for name, words in (
        ("hold_on_review", "uploads under review are published until they are decided"),
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
    return ["an allow list has priority over more lists"] if wider else []


def critical_for(outranked: Iterable[int]) -> bool:
    """Return whether an allow list with priority over these lists affects a critical list.

    No ids means all lists.
    """
    ids = set(outranked)
    lists = BannedList.objects.filter(kind=BannedList.Kind.BANNED, severity=Severity.CRITICAL)
    return (lists.filter(pk__in=ids) if ids else lists).exists()


def is_critical(row: BannedList) -> bool:
    """Return whether a list is critical, or is an allow list with priority over a critical list."""
    if row.is_allow_list:
        return critical_for(row.allows_for.values_list("pk", flat=True))
    return row.severity >= Severity.CRITICAL


def of_method(row: BannedList, method: ListMethod, before: Facts) -> list[str]:
    if row.is_allow_list:
        return []
    name, found = method.match_type, []
    if before["enabled"] and not method.enabled:
        found.append(f"{name} is switched off")
    if before["may_block"] and not method.may_block:
        found.append(f"{name} no longer blocks")
    if method.enabled:
        now = method.thresholds.threshold
        was = _highest_today(row, name, thresholds.effective(name, before["threshold"]).threshold)
        much = min(was * MUCH_LOWER, MUCH_LOWER_BITS if name == "pdq" else was)
        if was - now > much:
            found.append(f"the threshold of {name} falls from {was:g} to {now:g} within a day")
    return found


def _highest_today(row: BannedList, match_type: str, threshold: float) -> float:
    """Return the highest threshold within the last day, so that many small steps count as one."""
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
    """Raise ``NeedsSecondPerson`` if many items of a banned list are retired or suspended."""
    since = timezone.now() - DAY
    for list_id in sorted({row.list_id for row in rows}):
        mine = BannedList.objects.get(pk=list_id)
        if mine.is_allow_list:
            continue
        ids = [row.pk for row in rows if row.list_id == list_id]
        there = BannedItem.objects.filter(list=list_id).exclude(pk__in=ids)
        today = there.filter(retired_at__gt=since) | there.filter(suspended_at__gt=since)
        count = len(ids) + today.count()
        check(
            by,
            mine,
            [f"{count:,} items are retired or suspended within a day"]
            if count > MANY_ITEMS
            else [],
            command=command,
            reason=reason,
            arguments={"ids": [row.pk for row in rows], "reason": reason, **arguments},
        )


def check_ending(by: Actor, item: BannedItem, *, reason: str, fields: Mapping[str, Any]) -> None:
    """Raise ``NeedsSecondPerson`` if an item of a banned list would expire within a day."""
    ends = item.expires_at
    if item.list.is_allow_list or ends is None or ends > timezone.now() + DAY:
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
    if row.is_allow_list:
        return bool(counts.get("added") or counts.get("reactivated"))
    return int(counts.get("retired", 0)) > MANY_ITEMS
