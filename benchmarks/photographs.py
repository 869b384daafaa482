"""Photographs as cameras make them: cut out of wallpapers of Debian packages, and generated."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks import packages, pictures
from benchmarks.cache import directory
from gallery.imaging.pixels import Pixels

PACKAGES = ("mate-backgrounds", "plasma-workspace-wallpapers", "ukui-wallpapers")
SHORTEST, LONGEST = 2048, 4032
"""Long side in pixels."""


def jpegs(count: int) -> list[bytes]:
    """Return ``count`` different JPEGs, 1.2 MB on average; every second one is generated.

    Making one takes a second, so they are kept on disk.
    """
    inside = directory() / "photographs"
    inside.mkdir(exist_ok=True)
    found = []
    for number in range(count):
        path = inside / f"{number}.jpg"
        if not path.exists():
            path.write_bytes(jpeg(number))
        found.append(path.read_bytes())
    return found


def jpeg(number: int) -> bytes:
    random = np.random.default_rng(number)
    long = int(random.uniform(SHORTEST, LONGEST))
    size = (long, long * 3 // 4) if random.random() < 0.7 else (long * 3 // 4, long)
    pixels = _generated(random, size) if number % 2 else _cut_out(random, number // 2, size)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=90)
    return out.getvalue()


def _generated(random: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """Colour noise with the spectrum of photographs, and the grain of a sensor."""
    pixels = pictures.noise(random, size)
    grain = random.normal(scale=5, size=(size[1] // 2, size[0] // 2, 1)).astype(np.float32)
    grain = cv2.resize(grain, size, interpolation=cv2.INTER_LINEAR)[..., None]
    return np.asarray(np.clip(pixels + grain, 0, 255), np.uint8)


def _cut_out(random: np.random.Generator, number: int, size: tuple[int, int]) -> Pixels:
    files = _wallpapers()
    with Image.open(files[number % len(files)]) as wallpaper:
        image = wallpaper.convert("RGB")
    # Enlarged a little if it is too small for the size.
    scale = max(1.0, size[0] / image.width, size[1] / image.height)
    box = min(image.width, int(size[0] / scale)), min(image.height, int(size[1] / scale))
    left = int(random.integers(image.width - box[0] + 1))
    top = int(random.integers(image.height - box[1] + 1))
    part = image.crop((left, top, left + box[0], top + box[1]))
    return np.asarray(part.resize(size, Image.Resampling.BICUBIC))


@cache
def _wallpapers() -> list[Path]:
    found = []
    for package in PACKAGES:
        for path in sorted(packages.debian(package).rglob("*.jpg")):
            if path.is_file() and not path.is_symlink():
                with Image.open(path) as image:
                    large = max(image.size) >= SHORTEST
                if large:
                    found.append(path)
    return found
