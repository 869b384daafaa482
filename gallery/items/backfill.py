"""Compute missing descriptors of images, for example after a change of model.

An image is read from its original, or fetched again from its URL. Fetched bytes must have the
same SHA-256; if they differ, the image is marked as stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.module_loading import import_string

from gallery.imaging import decoding, descriptors
from gallery.imaging.decoding.pictures import Picture
from gallery.imaging.descriptors.base import Columns, Descriptor
from gallery.items import conf, describing, embedding, file_storage, versions
from gallery.items.item import PUBLISHED
from gallery.items.models import ClipVersion, Image, ImageFingerprint
from gallery.items.preprocessing import FETCH_THREADS, Hashes
from gallery.net.fetching import fetch
from gallery.net.transport import FetchFailed
from gallery.shared.errors import UserError
from gallery.shared.locking import locked

IMAGES_PER_BATCH = 32
GONE_STATUSES = frozenset({404, 410})

SwitchGate = Callable[[str], str]
"""From a version of CLIP to a sentence that says why searches must not use it yet, or ""."""


@dataclass(frozen=True)
class Missing:
    """Numbers of images without a current descriptor. ``links``: those that must be fetched."""

    by_version: dict[str, int]
    images: int
    links: int


@dataclass(frozen=True)
class BackfillOutcome:
    """``failed`` may succeed in a later run. ``stale``: the original bytes are not available."""

    image_id: int
    kind: Literal["filled", "stale", "failed"]
    reason: str = ""


def count_missing() -> Missing:
    lacking = _lacking(_current())
    return Missing(
        {kind.version: _lacking([kind]).count() for kind in _one_each(_current())},
        lacking.count(),
        lacking.filter(original="").count(),
    )


def fill_missing() -> Iterator[BackfillOutcome]:
    """Describe every image that lacks a current descriptor, oldest first.

    Each batch is committed, so the next run resumes an interrupted one.
    """
    kinds = _current()
    for kind in kinds:
        versions.begin(kind.version)
    last = 0
    while batch := list(_lacking(kinds).filter(pk__gt=last).order_by("id")[:IMAGES_PER_BATCH]):
        last = batch[-1].pk
        yield from _fill(batch, kinds)


def switch_clip(*, anyway: bool = False) -> str | None:
    """Make searches use the configured CLIP model. Return its version, or None if nothing changed.

    Raises ``UserError`` while images other than stale ones lack its vector, or a gate of
    ``SWITCH_GATES`` objects, unless ``anyway``.
    """
    if not descriptors.available("clip"):
        return None
    clip = descriptors.get("clip")
    filling = ClipVersion.objects.filter(version=clip.version, state=ClipVersion.State.FILLING)
    if not filling.exists():
        return None
    left = _lacking([clip]).filter(stale_at=None).count()
    if left and not anyway:
        raise UserError(
            f"{left} images have no vector of {clip.version} yet, so searches stay with the "
            "model before it. Run this again later, or with --switch-anyway to give them up."
        )
    for path in () if anyway else settings.SWITCH_GATES:
        gate: SwitchGate = import_string(path)
        if why := gate(clip.version):
            raise UserError(why)
    versions.activate(clip.version)
    return clip.version


def _current() -> list[Descriptor]:
    return [descriptors.get(name) for name in descriptors.available_names()]


def _one_each(kinds: Sequence[Descriptor]) -> list[Descriptor]:
    return list({kind.version: kind for kind in kinds}.values())


def _lacking(kinds: Sequence[Descriptor]) -> QuerySet[Image]:
    lacks = Q()
    for kind in _one_each(kinds):
        rows = ImageFingerprint.objects.filter(
            item=OuterRef("pk"), view="full", version=kind.version
        )
        lacks |= Q(~Exists(rows))
    there = Image.objects.filter(status__in=PUBLISHED, media_deleted_at=None).exclude(sha256="")
    return there.filter(lacks)


def _fill(images: Sequence[Image], kinds: Sequence[Descriptor]) -> list[BackfillOutcome]:
    outcomes: list[BackfillOutcome] = []
    readable: list[tuple[Image, Picture]] = []
    with ThreadPoolExecutor(FETCH_THREADS) as pool:
        for image, found in zip(images, pool.map(read_again, images), strict=True):
            if isinstance(found, BackfillOutcome):
                outcomes.append(found)
                continue
            try:
                readable.append((image, decoding.decode(found, conf.limits())))
            except UserError as error:
                outcomes.append(BackfillOutcome(image.pk, "failed", error.message))
    columns = _describe(readable, kinds)
    stale = [outcome.image_id for outcome in outcomes if outcome.kind == "stale"]
    with transaction.atomic():
        locked(Image.objects.filter(pk__in=[*stale, *columns]), no_key=True)
        Image.objects.filter(pk__in=stale).update(stale_at=timezone.now())
        Image.objects.filter(pk__in=columns).exclude(stale_at=None).update(stale_at=None)
    for pk, by_version in columns.items():
        embedding.finish(pk, by_version)
    return [*outcomes, *(BackfillOutcome(pk, "filled") for pk in columns)]


def _describe(
    readable: Sequence[tuple[Image, Picture]], kinds: Sequence[Descriptor]
) -> dict[int, dict[str, Columns]]:
    """Compute the missing columns of each image. Return image id → version → columns."""
    stored = set(
        ImageFingerprint.objects.filter(
            item__in=[image.pk for image, _ in readable], view="full"
        ).values_list("item_id", "version")
    )
    columns: dict[int, dict[str, Columns]] = {image.pk: {} for image, _ in readable}
    for kind in kinds:
        some = [(i, picture) for i, picture in readable if (i.pk, kind.version) not in stored]
        results = kind.describe([picture for _, picture in some])
        for (image, _), values in zip(some, results, strict=True):
            before = columns[image.pk].get(kind.version, {})
            columns[image.pk][kind.version] = {**before, **(values or {})}
    return columns


def read_again(image: Image) -> bytes | BackfillOutcome:
    """Return the bytes that were added. Runs in a thread and does not use the database."""
    if image.original:
        try:
            return file_storage.read_original(image)
        except FileNotFoundError:
            if image.url is None:
                return BackfillOutcome(image.pk, "failed", describing.ORIGINAL_LOST)
    if image.url is None:
        return BackfillOutcome(image.pk, "stale", "Its original was not kept, and it has no URL.")
    try:
        data = fetch(image.url, conf.fetch_policy()).data
    except FetchFailed as error:
        is_gone = error.upstream_status in GONE_STATUSES
        kind: Literal["stale", "failed"] = "stale" if is_gone else "failed"
        return BackfillOutcome(image.pk, kind, error.message)
    if Hashes.of(data).sha256 != image.sha256:
        return BackfillOutcome(image.pk, "stale", "Its URL holds another picture now.")
    return data
