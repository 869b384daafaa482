"""Files that show more than their first picture, as the suite makes them."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from PIL import Image as Pillow

from tests.factories import encoded, jpeg, png


def mirage(over_white: Pillow.Image, over_black: Pillow.Image) -> Pillow.Image:
    """Grey pictures of one size: the first is seen on a white page, the second on a black one."""
    light = 128 + np.asarray(over_white.convert("L"), np.float64) / 2
    dark = np.asarray(over_black.convert("L").resize(over_white.size), np.float64) / 2
    alpha = 255 - (light - dark)
    grey = dark / np.maximum(alpha, 1) * 255
    bands = [grey, grey, grey, alpha]
    return Pillow.fromarray(np.dstack(bands).round().clip(0, 255).astype(np.uint8), "RGBA")


def veiled(picture: Pillow.Image, veil: Pillow.Image) -> Pillow.Image:
    """The colours of one picture behind the transparency of another: as ``mirage`` on any page."""
    strength = np.asarray(veil.convert("L").resize(picture.size), np.uint8)
    return Pillow.fromarray(np.dstack([np.asarray(picture), strength // 12]), "RGBA")


def holes(picture: Pillow.Image) -> Pillow.Image:
    """White points where a picture is bright, and nothing between them: black pages show it."""
    points = np.asarray(picture.convert("1"), np.uint8) * 255
    white = np.full_like(points, 255)
    return Pillow.fromarray(np.dstack([white, white, white, points]), "RGBA")


def animated(frames: list[Pillow.Image], format: str, **options: Any) -> bytes:
    """An animation, or a TIFF of pages."""
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)


def with_thumbnail(picture: Pillow.Image, thumbnail: Pillow.Image) -> bytes:
    """A JPEG whose EXIF holds another picture, as an editor that forgot it leaves it."""
    small = jpeg(thumbnail)
    tiff = b"II*\0\x08\0\0\0" + b"\0\0" + (14).to_bytes(4, "little")
    entries = [(0x0103, 3, 6), (0x0201, 4, 14 + 2 + 3 * 12 + 4), (0x0202, 4, len(small))]
    ifd = len(entries).to_bytes(2, "little")
    for tag, kind, value in entries:
        ifd += tag.to_bytes(2, "little") + kind.to_bytes(2, "little")
        ifd += (1).to_bytes(4, "little") + value.to_bytes(4, "little")
    exif = b"Exif\0\0" + tiff + ifd + b"\0\0\0\0" + small
    return encoded(picture, "JPEG", quality=90, exif=exif)


def noise(seed: int, size: tuple[int, int] = (64, 48)) -> Pillow.Image:
    """A picture of nothing, unlike every other seed's."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
    return Pillow.fromarray(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC))


def first_of(data: bytes, frame: int = 0) -> Pillow.Image:
    """A frame as it was stored."""
    picture = Pillow.open(io.BytesIO(data))
    picture.seek(frame)
    return picture.convert("RGB")


__all__ = ["animated", "first_of", "holes", "mirage", "noise", "png", "veiled", "with_thumbnail"]
