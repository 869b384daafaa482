"""What a file holds besides its frames: second pictures and previews, which some viewers show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from gallery.imaging.containers import (
    boxes,
    exif,
    jpeg,
    xmp,
)
from gallery.imaging.opening import File, open_file
from gallery.imaging.picture_limits import Limits
from gallery.imaging.pictures import Picture
from gallery.shared.errors import UserError

_MAX_SECOND_FRAMES: Final = 64
"""Of an AVIF whose other half is an animation."""


@dataclass(frozen=True, slots=True)
class Other:
    """``place``: as ``decoding.Shown`` has it."""

    picture: Picture
    place: Literal["picture", "thumbnail"]


def other_pictures(file: File, primary: Picture, limits: Limits) -> Iterator[Other]:
    """Second pictures, then previews. What is damaged is passed over, since no viewer shows it.

    All of them together have no more pixels than the frames of one animation may have.
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
                picture = other.load(number, limits)
            except UserError:
                break
            if place == "thumbnail":  # stored as the picture is, and turned with it
                picture = picture.turned_like(primary)
            yield Other(picture, place)
    for index in file.aside:
        try:
            yield Other(file.load_at(index, limits), "picture")
        except UserError:
            continue


def _files(file: File) -> Iterator[tuple[Literal["picture", "thumbnail"], str, bytes]]:
    """(place, format, bytes) of what can be read like a file of its own."""
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


def _previews(file: File) -> Iterator[bytes]:
    """The small JPEGs that programs leave beside the picture; some are there twice."""
    if preview := exif.thumbnail(file.image.info.get("exif")):
        yield preview
    if file.info.format == "jpeg":
        yield from jpeg.previews(file.data[: file.end])
    yield from xmp.previews(file.image.info.get("xmp"))
