"""A video's file → all that is stored of it, in one pass over its frames."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

import numpy as np
from django.conf import settings
from django.db import connection
from numpy.typing import NDArray

from gallery.imaging import descriptors
from gallery.imaging.descriptors.base import CNN_DIMENSIONS
from gallery.imaging.descriptors.pdq import to_hex
from gallery.items.vectors import encode
from gallery.shared.jpeg import Quality, encode_jpeg, shrink
from videos import conf
from videos.decode.decoder_protocol import Due, Frame
from videos.decode.decoding import Decoding, decode
from videos.decode.errors import NotAVideo, VideoTooLarge, VideoTooSlow
from videos.decode.proxies import FRAMES_PER_SECOND, Copied, ProxyWriter
from videos.index.describing import Row, describe
from videos.index.sampling import (
    SAMPLES_PER_SECOND,
    Span,
    rarity,
    spans,
)
from videos.models import FRAME_VERSION
from videos.screened import (
    RECORD,
    SCREENED_PER_SECOND,
    DistinctPictures,
    ScreenedPicture,
    not_among,
)

LONG_SIDE = 384
"""Vectors see 256 pixels, hashes 64, thumbnails have 320."""
LOOKALIKE_DISTANCE = 0.2
"""Cosine distance up to which two frames look alike."""
LOOKALIKES_ASKED = 32
"""The nearest frames of other videos that are asked; more make the weight hardly less."""
THUMBNAIL_AFTER = 0.1
"""Share of a video before which its picture is not chosen: it begins with titles."""
STATED = frozenset({"mp4", "mov", "mkv", "webm"})
"""Containers whose duration is stated and was checked; of others FFmpeg guesses it."""
MOST_SEEN = 200_000
"""Distinct pictures of a video, all layers together: what six hours of film have three times."""

Pixels = NDArray[np.uint8]

COUNT = f"""
SELECT count(DISTINCT near.item_id) FILTER (WHERE near.distance <= %s)
FROM unnest(%s::text[]) WITH ORDINALITY AS query(vector, n)
LEFT JOIN LATERAL (
    SELECT frame.item_id, frame.cnn <=> query.vector::halfvec({CNN_DIMENSIONS}) AS distance
    FROM videos_frame frame
    WHERE frame.version = %s AND frame.weight > 0 AND frame.item_id <> %s
    ORDER BY frame.cnn <=> query.vector::halfvec({CNN_DIMENSIONS}) LIMIT %s
) near ON true
GROUP BY query.n ORDER BY query.n
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """The columns of ``videos.models.Frame``."""

    t0: int
    t1: int
    view: str
    version: str
    pdq: str | None
    pdq_quality: int | None
    cnn: NDArray[np.float32] | None
    weight: float


@dataclass(frozen=True, slots=True)
class Indexed:
    """What indexing found. ``screened``: n ``RECORD``; ``proxy`` is open as long as ``read``'s
    block; ``thumbnail`` a JPEG."""

    duration_ms: int
    frames: Sequence[StoredFrame]
    screened: NDArray[np.void]
    proxy: IO[bytes]
    thumbnail: bytes


Progress = Callable[[float], None]
"""Told the share of the file that is read, 0..1, at each frame; what it raises ends the reading."""


@contextmanager
def read(original: Path | BinaryIO, progress: Progress, *, video_id: int) -> Iterator[Indexed]:
    """Decode a video and describe what is in it. ``video_id``: the one whose frames do not count.

    Raises ``NotAVideo`` and its kin, ``Unavailable`` where the model is missing, and what
    ``progress`` raises.
    """
    embed = descriptors.get_copy().embed
    with tempfile.TemporaryFile() as mp4:
        phase = conf.phase()
        with decode(
            original,
            conf.limits(),
            fps=SCREENED_PER_SECOND,
            phase=phase,
            screening=True,
            long_side=LONG_SIDE,
        ) as video:
            one_pass = _Pass(video, phase, progress)
            with ProxyWriter(cast(IO[bytes], mp4)) as proxy:
                rows = describe(one_pass.shown(spans(one_pass.samples(proxy))), embed)
                frames = [frame for batch in rows for frame in _weighed(batch, video_id)]
            screened = _beside(one_pass.screened(), frames)
        yield Indexed(
            one_pass.duration_ms(),
            frames,
            screened,
            cast(IO[bytes], mp4),
            one_pass.thumbnail(),
        )


class _Pass:
    """One reading of a video, and what is noted on the way."""

    def __init__(self, video: Decoding, phase: float, progress: Progress) -> None:
        self._seen: list[NDArray[np.void]] = []
        self._video, self._phase, self._progress = video, phase, progress
        self._until = time.monotonic() + settings.VIDEO_TIMEOUT
        self._count, self._last, self._end = 0, 0, 0
        self._rank = (False, False)
        self._picture: Pixels | None = None

    def samples(self, proxy: ProxyWriter) -> Iterator[Frame]:
        """Every frame is hashed; of the first layer some go into the proxy, and those that
        ``spans`` expects are passed on."""
        due = Due(SAMPLES_PER_SECOND, 0, self._phase)
        copied = Copied(FRAMES_PER_SECOND, self._phase)
        different = DistinctPictures()
        for frame in self._video:
            if time.monotonic() > self._until:
                raise VideoTooSlow(
                    f"Indexing the video takes longer than {settings.VIDEO_TIMEOUT:,} seconds; "
                    "send a shorter or smaller version."
                )
            self._progress(frame.progress)
            self._note(different.of(frame))
            if frame.layer:
                continue
            self._count, self._last, self._end = self._count + 1, frame.t, frame.until
            if copied.take(frame):
                proxy.add(frame.t, frame.until, frame.rgb)
            if due.take(frame.t, frame.until):
                yield frame
        if self._count < 2:
            raise NotAVideo("The video shows a single picture.")

    def _note(self, seen: ScreenedPicture | None) -> None:
        if seen is None:
            return
        if len(self._seen) == MOST_SEEN:
            raise VideoTooLarge(
                f"The video shows more than {MOST_SEEN:,} different pictures; cut it into parts."
            )
        self._seen.append(seen.record())

    def screened(self) -> NDArray[np.void]:
        """All that differs, n ``RECORD``."""
        return np.concatenate([np.empty(0, RECORD), *self._seen])

    def shown(self, found: Iterable[Span]) -> Iterator[Span]:
        """The same spans; the best of them becomes the thumbnail."""
        early = THUMBNAIL_AFTER * (self._video.info.duration_ms or 0)
        for span in found:
            rank = (span.votes, span.t >= early)
            if self._picture is None or rank > self._rank:
                self._rank, self._picture = rank, span.rgb
            yield span

    def duration_ms(self) -> int:
        """As stated where that can be trusted, else up to the end of the last frame."""
        info = self._video.info
        if info.container in STATED and info.duration_ms:
            return max(info.duration_ms, self._last)
        return self._end

    def thumbnail(self) -> bytes:
        """A JPEG of at most ``THUMBNAIL_SIZE`` pixels a side."""
        if self._picture is None:  # frames were delivered, so that there are spans
            raise AssertionError("no span")
        small = shrink(self._picture, settings.THUMBNAIL_SIZE)
        return encode_jpeg(small, Quality.THUMBNAIL)


def _weighed(rows: Sequence[Row], video_id: int) -> Iterator[StoredFrame]:
    weights = iter(rarity(_lookalikes([r.cnn for r in rows if r.cnn is not None], video_id)))
    for row in rows:
        weight = float(next(weights)) if row.votes else 0.0
        yield StoredFrame(
            t0=row.t0,
            t1=row.t1,
            view=row.view,
            version=FRAME_VERSION,
            pdq=row.pdq,
            pdq_quality=row.pdq_quality,
            cnn=row.cnn,
            weight=weight,
        )


def _beside(screened: NDArray[np.void], frames: Sequence[StoredFrame]) -> NDArray[np.void]:
    """What the ``frames`` do not show; of other layers all, which are told by their names."""
    own = [bytes.fromhex(to_hex(frame.pdq)) for frame in frames if frame.pdq]
    hashes = np.frombuffer(b"".join(own), np.uint8).reshape(-1, 32)
    first = screened["layer"] == 0
    return np.concatenate([not_among(screened[first], hashes), screened[~first]])


def _lookalikes(vectors: Sequence[NDArray[np.float32]], video_id: int) -> list[int]:
    """How many other videos show a picture like each, of those with the nearest frames."""
    if not vectors:
        return []
    texts = [encode(vector) for vector in vectors]
    with connection.cursor() as cursor:
        cursor.execute(
            COUNT, [LOOKALIKE_DISTANCE, texts, FRAME_VERSION, video_id, LOOKALIKES_ASKED]
        )
        return [count for (count,) in cursor.fetchall()]
