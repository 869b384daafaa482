"""Pictures of many kinds, as bytes and as rows that went through the real services."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
from PIL import Image as Pillow

from gallery.imaging.descriptors import PIXELS
from gallery.items import adding
from gallery.items.models import Image

BY = "tests"
WHEEL_PICTURES = (
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png"),
    *("clock_motion.png", "coins.png", "color.png", "grass.png"),
    *("gravel.png", "horse.png", "hubble_deep_field.jpg", "ihc.png", "logo.png", "moon.png"),
    *("microaneurysms.png", "motorcycle_left.png", "page.png", "phantom.png", "retina.jpg"),
    *("rocket.jpg", "text.png"),
)
"""Photographs and scans inside scikit-image's wheel, so that nothing is downloaded."""


def photo(seed: int, size: tuple[int, int] = (160, 120)) -> Pillow.Image:
    """A picture like no other seed's: clouds of three scales, a few shapes, some grain."""
    rng = np.random.default_rng(seed)
    width, height = size
    canvas = np.zeros((height, width, 3))
    for cells, weight in ((3, 90.0), (7, 60.0), (23, 25.0)):
        cloud = rng.uniform(-1, 1, (cells, cells, 3))
        canvas += weight * cv2.resize(cloud, size, interpolation=cv2.INTER_CUBIC)
    canvas += rng.normal(0, 4, canvas.shape)
    pixels = np.clip(canvas + 128, 0, 255).astype(np.uint8)
    for _ in range(4):
        colour = [int(value) for value in rng.integers(0, 256, 3)]
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(pixels, centre, int(rng.integers(5, min(size) // 4)), colour, -1)
    return Pillow.fromarray(pixels)


def wheel_photo(name: str, longest: int = 512) -> Pillow.Image:
    """A real photograph or scan of scikit-image, reduced."""
    return _wheel_photo(name, longest).copy()


@functools.cache
def _wheel_photo(name: str, longest: int) -> Pillow.Image:
    image = Pillow.open(Path(skimage.data.__file__).parent / name).convert("RGB")
    image.thumbnail((longest, longest))
    # Pillow would write it into a PNG and not into a JPEG: two pictures of other colours.
    image.info.pop("icc_profile", None)
    return image


def flat(colour: tuple[int, int, int] = (40, 90, 140)) -> Pillow.Image:
    """One colour only: no imgsmlr pattern."""
    return Pillow.new("RGB", (64, 48), colour)


def few_colours(image: Pillow.Image) -> Pillow.Image:
    """As a GIF holds it. Pillow's own choice of 256 colours takes a hundred times as long."""
    fast = Pillow.Quantize.FASTOCTREE
    return image.quantize(method=fast) if image.mode == "RGB" else image


def encoded(image: Pillow.Image, format: str, **options: Any) -> bytes:
    """The file's bytes."""
    if format == "GIF":
        image = few_colours(image)
        options["append_images"] = map(few_colours, options.get("append_images", ()))
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def jpeg(image: Pillow.Image, quality: int = 90) -> bytes:
    return encoded(image, "JPEG", quality=quality)


def png(image: Pillow.Image, compress_level: int = 1) -> bytes:
    return encoded(image, "PNG", compress_level=compress_level)


def packed_zeros(count: int) -> bytes:
    """So many zeros as zlib packs them, of which a large number would take it a second."""
    piece = bytes(2**20)
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)  # the same each time
    rest = packer.compress(bytes(count % len(piece))) + packer.flush()
    checksum = struct.pack(">HH", count % 65521, 1)  # Adler-32 of zeros
    return b"\x78\xda" + block * (count // len(piece)) + rest + checksum


def png_of_zeros(width: int, height: int, bits: int = 8, *, deep: bool = False) -> bytes:
    """Grey: small as a file, large when decoded. ``deep``: RGBA of 16 bits."""
    bits, colour_type, channels = (16, 6, 4) if deep else (bits, 0, 1)

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    packed = packed_zeros(height * (1 + width * bits * channels // 8))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


def png_bomb(width: int = 13_000, height: int = 13_000) -> bytes:
    """A valid PNG of 169 megapixels in 170 KB."""
    return png_of_zeros(width, height)


def gif_bomb(frames: int = 750, side: int = 2000) -> bytes:
    """A GIF of a few KB that would unfold to 3 GB of frames."""
    header = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    pixels = b"\x02\x02\x4c\x01\x00"  # one pixel; what is missing is background
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + pixels
    return header + frame * frames + b"\x3b"


def add_ready_image(image: Pillow.Image | None = None, **fields: Any) -> Image:
    """A picture that was uploaded, described and published; ``data`` instead of an image."""
    data = fields.pop("data", None) or png(image or photo(0))
    return adding.add_image(data=data, by=BY, **{"inline": PIXELS, **fields})


def add_pending_image(image: Pillow.Image | None = None, **fields: Any) -> Image:
    """A picture that waits for the worker."""
    data = fields.pop("data", None) or png(image or photo(0))
    return adding.add_image(data=data, by=BY, **fields)


def stored_files(media_root: Path) -> list[str]:
    """The storage name of every file below the media root."""
    root = Path(media_root)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def owned_files(image: Image) -> list[str]:
    """The storage names a stored image has."""
    image.refresh_from_db()
    return sorted(name for name in (image.original.name, image.thumbnail.name) if name)
