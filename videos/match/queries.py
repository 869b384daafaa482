"""What a search looks for: a picture or footage, sampled, freed of borders and described."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
import pdqhash
from numpy.typing import NDArray

from gallery.imaging.descriptors.cnn import DIMENSIONS, square
from gallery.imaging.descriptors.copy import PARTS, views
from gallery.imaging.descriptors.pdq import LOW_QUALITY
from gallery.imaging.trimming import trim
from videos.decode.decoder_protocol import Frame, fitted
from videos.decode.frame_quality import Kind, grey, kind
from videos.index.borders import Borders
from videos.index.sampling import spread

Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]
Embed = Callable[[list[Pixels]], Vectors]
"""256 × 256 squares → float32 n × 512 of unit length."""

SAMPLES_PER_SECOND: Final = 8.0
FRAMES: Final = 64
LONG_SIDE: Final = 384
"""Of what is decoded: vectors see 256 pixels, local features 360."""

_HASHED_SIDE: Final = 256
_UPRIGHT_AND_MIRRORED: Final = (0, 5)
"""Where the reference code's eight variants of a hash hold these two."""


@dataclass(frozen=True, slots=True, eq=False)
class QueryFrame:
    """``t``: ms from the query's start. ``picture``: ``rgb`` without borders, or ``rgb`` itself."""

    t: int
    rgb: Pixels
    picture: Pixels
    kind: Kind

    @property
    def votes(self) -> bool:
        """Whether it shows enough to say which video it is from."""
        return self.kind == "picture"


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """Frames as they are searched by, ``times`` in ms, ascending.

    ``vectors`` (n × 512 of unit length) and ``hashes`` (m × 32 bytes) belong to the frames that
    ``of`` and ``hashes_of`` number; a frame may have several, one for each view. ``parts``: which
    vectors show a quarter of their frame. ``weights``: 0 for frames that may not vote.
    """

    times: NDArray[np.int64]
    weights: NDArray[np.float64]
    vectors: Vectors
    of: NDArray[np.intp]
    parts: NDArray[np.bool_]
    hashes: Pixels
    hashes_of: NDArray[np.intp]


@dataclass(slots=True)
class _Views:
    """Collects what is to be described."""

    squares: list[Pixels] = field(default_factory=list)
    of: list[int] = field(default_factory=list)
    parts: list[bool] = field(default_factory=list)
    hashes: list[Pixels] = field(default_factory=list)
    hashes_of: list[int] = field(default_factory=list)

    def add_square(self, frame: int, pixels: Pixels, part: bool = False) -> None:
        self.squares.append(pixels)
        self.of.append(frame)
        self.parts.append(part)

    def add_hashes(self, frame: int, rgb: Pixels, variants: Sequence[int]) -> None:
        for bits in hashes(rgb, variants):
            self.hashes.append(bits)
            self.hashes_of.append(frame)


def still(rgb: Pixels) -> QueryFrame:
    """A picture to search with, without the plain margins around it."""
    box = trim(rgb)
    picture = rgb if box is None else rgb[box[1] : box[3], box[0] : box[2]]
    return QueryFrame(0, rgb, picture, kind(picture, grey(picture)))


def footage(frames: Iterable[Frame]) -> list[QueryFrame]:
    """At most 64 frames of a clip, spread over all of it, without borders that never change."""
    kept, borders = spread(frames, FRAMES), Borders()
    for frame in kept:
        borders.add(frame.rgb)
    box = borders.box()
    cut = slice(None) if box is None else (slice(box[1], box[3]), slice(box[0], box[2]))
    pictures = [frame.rgb[cut] for frame in kept]
    return [
        QueryFrame(frame.t, frame.rgb, picture, kind(picture, grey(picture)))
        for frame, picture in zip(kept, pictures, strict=True)
    ]


def describe_still(frame: QueryFrame, embed: Embed) -> Described:
    """A picture is looked up whole, trimmed and by its quarters, hashes in all eight turns."""
    seen = _Views()
    for name, pixels in views(frame.rgb).items():
        seen.add_square(0, pixels, part=name in PARTS)
    for rgb in _distinct(frame):
        seen.add_hashes(0, rgb, range(8))
    return _described([frame], seen, embed)


def describe_footage(frames: Sequence[QueryFrame], embed: Embed) -> Described:
    """The frames that vote, whole and without borders, hashes mirrored as well; the vectors have
    learned to ignore mirrors."""
    seen = _Views()
    for number, frame in enumerate(frames):
        if not frame.votes:
            continue
        for rgb in _distinct(frame):
            seen.add_square(number, square(rgb))
            seen.add_hashes(number, rgb, _UPRIGHT_AND_MIRRORED)
    return _described(frames, seen, embed)


def hashes(rgb: Pixels, variants: Sequence[int]) -> list[Pixels]:
    """Packed hashes, 32 bytes each; none of a picture that is too small or says too little."""
    height, width = rgb.shape[:2]
    size = fitted(width, height, _HASHED_SIDE)
    if min(size) < 5:
        return []
    if size != (width, height):
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    found, quality = pdqhash.compute_dihedral(np.ascontiguousarray(rgb))
    if quality < LOW_QUALITY:
        return []
    return [np.packbits(found[variant].astype(np.uint8)) for variant in variants]


def _distinct(frame: QueryFrame) -> list[Pixels]:
    if frame.picture.shape == frame.rgb.shape:
        return [frame.rgb]
    return [frame.picture, frame.rgb]


def _described(frames: Sequence[QueryFrame], seen: _Views, embed: Embed) -> Described:
    return Described(
        times=np.array([frame.t for frame in frames], np.int64),
        weights=np.array([float(frame.votes) for frame in frames]),
        vectors=_embedded(seen.squares, embed),
        of=np.array(seen.of, np.intp),
        parts=np.array(seen.parts, np.bool_),
        hashes=np.array(seen.hashes, np.uint8).reshape(-1, 32),
        hashes_of=np.array(seen.hashes_of, np.intp),
    )


def _embedded(squares: list[Pixels], embed: Embed) -> Vectors:
    if not squares:
        return np.empty((0, DIMENSIONS), np.float32)
    # The model takes one thread a call and leaves Python while it runs.
    halves = [squares[0::2], squares[1::2]]
    with ThreadPoolExecutor(2) as pool:
        even, odd = pool.map(lambda half: embed(half) if half else None, halves)
    vectors = np.empty((len(squares), DIMENSIONS), np.float32)
    vectors[0::2] = even
    if odd is not None:
        vectors[1::2] = odd
    return vectors
