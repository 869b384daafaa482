"""Add the vectors that items lack because a model was missing when they were added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from gallery.imaging import decoding, descriptors
from gallery.items import conf, versions
from gallery.shared.errors import UserError
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.lists import item_reading, list_writes
from moderation.lists.models import BannedFingerprint, BannedItem, BannedList

BATCH_ITEMS = 32
ROWS_PER_BATCH = 1000


def lacking() -> QuerySet[BannedItem]:
    """Return the items with a picture that an available model has not described.

    Items of videos are left out: their frames are not stored, so they cannot be described later.
    """
    lacks = Q()
    for version in _versions():
        rows = BannedFingerprint.objects.filter(item=OuterRef("pk"), view="full", version=version)
        lacks |= Q(~Exists(rows))
    return BannedItem.objects.filter(lacks, media=BannedItem.Media.IMAGE).exclude(picture="")


def describe_missing(*, by: Actor) -> Iterator[tuple[int, str]]:
    """Describe items from their stored pictures. Each batch is committed on its own.

    Yields the id of each item, and the reason why it could not be described or "". The stored
    picture has at most 1024 pixels and is the first frame of an animation: other frames are not
    described. Raises ``NotAllowed``.
    """
    check(by, "edit items")
    last = 0
    while batch := list(lacking().filter(pk__gt=last).order_by("pk")[:BATCH_ITEMS]):
        last = batch[-1].pk
        outcomes = {item.pk: _read(item) for item in batch}
        _store({pk: found for pk, found in outcomes.items() if not isinstance(found, str)}, by=by)
        yield from ((pk, found if isinstance(found, str) else "") for pk, found in outcomes.items())


def not_ready_for(version: str) -> str:
    """Say why checks cannot compare by this version of CLIP instead of another yet, or ""."""
    others = BannedFingerprint.objects.filter(clip__isnull=False).exclude(version=version)
    count = undescribed(others, version).values("item").distinct().count()
    if not count:
        return ""
    return (
        f"{count} items of lists have no vector of {version} yet: run `manage.py describe_items`. "
        "With --switch-anyway, what is checked is held for review while a list compares by clip."
    )


def undescribed(rows: QuerySet[BannedFingerprint], version: str) -> QuerySet[BannedFingerprint]:
    """Return those of the fingerprints without a counterpart of this version."""
    same = BannedFingerprint.objects.filter(
        item=OuterRef("item"), view=OuterRef("view"), version=version
    )
    return rows.filter(~Exists(same), item__in=BannedItem.objects.matching())


def drop_version(version: str) -> None:
    """Delete the items' vectors of a model that is no longer used, in batches."""
    rows = BannedFingerprint.objects.filter(version=version, clip__isnull=False)
    while ids := list(rows.values_list("pk", flat=True)[:ROWS_PER_BATCH]):
        BannedFingerprint.objects.filter(pk__in=ids).delete()


def _versions() -> list[str]:
    names = descriptors.available_names()
    return [model.version for name in names for model in versions.written(name)]


def _read(item: BannedItem) -> Sequence[BannedFingerprint] | str:
    has = set(item.fingerprints.filter(view="full").values_list("version", flat=True))
    try:
        with item.picture.open() as stream:
            picture = decoding.decode(stream.read(), conf.limits())
    except FileNotFoundError:
        return "Its picture is missing in the storage."
    except UserError as error:
        return error.message
    return [row for row in item_reading.described(picture, "full") if row.version not in has]


@transaction.atomic
def _store(found: dict[int, Sequence[BannedFingerprint]], *, by: Actor) -> None:
    ids = set(BannedItem.objects.filter(pk__in=found).values_list("list", flat=True))
    list_writes.lock(ids)
    touched = list(BannedList.objects.filter(pk__in=ids).order_by("pk"))
    # Read again after locking the lists: items may be gone, lists may have become hash-only.
    kept = list(
        BannedItem.objects.filter(pk__in=found, list__in=touched, list__hash_only=False)
        .exclude(picture="")
        .order_by("pk")
    )
    if not kept:
        return
    for item in kept:
        for row in found[item.pk]:
            row.item = item
        BannedFingerprint.objects.bulk_create(found[item.pk], ignore_conflicts=True)
    list_writes.touch(one.pk for one in touched)
    for one in touched:
        mine = [item.pk for item in kept if item.list_id == one.pk]
        if mine:
            list_writes.scan(one, by=by, after_item=mine[0] - 1, reason="items described")
    trail.record(
        by=by.name,
        verb="items.described",
        subject=BannedItem,
        after=trail.summarize_ids([item.pk for item in kept]),
        count=len(kept),
    )
