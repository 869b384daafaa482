"""PDQ hashes of a picture before possible edits: a border, a turn, a crop, inverted colours.

A PDQ hash does not match a part of its picture, but the usual edits can be undone approximately on
the copy: what was cropped away is replaced by reflection. All edits are undone on 128 × 128 samples
of the picture, computed once. The hash uses at most eight waves in each direction, so interpolated
samples are exact enough.

Some variants, usually 64, are ``searched``: an index is searched for them with a generous distance.
The results are compared with all variants, about 300. A copy is near to one of them; a picture
that the index found by chance is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging.descriptors.pdq_transform import (
    MIRRORED_TURN,
    SIDE,
    TURNS,
    Floats,
    frequencies,
    luma,
    margins,
    mirrored,
    packed,
    quality,
    sampled,
    turned_margins,
)
from gallery.imaging.pixels import Pixels, fitted
from gallery.imaging.trimming import trim

FIELD: Final = 128
"""Samples in each direction on which edits are undone."""

DEGREES: Final = (1.5, 3, 4.5, 6, 7.5, 9, 10)
SEARCHED_DEGREES: Final = (3, 6, 9)
STEEP: Final = 7.5
"""Degrees above which turns are calibrated separately, and not searched mirrored."""

CROPS: Final = {97: 3, 95: 5, 92.5: 5, 90: 5}
"""Per cent of each side that remain → number of positions of the crop in each direction."""
DEEP: Final = 90
"""Per cent; crops to this and less are calibrated separately."""

CERTAIN: Final = 6.0
"""Largest weight of a bit that differs, in medians of the margins."""

BORDER_LEVELS: Final = 12
BORDER_STRAY: Final = 0.02
"""Levels by which a border may vary, and the share of a line that may vary more."""

Hashes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Edit:
    """``kind``: edits that are calibrated together. ``words``: the edit for people."""

    kind: str
    words: str


NEGATIVE: Final = Edit("negative", "negative")
BORDER: Final = Edit("border", "with a border")


@dataclass(frozen=True, slots=True)
class Variant:
    """A picture before an edit, in one of the eight turns.

    ``searched``: whether an index is searched for it. ``words``: the edit, and whether the picture
    was mirrored or turned as well.
    """

    edit: Edit
    turn: int
    searched: bool

    @property
    def words(self) -> str:
        if self.turn == 0:
            return self.edit.words
        turn = "mirrored" if self.turn == MIRRORED_TURN else "turned or mirrored"
        return f"{self.edit.words}, {turn}"


@dataclass(frozen=True, slots=True, eq=False)
class Variants:
    """A picture before each edit that is ``tried``: n variants with their hashes (n × 32) and
    margins (n × 256), each frequency minus the median.

    ``samples``: m × 64 × 64, 0 to 255. ``drawn``: for each variant, the index of its samples.
    """

    tried: Sequence[Variant]
    hashes: Hashes
    margins: Floats
    samples: Floats
    drawn: Sequence[int]

    @property
    def searched(self) -> list[bytes]:
        return [
            hash.tobytes()
            for hash, variant in zip(self.hashes, self.tried, strict=True)
            if variant.searched
        ]

    def distances(self, hashes: Hashes) -> NDArray[np.int16]:
        """Compare m × 32 hashes; returns m × n numbers of bits that differ."""
        ours, theirs = self.hashes.view(np.uint64), np.ascontiguousarray(hashes).view(np.uint64)
        found = np.bitwise_count(theirs[:, np.newaxis] ^ ours[np.newaxis])
        return np.asarray(found.sum(axis=2, dtype=np.int16))

    def contradictions(self, numbers: NDArray[np.intp], hashes: Hashes) -> Floats:
        """Rate how strongly the hashes (m × 32) contradict the m variants of these numbers.

        The sum of the margins of the bits that differ, in medians of all margins of the variant,
        each at most ``CERTAIN``. Bits near the median flip easily, and in a copy only those differ.
        In another picture that is near by chance, certain bits differ as well.
        """
        differing = np.unpackbits(self.hashes[numbers] ^ hashes, axis=1)
        weights = np.abs(self.margins[numbers])
        weights /= np.maximum(np.median(weights, axis=1, keepdims=True), 1e-9)
        return np.asarray((np.minimum(weights, CERTAIN) * differing).sum(axis=1), np.float32)

    def detail(self, number: int) -> float:
        """Return 0 to 1: how evenly the differences between neighbouring samples are distributed.

        Photographs have 0.3 and more. Drawings of a few straight edges have 0.1 and less, and
        resemble many others.
        """
        samples = self.samples[self.drawn[number]]
        down, across = np.diff(samples, axis=0)[:, :-1], np.diff(samples, axis=1)[:-1]
        squares = down**2 + across**2
        return float(np.sqrt(squares).mean() ** 2 / max(squares.mean(), 1e-9))


def variants(rgb: Pixels, least_quality: int, *, only_searched: bool = False) -> Variants | None:
    """Return the variants of a picture; None if all have a quality below ``least_quality``.

    ``only_searched``: without crops and turns that are not searched, in a third of the time.
    """
    if min(rgb.shape[:2]) < SIDE // 2:
        return None
    small = reduced(rgb)
    brightness = luma(small)
    samples: list[Floats] = []
    parts: list[_Part] = []
    plain = sampled(brightness)
    if quality(plain) >= least_quality:
        field = sampled(brightness, FIELD)
        places = [
            place
            for place in (*_crops(), *_turns(*brightness.shape[::-1]))
            if place[1] or not only_searched
        ]
        samples = [*(_taken(field, before) for *_, before in places), plain]
        undone = frequencies(np.stack(samples[:-1]))
        for turn, seen in ((0, undone), (MIRRORED_TURN, mirrored(undone))):
            tried = [Variant(edit, turn, turn in searched) for edit, searched, _ in places]
            parts.append((tried, margins(seen), range(len(places))))
        parts.append(_turned(NEGATIVE, -frequencies(plain[np.newaxis]), len(places)))
    for inner in _within_borders(small, brightness):
        # Compression blurs a border into one line of the picture.
        for within, searched in ((inner, True), (inner[1:-1, 1:-1], False)):
            seen = sampled(np.ascontiguousarray(within))
            if quality(seen) >= least_quality:
                parts.append(_turned(BORDER, frequencies(seen[np.newaxis]), len(samples), searched))
                samples.append(seen)
    if not parts:
        return None
    every = np.concatenate([part for _, part, _ in parts])
    return Variants(
        [variant for tried, _, _ in parts for variant in tried],
        packed(every),
        every,
        np.stack(samples),
        [number for *_, drawn in parts for number in drawn],
    )


_Part = tuple[Sequence[Variant], Floats, Sequence[int]]
"""Variants, their margins, and for each the index of its samples."""


def _turned(edit: Edit, frequencies: Floats, drawn: int, searched: bool = True) -> _Part:
    tried = [Variant(edit, turn, searched) for turn in range(TURNS)]
    return tried, turned_margins(frequencies)[0], [drawn] * TURNS


def reduced(rgb: Pixels) -> Pixels:
    """Reduce to at most 512 pixels a side; that changes few bits, compared with turns and crops."""
    return fitted(rgb, 512)


Place = tuple[Edit, tuple[int, ...], Floats]
"""An edit, the turns in which it is searched for, and a 2 × 3 matrix from places of the picture
before the edit to places of the copy, both 0 to 1."""


def _taken(field: Floats, before: Floats) -> Floats:
    """Take 64 × 64 samples of the picture before an edit, mirrored beyond the copy's edges."""
    matrix = before * FIELD
    matrix[:, :2] /= SIDE
    # Samples are at the centres of their cells.
    matrix[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    taken = cv2.warpAffine(field, matrix, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(taken, np.float32)


@lru_cache(1)
def _crops() -> list[Place]:
    found = []
    for per_cent, steps in CROPS.items():
        edit = Edit("deep crop" if per_cent <= DEEP else "crop", f"cropped to {round(per_cent)} %")
        share = per_cent / 100
        missing = np.linspace(0, 1 - share, steps)
        for row, column in product(range(steps), repeat=2):
            even = row % 2 == column % 2 == 0
            corner = {row, column} <= {0, steps - 1}
            searched: tuple[int, ...] = ()
            if per_cent == 95 and even:
                searched = 0, MIRRORED_TURN
            elif per_cent == 92.5 and corner:
                searched = (0,)
            before = np.array(
                [[1 / share, 0, -missing[column] / share], [0, 1 / share, -missing[row] / share]]
            )
            found.append((edit, searched, before))
    return found


def _turns(width: int, height: int) -> Iterator[Place]:
    """The turn kept the canvas, enlarged it, or cut it to what is filled."""
    for degrees in (sign * degree for degree in DEGREES for sign in (1, -1)):
        steep = abs(degrees) > STEEP
        edit = Edit("steep turn" if steep else "turn", f"turned {abs(degrees):g}°")
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        for canvas, (wide, high) in _before_turning(width, height, cos, abs(sin)).items():
            turn = np.array([[cos * wide, -sin * high], [sin * wide, cos * high]])
            turn /= np.array([[width], [height]])
            before = np.column_stack([turn, 0.5 - turn.sum(axis=1) / 2])
            searched: tuple[int, ...] = ()
            if abs(degrees) in SEARCHED_DEGREES:
                searched = (0,) if steep or canvas == "cut" else (0, MIRRORED_TURN)
            yield edit, searched, before


def _before_turning(
    width: int, height: int, cos: float, sin: float
) -> dict[str, tuple[float, float]]:
    """What happened to the canvas → width and height before the turn."""
    divisor = cos * cos - sin * sin
    grown = (width * cos - height * sin) / divisor, (height * cos - width * sin) / divisor
    left = min(width / (width * cos + height * sin), height / (width * sin + height * cos))
    found = {"kept": (float(width), float(height)), "cut": (width / left, height / left)}
    return {**found, "grown": grown} if min(grown) > 0 else found


def _within_borders(rgb: Pixels, brightness: Floats) -> Iterator[Floats]:
    """Yield the brightness without the outermost border, then without all margins of ``rgb``."""
    outer = _outer_border(brightness)
    if outer is not None:
        yield outer
    box = trim(rgb)
    if box is not None:
        left, top, right, bottom = box
        inner = brightness[top:bottom, left:right]
        if outer is None or inner.shape != outer.shape:
            yield np.ascontiguousarray(inner)


def _outer_border(brightness: Floats) -> Floats | None:
    """Remove the lines at the edges that have the corner's brightness; None if there are none."""
    differs = np.abs(brightness - brightness[0, 0]) > BORDER_LEVELS
    rows, columns = (np.flatnonzero(differs.mean(axis=axis) > BORDER_STRAY) for axis in (1, 0))
    if len(rows) < SIDE // 2 or len(columns) < SIDE // 2:
        return None
    inner = brightness[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return None if inner.shape == brightness.shape else np.ascontiguousarray(inner)
