"""Damaged media: a small file of each format that is read here, and ways to damage it."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import cache

from PIL import Image
from pillow_heif import HeifFile

from tests.gallery.imaging.test_decoding import (
    MUTATED,
    OPAQUE,
    TRANSPARENT,
    animate,
    encode,
    photo,
    plates,
)
from tests.videos.clips import CODECS, animation, moving, timed
from tests.videos.clips import encode as encode_video

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_HEAD = 256
PNG = b"\x89PNG\r\n\x1a\n"


@cache
def pictures() -> Mapping[str, bytes]:
    """Name → file, of about 48 × 32 pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    more: dict[str, Callable[[], bytes]] = {
        "CMYK JPEG": lambda: encode(photo().convert("CMYK"), "JPEG"),
        "progressive JPEG": lambda: encode(photo(), "JPEG", progressive=True),
        "turned JPEG": lambda: encode(photo(), "JPEG", exif=exif),
        "interlaced GIF": lambda: encode(photo().quantize(16), "GIF", interlace=1),
        "animated WebP": lambda: animate(plates(4), "WEBP"),
        "animated AVIF": lambda: animate(plates(4), "AVIF"),
        "AVIF with alpha": lambda: encode(photo().convert("RGBA"), "AVIF"),
        "JPEG 2000, lossless": lambda: encode(photo(), "JPEG2000"),
        "MPO": lambda: animate(plates(2), "MPO"),
        "tiled, LZW TIFF": lambda: encode(photo(), "TIFF", compression="tiff_lzw"),
        "CCITT TIFF": lambda: encode(photo().convert("1"), "TIFF", compression="group4"),
        "HEIC of two": _heic_of_two,
    }
    makers = {**TRANSPARENT, **{name: make for name, (make, _) in OPAQUE.items()}, **more}
    return {**MUTATED, **{name: make() for name, make in makers.items()}}


def _heic_of_two() -> bytes:
    file, out = HeifFile(), io.BytesIO()
    for one in plates(2):
        file.add_from_pillow(one)
    file.save(out)
    return out.getvalue()


@cache
def videos() -> Mapping[str, bytes]:
    """Name → file of half a second."""
    frames = timed(moving("astronaut", 0.5, rate=8), 8)
    found = {container: encode_video(frames, container) for container in CODECS}
    stills = [picture for _, picture in frames]
    for format in ("GIF", "WEBP", "PNG"):
        found[f"animated {format}"] = animation(stills, format)
    return found


def damaged(rng: random.Random, corpus: Mapping[str, bytes]) -> tuple[str, bytes]:
    """Choose a file and damage it in one to three ways. Return its name and the bytes."""
    name = rng.choice(sorted(corpus))
    data = bytearray(corpus[name])
    for _ in range(rng.choice((1, 1, 2, 3))):
        change = rng.choice((_bits, _cut, _splice, _field, _field, _repeat, _zeros))
        change(rng, data, corpus)
    if data.startswith(PNG) and rng.random() < 0.5:
        return name, _with_checksums(bytes(data))
    return name, bytes(data)


def _at(rng: random.Random, data: bytearray) -> int:
    """Often in the header, which most decides what happens."""
    return rng.randrange(max(1, min(len(data), _HEAD) if rng.random() < 0.5 else len(data)))


def _bits(rng: random.Random, data: bytearray, corpus: Mapping[str, bytes]) -> None:
    for _ in range(rng.randint(1, 20)):
        if data:
            data[_at(rng, data)] ^= 1 << rng.randrange(8)


def _cut(rng: random.Random, data: bytearray, corpus: Mapping[str, bytes]) -> None:
    del data[_at(rng, data) :]


def _splice(rng: random.Random, data: bytearray, corpus: Mapping[str, bytes]) -> None:
    other = corpus[rng.choice(sorted(corpus))]
    start = rng.randrange(len(other))
    piece = other[start : start + rng.randint(1, 4000)]
    at = _at(rng, data)
    data[at : at + rng.choice((0, len(piece)))] = piece


def _field(rng: random.Random, data: bytearray, corpus: Mapping[str, bytes]) -> None:
    size, value = rng.choice((1, 2, 4)), rng.choice(_EXTREMES)
    at = _at(rng, data)
    field = (value & ((1 << 8 * size) - 1)).to_bytes(size, rng.choice(("big", "little")))
    data[at : at + size] = field


def _repeat(rng: random.Random, data: bytearray, corpus: Mapping[str, bytes]) -> None:
    at = _at(rng, data)
    piece = data[at : at + rng.randint(1, 1000)]
    data[at:at] = piece * rng.randint(1, 8)


def _zeros(rng: random.Random, data: bytearray, corpus: Mapping[str, bytes]) -> None:
    at, size = _at(rng, data), rng.randint(1, 200)
    data[at : at + size] = bytes(len(data[at : at + size]))


def _with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the right checksums, so that its fields are believed."""
    out, at = bytearray(PNG), len(PNG)
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + size]
        out += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + size
    return bytes(out)
