"""Asks real pictures that no gallery has, and edited copies of pictures that it has."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.recall import corpus, transforms
from benchmarks.recall.corpus import Source
from benchmarks.scale.loading import CLIP_VERSION
from benchmarks.scale.real import Pictures
from benchmarks.scale.truth import Asked, Truth
from benchmarks.scale.world import World
from benchmarks.stages import Stages

LIMIT = 10
FAR = 1e9
EXACT = 10
"""Searches without an index that are timed."""
EDITS = ("jpeg q30", "crop to 70 %", "rotate 5°", "border 10 %", "logo", "caption bar")
MATCH_TYPES = ("imgsmlr", "pdq", "copy", "clip")
CLOSE = 1e-5
"""Distances are rounded to six digits by the service, and added up in another order here."""


@dataclass(frozen=True)
class Query:
    """``copy``: a ``CopyQuery``. ``shows``: the place of the original among the pictures, or -1.

    ``columns``: match type → the columns that its search gets.
    """

    copy: Any
    columns: Mapping[str, Mapping[str, Any]]
    shows: int


@dataclass(frozen=True)
class Recalled:
    """``recall``: share of the first ten that are as near as the true ten; ``exact_p50``: without
    an index. Milliseconds by the clock, and of processors: of the search and of PostgreSQL."""

    recall: float
    p50: float
    p95: float
    cpu_p50: float
    cpu_p95: float
    exact_p50: float = 0.0


@dataclass
class Timed:
    """Runs searches and keeps how long they took. The first half of them warms up."""

    clock: list[float] = field(default_factory=list)
    counted: Stages = field(default_factory=Stages)

    def run(self, search: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        found = self.counted.request(search)
        self.clock.append(1000 * (time.perf_counter() - started))
        return found

    def figures(self, recalls: Sequence[float], exact_p50: float = 0.0) -> Recalled:
        times = self.clock, [1000 * seconds for seconds in self.counted.requests]
        (p50, p95), (cpu_p50, cpu_p95) = (
            np.percentile(values[len(values) // 2 :], [50, 95]).tolist() for values in times
        )
        return Recalled(float(np.mean(recalls)), p50, p95, cpu_p50, cpu_p95, exact_p50)


def queries(real: Pictures, strangers: Sequence[Source], world: World, count: int) -> list[Query]:
    """Describe ``count`` queries, every second of them a picture that no gallery has."""
    places = np.linspace(0, len(real) - 1, count // 2).astype(int)
    found = []
    for n in range(count):
        if n % 2:
            data = transforms.encoded(corpus.pixels(strangers[n // 2]))
            found.append(_query(data, world, -1))
        else:
            at = int(places[n // 2])
            source, edit = real.sources[at], EDITS[n // 2 % len(EDITS)]
            data = transforms.edited(edit, source.key, corpus.pixels(source))
            found.append(_query(data, world, at))
    return [query for query in found if query is not None]


def _query(data: bytes, world: World, shows: int) -> Query | None:
    from gallery.imaging import decoding, descriptors
    from gallery.items import conf
    from gallery.items.vectors import encode
    from gallery.search import copy_search

    picture = decoding.decode(data, conf.limits())
    columns = {
        name: descriptors.get(name).describe([picture])[0] for name in ("imgsmlr", "pdq", "copy")
    }
    if not all(columns.values()):
        return None
    clip = world.clip(columns["copy"]["cnn"][np.newaxis])[0].astype(np.float32)
    columns["clip"] = {"clip": clip}
    described = copy_search.describe_query(picture, "auto")
    # What computes further vectors belongs to embedding: it is done before the search is timed.
    further = tuple(_known(compute()) for compute in described.further)
    view = replace(described.view, clip=[encode(clip)], clip_version=CLIP_VERSION)
    return Query(replace(described, view=view, further=further), columns, shows)


def _known(views: Any) -> Callable[[], Any]:
    return lambda: views


def asked(found: Sequence[Query]) -> Asked:
    def stacked(match_type: str, name: str) -> NDArray[Any]:
        return np.stack([query.columns[match_type][name] for query in found])

    bits = np.array([[*query.columns["pdq"]["pdq"]] for query in found], np.uint8)
    return Asked(
        stacked("imgsmlr", "haar"),
        np.packbits(bits, axis=1),
        # Queries reach PostgreSQL as text of floats, and are rounded to halves there.
        stacked("copy", "cnn").astype(np.float16),
        stacked("clip", "clip").astype(np.float16),
    )


def measure(found: Sequence[Query], truth: Truth) -> dict[str, Recalled]:
    """Return the figures of all match types."""
    rows = {kind: measure_nearest(kind, found, truth, exact=0) for kind in MATCH_TYPES}
    more, _ = measure_auto(found, truth)
    return rows | more


def measure_nearest(
    kind: str, found: Sequence[Query], truth: Truth, exact: int = EXACT
) -> Recalled:
    timed, exactly, recalls = Timed(), Timed(), []
    for n, query in enumerate(found):
        nearest = truth.distances[kind][n, :LIMIT]
        if kind == "imgsmlr":
            nearest = _by_pattern(query, truth.ids[kind][n])
        distances = timed.run(partial(_search, kind, query, exact=False))
        recalls.append((distances <= nearest[-1] + CLOSE).sum() / LIMIT)
    for query in found[:exact]:
        exactly.run(partial(_search, kind, query, exact=True))
    return timed.figures(recalls, float(np.median(exactly.clock)) if exact else 0.0)


def _search(kind: str, query: Query, *, exact: bool) -> NDArray[np.float64]:
    """Return the distances of the ten nearest."""
    from gallery.search.nearest import nearest_images
    from gallery.search.vector_index import EVERY_ROW, PGVECTOR

    matches = nearest_images(
        kind,
        _version(kind),
        query.columns[kind],
        threshold=FAR,
        limit=LIMIT,
        index=EVERY_ROW if exact else PGVECTOR,
    )
    return np.array([match.distance for match in matches])


def _version(kind: str) -> str:
    from gallery.imaging.descriptors.base import COPY_VERSION, PIXELS_VERSION

    return {"copy": COPY_VERSION, "clip": CLIP_VERSION}.get(kind, PIXELS_VERSION)


def _by_pattern(query: Query, ids: NDArray[np.int64]) -> NDArray[Any]:
    """Return the ten least distances of patterns among the nearest signatures, as the search by
    imgsmlr ranks them."""
    from django.db import connection

    from gallery.imaging.descriptors.stored_patterns import PatternQuery
    from gallery.search.nearest import RERANK_FACTOR

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pattern FROM gallery_imagedetail WHERE fingerprint_id = ANY(%s)",
            [(3 * ids[: RERANK_FACTOR * LIMIT]).tolist()],
        )
        packed = [bytes(pattern) for (pattern,) in cursor.fetchall()]
    pattern = PatternQuery.of(query.columns["imgsmlr"]["pattern"])
    return np.sort(pattern.distances(packed))[:LIMIT]


def measure_auto(found: Sequence[Query], truth: Truth) -> tuple[dict[str, Recalled], float]:
    """Return the figures of all that ``auto`` does beyond embedding and of its first statement,
    and the share of copies that it finds first."""
    from gallery.search.copy_candidates import find_candidates
    from gallery.search.copy_search import search_copies
    from gallery.search.nearest import INCLUSIVE

    recalls, first, sql, every = list[float](), list[bool](), Timed(), Timed()
    for n, query in enumerate(found):
        candidates = sql.run(partial(find_candidates, query.copy.view))
        recalls.append(_proposed({one.pk for one in candidates}, candidates, truth, n))
        matches = every.run(
            partial(
                search_copies,
                query.copy,
                "auto",
                threshold=1.0,
                limit=LIMIT,
                filters=None,
                rule=INCLUSIVE,
            )
        )
        if query.shows >= 0:
            shown = f"scale/{query.shows}.jpg"
            first.append(bool(matches) and matches[0].image.thumbnail.name == shown)
    rows = {"auto": every.figures(recalls), "auto: SQL": sql.figures(recalls)}
    return rows, float(np.mean(first))


def _proposed(ids: set[int], candidates: Sequence[Any], truth: Truth, n: int) -> float:
    """Return the share of what each method should propose that is among the candidates."""
    from gallery.search.copy_candidates import PROPOSED_PER_VIEW

    shares = []
    for kind, method in (("imgsmlr", "imgsmlr"), ("pdq", "pdq"), ("copy", "cnn"), ("clip", "clip")):
        wanted = PROPOSED_PER_VIEW[method]
        if kind == "imgsmlr":  # candidates have the distances of patterns, not of signatures
            hits = len(ids & set(truth.ids[kind][n, :wanted].tolist()))
        else:
            farthest = truth.distances[kind][n, wanted - 1] + CLOSE
            distances = [one.distances[method] for one in candidates]
            hits = sum(far is not None and far <= farthest for far in distances)
        shares.append(min(hits, wanted) / wanted)
    return float(np.mean(shares))
