"""What a picture may have been before it was edited, as PDQ hashes: a border taken away, a turn
undone, what was cropped away made up for by reflection, the negative.

A hash cannot be compared with a part of its picture. But the usual edits can be undone on the
copy, nearly: what is lost beyond an edge goes on mirrored. All of it is done on 128 × 128 samples
of the picture that are made once. The hash sees eight waves a side at most, so that samples taken
between them are exact enough.

A few variants, 64 as a rule, are ``asked``: with them an index is searched, generously. What is
found is then compared with all variants, about 300 that lie close to each other: a copy is really
near to one of them, and a picture that only happened to be near is not.
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

from gallery.imaging.descriptors.base import Pixels
from gallery.imaging.descriptors.pdq_transform import (
    SIDE,
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
from gallery.imaging.trimming import trim

FIELD: Final = 128
"""Samples each way that edits are undone on."""

DEGREES: Final = (1.5, 3, 4.5, 6, 7.5, 9, 10)
ASKED_DEGREES: Final = (3, 6, 9)
STEEP: Final = 7.5
"""Degrees above which turns are calibrated apart, and not asked mirrored."""

CROPS: Final = {97: 3, 95: 5, 92.5: 5, 90: 5}
"""Per cent of each side that are left → of how many places a side the rest may be missing."""
DEEP: Final = 90
"""Per cent from which downwards crops are calibrated apart."""

EIGHT: Final = 8
MIRRORED: Final = 5
"""The ways to turn and mirror a picture, and which of them mirrors it left to right."""

CERTAIN: Final = 6.0
"""Margins from so many medians upwards count the same."""

BORDER_LEVELS: Final = 12
BORDER_STRAY: Final = 0.02
"""Levels by which a border may differ within itself, and the share of a line that may be more."""

Hashes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Edit:
    """What was done to a picture. ``kind``: what is calibrated together. ``words``: for people."""

    kind: str
    words: str


NEGATIVE: Final = Edit("negative", "negative")
BORDER: Final = Edit("border", "with a border")


@dataclass(frozen=True, slots=True)
class Variant:
    """A picture before an edit, in one of the eight turns. ``asked``: an index is searched for it.

    ``words``: the edit, and whether the picture was mirrored or turned as well.
    """

    edit: Edit
    turn: int
    asked: bool

    @property
    def words(self) -> str:
        if self.turn == 0:
            return self.edit.words
        return f"{self.edit.words}, {'mirrored' if self.turn == MIRRORED else 'turned or mirrored'}"


@dataclass(frozen=True, slots=True, eq=False)
class Variants:
    """A picture before each edit that is tried: n variants, their hashes (n × 32), and their
    margins (n × 256): by how much each value is above the median, which the hash cuts at.

    ``samples``: m × 64 × 64, from 0 to 255. ``drawn``: of which of them each variant is made.
    """

    tried: Sequence[Variant]
    hashes: Hashes
    margins: Floats
    samples: Floats
    drawn: Sequence[int]

    @property
    def asked(self) -> list[bytes]:
        """The hashes to search an index with."""
        return [
            hash.tobytes()
            for hash, variant in zip(self.hashes, self.tried, strict=True)
            if variant.asked
        ]

    def distances(self, hashes: Hashes) -> NDArray[np.int16]:
        """m × 32 hashes → m × n bits that differ."""
        ours, theirs = self.hashes.view(np.uint64), np.ascontiguousarray(hashes).view(np.uint64)
        found = np.bitwise_count(theirs[:, np.newaxis] ^ ours[np.newaxis])
        return np.asarray(found.sum(axis=2, dtype=np.int16))

    def denials(self, numbers: NDArray[np.intp], hashes: Hashes) -> Floats:
        """How much the hashes (m × 32) deny what the m variants of these numbers say.

        The sum of the margins of the bits that differ, in medians of all margins of the variant,
        each at most ``CERTAIN``. Bits near the median flip easily: in a copy only those differ. In
        another picture that happens to be near also bits differ that are certain.
        """
        differing = np.unpackbits(self.hashes[numbers] ^ hashes, axis=1)
        weights = np.abs(self.margins[numbers])
        weights /= np.maximum(np.median(weights, axis=1, keepdims=True), 1e-9)
        return np.asarray((np.minimum(weights, CERTAIN) * differing).sum(axis=1), np.float32)

    def detail(self, number: int) -> float:
        """How evenly the steps between neighbouring samples of a variant are spread, 0 to 1.

        Photographs have 0.3 and more. A drawing of a few straight edges has 0.1 and less, and is
        like many others.
        """
        samples = self.samples[self.drawn[number]]
        down, across = np.diff(samples, axis=0)[:, :-1], np.diff(samples, axis=1)[:-1]
        squares = down**2 + across**2
        return float(np.sqrt(squares).mean() ** 2 / max(squares.mean(), 1e-9))


def variants(rgb: Pixels, least_quality: int) -> Variants | None:
    """A picture before each edit that is tried; None of what says too little to be compared."""
    if min(rgb.shape[:2]) < SIDE // 2:
        return None
    small = reduced(rgb)
    brightness = luma(small)
    samples: list[Floats] = []
    parts: list[_Part] = []
    plain = sampled(brightness)
    if quality(plain) >= least_quality:
        field = sampled(brightness, FIELD)
        places = [*_crops(), *_turns(*brightness.shape[::-1])]
        samples = [*(_taken(field, before) for *_, before in places), plain]
        undone = frequencies(np.stack(samples[:-1]))
        for turn, seen in ((0, undone), (MIRRORED, mirrored(undone))):
            tried = [Variant(edit, turn, turn in asked) for edit, asked, _ in places]
            parts.append((tried, margins(seen), range(len(places))))
        parts.append(_turned(NEGATIVE, -frequencies(plain[np.newaxis]), len(places)))
    for inner in _within_borders(small, brightness):
        # Compression smears a border over one line of the picture.
        for within, asked in ((inner, True), (inner[1:-1, 1:-1], False)):
            seen = sampled(np.ascontiguousarray(within))
            if quality(seen) >= least_quality:
                parts.append(_turned(BORDER, frequencies(seen[np.newaxis]), len(samples), asked))
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
"""Variants, their margins, and of which samples each is made."""


def _turned(edit: Edit, frequencies: Floats, drawn: int, asked: bool = True) -> _Part:
    """In all eight turns; one picture's frequencies, 1 × 16 × 16."""
    tried = [Variant(edit, turn, asked) for turn in range(EIGHT)]
    return tried, turned_margins(frequencies)[0], [drawn] * EIGHT


def reduced(rgb: Pixels) -> Pixels:
    """At most 512 pixels a side: a few bits of a hash of what was turned and cropped anyway."""
    height, width = rgb.shape[:2]
    scale = 512 / max(height, width)
    if scale >= 1:
        return rgb
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


Place = tuple[Edit, tuple[int, ...], Floats]
"""An edit, the turns in which it is asked for, and where the picture was before it: the 2 × 3
matrix that leads from places in it to places in the copy, both from 0 to 1."""


def _taken(field: Floats, before: Floats) -> Floats:
    """64 × 64 samples of the picture before an edit; beyond the copy's edges it is mirrored."""
    matrix = before * FIELD
    matrix[:, :2] /= SIDE
    # Samples stand in the middle of their cells.
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
            asked: tuple[int, ...] = ()
            if per_cent == 95 and even:
                asked = 0, MIRRORED
            elif per_cent == 92.5 and corner:
                asked = (0,)
            before = np.array(
                [[1 / share, 0, -missing[column] / share], [0, 1 / share, -missing[row] / share]]
            )
            found.append((edit, asked, before))
    return found


def _turns(width: int, height: int) -> Iterator[Place]:
    """The picture before it was turned: its canvas kept, grown, or cut to what is filled."""
    for degrees in (sign * degree for degree in DEGREES for sign in (1, -1)):
        steep = abs(degrees) > STEEP
        edit = Edit("steep turn" if steep else "turn", f"turned {abs(degrees):g}°")
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        for canvas, (wide, high) in _before_turning(width, height, cos, abs(sin)).items():
            turn = np.array([[cos * wide, -sin * high], [sin * wide, cos * high]])
            turn /= np.array([[width], [height]])
            before = np.column_stack([turn, 0.5 - turn.sum(axis=1) / 2])
            asked: tuple[int, ...] = ()
            if abs(degrees) in ASKED_DEGREES:
                asked = (0,) if steep or canvas == "cut" else (0, MIRRORED)
            yield edit, asked, before


def _before_turning(
    width: int, height: int, cos: float, sin: float
) -> dict[str, tuple[float, float]]:
    """Width and height that the picture may have had, by what became of the canvas."""
    divisor = cos * cos - sin * sin
    grown = (width * cos - height * sin) / divisor, (height * cos - width * sin) / divisor
    left = min(width / (width * cos + height * sin), height / (width * sin + height * cos))
    found = {"kept": (float(width), float(height)), "cut": (width / left, height / left)}
    return {**found, "grown": grown} if min(grown) > 0 else found


def _within_borders(rgb: Pixels, brightness: Floats) -> Iterator[Floats]:
    """What is left without the outermost border, and without all plain margins.

    ``brightness``: of ``rgb``, height × width.
    """
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
    """Without the lines at each edge that have the colour of the corner; None if there are none."""
    differs = np.abs(brightness - brightness[0, 0]) > BORDER_LEVELS
    rows, columns = (np.flatnonzero(differs.mean(axis=axis) > BORDER_STRAY) for axis in (1, 0))
    if len(rows) < SIDE // 2 or len(columns) < SIDE // 2:
        return None
    inner = brightness[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return None if inner.shape == brightness.shape else np.ascontiguousarray(inner)
