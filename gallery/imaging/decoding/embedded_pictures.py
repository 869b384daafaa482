"""Decodes second pictures and previews in a file, which some viewers show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Literal

from gallery.imaging.decoding.containers import boxes, exif, jpeg, xmp
from gallery.imaging.decoding.frames import Frame
from gallery.imaging.decoding.limits import PictureLimits
from gallery.imaging.decoding.opening import OpenedFile, open_file
from gallery.shared.errors import UserError

_MAX_SECOND_FRAMES: Final = 64
"""Frames read of an AVIF whose second picture is an animation."""


Embedded = Literal["picture", "thumbnail"]


def may_have_pictures(file: OpenedFile) -> bool:
    """Whether ``embedded_pictures`` may yield one; reads no picture."""
    return bool(file.extra_indices) or next(_files(file), None) is not None


def embedded_pictures(
    file: OpenedFile, orientation: int, limits: PictureLimits
) -> Iterator[tuple[Frame, Embedded]]:
    """Yield second pictures, then previews. Damaged ones are left out, since no viewer shows them.

    ``orientation``: EXIF's, of the primary picture. All together may have as many pixels as the
    frames of one animation.
    """
    left = limits.max_total_pixels
    for place, format, data in _files(file):
        try:
            other = open_file(format, data, replace(limits, max_total_pixels=left))
        except UserError:
            continue
        left -= other.info.width * other.info.height * other.info.frames
        for number in range(min(other.info.frames, _MAX_SECOND_FRAMES)):
            try:
                frame = other.load(number, limits)
            except UserError:
                break
            if place == "thumbnail":  # stored in the orientation of the main picture
                frame = frame.turned(orientation)
            yield frame, place
    for index in file.extra_indices:
        try:
            yield file.load_at(index, limits), "picture"
        except UserError:
            continue


def _files(file: OpenedFile) -> Iterator[tuple[Embedded, str, bytes]]:
    """Yield (place, format, bytes) of the pictures that can be read like separate files."""
    if file.info.format == "jpeg" and file.end is not None:
        for data in jpeg.further_pictures(file.data, file.end):
            yield "picture", "jpeg", data
    if file.info.format == "avif" and (half := boxes.other_half(file.data)):
        yield "picture", "avif", half
    if file.info.format == "avif":
        for data in boxes.other_primaries(file.data):
            yield "picture", "avif", data
    if file.info.format == "heic" and (shown := boxes.with_thumbnails(file.data)):
        yield "picture", "heic", shown
    for preview in dict.fromkeys(_previews(file)):
        yield "thumbnail", "jpeg", preview


def _previews(file: OpenedFile) -> Iterator[bytes]:
    if preview := exif.thumbnail(file.image.info.get("exif")):
        yield preview
    if file.info.format == "jpeg":
        yield from jpeg.previews(file.data[: file.end])
    yield from xmp.previews(file.image.info.get("xmp"))
