"""The ``copy`` match type: a global vector finds candidates, local features prove them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gallery.imaging import geometry, local_features
from gallery.imaging.descriptors.base import (
    COPY_VERSION,
    Columns,
    Picture,
    Pixels,
    Vector,
)
from gallery.imaging.descriptors.cnn import SIDE, Cnn, square
from gallery.imaging.local_features import Features
from gallery.imaging.trimming import trim
from gallery.shared.errors import UserError

PARTS = ("top_left", "top_right", "bottom_left", "bottom_right")
"""Views that show a quarter of a query. They find the members of a collage and small insets, but
are near to more wrong pictures than whole views: what they find needs proof."""

SMALLEST_PART = 32
"""Pixels of a quarter's shorter side."""

WORKING_SIDE = 1024
"""Long side of what the squares are made from: a huge picture is averaged once, not for each."""

CORES = min(4, len(os.sched_getaffinity(0)))
"""What one query may occupy for the few hundredths of a second that it is described."""

FLAT_RANGE = 4
"""A picture whose channels span no more steps of 255 than this shows nothing but noise."""


@dataclass(frozen=True, slots=True)
class Query:
    """A picture to search with. ``vectors``: view → float32 512 of unit length, none of a flat
    picture; ``features``: its local features, of the whole picture."""

    vectors: dict[str, Vector]
    features: Features


class Copy:
    """Stores ``cnn`` (float32 512 of unit length) and ``local_features`` (bytes, ≤ 12 KB).

    ``directory``: where the model is. Cosine distances, 0 to 2.
    """

    name = "copy"
    version = COPY_VERSION

    def __init__(self, directory: Path) -> None:
        self._cnn = Cnn(directory)

    def unavailable(self) -> str | None:
        """Why it cannot be used here, as a sentence; None if it can. Only looks."""
        return self._cnn.unavailable()

    def prepare(self) -> None:
        """Write the model, once: 10 seconds. Raises ``Unavailable``."""
        self._cnn.prepare()

    def describe(self, pictures: Sequence[Picture]) -> list[Columns | None]:
        """``cnn`` and ``local_features`` of each upright picture; None if it is flat.

        Raises ``Unavailable``.
        """
        squares = {i: square(_reduced(picture.rgb)) for i, picture in enumerate(pictures)}
        squares = {i: pixels for i, pixels in squares.items() if not is_flat(pixels)}
        columns: list[Columns | None] = [None] * len(pictures)
        # Both leave Python for almost all of their time, so they run beside one another.
        with ThreadPoolExecutor(1) as pool:
            local = pool.map(lambda i: local_features.extract(pictures[i].rgb).pack(), squares)
            vectors = self.embed(list(squares.values()))
            for i, vector, packed in zip(squares, vectors, local, strict=True):
                columns[i] = {"cnn": vector, "local_features": packed}
        return columns

    def query(self, picture: Picture) -> Query:
        """What to search with: every view's vector and the local features.

        Raises ``Unavailable``.
        """
        with ThreadPoolExecutor(CORES) as pool:
            features = pool.submit(local_features.extract, picture.rgb)
            squares = views(picture.rgb)
            vectors = pool.map(lambda pixels: self.embed([pixels])[0], squares.values())
            return Query(dict(zip(squares, vectors, strict=True)), features.result())

    def embed(self, squares: Sequence[Pixels]) -> Vector:
        """The vectors alone, float32 n × 512, of what ``cnn.square`` gives.

        Raises ``Unavailable``.
        """
        shape = (len(squares), SIDE, SIDE, 3)
        return self._cnn.embed(np.reshape(squares, shape).astype(np.uint8, copy=False))

    def describe_text(self, texts: Sequence[str]) -> list[Vector]:
        """Raises ``UserError``: words have no pixels."""
        raise UserError(
            "copy compares pictures only; search by words with clip.", field="match_type"
        )

    def distance(self, a: Columns, b: Columns) -> float:
        """Cosine distance of the global vectors: 0 same direction, 1 unrelated."""
        return max(0.0, 1.0 - float(np.dot(a["cnn"].astype(np.float64), b["cnn"])))

    def explain(self, a: Columns, b: Columns) -> dict[str, Any]:
        """The distance, and how many places of the pictures agree geometrically."""
        match = geometry.verify(
            Features.unpack(a["local_features"]), Features.unpack(b["local_features"])
        )
        return {"distance": self.distance(a, b), "inliers": match.inliers if match else 0}


def views(rgb: Pixels) -> dict[str, Pixels]:
    """The squares a picture is looked up by, by name; those without content are left out.

    ``full``; ``trimmed`` if it has plain margins; its quarters (``PARTS``) if they are large
    enough to show something. Turned and mirrored views find nothing more: the whitening has
    learned to ignore turns.
    """
    rgb = _reduced(rgb)
    height, width = rgb.shape[:2]
    boxes = {"full": (0, 0, width, height), "trimmed": trim(rgb)}
    if min(height, width) >= 2 * SMALLEST_PART:
        x, y = width // 2, height // 2
        quarters = (0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)
        boxes.update(zip(PARTS, quarters, strict=True))
    squares = {
        name: square(rgb[box[1] : box[3], box[0] : box[2]]) for name, box in boxes.items() if box
    }
    return {name: pixels for name, pixels in squares.items() if not is_flat(pixels)}


def is_flat(pixels: Pixels) -> bool:
    """Whether uint8 H×W×3 has one colour, as far as compression leaves it one."""
    # Lines first: along the short axis of channels numpy is slow.
    lines = pixels.reshape(len(pixels), -1)
    low, high = (line.reshape(pixels.shape[1:]) for line in (lines.min(axis=0), lines.max(axis=0)))
    return bool((high.max(axis=0).astype(int) - low.min(axis=0)).max() <= FLAT_RANGE)


def _reduced(rgb: Pixels) -> Pixels:
    height, width = rgb.shape[:2]
    scale = WORKING_SIDE / max(height, width)
    if scale >= 1:
        return rgb
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
