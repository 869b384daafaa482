"""The pictures: those of Debian packages, at most 512 pixels, each file once.

The first digit of a picture's key decides whether it is on the list or a stranger to it. The second
decides whether the limits of edits were chosen with it or are measured with it; the two halves
share no picture. To make the list long, parts of its pictures are on it too, as separate pictures.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import cv2

from benchmarks import packages
from benchmarks.cache import directory
from benchmarks.recall import corpus as recall
from benchmarks.recall.corpus import FLATTEST, NARROWEST, SUFFIXES, shrunk
from gallery.imaging.decoding import decode
from gallery.imaging.decoding.limits import PictureLimits
from gallery.shared.errors import UserError

PHOTOGRAPHS: Final = (
    *("mate-backgrounds", "gnome-backgrounds", "plasma-workspace-wallpapers", "ukui-wallpapers"),
    *("lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "sway-backgrounds"),
)
"""Wallpapers: mostly photographs, few paintings."""
OTHERS: Final = (
    *("propaganda-debian", "kalzium-data", "digikam-data", "desktop-base", "lxqt-themes"),
    *("gimp-data", "gimp-help-en", "opencv-doc", "tuxpaint-stamps-default", "kgeography-data"),
    *("gcompris-qt-data", "tuxpaint-data", "stellarium-data", "wesnoth-1.16-data", "freeciv-data"),
    *("pokerth-data", "freeorion-data", "freecol", "krita-data", "marble-data", "kodi-data"),
    *("ulcc", "hugin-data", "kstars-data", "supertuxkart-data", "hedgewars-data"),
    *("endless-sky-data", "boswars-data", "freedroidrpg-data", "supertux-data", "lebiniou-data"),
    *("widelands-data", "megaglest-data", "trigger-rally-data", "flare-game"),
    *("unknown-horizons", "warzone2100-data", "torcs-data", "extremetuxracer-data"),
    *("colobot-common-textures", "lincity-ng-data", "openarena-081-textures", "ufoai-textures"),
    *("lordsawar-data", "scorched3d-data", "enlightenment-data", "ufoai-data"),
    *("nexuiz-textures", "cube2-data"),
)
"""Screenshots, flags, stamps, icons, drawings, textures, planets, and graphics of games."""
PER_PACKAGE: Final = 600
"""Maximum per package; some have thousands of frames of few animations."""

ARCHIVES: Final = (".pk3", ".zip", ".pk4")
LONGEST: Final = 512
SHORTEST: Final = 160


def pictures(workers: int, names: Sequence[str] = (*PHOTOGRAPHS, *OTHERS)) -> list[Path]:
    """Return working copies (JPEG, quality 95) of the usable pictures, each file once.

    The directory of each is its package; its name is the digest of the source file.
    """
    inside = directory() / "hash_edits"
    inside.mkdir(exist_ok=True)
    found: dict[str, Path] = {}
    for name in names:
        done = inside / f"{name}.done"
        if not done.exists():
            files = [path for path in packages.debian(name).rglob("*") if path.is_file()]
            chosen = [p for p in files if p.suffix.lower() in (*SUFFIXES, *ARCHIVES)]
            with ProcessPoolExecutor(workers) as pool:
                list(pool.map(_copied, chosen, [inside / name] * len(chosen), chunksize=16))
            done.touch()
        fresh = [path for path in (inside / name).glob("*.jpg") if path.stem not in found]
        # By the end of the digest, because its first digits decide what the picture is used for.
        kept = sorted(fresh, key=lambda path: path.stem[::-1])[:PER_PACKAGE]
        found |= {path.stem: path for path in kept}
    return sorted(found.values())


def on_list(path: Path) -> bool:
    """Whether a picture is on the list; otherwise it is a stranger."""
    return int(path.stem[0], 16) < 8


def held_out(path: Path) -> bool:
    """Whether the picture was not used to choose limits."""
    return int(path.stem[1], 16) >= 8


def _copied(path: Path, inside: Path) -> None:
    cv2.setNumThreads(1)
    inside.mkdir(exist_ok=True)
    for data in _files(path):
        _keep(data, inside)


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


def _keep(data: bytes, inside: Path) -> None:
    try:
        rgb = decode(data, PictureLimits()).rgb
    except (UserError, OSError):
        return
    height, width = rgb.shape[:2]
    if min(height, width) < SHORTEST or max(height, width) > NARROWEST * min(height, width):
        return
    rgb = shrunk(rgb, LONGEST)
    if rgb.std() < FLATTEST:
        return
    name = hashlib.sha256(data).hexdigest()[:20]
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(inside / f"{name}.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])
