"""The pictures: those of nine Debian packages and of scikit-image, as working copies.

Packages are downloaded and unpacked, not installed. A working copy is upright, opaque (over white)
and at most ``LONGEST`` pixels long. Its name is the SHA-256 of the source file, the ``key`` of a
picture everywhere in this benchmark.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import pdqhash
from numpy.typing import NDArray

from benchmarks import packages
from benchmarks.cache import directory
from gallery.imaging.decoding import decode
from gallery.imaging.decoding.limits import PictureLimits
from gallery.shared.errors import UserError

Pixels = NDArray[np.uint8]

PHOTOS = (
    *("mate-backgrounds", "gnome-backgrounds", "plasma-workspace-wallpapers"),
    *("ukui-wallpapers", "lomiri-wallpapers-16.04", "scikit-image"),
)
"""Sources of photographs and paintings; the others are drawings, cut-outs, flags and textures."""
PACKAGES = (
    *PHOTOS[:-1],
    *("tuxpaint-stamps-default", "openclipart-png", "kgeography-data", "supertuxkart-data"),
)
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif")
GENERATED = "openclipart/png/shapes/stars/"
"""1,304 stars drawn by a program, almost identical; they are left out."""
LONGEST = 1024
SHORTEST = 96
FLATTEST = 8.0
"""Standard deviation of the values below which a picture is empty."""
NARROWEST = 4.0


@dataclass(frozen=True)
class Source:
    """One picture: its ``key``, its package and path, and the name of its working copy.

    ``quality``: that of its PDQ hash, 0 (featureless) to 100.
    """

    key: str
    package: str
    path: str
    name: str
    quality: int = 100


def working_copy(source: Source) -> Path:
    return directory() / "pictures" / source.name


def pixels(source: Source) -> Pixels:
    data = np.frombuffer(working_copy(source).read_bytes(), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)


def sources(workers: int) -> list[Source]:
    """Return all usable pictures by key, each file once. The first call takes 5 minutes."""
    manifest = directory() / "pictures.json"
    if not manifest.exists():
        (directory() / "pictures").mkdir(exist_ok=True)
        found: dict[str, Source] = {}
        with ProcessPoolExecutor(workers) as pool:
            files = [(package, path) for package in PACKAGES for path in _unpacked(package)]
            files += [("scikit-image", path) for path in _scikit_image()]
            for source in pool.map(_copied, *zip(*files, strict=True), chunksize=16):
                if source is not None:
                    found.setdefault(source.key, source)
        ordered = [asdict(found[key]) for key in sorted(found)]
        manifest.write_text("\n".join(map(json.dumps, ordered)))
    return [Source(**json.loads(line)) for line in manifest.read_text().splitlines()]


def _unpacked(package: str) -> Iterator[Path]:
    inside = packages.debian(package)
    for path in sorted(inside.rglob("*")):
        known = path.suffix.lower() in SUFFIXES and GENERATED not in path.as_posix()
        if known and path.is_file() and not path.is_symlink():
            yield path


def _scikit_image() -> list[Path]:
    import skimage.data

    inside = Path(skimage.data.__file__).parent
    return sorted(path for path in inside.iterdir() if path.suffix.lower() in SUFFIXES)


def _copied(package: str, path: Path) -> Source | None:
    """Write the working copy; return None if the picture cannot be used."""
    cv2.setNumThreads(1)
    data = path.read_bytes()
    try:
        rgb = decode(data, PictureLimits()).rgb
    except UserError:
        return None
    rgb = shrunk(rgb, LONGEST)
    height, width = rgb.shape[:2]
    if min(height, width) < SHORTEST or max(height, width) > NARROWEST * min(height, width):
        return None
    if rgb.std() < FLATTEST:
        return None
    key = hashlib.sha256(data).hexdigest()
    suffix = ".png" if path.suffix.lower() in (".png", ".gif") else ".jpg"
    _, quality = pdqhash.compute(np.ascontiguousarray(rgb))
    source = Source(key, package, _inside(package, path), key + suffix, int(quality))
    options = [cv2.IMWRITE_JPEG_QUALITY, 95] if suffix == ".jpg" else []
    if not working_copy(source).exists():
        # The same file may exist in two places and be processed by two processes.
        fresh = working_copy(source).with_name(f".{os.getpid()}{suffix}")
        cv2.imwrite(str(fresh), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
        fresh.rename(working_copy(source))
    return source


def _inside(package: str, path: Path) -> str:
    base = directory() / "packages" / package
    return str(path.relative_to(base)) if path.is_relative_to(base) else path.name


def shrunk(rgb: Pixels, longest: int) -> Pixels:
    """Reduce to at most ``longest`` pixels by area averaging; never enlarge."""
    height, width = rgb.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return rgb
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
