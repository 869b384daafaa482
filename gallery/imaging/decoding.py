"""Bytes → pictures, for bytes that a stranger may have made to hurt us.

The magic bytes choose one Pillow reader and no other is tried. Sizes are judged from the header,
before a pixel is decoded. Whatever a reader raises on a damaged file becomes ``NotAnImage``.
A decoder can still burn time within the limits, so the process that calls it needs a time and a
memory limit of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from gallery.imaging.containers import boxes, jpeg
from gallery.imaging.opening import File, open_file
from gallery.imaging.other_pictures import other_pictures
from gallery.imaging.picture_limits import Limits, NotAnImage, check_bytes
from gallery.imaging.pictures import Info, Picture
from gallery.imaging.sniffing import sniff, why_unknown

_ANIMATED: Final = frozenset({"gif", "webp", "png", "avif"})
_TOO_SHORT_MS: Final = 10
_USUAL_MS: Final = 100

Place = Literal["full", "frame", "picture", "thumbnail"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture that some viewer shows of a file.

    ``place``: ``full`` the first, ``frame`` a later frame or page, ``picture`` another picture of
    the file, ``thumbnail`` its embedded preview. ``number``: its place among all of them, from 0;
    those that are passed over count, too. ``duration_ms``: how long a frame is on the screen.
    """

    picture: Picture
    place: Place
    number: int
    duration_ms: int | None = None


def inspect(data: bytes, limits: Limits) -> Info:
    """Format, size and frame count from the headers alone; raises NotAnImage, TooLarge."""
    return _open(data, limits).info


def decode(data: bytes, limits: Limits) -> Picture:
    """The picture that is shown first, fully decoded; a file that ends early is an error.

    Raises NotAnImage, TooLarge.
    """
    return _open(data, limits).load(0, limits)


def shown(data: bytes, limits: Limits, *, first: Picture | None = None) -> Iterator[Shown]:
    """All that viewers show of a file, first the primary picture: every frame or page that differs
    from the one before it, further pictures, and the embedded thumbnail. A further picture or a
    thumbnail that looks like the primary picture is passed over, and so is one that is damaged.

    ``first``: what ``decode`` made of the same file, so that a still is not decoded again.
    Raises NotAnImage, TooLarge, also midway.
    """
    file = _open(data, limits)
    if file.info.frames == 1:
        primary = first or file.load(0, limits)
        yield Shown(primary, "full", 0)
    else:
        frames = _frames(file, limits)
        pending = next(frames)
        primary = pending.picture
        yield pending
        yield from frames
    yield from _others(file, primary, limits)


def _frames(file: File, limits: Limits) -> Iterator[Shown]:
    """Each frame that differs from the one before it, with the time of all that are like it."""
    pending: Shown | None = None
    for number in range(file.info.frames):
        picture = file.load(number, limits)
        duration = _duration(picture)
        if pending is not None and pending.picture.looks_like(picture):
            both = (pending.duration_ms or 0) + (duration or 0)
            pending = replace(pending, duration_ms=both or None)
            continue
        if pending is not None:
            yield pending
        place: Place = "picture" if file.info.format == "heic" else "frame"
        pending = Shown(picture, place if number else "full", number, duration)
    if pending is not None:
        yield pending


def _duration(picture: Picture) -> int | None:
    """How long a frame is shown; browsers make 100 ms of 10 and less. None for pages."""
    if picture.info.format not in _ANIMATED:
        return None
    stated = picture.stated("duration")
    if isinstance(stated, int | float) and stated > _TOO_SHORT_MS:
        return round(stated)
    return _USUAL_MS


def _others(file: File, primary: Picture, limits: Limits) -> Iterator[Shown]:
    seen = [primary]
    for number, other in enumerate(other_pictures(file, primary, limits), file.info.frames):
        if not any(other.picture.resembles(one) for one in seen):
            seen.append(other.picture)
            yield Shown(other.picture, other.place, number)


def frames(data: bytes, limits: Limits) -> Iterator[Picture]:
    """The pictures of ``shown``. Raises NotAnImage, TooLarge, also midway."""
    yield from (one.picture for one in shown(data, limits))


def numbered_frames(data: bytes, limits: Limits) -> Iterator[tuple[int, Picture]]:
    """The same, each with its number."""
    yield from ((one.number, one.picture) for one in shown(data, limits))


def appended_video(data: bytes) -> bytes | None:
    """The clip that a motion photo carries with its picture, an MP4; None if there is none."""
    format = sniff(data)
    if format == "heic":
        return boxes.motion_clip(data)
    if format != "jpeg" or (end := jpeg.read(data).end) is None:
        return None
    start = boxes.find_file(data, end)
    return None if start is None else data[start:]


def _open(data: bytes, limits: Limits) -> File:
    check_bytes(data, limits)
    format = sniff(data)
    if format is None:
        raise NotAnImage(why_unknown(data))
    return open_file(format, data, limits)
