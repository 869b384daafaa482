"""Reads all that is stored of a video from its file, in one pass over its frames."""

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
from gallery.imaging.pixels import Pixels, fitted
from gallery.items.vectors import encode
from gallery.shared.jpeg import Quality, encode_jpeg
from videos import conf
from videos.decode.decoder_protocol import DecodedFrame, TimeGrid
from videos.decode.decoding import OpenVideo, decode
from videos.decode.errors import NotAVideo, VideoTooLarge, VideoTooSlow
from videos.decode.proxies import FRAMES_PER_SECOND, ProxySampler, ProxyWriter
from videos.index.describing import SpanView, describe_spans
from videos.index.sampling import SAMPLES_PER_SECOND, Span, find_spans, rarity_weights
from videos.models import FRAME_VERSION
from videos.screened import (
    RECORD,
    SCREENED_PER_SECOND,
    DistinctPictures,
    ScreenedPicture,
    not_among,
)

LONG_SIDE = 384
"""Vectors use 256 pixels, hashes 64; thumbnails have 320."""
LOOKALIKE_DISTANCE = 0.2
"""Largest cosine distance of frames that look alike."""
MAX_LOOKALIKES = 32
"""The nearest frames of other videos that are counted; more hardly change the weight."""
THUMBNAIL_AFTER = 0.1
"""The thumbnail is chosen after this share of a video, as many begin with titles."""
STATING_DURATION = frozenset({"mp4", "mov", "mkv", "webm"})
"""Containers that state their duration. FFmpeg guesses that of others."""
MAX_DIFFERENT_PICTURES = 200_000
"""Different pictures of a video, in all layers: three times those of a film of six hours."""


COUNT_LOOKALIKES = f"""
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
    t0: int
    t1: int
    view: str
    version: str
    pdq: str | None
    pdq_quality: int | None
    cnn: NDArray[np.float32] | None
    weight: float


@dataclass(frozen=True, slots=True)
class IndexedVideo:
    """The result of indexing. ``screened``: n ``RECORD``. ``thumbnail``: a JPEG.

    ``proxy`` is open as long as the block of ``read_video``.
    """

    duration_ms: int
    frames: Sequence[StoredFrame]
    screened: NDArray[np.void]
    proxy: IO[bytes]
    thumbnail: bytes


Progress = Callable[[float], None]
"""Called at each frame with the share of the file read, 0..1; an exception ends the reading."""


@contextmanager
def read_video(
    original: Path | BinaryIO, progress: Progress, *, video_id: int
) -> Iterator[IndexedVideo]:
    """Decode and describe a video. ``video_id``: its own frames do not count as look-alikes.

    Raises the errors of ``videos.decode.errors``, ``Unavailable`` where the model is missing, and
    what ``progress`` raises.
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
            one_pass = _FramePass(video, phase, progress)
            with ProxyWriter(cast(IO[bytes], mp4)) as proxy:
                rows = describe_spans(
                    one_pass.with_thumbnail(find_spans(one_pass.samples(proxy))), embed
                )
                frames = [frame for batch in rows for frame in _weighted(batch, video_id)]
            screened = _not_in_frames(one_pass.screened(), frames)
        yield IndexedVideo(
            one_pass.duration_ms(),
            frames,
            screened,
            cast(IO[bytes], mp4),
            one_pass.thumbnail(),
        )


class _FramePass:
    def __init__(self, video: OpenVideo, phase: float, progress: Progress) -> None:
        self._seen: list[NDArray[np.void]] = []
        self._video, self._phase, self._progress = video, phase, progress
        self._until = time.monotonic() + settings.VIDEO_TIMEOUT
        self._count, self._last, self._end = 0, 0, 0
        self._rank = (False, False)
        self._picture: Pixels | None = None

    def samples(self, proxy: ProxyWriter) -> Iterator[DecodedFrame]:
        """Yield the frames for ``find_spans``. Also hash every frame, and write some frames of the
        first layer to the proxy."""
        due = TimeGrid(SAMPLES_PER_SECOND, 0, self._phase)
        copied = ProxySampler(FRAMES_PER_SECOND, self._phase)
        different = DistinctPictures()
        for frame in self._video:
            if time.monotonic() > self._until:
                raise VideoTooSlow(
                    f"Indexing the video takes longer than {settings.VIDEO_TIMEOUT:,} seconds; "
                    "send a shorter or smaller version."
                )
            self._progress(frame.progress)
            self._collect(different.of(frame))
            if frame.layer:
                continue
            self._count, self._last, self._end = self._count + 1, frame.t, frame.until
            if copied.take(frame):
                proxy.add(frame.t, frame.until, frame.rgb)
            if due.take(frame.t, frame.until):
                yield frame
        if self._count < 2:
            raise NotAVideo("The video shows a single picture.")

    def _collect(self, seen: ScreenedPicture | None) -> None:
        if seen is None:
            return
        if len(self._seen) == MAX_DIFFERENT_PICTURES:
            raise VideoTooLarge(
                f"The video shows more than {MAX_DIFFERENT_PICTURES:,} different pictures; "
                "cut it into parts."
            )
        self._seen.append(seen.record())

    def screened(self) -> NDArray[np.void]:
        """Return all different pictures, n ``RECORD``."""
        return np.concatenate([np.empty(0, RECORD), *self._seen])

    def with_thumbnail(self, found: Iterable[Span]) -> Iterator[Span]:
        """Pass spans on and remember the best one for the thumbnail."""
        early = THUMBNAIL_AFTER * (self._video.info.duration_ms or 0)
        for span in found:
            rank = (span.votes, span.t >= early)
            if self._picture is None or rank > self._rank:
                self._rank, self._picture = rank, span.rgb
            yield span

    def duration_ms(self) -> int:
        """Return what the container states, if that is reliable; else the end of the last frame."""
        info = self._video.info
        if info.container in STATING_DURATION and info.duration_ms:
            return max(info.duration_ms, self._last)
        return self._end

    def thumbnail(self) -> bytes:
        if self._picture is None:  # impossible: frames were delivered, so there are spans
            raise AssertionError("no span")
        small = fitted(self._picture, settings.THUMBNAIL_SIZE)
        return encode_jpeg(small, Quality.THUMBNAIL)


def _weighted(rows: Sequence[SpanView], video_id: int) -> Iterator[StoredFrame]:
    weights = iter(
        rarity_weights(_lookalikes([r.cnn for r in rows if r.cnn is not None], video_id))
    )
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


def _not_in_frames(screened: NDArray[np.void], frames: Sequence[StoredFrame]) -> NDArray[np.void]:
    """Return the pictures that the ``frames`` do not show, and all pictures of other layers."""
    own = [bytes.fromhex(to_hex(frame.pdq)) for frame in frames if frame.pdq]
    hashes = np.frombuffer(b"".join(own), np.uint8).reshape(-1, 32)
    first = screened["layer"] == 0
    return np.concatenate([not_among(screened[first], hashes), screened[~first]])


def _lookalikes(vectors: Sequence[NDArray[np.float32]], video_id: int) -> list[int]:
    """Return for each vector how many other videos have a look-alike among the nearest frames."""
    if not vectors:
        return []
    texts = [encode(vector) for vector in vectors]
    with connection.cursor() as cursor:
        cursor.execute(
            COUNT_LOOKALIKES, [LOOKALIKE_DISTANCE, texts, FRAME_VERSION, video_id, MAX_LOOKALIKES]
        )
        return [count for (count,) in cursor.fetchall()]
