"""Banks, which are our lists, and their content, which are our items.

A bank's name has capitals, digits and underscores only. It is made from the list's name, so a list
that was made as a bank keeps its name. Allow lists are no banks: HMA has nothing like them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.hma.models import HmaBank, HmaContent
from moderation.hma.signals import SIGNALS
from moderation.lists import item_adding, item_changing, list_writes
from moderation.lists.models import BannedItem, BannedList

LONGEST_DISABLED: Final = timedelta(days=5 * 366)

REASON: Final = "by HMA's API"

NAME: Final = re.compile(r"[A-Z0-9_]+")


class BankExists(UserError):
    code = "bank_exists"


@dataclass(frozen=True)
class Bank:
    """``ratio``: the share of look-ups that see the list; 0 while the list is disabled."""

    list: BannedList
    name: str
    ratio: float

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "matching_enabled_ratio": self.ratio}


def all_banks() -> dict[int, Bank]:
    """Return the bank of each list that is no allow list, by the list's id.

    If several lists have the same bank name, all but the first get their id behind it.
    """
    rows = BannedList.objects.filter(kind=BannedList.Kind.BANNED).select_related("hma_bank")
    found: dict[int, Bank] = {}
    names: set[str] = set()
    for row in rows.order_by("pk"):
        name = bank_name(row)
        if name in names:
            name = f"{name}_{row.pk}"
        names.add(name)
        found[row.pk] = Bank(row, name, _ratio(row) if row.enabled else 0.0)
    return found


def bank_name(row: BannedList) -> str:
    """Return the list's name as a bank's name."""
    return shown_name(row.name) or f"LIST_{row.pk}"


def shown_name(name: str) -> str:
    """Return a name as HMA writes names: capitals, digits and underscores; "" if none is left."""
    return re.sub(r"[^A-Z0-9_]+", "_", name.upper()).strip("_")


def _ratio(row: BannedList) -> float:
    settings = getattr(row, "hma_bank", None)
    return 1.0 if settings is None else settings.enabled_ratio


def find(name: str) -> Bank:
    """Return the bank with this name. Raises ``NotFound``."""
    for bank in all_banks().values():
        if bank.name == name:
            return bank
    raise NotFound(f"bank '{name}' not found")


def create(*, by: Actor, name: str, ratio: float) -> Bank:
    """Create a list. Its action is shadow: it only records matches until a lead changes that.

    Raises ``BankExists`` and ``UserError`` if the name or the ratio is not valid.
    """
    _check_name(name)
    with transaction.atomic():
        if any(bank.name == name for bank in all_banks().values()):
            raise BankExists("Bank already exists")
        try:
            row = list_writes.create_list(by=by, name=name, reason=REASON)
        except Conflict as error:
            raise BankExists("Bank already exists") from error
        set_ratio(by, row, ratio)
    return find(name)


def change(*, by: Actor, name: str, new_name: str | None, ratio: float | None) -> Bank:
    """Rename a bank, or set its ratio. Raises ``NotFound`` and ``BankExists``."""
    bank = find(name)
    check(by, "edit lists")
    if ratio and not bank.list.enabled:
        raise Conflict(f"The list {bank.list.name} is disabled: enable it in the console.")
    with transaction.atomic():
        if new_name is not None and new_name != name:
            _check_name(new_name)
            try:
                list_writes.change_list(by=by, list_id=bank.list.pk, name=new_name)
            except Conflict as error:
                raise BankExists("Bank already exists") from error
        if ratio is not None:
            set_ratio(by, bank.list, ratio)
    return find(new_name or name)


def set_ratio(by: Actor, row: BannedList, ratio: float) -> None:
    check(by, "edit lists")
    if not 0 <= ratio <= 1:
        raise UserError("enabled_ratio is a number from 0 to 1.")
    before = _ratio(row)
    HmaBank.objects.update_or_create(list=row, defaults={"enabled_ratio": ratio})
    if ratio != before:
        trail.record(
            by=by.name,
            verb="bank.ratio_set",
            subject=row,
            before={"enabled_ratio": before},
            after={"enabled_ratio": ratio},
        )


def delete(*, by: Actor, name: str) -> None:
    """Delete the list and its items. Raises what ``list_writes.delete_list`` raises."""
    try:
        bank = find(name)
    except NotFound:
        return  # HMA says that it is done, too
    list_writes.delete_list(
        by=by, list_id=bank.list.pk, with_items=True, override=False, reason=REASON
    )


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or len(name) > 100:
        raise UserError("A bank's name is UPPER_CASE_WITH_UNDERSCORES, up to 100 characters.")


def add_file(
    *,
    by: Actor,
    name: str,
    note: str,
    metadata: Mapping[str, Any],
    url: str | None = None,
    file: Any = None,
) -> dict[str, Any]:
    """Add the file at a URL, or an uploaded one. Returns the id, and the hashes by signal type."""
    bank = find(name)
    facts: dict[str, Any] = {"by": by, "list_id": bank.list.pk, "note": note, "reason": REASON}
    try:
        if url:
            item = item_adding.add_link(url=url, **facts)
        else:
            item = item_adding.add_file(file=file, **facts)
    except Conflict as error:
        item = _known(error, bank)
    if metadata:
        HmaContent.objects.update_or_create(item=item, defaults={"metadata": dict(metadata)})
    return _added(item)


def add_signals(*, by: Actor, name: str, signals: Mapping[str, Any]) -> dict[str, Any]:
    """Add an item by hashes alone. Raises ``NotFound`` and ``UserError``."""
    bank = find(name)
    if not signals:
        raise UserError("No signals given")
    if unknown := signals.keys() - set(SIGNALS):
        raise UserError(f"No such signal type {', '.join(sorted(unknown))}")
    # HMA has no hashes of a quality below 50.
    hashes = [
        (SIGNALS[kind].kind, str(value), 100 if kind == "pdq" else None)
        for kind, value in signals.items()
    ]
    try:
        item = item_adding.add_hashes(by=by, list_id=bank.list.pk, hashes=hashes, reason=REASON)
    except Conflict as error:
        item = _known(error, bank)
    return _added(item)


def _known(error: Conflict, bank: Bank) -> BannedItem:
    """Return the item that is on the list already: a client may send it again."""
    item = BannedItem.objects.filter(pk=error.existing_id or 0, list=bank.list).first()
    if item is None:
        raise error
    return item


def _added(item: BannedItem) -> dict[str, Any]:
    return {"id": item.pk, "signals": signals_of(item)}


def signals_of(item: BannedItem) -> dict[str, str]:
    """Return the hash of the whole item by each signal type that fits it."""
    rows = item.hashes.filter(time_ms__isnull=True).order_by("pk")
    by_kind: dict[str, str] = {}
    for kind, value in rows.values_list("kind", "value"):
        by_kind.setdefault(kind, value)
    wanted = "video" if item.media == BannedItem.Media.VIDEO else "photo"
    unknown = item.media == BannedItem.Media.UNKNOWN
    return {
        name: by_kind[signal.kind]
        for name, signal in SIGNALS.items()
        if signal.kind in by_kind and (unknown or signal.content == wanted)
    }


@dataclass(frozen=True)
class Content:
    """An item of a bank."""

    bank: Bank
    item: BannedItem

    def as_dict(self) -> dict[str, Any]:
        extra = getattr(self.item, "hma_content", None)
        until = None if extra is None else extra.disabled_until
        return {
            "id": self.item.pk,
            "disable_until_ts": 0 if until is None else int(until.timestamp()),
            "collab_metadata": {},
            "original_media_uri": None,
            "metadata": {} if extra is None else extra.metadata,
            "note": self.item.note,
            "signals": signals_of(self.item),
            "bank": self.bank.as_dict(),
        }


def content(name: str, item_id: int) -> Content:
    """Return an item of the bank with this name. Raises ``NotFound``."""
    bank = find(name)
    item = bank.list.items.select_related("hma_content").filter(pk=item_id).first()
    if item is None:
        raise NotFound(f"content '{item_id}' not found in bank '{name}'")
    return Content(bank, item)


def change_content(
    *, by: Actor, name: str, item_id: int, until: datetime | None, note: str | None, disables: bool
) -> Content:
    """Hide an item from look-ups of this API until a time, or set its note.

    Our own filter goes on with the item: to end that, retire the item. ``disables``: whether
    ``until`` was given; None means that look-ups see the item. Raises ``NotFound`` and
    ``UserError``.
    """
    item = content(name, item_id).item
    check(by, "edit items")
    if until is not None and until > timezone.now() + LONGEST_DISABLED:
        raise UserError("disable_until_ts is more than five years from now.")
    with transaction.atomic():
        if note is not None:
            item_changing.change_item(by=by, item_id=item.pk, note=note)
        if disables:
            HmaContent.objects.update_or_create(item=item, defaults={"disabled_until": until})
            trail.record(
                by=by.name,
                verb="bank.content_disabled" if until else "bank.content_enabled",
                subject=item,
                after={"until": until and until.isoformat()},
            )
    return content(name, item_id)


def retire(*, by: Actor, name: str, item_id: int) -> int:
    """End an item. Its record stays, so that decisions about it can be explained."""
    bank = find(name)
    items = BannedItem.objects.filter(list=bank.list, pk=item_id, state=BannedItem.State.ACTIVE)
    return item_changing.retire(by=by, items=items, reason=REASON)
