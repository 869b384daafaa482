"""The pictures: those of ``benchmarks.recall`` and of further Debian packages, at most 512 pixels.

No picture is in it twice: neither the same file nor two whose hashes are near in any of the eight
turns. Half of the pictures (by the first digit of their key) are on the list, the other half are
strangers to it. So that the list is long, parts of its pictures are on it as well: their quarters,
ninths and sixteenths, as pictures of their own.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2

from benchmarks import packages
from benchmarks.cache import directory
from benchmarks.recall import corpus as recall
from benchmarks.recall.corpus import FLATTEST, NARROWEST, SUFFIXES, shrunk
from gallery.decoding import Limits, decode
from gallery.errors import UserError

FURTHER = (
    *("tuxpaint-stamps-default", "supertuxkart-data", "gcompris-qt-data", "wesnoth-1.16-data"),
    *("0ad-data", "stellarium-data", "hedgewars-data", "warzone2100-data", "krita-data"),
    *("kstars-data", "endless-sky-data", "naev-data", "marble-data", "ufoai-data"),
    *("freedroidrpg-data", "megaglest-data", "openclonk-data", "torcs-data", "trigger-rally-data"),
    *("enlightenment-data", "lebiniou-data", "openarena-data", "tuxpaint-data", "redeclipse-data"),
    *("lomiri-wallpapers-20.04", "sway-backgrounds", "libdlib-data", "visp-images-data"),
    *("freeciv-data", "extremetuxracer-data", "nexuiz-textures", "supertux-data", "boswars-data"),
    *("propaganda-debian", "xplanet-images", "celestia-common", "pysolfc-cardsets"),
)
ARCHIVES = (".pk3", ".zip", ".pk4")
LONGEST = 512
SHORTEST = 160


def pictures(workers: int, names: tuple[str, ...] = (*recall.PACKAGES, *FURTHER)) -> list[Path]:
    """Working copies (JPEG, quality 95) of all usable pictures, each file once."""
    inside = directory() / "hash_edits"
    inside.mkdir(exist_ok=True)
    for name in names:
        done = inside / f"{name}.done"
        if done.exists():
            continue
        try:
            unpacked = packages.debian(name)
        except (OSError, ValueError, Exception) as error:
            print(name, error)
            done.touch()
            continue
        files = [path for path in sorted(unpacked.rglob("*")) if path.is_file()]
        with ProcessPoolExecutor(workers) as pool:
            chosen = [p for p in files if p.suffix.lower() in (*SUFFIXES, *ARCHIVES)]
            n = sum(pool.map(_copied, chosen, [inside / name] * len(chosen), chunksize=16))
        print(name, n, flush=True)
        done.touch()
    return sorted(inside.glob("*/*.jpg"))


def _copied(path: Path, inside: Path) -> int:
    cv2.setNumThreads(1)
    inside.mkdir(exist_ok=True)
    return sum(_kept(data, inside) for data in _files(path))


def _files(path: Path) -> Iterator[bytes]:
    if path.is_symlink() or recall.GENERATED in path.as_posix():
        return
    if path.suffix.lower() not in ARCHIVES:
        yield path.read_bytes()
        return
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if Path(name).suffix.lower() in SUFFIXES:
                yield archive.read(name)


def _kept(data: bytes, inside: Path) -> bool:
    try:
        rgb = decode(data, Limits()).rgb
    except (UserError, OSError):
        return False
    height, width = rgb.shape[:2]
    if min(height, width) < SHORTEST or max(height, width) > NARROWEST * min(height, width):
        return False
    rgb = shrunk(rgb, LONGEST)
    if rgb.std() < FLATTEST:
        return False
    name = hashlib.sha256(data).hexdigest()[:20]
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(inside / f"{name}.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return True
