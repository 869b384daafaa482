"""The real pictures of ``benchmarks.recall``, each described once. The rest is mixed from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cache import directory
from benchmarks.recall import corpus, database
from benchmarks.recall.corpus import Source

PIXELS_CODE = (
    "gallery/imaging/descriptors/haar.py",
    "gallery/imaging/descriptors/pdq*.py",
)
COPY_CODE = (
    "gallery/imaging/descriptors/cnn*",
    "gallery/imaging/local_features.py",
    "gallery/imaging/pixels.py",
)
THUMBNAIL_SIDE = 320
CHUNK = 32

Floats = NDArray[np.float32]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Pictures:
    """The columns of n pictures, in one order. ``frequencies``: n × 256, of which PDQ's bits are
    the signs around their median. ``features`` and ``thumbnails``: bytes."""

    sources: Sequence[Source]
    haar: Floats
    pattern: NDArray[Any]
    frequencies: Floats
    cnn: Floats
    features: Sequence[bytes]
    thumbnails: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.sources)

    def chosen(self, places: Sequence[int]) -> Pictures:
        return Pictures(
            [self.sources[at] for at in places],
            *(values[places] for values in (self.haar, self.pattern, self.frequencies, self.cnn)),
            [self.features[at] for at in places],
            [self.thumbnails[at] for at in places],
        )


def pictures(sources: Sequence[Source], workers: int) -> Pictures:
    """Return those that have all descriptors. The first call takes some minutes."""
    pixels = _described("pixels", PIXELS_CODE, _pixels, sources, workers)
    copy = _described("copy", COPY_CODE, _copy, sources, workers)
    both = [at for at, row in enumerate(pixels) if row and copy[at]]
    one, two = [pixels[at] for at in both], [copy[at] for at in both]
    return Pictures(
        [sources[at] for at in both],
        np.stack([row["haar"] for row in one]),
        np.stack([row["pattern"] for row in one]),
        np.stack([row["frequencies"] for row in one]),
        np.stack([row["cnn"] for row in two]),
        [row["features"] for row in two],
        [row["thumbnail"] for row in two],
    )


def _described(
    name: str,
    code: Sequence[str],
    describe: Callable[[Sequence[Source]], list[Row]],
    sources: Sequence[Source],
    workers: int,
) -> list[Any]:
    path = directory() / f"scale-{name}-{database.digest(code, *(s.key for s in sources))}.npz"
    if not path.exists():
        for old in directory().glob(f"scale-{name}-*.npz"):
            old.unlink()
        chunks = [sources[at : at + CHUNK] for at in range(0, len(sources), CHUNK)]
        rows: list[Row] = []
        with ProcessPoolExecutor(workers) as pool:
            for found in pool.map(describe, chunks):
                rows += found
                if len(rows) % (CHUNK * 50) < CHUNK:
                    print(f"{name}: {len(rows)} of {len(sources)} pictures described", flush=True)
        fresh = path.with_suffix(".new.npz")
        np.savez(fresh, rows=np.array(rows, dtype=object))
        fresh.rename(path)
    # It was written here, by the lines above.
    return list(np.load(path, allow_pickle=True)["rows"])


def _pixels(sources: Sequence[Source]) -> list[Row]:
    import cv2

    from gallery.imaging.descriptors import haar, pdq_transform

    cv2.setNumThreads(1)
    imgsmlr, rows = haar.Haar(), list[Row]()
    for rgb in map(corpus.pixels, sources):
        (columns,) = imgsmlr.describe([_Opaque(rgb, rgb)])
        samples = pdq_transform.sampled_rgb(rgb)
        if columns is None or not pdq_transform.quality(samples):
            rows.append({})
            continue
        margins = pdq_transform.margins(pdq_transform.frequencies(samples[np.newaxis]))
        rows.append({**columns, "frequencies": margins[0].reshape(-1).astype(np.float32)})
    return rows


def _copy(sources: Sequence[Source]) -> list[Row]:
    import cv2

    from gallery.imaging.descriptors.copy import Copy
    from gallery.shared.jpeg import Quality, encode_jpeg

    cv2.setNumThreads(1)
    model, rows = Copy(directory() / "models"), list[Row]()
    for rgb in map(corpus.pixels, sources):
        (columns,) = model.describe([_Opaque(rgb, rgb)])
        small = corpus.shrunk(rgb, THUMBNAIL_SIDE)
        rows.append(
            {
                "cnn": columns["cnn"],
                "features": columns["local_features"],
                "thumbnail": encode_jpeg(small, Quality.THUMBNAIL),
            }
            if columns
            else {}
        )
    return rows


@dataclass(frozen=True)
class _Opaque:
    rgb: corpus.Pixels
    legacy_rgb: corpus.Pixels
