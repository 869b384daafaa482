"""The frames of a video, from its file or from stored data.

Frames that stay on the screen are compared by all match types of the lists, all other frames only
by their hashes. See docs/adr/0019-what-is-hashed-of-a-video.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby, islice
from typing import IO, BinaryIO, Final, TypeVar

import av
import cv2
import numpy as np
from django.core.files.storage import default_storage

from gallery.imaging.descriptors.pdq import LOW_QUALITY, dihedral_hashes, to_hex, turned_hashes
from gallery.imaging.pixels import Box, cropped, fitted_size
from gallery.imaging.regions import RelativeBox
from moderation.lists.item_vectors import as_array
from moderation.screening.picture_frames import hashed_frame
from moderation.screening.types import NO_PIXELS, ContentFrame, Pixels
from videos import conf
from videos.decode.decoder_protocol import DecodedFrame as Shown
from videos.decode.decoder_protocol import TimeGrid, layer_name
from videos.decode.decoding import decode
from videos.decode.errors import NotAVideo
from videos.index.borders import BorderDetector
from videos.index.describing import TRIMMED_VIEW
from videos.index.sampling import SAMPLES_PER_SECOND, find_spans
from videos.models import Frame, ScreenedHashes, Video
from videos.screened import RECORD, SCREENED_PER_SECOND, DistinctPictures, ScreenedPicture

LONG_SIDE: Final = 384
"""Longest side of a video's frames in pixels, as they are indexed."""

STRETCH: Final = 20
"""Frames of a video whose borders are detected together."""

KEPT_SIDE: Final = 192
"""Longest side in pixels of frames that stay in memory until they are compared."""

T = TypeVar("T")


def frames_of_file(file: BinaryIO) -> Iterator[ContentFrame]:
    """Yield the frames of a video that is not stored, layer after layer. Raises decoding errors."""
    phase = conf.phase()
    with decode(
        file,
        conf.query_limits(),
        fps=SCREENED_PER_SECOND,
        phase=phase,
        screening=True,
        long_side=LONG_SIDE,
    ) as video:
        for layer, frames in groupby(video, key=lambda frame: frame.layer):
            for frame in _frames_of_layer(frames, phase):
                yield replace(frame, rendering=layer_name(layer))


def _frames_of_layer(frames: Iterable[Shown], phase: float) -> Iterator[ContentFrame]:
    due, different, seen = (
        TimeGrid(SAMPLES_PER_SECOND, 0, phase),
        DistinctPictures(),
        list[ScreenedPicture](),
    )

    def samples() -> Iterator[Shown]:
        for frame in frames:
            if (one := different.of(frame)) is not None:
                seen.append(replace(one, rgb=_small(one.rgb)))
            if due.take(frame.t, frame.until):
                yield frame

    for span in find_spans(samples()):
        yield from _brief(seen)
        seen.clear()
        yield hashed_frame(span.rgb, span.rgb, time_ms=span.t0)
        if span.box is not None and span.votes:
            part = _share(span.rgb, span.box)
            yield hashed_frame(span.picture, span.picture, time_ms=span.t0, part=part)
    yield from _brief(seen)


def _brief(seen: Iterable[ScreenedPicture]) -> Iterator[ContentFrame]:
    for one in seen:
        yield ContentFrame(
            one.rgb, one.rgb, one.hashes, one.quality, time_ms=one.t, hashes_only=True
        )


def _small(rgb: Pixels) -> Pixels:
    size = fitted_size(rgb.shape[1], rgb.shape[0], KEPT_SIDE)
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def stored_frames(video: Video) -> Iterator[ContentFrame]:
    """Yield the hashes and frames of an indexed video, turned as its small copy shows them."""
    for some in ScreenedHashes.objects.filter(item=video).order_by("pk").iterator(chunk_size=1):
        for one in np.frombuffer(bytes(some.packed), RECORD):
            yield ContentFrame(
                NO_PIXELS,
                NO_PIXELS,
                turned_hashes(one["hash"].tobytes()),
                int(one["quality"]),
                time_ms=int(one["t"]),
                rendering=layer_name(int(one["layer"])),
                hashes_only=True,
            )
    rows = Frame.objects.filter(item=video).order_by("t0", "view")
    moments = groupby(rows.iterator(chunk_size=200), key=lambda row: row.t0)
    with default_storage.open(video.proxy.name or "") as file:
        shown = _at(file, (list(rows) for _, rows in moments))
        for stretch in _stretches(shown):
            borders = BorderDetector()
            for _, rgb in stretch:
                borders.add(rgb)
            box = borders.box()
            for rows_then, rgb in stretch:
                for row in rows_then:
                    yield _stored_frame(row, rgb, box)


def _stored_frame(row: Frame, rgb: Pixels, box: Box | None) -> ContentFrame:
    part = None
    if row.view == TRIMMED_VIEW and box is not None:
        part, rgb = _share(rgb, box), cropped(rgb, box)
    hashes: list[bytes] = []
    if row.pdq and (row.pdq_quality or 0) >= LOW_QUALITY:
        shown = dihedral_hashes(rgb)
        hashes = [bytes.fromhex(to_hex(row.pdq)), *(shown[0] if shown else ())]
    vectors = [] if row.cnn is None else [as_array(row.cnn)]
    return ContentFrame(rgb, rgb, hashes, row.pdq_quality, vectors, time_ms=row.t0, part=part)


def _share(rgb: Pixels, box: Box) -> RelativeBox:
    height, width = rgb.shape[:2]
    left, top, right, bottom = box
    return left / width, top / height, right / width, bottom / height


def _at(file: IO[bytes], moments: Iterable[list[Frame]]) -> Iterator[tuple[list[Frame], Pixels]]:
    """Yield for each moment its rows and the frame of the small copy. Reads it once, in order."""
    with av.open(file, "r", format="mov") as container:
        frames = container.decode(video=0)
        frame = next(frames, None)
        for rows in moments:
            while frame is not None and round((frame.time or 0.0) * 1000) < rows[0].t0:
                following = next(frames, None)
                if following is None:
                    break
                frame = following
            if frame is None:
                raise NotAVideo("The small copy of the video shows nothing.")
            yield rows, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _stretches(shown: Iterator[T]) -> Iterator[list[T]]:
    while stretch := list(islice(shown, STRETCH)):
        yield stretch
