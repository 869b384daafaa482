"""The ``copy`` match type: a global vector finds candidates, local features verify them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gallery.imaging import geometry, local_features
from gallery.imaging.descriptors.base import (
    COPY_VERSION,
    Columns,
    DescribablePicture,
    PicturesOnly,
    Vector,
    cosine_distance,
)
from gallery.imaging.descriptors.cnn import SIDE, Cnn, square
from gallery.imaging.local_features import LocalFeatures
from gallery.imaging.pixels import Box, Pixels, cropped, size_of, whole_box, working_copy
from gallery.imaging.trimming import trim

WHOLE_VIEWS = ("full", "trimmed")
"""Views of a whole query: as it is, and without its plain margins."""

PART_VIEWS = ("top_left", "top_right", "bottom_left", "bottom_right")
"""Views that show a quarter of a query. They find members of a collage and small insets, but are
near to more wrong pictures than whole views are. So their candidates must be verified."""

VIEWS = (*WHOLE_VIEWS, *PART_VIEWS)

SMALLEST_PART = 32
"""Least pixels of a quarter's shorter side."""

CORES = min(4, len(os.sched_getaffinity(0)))
"""CPU cores that describing one query may use, for some hundredths of a second."""

FLAT_RANGE = 4
"""Levels of 255; a picture whose channels have a smaller range shows only noise."""


@dataclass(frozen=True, slots=True)
class CopyDescription:
    """A described query. ``vectors``: view → float32 512 of unit length, empty for a flat picture.
    ``features``: of the whole picture."""

    vectors: dict[str, Vector]
    features: LocalFeatures


class Copy(PicturesOnly):
    """Stores ``cnn`` (float32 512 of unit length) and ``local_features`` (bytes, ≤ 12 KB).

    ``directory``: where the model is. Cosine distances, 0 to 2.
    """

    name = "copy"
    version = COPY_VERSION

    def __init__(self, directory: Path) -> None:
        self._cnn = Cnn(directory)

    def unavailable(self) -> str | None:
        return self._cnn.unavailable()

    def prepare(self) -> None:
        self._cnn.prepare()

    def load(self) -> None:
        """Load the model, if it is not yet. Raises ``Unavailable``."""
        self._cnn.load()

    def describe(self, pictures: Sequence[DescribablePicture]) -> list[Columns | None]:
        """Return ``cnn`` and ``local_features`` of each upright picture; None if it is flat.

        Raises ``Unavailable``.
        """
        working = [working_copy(picture.rgb) for picture in pictures]
        squares = {i: square(rgb) for i, rgb in enumerate(working)}
        squares = {i: pixels for i, pixels in squares.items() if not is_flat(pixels)}

        def packed_features(i: int) -> bytes:
            return local_features.extract(working[i], size_of(pictures[i].rgb)).pack()

        columns: list[Columns | None] = [None] * len(pictures)
        # Both release Python's lock for almost all of their time.
        with ThreadPoolExecutor(1) as pool:
            local = pool.map(packed_features, squares)
            vectors = self.embed(list(squares.values()))
            for i, vector, packed in zip(squares, vectors, local, strict=True):
                columns[i] = {"cnn": vector, "local_features": packed}
        return columns

    def query(self, picture: DescribablePicture, views: Sequence[str] = VIEWS) -> CopyDescription:
        """Compute the vector of each view, and the local features. Raises ``Unavailable``."""
        working = working_copy(picture.rgb)
        with ThreadPoolExecutor(1) as pool:
            features = pool.submit(local_features.extract, working, size_of(picture.rgb))
            return CopyDescription(self.embed_views(working, views), features.result())

    def embed_views(self, rgb: Pixels, views: Sequence[str] = VIEWS) -> dict[str, Vector]:
        """Return view → vector; flat and tiny views are left out. Raises ``Unavailable``."""
        squares = view_squares(rgb, views)
        with ThreadPoolExecutor(CORES) as pool:
            vectors = pool.map(lambda pixels: self.embed([pixels])[0], squares.values())
            return dict(zip(squares, vectors, strict=True))

    def embed(self, squares: Sequence[Pixels]) -> Vector:
        """Embed squares made by ``cnn.square`` as float32 n × 512. Raises ``Unavailable``."""
        shape = (len(squares), SIDE, SIDE, 3)
        return self._cnn.embed(np.reshape(squares, shape).astype(np.uint8, copy=False))

    def distance(self, a: Columns, b: Columns) -> float:
        return cosine_distance(a["cnn"], b["cnn"])

    def explain(self, a: Columns, b: Columns) -> dict[str, Any]:
        match = geometry.verify(
            LocalFeatures.unpack(a["local_features"]), LocalFeatures.unpack(b["local_features"])
        )
        return {"distance": self.distance(a, b), "inliers": match.inliers if match else 0}


def view_squares(rgb: Pixels, views: Sequence[str] = VIEWS) -> dict[str, Pixels]:
    """Return views of a query as squares, by name; flat ones are left out.

    ``full``; ``trimmed`` if it has plain margins; its quarters (``PART_VIEWS``) if they are large
    enough. Turned and mirrored views would find nothing more, as the whitening ignores turns.
    """
    rgb = working_copy(rgb)
    boxes = {name: _view_box(rgb, name) for name in views}
    squares = {name: square(cropped(rgb, box)) for name, box in boxes.items() if box}
    return {name: pixels for name, pixels in squares.items() if not is_flat(pixels)}


def _view_box(rgb: Pixels, view: str) -> Box | None:
    if view == "full":
        return whole_box(rgb)
    if view == "trimmed":
        return trim(rgb)
    width, height = size_of(rgb)
    if min(height, width) < 2 * SMALLEST_PART:
        return None
    x, y = width // 2, height // 2
    left, right = (0, x) if view.endswith("left") else (x, width)
    top, bottom = (0, y) if view.startswith("top") else (y, height)
    return left, top, right, bottom


def is_flat(pixels: Pixels) -> bool:
    """Return whether uint8 H×W×3 has one colour, apart from compression noise."""
    # First along the lines: numpy is slow along the short axis of channels.
    lines = pixels.reshape(len(pixels), -1)
    low, high = (line.reshape(pixels.shape[1:]) for line in (lines.min(axis=0), lines.max(axis=0)))
    return bool((high.max(axis=0).astype(int) - low.min(axis=0)).max() <= FLAT_RANGE)
