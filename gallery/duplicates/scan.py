"""Search for duplicates: processes search with each image, and this process stores the pairs.

Each image is searched with once, among all others: a pair is found if either image finds the
other. Results are committed in batches. So an interrupted run can be resumed, and a later run
searches with new images only.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from gallery.duplicates.workers import start_pool
from gallery.imaging import descriptors
from gallery.imaging.descriptors.base import COPY_VERSION
from gallery.imaging.trimming import trim
from gallery.items.file_storage import thumbnail_rgb
from gallery.items.models import (
    DuplicatePair,
    DuplicateRun,
    DuplicateScan,
    Image,
    ImageFingerprint,
)
from gallery.search import confidence
from gallery.search.copy_search import search_copies, stored_query
from gallery.search.match_types import MATCH_TYPES
from gallery.search.nearest import INCLUSIVE, ImageMatch
from gallery.shared.errors import Conflict, Unavailable, UserError
from gallery.shared.locking import locked

IMAGES_PER_BATCH = 16
NO_LIMIT = 1000
"""More matches than a search ever finds."""


@dataclass(frozen=True)
class ScanResult:
    """An image and the columns of its pairs. ``problem``: why it could not be compared."""

    image_id: int
    content: float = 1.0
    pairs: Sequence[dict[str, Any]] = field(default_factory=list)
    problem: str = ""


def start_run(*, min_confidence: float | None, restart: bool) -> DuplicateRun:
    """Return the run to resume, or a new one. ``restart`` deletes the earlier results.

    If ``min_confidence`` is None, that of the last run is used, or where ``auto`` is precise.
    Raises ``Conflict`` if the stored pairs were found with other rules, ``Unavailable`` without
    the copy model.
    """
    if reason := descriptors.why_unavailable("copy"):
        raise Unavailable(reason)
    with transaction.atomic():
        if restart:
            for model in (DuplicatePair, DuplicateScan, DuplicateRun):
                model.objects.all().delete()
        run = DuplicateRun.objects.first()
        if run is None:
            precise = 1.0 - MATCH_TYPES["auto"].precise
            chosen = precise if min_confidence is None else min_confidence
            return DuplicateRun.objects.create(min_confidence=chosen, rules=_rules())
        _check(run, min_confidence)
        # Compare an image again after its release: others may have been added in the meantime.
        DuplicateScan.objects.exclude(image__in=Image.objects.ready()).delete()
    return run


def unscanned_images() -> QuerySet[Image]:
    """Return the images that can be compared and were not yet, the oldest first."""
    return _unscanned().filter(_described()).order_by("id")


def undescribed() -> int:
    """Return how many images need the descriptor ``copy`` before they can be compared."""
    return _unscanned().exclude(_described()).count()


def scan_here(run: DuplicateRun, ids: Sequence[int]) -> Iterator[list[ScanResult]]:
    """Do the same as ``scan_images``, in this process. A caller may stop after any batch."""
    for start in range(0, len(ids), IMAGES_PER_BATCH):
        yield _store(look_up(ids[start : start + IMAGES_PER_BATCH], run.min_confidence))
    _finish(run)


def scan_images(
    run: DuplicateRun, ids: Sequence[int], *, workers: int
) -> Iterator[list[ScanResult]]:
    """Compare these images and store the pairs, one transaction per yielded batch.

    Images deleted in the meantime are left out. Raises ``UserError`` if a process was killed.
    """
    batches = iter(
        ids[start : start + IMAGES_PER_BATCH] for start in range(0, len(ids), IMAGES_PER_BATCH)
    )
    waiting: deque[Future[list[ScanResult]]] = deque()
    pool = start_pool(workers)
    try:
        for batch in batches:
            waiting.append(pool.submit(look_up, batch, run.min_confidence))
            if len(waiting) > 2 * workers:
                yield _store(waiting.popleft().result())
        while waiting:
            yield _store(waiting.popleft().result())
    except BrokenProcessPool:
        raise UserError(
            "A process of the search was killed, perhaps for lack of memory. "
            "Run the command again to go on."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    _finish(run)


def _finish(run: DuplicateRun) -> None:
    DuplicateRun.objects.filter(pk=run.pk).update(finished_at=timezone.now())


def look_up(ids: Sequence[int], min_confidence: float) -> list[ScanResult]:
    """Search with each of these images. Runs in a process of the pool and writes nothing."""
    images = Image.objects.ready().filter(pk__in=ids).order_by("id")
    return [_look_up(image, min_confidence) for image in images]


def _look_up(image: Image, min_confidence: float) -> ScanResult:
    try:
        matches = search_copies(
            stored_query(image, "auto"),
            "auto",
            threshold=1.0 - min_confidence,
            limit=NO_LIMIT,
            filters=None,
            rule=INCLUSIVE,
        )
    except UserError as error:
        return ScanResult(image.pk, problem=error.message)
    pairs = [_pair(image.pk, match) for match in matches]
    return ScanResult(image.pk, _content(image), pairs)


def _pair(image_id: int, match: ImageMatch) -> dict[str, Any]:
    other, found = match.image.pk, match.geometry
    columns: dict[str, Any] = {
        "a_id": min(image_id, other),
        "b_id": max(image_id, other),
        "confidence": match.confidence,
    }
    if found is None:
        return columns
    if image_id > other:
        shared = {"shared_a": found.candidate_area, "shared_b": found.query_area}
        scale, rotation = found.scale, found.rotation
    else:
        shared = {"shared_a": found.query_area, "shared_b": found.candidate_area}
        # The inverse of rotate-then-mirror is itself; the inverse of a rotation is the opposite
        # one.
        scale, rotation = 1.0 / found.scale, found.rotation * (1 if found.mirrored else -1)
    return columns | shared | {"scale": scale, "rotation": rotation, "mirrored": found.mirrored}


def _content(image: Image) -> float:
    """Return the share of the thumbnail's area within plain margins; 1 without a thumbnail."""
    rgb = thumbnail_rgb(image)
    box = None if rgb is None else trim(rgb)
    if rgb is None or box is None:
        return 1.0
    x0, y0, x1, y1 = box
    return float((x1 - x0) * (y1 - y0) / (rgb.shape[0] * rgb.shape[1]))


@transaction.atomic
def _store(results: list[ScanResult]) -> list[ScanResult]:
    results_here = [result for result in results if not result.problem]
    pairs = [pair for result in results_here for pair in result.pairs]
    ids = {result.image_id for result in results_here}
    ids |= {pair[end] for pair in pairs for end in ("a_id", "b_id")}
    here = {image.pk for image in locked(Image.objects.filter(pk__in=ids), no_key=True)}
    DuplicateScan.objects.bulk_create(
        [
            DuplicateScan(image_id=result.image_id, content=result.content)
            for result in results_here
            if result.image_id in here
        ],
        ignore_conflicts=True,
    )
    DuplicatePair.objects.bulk_create(
        [DuplicatePair(**pair) for pair in pairs if {pair["a_id"], pair["b_id"]} <= here],
        ignore_conflicts=True,
    )
    return results


def _unscanned() -> QuerySet[Image]:
    return Image.objects.ready().exclude(Exists(DuplicateScan.objects.filter(image=OuterRef("pk"))))


def _described() -> Exists:
    return Exists(
        ImageFingerprint.objects.filter(item=OuterRef("pk"), view="full", version=COPY_VERSION)
    )


def _rules() -> str:
    """Return an id of the compared vectors and of the calibration of confidence."""
    return f"{COPY_VERSION} {zlib.crc32(confidence.PARAMETERS.read_bytes()):08x}"


def _check(run: DuplicateRun, min_confidence: float | None) -> None:
    advice = "Run it with --restart to compare every image again; decisions are kept."
    if run.rules != _rules():
        raise Conflict(
            f"The duplicates stored were found by another version of this program. {advice}"
        )
    if min_confidence is not None and min_confidence != run.min_confidence:
        raise Conflict(
            f"The duplicates stored were found with --min-confidence {run.min_confidence:g}. "
            f"{advice}"
        )
