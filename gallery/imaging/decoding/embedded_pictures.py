"""Decodes second pictures and previews in a file, which some viewers show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from gallery.imaging.decoding.containers import boxes, exif, jpeg, xmp
from gallery.imaging.decoding.limits import PictureLimits
from gallery.imaging.decoding.opening import OpenedFile, open_file
from gallery.imaging.decoding.pictures import Picture
from gallery.shared.errors import UserError

_MAX_SECOND_FRAMES: Final = 64
"""Frames read of an AVIF whose second picture is an animation."""


@dataclass(frozen=True, slots=True)
class EmbeddedPicture:
    picture: Picture
    place: Literal["picture", "thumbnail"]


def embedded_pictures(
    file: OpenedFile, primary: Picture, limits: PictureLimits
) -> Iterator[EmbeddedPicture]:
    """Yield second pictures, then previews. Damaged ones are left out, since no viewer shows them.

    All together may have as many pixels as the frames of one animation.
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
            if place == "thumbnail":  # stored in the orientation of the main picture
                picture = picture.with_orientation_of(primary)
            yield EmbeddedPicture(picture, place)
    for index in file.extra_indices:
        try:
            yield EmbeddedPicture(file.load_at(index, limits), "picture")
        except UserError:
            continue


def _files(file: OpenedFile) -> Iterator[tuple[Literal["picture", "thumbnail"], str, bytes]]:
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
