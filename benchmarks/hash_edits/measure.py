"""How near edited copies come to the hashes of their pictures, and how near strangers come."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.recall.corpus import Pixels
from gallery.descriptors import pdq
from gallery.descriptors.pdq import LOW_QUALITY
from gallery.descriptors.pdq_variants import Variant, variants
from moderation import hash_index

FARTHEST: Final = 56
"""Distances up to which strangers are noted."""

PLAIN: Final = "as it is"
PARTS: Final = (2, 3, 4)
"""A picture of the list is on it whole, and cut into so many parts a side."""

EACH: Final = 50
"""Strangers that are looked up together."""

Edit = Callable[[Pixels, Random], Pixels]
Found = dict[str, tuple[int, float]]
"""Kind of edit → the least distance, and how much the hash contradicts the picture there."""


def load(path: Path) -> Pixels:
    """Height × width × 3, RGB."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)


def parts(rgb: Pixels, count: int) -> Iterator[Pixels]:
    """Disjoint, ``count`` each way."""
    height, width = rgb.shape[0] // count, rgb.shape[1] // count
    for row in range(count):
        for column in range(count):
            top, left = row * height, column * width
            yield np.ascontiguousarray(rgb[top : top + height, left : left + width])


def hashes_of(path: Path, cut: Sequence[int] = PARTS) -> list[bytes]:
    """Of a picture and its parts, each if it says enough."""
    cv2.setNumThreads(1)
    rgb = load(path)
    every = [rgb, *(part for count in cut for part in parts(rgb, count))]
    found = (pdq.describe(one) for one in every)
    return [
        bytes.fromhex(pdq.to_hex(one["pdq"])) if one and one["pdq_quality"] >= LOW_QUALITY else b""
        for one in found
    ]


def cropped(rgb: Pixels, _: Random, *, left: float, anywhere: bool = False) -> Pixels:
    height, width = rgb.shape[:2]
    rows, columns = round(height * left), round(width * left)
    down, across = (_.random(), _.random()) if anywhere else (0.5, 0.5)
    top, start = round((height - rows) * down), round((width - columns) * across)
    return np.ascontiguousarray(rgb[top : top + rows, start : start + columns])


def turned(rgb: Pixels, random: Random, *, degrees: float, canvas: str) -> Pixels:
    """Either way. ``canvas``: kept, grown, or cut to what is filled."""
    angle = degrees * random.choice((-1, 1))
    fill = random.choice((0, 255))
    height, width = rgb.shape[:2]
    cos, sin = math.cos(math.radians(angle)), abs(math.sin(math.radians(angle)))
    size = width, height
    if canvas == "grown":
        size = math.ceil(width * cos + height * sin), math.ceil(width * sin + height * cos)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    matrix[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    found = cv2.warpAffine(rgb, matrix, size, flags=cv2.INTER_CUBIC, borderValue=(fill,) * 3)
    if canvas != "cut":
        return np.asarray(found, np.uint8)
    share = min(width / (width * cos + height * sin), height / (width * sin + height * cos))
    return cropped(np.asarray(found, np.uint8), random, left=share * 0.995)


def bordered(rgb: Pixels, random: Random, *, pixels: int) -> Pixels:
    """Of 512; black, white, grey or a colour."""
    colour = random.choice(((0, 0, 0), (255, 255, 255), (128, 128, 128), (200, 30, 30)))
    wide = max(1, round(pixels * max(rgb.shape) / 512))
    return np.asarray(
        cv2.copyMakeBorder(rgb, wide, wide, wide, wide, cv2.BORDER_CONSTANT, value=colour), np.uint8
    )


EDITS: Final[Mapping[str, Edit]] = {
    **{f"crop to {n} %, centred": partial(cropped, left=n / 100) for n in (97, 95, 90, 80)},
    **{
        f"crop to {n} %, anywhere": partial(cropped, left=n / 100, anywhere=True)
        for n in (97, 95, 90, 80)
    },
    **{
        f"turned {n}°, canvas {canvas}": partial(turned, degrees=n, canvas=canvas)
        for n in (3, 6, 10)
        for canvas in ("kept", "grown", "cut")
    },
    "turned 4.5°, canvas kept": partial(turned, degrees=4.5, canvas="kept"),
    **{f"border of {n} px of 512": partial(bordered, pixels=n) for n in (10, 30)},
    "negative": lambda rgb, _: np.asarray(255 - rgb, np.uint8),
    "negative, mirrored": lambda rgb, _: np.ascontiguousarray(255 - rgb[:, ::-1]),
    "mirrored, crop to 95 %": lambda rgb, random: cropped(
        np.ascontiguousarray(rgb[:, ::-1]), random, left=0.95
    ),
}


def saved(rgb: Pixels) -> Pixels:
    """As a JPEG of quality 80 shows it."""
    bgr = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)


def queries(rgb: Pixels) -> tuple[list[bytes], list[Variant]]:
    """A picture as it is, in eight turns, and before the edits that are tried."""
    plain = pdq.dihedral(rgb)
    good = plain is not None and plain[1] >= LOW_QUALITY
    return (list(plain[0]) if plain and good else []), variants(rgb, LOW_QUALITY)


def copies(path: Path) -> dict[str, Found] | None:
    """A picture's edits → how near each comes to the picture's hash, by kind."""
    cv2.setNumThreads(1)
    (own,) = hashes_of(path, ())
    if not own:
        return None
    rgb, found = load(path), {}
    for name, edit in EDITS.items():
        plain, tried = queries(saved(edit(rgb, Random(f"{path.name} {name}"))))
        best: Found = {}
        if plain:
            best[PLAIN] = (min(_bits(own, one) for one in plain), 0.0)
        for variant in tried:
            distance = _bits(own, variant.hash)
            if distance < best.get(variant.edit.kind, (257, 0.0))[0]:
                best[variant.edit.kind] = distance, round(variant.contradiction(own), 4)
        found[name] = best
    return found


def _bits(a: bytes, b: bytes) -> int:
    return (int.from_bytes(a) ^ int.from_bytes(b)).bit_count()


Strange = tuple[str, int, str, int, float]
"""The stranger's name, the row of the list, the kind of edit, distance, contradiction."""


def strangers(
    pictures: Sequence[tuple[Path, int]], hashes: NDArray[np.uint8], scan: Any = hash_index.scan
) -> tuple[list[str], list[Strange]]:
    """Pictures (path, part of a quarter or -1) that were looked up, and what came near to them."""
    cv2.setNumThreads(1)
    asked: list[bytes] = []
    about: list[tuple[str, Variant | None]] = []
    names = []
    for path, part in pictures:
        rgb = load(path)
        if part >= 0:
            rgb = list(parts(rgb, 2))[part]
        plain, tried = queries(rgb)
        if not plain:
            continue
        name = f"{path.parent.name}/{path.stem}/{part}"
        names.append(name)
        asked += plain + [one.hash for one in tried]
        about += [(name, None)] * len(plain) + [(name, one) for one in tried]
    hits = scan(np.arange(len(hashes)), hashes, asked, FARTHEST)
    best: dict[tuple[str, int, str], Strange] = {}
    for hit in hits:
        name, variant = about[hit["query"]]
        row, distance = int(hit["item"]), int(hit["distance"])
        kind = PLAIN if variant is None else variant.edit.kind
        key = name, row, kind
        if key not in best or distance < best[key][3]:
            contradiction = variant.contradiction(hashes[row].tobytes()) if variant else 0.0
            best[key] = name, row, kind, distance, round(contradiction, 4)
    return names, list(best.values())
