"""How many edited copies are found by their hashes, and how many strangers are found.

Pictures are compared as in ``moderation.screening.edited_copies``, but without a database: the same
variants, index search and evidence, for a list at the default threshold.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import cv2
import numpy as np

from benchmarks.hash_edits.edits import EDITS, saved
from benchmarks.recall.corpus import Pixels
from gallery.imaging.descriptors import pdq, pdq_transform
from gallery.imaging.descriptors.pdq import LOW_QUALITY
from gallery.imaging.descriptors.pdq_transform import Floats
from gallery.imaging.descriptors.pdq_variants import Hashes, Variants, variants
from moderation.lists import hash_index
from moderation.lists.hash_index import HashIndex
from moderation.screening.edit_evidence import (
    FARTHEST,
    EditEvidence,
    evidence,
)

PLAIN: Final = 31
"""Maximum distance in bits at which an unedited copy is found: the default threshold."""

PARTS: Final = (2, 3, 4, 5)
"""A picture is on the list whole, and cut into this many parts per side."""

SAME: Final = 0.9
"""Correlation of 64 × 64 greys at or above which a stranger shows the same as an item."""


@dataclass(frozen=True, slots=True)
class Place:
    """A picture of a package, or its ``number``-th part of ``cut`` parts per side."""

    path: Path
    cut: int = 1
    number: int = 0

    @property
    def package(self) -> str:
        return self.path.parent.name

    def pixels(self) -> Pixels:
        return self.of(load(self.path))

    def of(self, rgb: Pixels) -> Pixels:
        height, width = rgb.shape[0] // self.cut, rgb.shape[1] // self.cut
        top, left = self.number // self.cut * height, self.number % self.cut * width
        return np.ascontiguousarray(rgb[top : top + height, left : left + width])


def places(path: Path, cuts: Iterable[int]) -> Iterator[Place]:
    yield Place(path)
    for cut in cuts:
        yield from (Place(path, cut, number) for number in range(cut * cut))


def load(path: Path) -> Pixels:
    data = np.frombuffer(path.read_bytes(), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)


def hash_of(rgb: Pixels) -> bytes | None:
    """Return the hash, or None if its quality is too low."""
    found = pdq.describe_pdq(rgb)
    good = found is not None and found["pdq_quality"] >= LOW_QUALITY
    return bytes.fromhex(pdq.to_hex(found["pdq"])) if found and good else None


def as_it_is(rgb: Pixels) -> list[bytes]:
    """Return the hashes of the picture in eight orientations; empty if its quality is too low."""
    found = pdq.dihedral_hashes(rgb)
    return list(found[0]) if found is not None and found[1] >= LOW_QUALITY else []


@dataclass(frozen=True, slots=True)
class Copy:
    """An edited copy and how it is found. ``lost``: found by the evidence but not by the search."""

    edit: str
    photograph: bool
    plain: bool
    edited: bool
    lost: bool
    blocks: bool


def copies(path: Path, photograph: bool) -> list[Copy]:
    """Return each edit of a picture and whether it is found; nothing if its quality is too low."""
    cv2.setNumThreads(1)
    rgb = load(path)
    own = hash_of(rgb)
    if own is None:
        return []
    stored, found = hash_index.pack([own]), []
    for edit, make in EDITS.items():
        sent = saved(make(rgb, Random(f"{path.name} {edit}")))
        plain = bool(len(hash_index.scan(np.arange(1), stored, as_it_is(sent), PLAIN)))
        seen = variants(sent, LOW_QUALITY)
        proof = evidence(seen, stored)[0] if seen else None
        asked = seen is not None and bool(
            len(hash_index.scan_likely(np.arange(1), stored, seen.searched, FARTHEST)[0])
        )
        blocks = bool(proof and seen and asked and proof.blocks(seen))
        edited = proof is not None and asked
        lost = proof is not None and not asked
        found.append(Copy(edit, photograph, plain, edited, lost, blocks))
    return found


@dataclass(frozen=True, slots=True)
class Stranger:
    """The number of list rows that match a stranger, as it is and edited.

    ``others``: those of them that show something else (correlation below ``SAME``).
    """

    place: Place
    plain: int
    plain_others: int
    edited: int
    edited_others: int
    blocked: int


def stranger(place: Place, index: HashIndex, rows: Sequence[Place]) -> Stranger | None:
    """Return the matches of a picture with a list that does not contain it, without those of its
    own package. Return None if its quality is too low. The index's items are indexes into ``rows``.
    """
    rgb = place.pixels()
    hashes = as_it_is(rgb)
    if not hashes:
        return None
    plain = {int(hit["item"]) for hit in index.search(hashes, PLAIN)}
    plain = {row for row in plain if rows[row].package != place.package}
    seen = variants(rgb, LOW_QUALITY)
    proofs: dict[int, EditEvidence] = {}
    if seen is not None:
        items, near = index.likely(seen.searched, FARTHEST)
        proofs = {
            row: proof
            for row, proof in zip(items.tolist(), evidence(seen, near), strict=True)
            if proof and row not in plain and rows[row].package != place.package
        }
    grey = _grey(rgb)
    return Stranger(
        place,
        len(plain),
        sum(_correlation(grey, rows[row]) < SAME for row in plain),
        len(proofs),
        sum(
            _correlation(_undone(seen, proof), rows[row]) < SAME
            for row, proof in proofs.items()
            if seen
        ),
        sum(proof.blocks(seen) for proof in proofs.values() if seen),
    )


def _grey(rgb: Pixels) -> Floats:
    return pdq_transform.sampled_rgb(rgb)


def _undone(seen: Variants, proof: EditEvidence) -> Floats:
    """Return the samples of the copy before its edit; a negative is inverted."""
    samples = seen.samples[seen.drawn[proof.variant]]
    return -samples if seen.tried[proof.variant].edit.kind == "negative" else samples


def _correlation(grey: Floats, row: Place) -> float:
    """Return the highest correlation of 64 × 64 greys over the eight orientations."""
    other = _grey(row.pixels())
    turned = (np.rot90(one, turn) for one in (other, other[:, ::-1]) for turn in range(4))
    return float(max(np.corrcoef(grey.ravel(), one.ravel())[0, 1] for one in turned))


@dataclass(frozen=True, slots=True)
class Times:
    """Median milliseconds on one core. ``plain``: look up the eight hashes of the unedited picture;
    ``variants``: make its variants; ``likely``: search the index for them; ``evidence``: compare
    the results."""

    plain: float
    variants: float
    likely: float
    evidence: float


def times(pictures: Sequence[Pixels], index: HashIndex) -> Times:
    found = []
    for rgb in pictures:
        hashes = as_it_is(rgb)
        marks = [time.process_time()]
        index.search(hashes, PLAIN)
        marks.append(time.process_time())
        seen = variants(rgb, LOW_QUALITY)
        marks.append(time.process_time())
        if seen is None:
            continue
        _, near = index.likely(seen.searched, FARTHEST)
        marks.append(time.process_time())
        evidence(seen, near)
        marks.append(time.process_time())
        found.append(np.diff(marks) * 1000)
    return Times(*np.median(found, axis=0).tolist())


def padded(hashes: Hashes, count: int) -> Hashes:
    """Return these hashes mixed with random ones, ``count`` in total."""
    random = np.random.default_rng(1)
    more = random.integers(0, 256, (max(0, count - len(hashes)), hash_index.BYTES), np.uint8)
    return np.asarray(random.permutation(np.concatenate([hashes, more])))
