"""Reads the pictures of a file, in this process: decoders run it, and the process of a video.

Elsewhere use ``gallery.imaging.decoding``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from gallery.imaging.decoding.embedded_pictures import embedded_pictures
from gallery.imaging.decoding.frames import Frame
from gallery.imaging.decoding.limits import PictureLimits
from gallery.imaging.decoding.opening import OpenedFile, open_file
from gallery.imaging.decoding.pictures import ImageInfo, Place, cells, is_any_alike
from gallery.imaging.decoding.sniffing import accepted_format
from gallery.imaging.pixels import Pixels

_ANIMATED: Final = frozenset({"gif", "webp", "png", "avif"})
_IGNORED_MS: Final = 10
_DEFAULT_MS: Final = 100


@dataclass(frozen=True, slots=True)
class FileFrame:
    """A picture of a file, as some viewers show it. See ``Picture`` for the fields."""

    frame: Frame
    place: Place
    number: int
    duration_ms: int | None = None


def open_data(data: bytes, limits: PictureLimits) -> OpenedFile:
    """Read the headers of a file of any format. Raises NotAnImage, TooLarge."""
    return open_file(accepted_format(data, limits), data, limits)


def inspect(data: bytes, limits: PictureLimits) -> ImageInfo:
    """Read format, size and frame count from the headers. Raises NotAnImage, TooLarge."""
    return open_data(data, limits).info


def decode(data: bytes, limits: PictureLimits) -> Frame:
    """Decode the first picture. Raises NotAnImage (also if the file ends early), TooLarge."""
    return open_data(data, limits).load(0, limits)


def file_frames(file: OpenedFile, limits: PictureLimits) -> Iterator[FileFrame]:
    """Yield all pictures that viewers show of a file, the primary one first.

    These are the frames or pages that differ from the one before, further pictures, and embedded
    previews. Further pictures and previews are left out if they are damaged or look like an earlier
    one. Raises NotAnImage and TooLarge, also after some pictures.
    """
    frames = _frames(file, limits)
    first = next(frames)
    glimpse, orientation = cells(first.frame.rgb), first.frame.orientation
    yield first
    del first
    yield from frames
    yield from other_frames(file, glimpse, orientation, limits)


def other_frames(
    file: OpenedFile, primary: Pixels, orientation: int, limits: PictureLimits
) -> Iterator[FileFrame]:
    """Yield the further pictures and the previews of a file.

    ``primary``: the ``cells`` of its primary picture, of which ``orientation`` is EXIF's.
    """
    seen = [primary]
    found = embedded_pictures(file, orientation, limits)
    for number, (frame, place) in enumerate(found, file.info.frames):
        glimpse = cells(frame.rgb)
        if not is_any_alike(seen, glimpse):
            seen.append(glimpse)
            yield FileFrame(frame, place, number)


def _frames(file: OpenedFile, limits: PictureLimits) -> Iterator[FileFrame]:
    """Yield each frame that differs from the one before; equal frames add to its duration."""
    pending: FileFrame | None = None
    for number in range(file.info.frames):
        frame = file.load(number, limits)
        duration = _duration(frame) if file.info.frames > 1 else None
        if pending is not None and pending.frame.is_identical_to(frame):
            both = (pending.duration_ms or 0) + (duration or 0)
            pending = replace(pending, duration_ms=both or None)
            continue
        if pending is not None:
            yield pending
        place: Place = "picture" if file.info.format == "heic" else "frame"
        pending = FileFrame(frame, place if number else "full", number, duration)
    if pending is not None:
        yield pending


def _duration(frame: Frame) -> int | None:
    """None for pages. As in browsers, durations up to 10 ms become 100 ms."""
    if frame.info.format not in _ANIMATED:
        return None
    stated = frame.header_value("duration")
    if isinstance(stated, int | float) and stated > _IGNORED_MS:
        return round(stated)
    return _DEFAULT_MS
