"""Makes a query for videos from a picture or clip: samples it, cuts off borders, describes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gallery.imaging.descriptors.cnn import DIMENSIONS, square
from gallery.imaging.descriptors.copy import PART_VIEWS, view_squares
from gallery.imaging.descriptors.pdq import LOW_QUALITY, dihedral_hashes
from gallery.imaging.descriptors.pdq_transform import MIRRORED_TURN, TURNS
from gallery.imaging.pixels import Pixels, cropped, fitted
from gallery.imaging.trimming import trim
from videos.decode.decoder_protocol import DecodedFrame
from videos.decode.frame_quality import FrameKind, frame_kind
from videos.decode.thumbnails import grey_thumbnail
from videos.index.borders import BorderDetector
from videos.index.sampling import spread_frames

Vectors = NDArray[np.float32]
Embed = Callable[[list[Pixels]], Vectors]
"""256 × 256 squares → float32 n × 512 of unit length."""

SAMPLES_PER_SECOND: Final = 8.0
MAX_QUERY_FRAMES: Final = 40
LONG_SIDE: Final = 384
"""Long side of decoded frames; vectors use 256 pixels, local features 360."""

_HASHED_SIDE: Final = 256
_UPRIGHT_AND_MIRRORED: Final = (0, MIRRORED_TURN)


@dataclass(frozen=True, slots=True, eq=False)
class QueryFrame:
    """``t``: ms from the query's start. ``picture``: ``rgb`` without its borders, if any."""

    t: int
    rgb: Pixels
    picture: Pixels
    kind: FrameKind

    @property
    def votes(self) -> bool:
        """Whether it shows enough to identify a video."""
        return self.kind == "picture"


@dataclass(frozen=True, slots=True, eq=False)
class DescribedQuery:
    """The frames of a query, ``times`` in ms, ascending.

    ``vectors`` (n × 512 of unit length) and ``hashes`` (m × 32 bytes): of each view of each frame.
    ``vector_frames`` and ``hash_frames``: the number of the frame of each. ``parts``: which vectors
    show a quarter of their frame. ``weights``: 0 for frames that may not vote.
    """

    times: NDArray[np.int64]
    weights: NDArray[np.float64]
    vectors: Vectors
    vector_frames: NDArray[np.intp]
    parts: NDArray[np.bool_]
    hashes: Pixels
    hash_frames: NDArray[np.intp]

    def joined(self, other: DescribedQuery) -> DescribedQuery:
        """Return the same frames with the views of both descriptions."""
        return replace(
            self,
            vectors=np.concatenate([self.vectors, other.vectors]),
            vector_frames=np.concatenate([self.vector_frames, other.vector_frames]),
            parts=np.concatenate([self.parts, other.parts]),
            hashes=np.concatenate([self.hashes, other.hashes]),
            hash_frames=np.concatenate([self.hash_frames, other.hash_frames]),
        )


def still_frame(rgb: Pixels) -> QueryFrame:
    """Return the query frame of a picture; ``picture`` is without its plain margins."""
    picture = cropped(rgb, trim(rgb))
    return QueryFrame(0, rgb, picture, frame_kind(picture, grey_thumbnail(picture)))


def sample_footage(frames: Iterable[DecodedFrame]) -> list[QueryFrame]:
    """Return at most 40 frames spread over a clip, without its unchanging borders."""
    kept, borders = spread_frames(frames, MAX_QUERY_FRAMES), BorderDetector()
    for frame in kept:
        borders.add(frame.rgb)
    box = borders.box()
    pictures = [cropped(frame.rgb, box) for frame in kept]
    return [
        QueryFrame(frame.t, frame.rgb, picture, frame_kind(picture, grey_thumbnail(picture)))
        for frame, picture in zip(kept, pictures, strict=True)
    ]


def describe_still(frame: QueryFrame, embed: Embed) -> Iterator[DescribedQuery]:
    """Yield one view after the other, each computed when it is asked for: the picture without its
    margins, with hashes in all eight turns; all of it; its quarters."""
    hashes = [(0, one) for rgb in _views_of(frame) for one in query_hashes(rgb, range(TURNS))]
    yield _described([frame], [(0, square(frame.picture), False)], hashes, embed)
    if frame.picture.shape != frame.rgb.shape:
        yield _described([frame], [(0, square(frame.rgb), False)], [], embed)
    quarters = view_squares(frame.rgb, PART_VIEWS).values()
    yield _described([frame], [(0, rgb, True) for rgb in quarters], [], embed)


def describe_footage(frames: Sequence[QueryFrame], embed: Embed) -> DescribedQuery:
    """Compute vectors and hashes of voting frames, whole and without borders; hashes also mirrored.

    Vectors ignore mirroring.
    """
    voting = [(number, frame) for number, frame in enumerate(frames) if frame.votes]
    views = [(number, rgb) for number, frame in voting for rgb in _views_of(frame)]
    squares = [(number, square(rgb), False) for number, rgb in views]
    hashes = [(n, one) for n, rgb in views for one in query_hashes(rgb, _UPRIGHT_AND_MIRRORED)]
    return _described(frames, squares, hashes, embed)


def query_hashes(rgb: Pixels, variants: Sequence[int]) -> list[Pixels]:
    """Return PDQ hashes, 32 bytes each; none of a picture that is too small or of low quality."""
    found = dihedral_hashes(fitted(rgb, _HASHED_SIDE))
    if found is None or found[1] < LOW_QUALITY:
        return []
    return [np.frombuffer(found[0][variant], np.uint8) for variant in variants]


def _views_of(frame: QueryFrame) -> list[Pixels]:
    if frame.picture.shape == frame.rgb.shape:
        return [frame.rgb]
    return [frame.picture, frame.rgb]


def _described(
    frames: Sequence[QueryFrame],
    squares: Sequence[tuple[int, Pixels, bool]],
    hashes: Sequence[tuple[int, Pixels]],
    embed: Embed,
) -> DescribedQuery:
    """``squares``: (frame, pixels, whether it is a part). ``hashes``: (frame, 32 bytes)."""
    return DescribedQuery(
        times=np.array([frame.t for frame in frames], np.int64),
        weights=np.array([float(frame.votes) for frame in frames]),
        vectors=_embedded([pixels for _, pixels, _ in squares], embed),
        vector_frames=np.array([frame for frame, _, _ in squares], np.intp),
        parts=np.array([part for _, _, part in squares], np.bool_),
        hashes=np.array([one for _, one in hashes], np.uint8).reshape(-1, 32),
        hash_frames=np.array([frame for frame, _ in hashes], np.intp),
    )


def _embedded(squares: list[Pixels], embed: Embed) -> Vectors:
    if not squares:
        return np.empty((0, DIMENSIONS), np.float32)
    # Each call of the model occupies one thread and releases Python's lock.
    halves = [squares[0::2], squares[1::2]]
    with ThreadPoolExecutor(2) as pool:
        even, odd = pool.map(lambda half: embed(half) if half else None, halves)
    vectors = np.empty((len(squares), DIMENSIONS), np.float32)
    vectors[0::2] = even
    if odd is not None:
        vectors[1::2] = odd
    return vectors
