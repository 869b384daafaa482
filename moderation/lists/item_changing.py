"""Change items of a list. Each command takes any number of items and records one audit event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.lists import list_writes, rescans, weakening
from moderation.lists.models import BannedItem, BannedList

Items = QuerySet[BannedItem]

EXPIRED = "expired"
"""Why expired entries are retired, also in imports."""

_ACTIVE, _HARMLESS = BannedItem.State.ACTIVE, BannedItem.Opinion.FALSE_POSITIVE

_WEAKER = (BannedItem.Opinion.FALSE_POSITIVE, BannedItem.Opinion.DISPUTED)
"""Opinions that weaken an item."""

TEXTS = ("tags", "note", "category", "severity", "owner", "expires_at")


@weakening.deferrable
def retire(*, by: Actor, items: Items, reason: str) -> int:
    """Stop matching active items and keep them as a record. Returns how many changed."""
    check(by, "edit items")
    rows = _locked(items.filter(state=BannedItem.State.ACTIVE))
    weakening.check_items(by, rows, command="retire", reason=reason)
    _screen_allowed(rows)
    BannedItem.objects.filter(pk__in=[row.pk for row in rows]).update(
        state=BannedItem.State.RETIRED, retired_at=timezone.now(), retired_because=reason[:255]
    )
    return _finish("retired", rows, "active", "retired", by=by, reason=reason)


@transaction.atomic
def activate(*, by: Actor, items: Items, reason: str) -> int:
    """Match retired items again, and queue a rescan for them. Returns how many changed."""
    check(by, "edit items")
    rows = _locked(items.filter(state=BannedItem.State.RETIRED))
    BannedItem.objects.filter(pk__in=[row.pk for row in rows]).update(
        state=BannedItem.State.ACTIVE, retired_at=None, retired_because=""
    )
    _scan([row for row in rows if row.opinion != _HARMLESS], by=by, reason="item activated")
    return _finish("activated", rows, "retired", "active", by=by, reason=reason)


@weakening.deferrable
def give_opinion(*, by: Actor, items: Items, opinion: str, reason: str) -> int:
    """Set our own opinion of items. A false positive is not matched. Returns how many changed.

    Raises ``NotAllowed``, and ``UserError`` for an unknown opinion.
    """
    check(by, "give opinions")
    if opinion not in BannedItem.Opinion.values:
        raise UserError(
            gettext("%(opinion)r is none of %(choices)s.")
            % {"opinion": opinion, "choices": ", ".join(BannedItem.Opinion.values)},
            field="opinion",
        )
    rows = _locked(items.exclude(opinion=opinion))
    if opinion in _WEAKER:
        weakening.check_items(by, rows, command="give_opinion", reason=reason, opinion=opinion)
        _screen_allowed(rows)
    before = {str(row.pk): row.opinion for row in rows[: trail.IDS_LISTED]}
    BannedItem.objects.filter(pk__in=[row.pk for row in rows]).update(opinion=opinion)
    again = [row for row in rows if row.opinion == _HARMLESS and row.state == _ACTIVE]
    _scan(again, by=by, reason="no longer a false positive")
    return _finish("opinion_given", rows, before, opinion, by=by, reason=reason)


@weakening.deferrable
def move(*, by: Actor, items: Items, list_id: int, reason: str) -> int:
    """Move items to another list, whose policy then applies to them. Returns how many were moved.

    If that list is hash-only, the items' pictures and vectors are deleted. Raises ``NotAllowed``,
    ``NotFound``, and ``Conflict`` if the list already has an entry with the same source and id.
    """
    check(by, "edit items")
    rows = _locked(items.exclude(list=list_id), also=[list_id])
    onto = list_writes.locked(list_id)
    weakening.check_items(by, rows, command="move", reason=reason, list_id=list_id)
    list_writes.check_may_add(by, onto)
    _screen_allowed(rows)
    keys = [(row.source, row.source_id) for row in rows if row.source_id]
    there = onto.items.filter(source_id__in=[source_id for _, source_id in keys])
    for (_, source_id), count in Counter(
        [*keys, *there.values_list("source", "source_id")]
    ).items():
        if count > 1:
            raise Conflict(
                gettext("The list %(list)s would have the entry %(number)s twice.")
                % {"list": onto.name, "number": source_id}
            )
    moved = BannedItem.objects.filter(pk__in=[row.pk for row in rows])
    before = {str(row.pk): row.list_id for row in rows[: trail.IDS_LISTED]}
    moved.update(list=onto)
    if onto.hash_only:
        list_writes.forget_media(moved)
    list_writes.touch([onto.pk])
    matching = [row for row in rows if row.state == _ACTIVE and row.opinion != _HARMLESS]
    _scan(matching, by=by, reason="item moved", onto=onto)
    return _finish("moved", rows, before, onto.pk, by=by, reason=reason)


@weakening.deferrable
def suspend(*, by: Actor, items: Items, reason: str) -> int:
    """Limit items to review at most, such as one that floods the queue. Returns how many
    changed.
    """
    check(by, "edit items")
    rows = _locked(items.filter(suspended_at=None))
    weakening.check_items(by, rows, command="suspend", reason=reason)
    _screen_allowed(rows)
    BannedItem.objects.filter(pk__in=[row.pk for row in rows]).update(suspended_at=timezone.now())
    return _finish("suspended", rows, False, True, by=by, reason=reason)


@transaction.atomic
def lift_suspension(*, by: Actor, items: Items, reason: str) -> int:
    """Let suspended items act as their list says. Returns how many changed."""
    check(by, "edit items")
    rows = _locked(items.exclude(suspended_at=None))
    BannedItem.objects.filter(pk__in=[row.pk for row in rows]).update(suspended_at=None)
    return _finish("suspension_lifted", rows, True, False, by=by, reason=reason)


@weakening.deferrable
def change_item(*, by: Actor, item_id: int, reason: str = "", **fields: Any) -> BannedItem:
    """Set some of ``TEXTS``.

    Raises ``NotAllowed``, ``NotFound``, ``UserError`` for invalid values, and ``NeedsSecondPerson``
    if an item of a banned list would expire within a day.
    """
    check(by, "edit items")
    if unknown := fields.keys() - set(TEXTS):
        raise TypeError(f"an item has no {', '.join(sorted(unknown))} to be changed")
    rows = _locked(BannedItem.objects.filter(pk=item_id))
    if not rows:
        raise NotFound(gettext("There is no item %(number)s.") % {"number": item_id})
    (item,) = rows
    before = {name: getattr(item, name) for name in fields if getattr(item, name) != fields[name]}
    if not before:
        return item
    for name in before:
        setattr(item, name, fields[name])
    try:
        item.clean_fields()
    except ValidationError as error:
        name, messages = next(iter(error.message_dict.items()))
        raise UserError(messages[0], field=name) from error
    if "expires_at" in before:
        weakening.check_ending(by, item, reason=reason, fields=fields)
    item.save(update_fields=list(before))
    after = {name: fields[name] for name in before}
    _finish("changed", rows, before, after, by=by, reason=reason)
    return item


def retire_expired() -> int:
    """Retire expired entries of allow lists, so that the files they allowed are screened again.

    Expired items are never matched, so expired items of banned lists need no action.
    """
    over = BannedItem.objects.filter(
        list__kind=BannedList.Kind.ALLOW, state=_ACTIVE, expires_at__lte=timezone.now()
    )
    return retire(by=Actor.machine("worker"), items=over, reason=EXPIRED)


def _screen_allowed(rows: Sequence[BannedItem]) -> None:
    allowing = BannedItem.objects.filter(
        pk__in=[row.pk for row in rows], list__kind=BannedList.Kind.ALLOW
    )
    rescans.screen_allowed(allowing)


def _locked(items: Items, also: Sequence[int] = ()) -> list[BannedItem]:
    """Lock the rows of the lists, then return the locked items. All commands lock in this order."""
    ids = {*items.order_by().values_list("list", flat=True).distinct(), *also}
    list_writes.lock(ids)
    return list(items.order_by("pk").select_for_update(of=("self",), no_key=True))


def _scan(
    rows: Sequence[BannedItem], *, by: Actor, reason: str, onto: BannedList | None = None
) -> None:
    """Queue one rescan for each list: for one item, or from the first of several items on."""
    by_list: dict[int, list[int]] = {}
    for row in rows:
        by_list.setdefault(onto.pk if onto else row.list_id, []).append(row.pk)
    for found in BannedList.objects.filter(pk__in=by_list).order_by("pk"):
        ids = by_list[found.pk]
        if len(ids) == 1:
            list_writes.scan(found, by=by, item_id=ids[0], reason=reason)
        else:
            list_writes.scan(found, by=by, after_item=min(ids) - 1, reason=reason)


def _finish(
    verb: str, rows: Sequence[BannedItem], before: Any, after: Any, *, by: Actor, reason: str
) -> int:
    if not rows:
        return 0
    list_writes.touch(row.list_id for row in rows)
    names = trail.summarize_ids([row.pk for row in rows])
    names["lists"] = sorted({row.list_id for row in rows})
    trail.record(
        by=by.name,
        verb=f"item.{verb}" if len(rows) == 1 else f"items.{verb}",
        subject=rows[0] if len(rows) == 1 else BannedItem,
        before={"was": before, **(names if len(rows) > 1 else {})},
        after={"is": after},
        count=len(rows),
        reason=reason,
    )
    return len(rows)
