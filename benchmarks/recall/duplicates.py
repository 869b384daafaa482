"""``python -m benchmarks.recall.duplicates DIRECTORY``: propose pictures that show the same.

It uses two independent methods: PDQ hashes at most 31 bits apart in any of the eight mirrored and
turned positions, and local features that agree geometrically among the nearest neighbours by the
learned vector. The larger picture is kept.

Each proposal was checked on contact sheets, as were the strongest 770 answers of the service to
unedited originals and negatives (``search`` in the list). Those included flags of another aspect
ratio and the like, which would have counted as false. All were judged: ``same`` for the same
content (recoloured, redrawn, turned, a part of it), ``template`` for pictures that a person calls
different though one could be made from the other (playing cards, icons with another sign on them,
flags with other arms). The result is ``duplicates.csv``. The benchmark leaves both out of its
gallery and negatives, and asks those of a common template separately. Pictures that share less than
a template stay: cards, signs, smileys, letters of one series.

A new run writes its list and sheets to the directory; pairs without a judgement are marked ``new``.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pdqhash
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmarks.recall import corpus
from benchmarks.recall.corpus import Source
from gallery.imaging import geometry, local_features
from gallery.imaging.descriptors import cnn

REMOVED = Path(__file__).with_name("duplicates.csv")
PDQ_BITS = 31
NEIGHBOURS = 8
CHUNK = 256
INLIERS = 20
TEMPLATE, NEW = "template", "new"
KEY_DIGITS = 16
"""This many hexadecimal digits identify a picture here."""
SHEET_ROWS, SHEET_COLUMNS, CELL = 12, 8, 110


@dataclass(frozen=True)
class Pair:
    """Two pictures, the kept one first. ``how``: pdq or geometry; ``much``: bits or inliers."""

    kept: Source
    removed: Source
    how: str
    much: int


def unique(sources: Sequence[Source]) -> list[Source]:
    removed = {removed for removed, _ in judgements()}
    return [source for source in sources if source.key[:KEY_DIGITS] not in removed]


def siblings(sources: Sequence[Source], gallery: Sequence[Source]) -> list[Source]:
    """Return removed pictures that share only a template with one in the gallery."""
    here = {source.key[:KEY_DIGITS] for source in gallery}
    found = {
        removed
        for (removed, kept), judged in judgements().items()
        if judged == TEMPLATE and kept in here
    }
    return [source for source in sources if source.key[:KEY_DIGITS] in found]


def judgements(path: Path | None = None) -> dict[tuple[str, str], str]:
    """Map (removed, kept) pictures to the judgement of the pair."""
    with (path or REMOVED).open(newline="") as lines:
        return {(row["removed"], row["kept"]): row["judged"] for row in csv.DictReader(lines)}


def proposals(sources: Sequence[Source], workers: int) -> list[Pair]:
    """Return pairs whose second picture shows what the first shows. It takes about 10 minutes."""
    with ProcessPoolExecutor(workers) as pool:
        described = list(pool.map(_described, sources, chunksize=32))
    pairs = list(_by_pdq([hashes for hashes, _, _, _ in described]))
    vectors = _vectors(sources, workers)
    packed = [features for _, features, _, _ in described]
    with ProcessPoolExecutor(workers) as pool:
        near = list(_neighbours(*vectors))
        found = pool.map(
            _verified,
            (packed[i] for i, _ in near),
            ([packed[j] for j in js] for _, js in near),
            chunksize=32,
        )
        for (i, js), inliers in zip(near, found, strict=True):
            pairs += [(i, j, "geometry", n) for j, n in zip(js, inliers, strict=True) if n]
    areas = [area for _, _, area, _ in described]
    return _greedy(sources, areas, pairs)


def _described(source: Source) -> tuple[NDArray[np.uint64], bytes, int, int]:
    """Return the eight hashes (four words each), local features, area and quality of a picture."""
    cv2.setNumThreads(1)
    rgb = corpus.pixels(source)
    hashes, quality = pdqhash.compute_dihedral(rgb)
    bits = np.packbits(np.array(hashes, np.uint8), axis=1).view(np.uint64)
    return bits, local_features.extract(rgb).pack(), rgb.shape[0] * rgb.shape[1], int(quality)


def _by_pdq(hashes: Sequence[NDArray[np.uint64]]) -> Iterator[tuple[int, int, str, int]]:
    upright = np.stack([eight[0] for eight in hashes])
    for i, eight in enumerate(hashes):
        differing = np.bitwise_count(upright[np.newaxis, :i] ^ eight[:, np.newaxis])
        least = differing.sum(axis=2, dtype=np.int64).min(axis=0, initial=256)
        for j in np.flatnonzero(least <= PDQ_BITS).tolist():
            yield i, j, "pdq", int(least[j])


def _vectors(
    sources: Sequence[Source], workers: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    models = corpus.directory() / "models"
    models.mkdir(exist_ok=True)
    model = cnn.Cnn(models)
    model.prepare()

    def both(source: Source) -> NDArray[np.float32]:
        square = cnn.square(corpus.pixels(source))
        return model.embed(np.stack([square, square[:, ::-1]]))

    with ThreadPoolExecutor(workers) as pool:
        vectors = np.stack(list(pool.map(both, sources)))
    return vectors[:, 0], vectors[:, 1]


def _neighbours(
    upright: NDArray[np.float32], mirrored: NDArray[np.float32]
) -> Iterator[tuple[int, list[int]]]:
    for first in range(0, len(upright), CHUNK):
        part = upright[first : first + CHUNK]
        likeness = np.maximum(part @ upright.T, part @ mirrored.T)
        likeness[np.arange(len(part)), first + np.arange(len(part))] = -1
        for i, row in enumerate(likeness, first):
            yield i, np.argsort(-row)[:NEIGHBOURS].tolist()


def _verified(query: bytes, candidates: Sequence[bytes]) -> list[int]:
    cv2.setNumThreads(1)
    matches = geometry.verify_many(local_features.LocalFeatures.unpack(query), candidates)
    return [m.inliers if m is not None and m.inliers >= INLIERS else 0 for m in matches]


def _greedy(
    sources: Sequence[Source], areas: Sequence[int], pairs: Sequence[tuple[int, int, str, int]]
) -> list[Pair]:
    """Go through pictures, largest first: one stays unless it is paired with one that stays."""
    partners: dict[int, list[tuple[int, str, int]]] = {}
    for i, j, how, much in pairs:
        partners.setdefault(i, []).append((j, how, much))
        partners.setdefault(j, []).append((i, how, much))
    kept: set[int] = set()
    removed = []
    for i in sorted(range(len(sources)), key=lambda i: (-areas[i], sources[i].key)):
        against = [(j, how, much) for j, how, much in partners.get(i, []) if j in kept]
        if against:
            j, how, much = min(against, key=lambda one: (one[1], sources[one[0]].key))
            removed.append(Pair(sources[j], sources[i], how, much))
        else:
            kept.add(i)
    return removed


def draw(pairs: Sequence[Pair], directory: Path) -> None:
    """Draw contact sheets of cells with the kept picture (left) and the removed one (right)."""
    directory.mkdir(exist_ok=True)
    per_sheet = SHEET_ROWS * SHEET_COLUMNS
    for first in range(0, len(pairs), per_sheet):
        size = SHEET_COLUMNS * (2 * CELL + 8), SHEET_ROWS * (CELL + 14)
        page = Image.new("RGB", size, "#888")
        pen = ImageDraw.Draw(page)
        for place, pair in enumerate(pairs[first : first + per_sheet]):
            x = place % SHEET_COLUMNS * (2 * CELL + 8)
            y = place // SHEET_COLUMNS * (CELL + 14)
            pen.text((x, y), f"{first + place} {pair.how} {pair.much}", "white")
            for side, source in enumerate((pair.kept, pair.removed)):
                small = Image.fromarray(corpus.pixels(source))
                small.thumbnail((CELL - 2, CELL - 2))
                page.paste(small, (x + side * CELL, y + 12))
        page.save(directory / f"{first // per_sheet:02}.png")


def write(pairs: Sequence[Pair], path: Path) -> None:
    """Write the list that ``judgements`` reads, with the known judgements of these pairs."""
    known = judgements() if REMOVED.exists() else {}
    with path.open("w", newline="") as stream:
        out = csv.writer(stream, lineterminator="\n")
        out.writerow(["removed", "kept", "how", "much", "judged"])
        for pair in sorted(pairs, key=lambda pair: pair.removed.key):
            ends = pair.removed.key[:KEY_DIGITS], pair.kept.key[:KEY_DIGITS]
            out.writerow([*ends, pair.how, pair.much, known.get(ends, NEW)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recall.duplicates")
    parser.add_argument("directory", type=Path, help="where the list and the sheets go")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    pairs = proposals(corpus.sources(options.workers), options.workers)
    draw(pairs, options.directory)
    write(pairs, options.directory / REMOVED.name)
    print(f"{len(pairs)} pictures show what another one shows: see {options.directory}")


if __name__ == "__main__":
    main()
