"""Effects of decisions on items: quarantine, release, and allow-list entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from django.conf import settings
from django.utils import timezone

from gallery.items.changing import quarantine_items, release_items
from gallery.items.item import Status
from gallery.items.kinds import kinds
from gallery.items.retention import Act
from gallery.shared.locking import locked
from moderation.access.permissions import Actor, Role
from moderation.audit import trail
from moderation.cases import retention
from moderation.cases.models import CaseMatch, ReviewCase
from moderation.lists import list_writes, rescans
from moderation.lists.models import BannedHash, BannedItem, BannedList
from moderation.lists.verdicts import HASH_TYPES

Moved = dict[tuple[str, int], tuple[str, str]]
"""(kind, id) of an item → status before and after."""
Subject = tuple[str, int]


def subject_of(row: ReviewCase | CaseMatch) -> Subject | None:
    """Return (kind, id) of the item that the row is about. None if the item was deleted or only
    bytes were checked."""
    for name in kinds():
        if (pk := getattr(row, f"{name}_id")) is not None:
            return name, pk
    return None


def quarantine(subjects: Iterable[Subject], by: Actor) -> Moved:
    return _move(subjects, Status.READY, Status.QUARANTINED, by)


def release(subjects: Iterable[Subject], by: Actor) -> Moved:
    """Release quarantined items that no other case withholds. Store the decided cases first."""
    return _move(subjects, Status.QUARANTINED, Status.READY, by)


def _move(subjects: Iterable[Subject], before: Status, after: Status, by: Actor) -> Moved:
    moved: Moved = {}
    wanted = list(subjects)
    for kind in kinds().values():
        chosen = kind.rows(pk for name, pk in wanted if name == kind.name)
        rows = locked(chosen.filter(status=before).only("pk", "media_deleted_at"), no_key=True)
        # Without its files, an item stays quarantined whatever is decided.
        there = [row.pk for row in rows if row.media_deleted_at is None]
        if after == Status.READY:
            kept = retention.withheld(kind.model, there, Act.RELEASE)
            there = [pk for pk in there if pk not in kept]
        if there:
            change = release_items if after == Status.READY else quarantine_items
            with trail.part_of_a_command():
                change(items=kind.rows(there), by=by.name)
        moved |= {(kind.name, pk): (before.value, after.value) for pk in there}
    return moved


def allow_bytes(cases: Sequence[ReviewCase], by: Actor, note: str) -> dict[int, int]:
    """Put the exact bytes of each case on the allow list. Return case id → item id.

    The entries have only cryptographic hashes. An allow entry has priority over bans, so a
    perceptual hash would also allow the banned picture that this one resembles. Cases with the same
    bytes share an item. A case without a cryptographic hash gets none.
    """
    target = _allow_list(by)
    items: dict[str, BannedItem] = {}
    for case in cases:
        if key := _bytes_of(case):
            items.setdefault(
                key,
                BannedItem(
                    list=target, source="moderation", note=note or f"case {case.pk} was dismissed",
                    added_by=by.name,
                ),
            )  # fmt: skip
    if not items:
        return {}
    BannedItem.objects.bulk_create(items.values(), batch_size=500)
    seen: set[str] = set()
    hashes = []
    for case in cases:
        key = _bytes_of(case)
        if key and key not in seen:
            seen.add(key)
            hashes += [
                BannedHash(item=items[key], kind=kind, value=case.evidence[kind].lower())
                for kind in HASH_TYPES
                if case.evidence.get(kind)
            ]
    BannedHash.objects.bulk_create(hashes, batch_size=2000)
    list_writes.touch([target.pk])
    return {case.pk: items[key].pk for case in cases if (key := _bytes_of(case))}


def retire_allowed(item_ids: Iterable[int], why: str) -> int:
    """Retire entries of an allow list. Return how many were active."""
    entries = BannedItem.objects.filter(pk__in=set(item_ids), state=BannedItem.State.ACTIVE)
    touched = sorted(set(entries.values_list("list", flat=True)))
    list_writes.lock(touched)
    rescans.screen_allowed(entries)
    count = entries.update(
        state=BannedItem.State.RETIRED, retired_at=timezone.now(), retired_because=why
    )
    list_writes.touch(touched)
    return count


def _bytes_of(case: ReviewCase) -> str:
    return next((str(case.evidence[kind]) for kind in HASH_TYPES if case.evidence.get(kind)), "")


def _allow_list(by: Actor) -> BannedList:
    name = settings.MODERATORS_ALLOW_LIST
    found = BannedList.objects.filter(name=name, kind=BannedList.Kind.ALLOW).first()
    if found is not None:
        return found
    # Creating a list needs a lead, but this list belongs to the service.
    return list_writes.create_list(
        by=replace(by, role=Role.ADMIN, via_key=False),
        name=name,
        kind=BannedList.Kind.ALLOW,
        description="Files that moderators dismissed, by their exact bytes.",
        reason="for what moderators allow",
    )
