"""Images that may hold a copy of a query: proposed by every index, then measured by every method.

Each index proposes a few for each view of the query. What one method proposes is measured by all
of them: a copy that is far away for one is near for another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from gallery.imaging.descriptors.base import COPY_VERSION, PIXELS_VERSION
from gallery.items.models import Image
from gallery.search.nearest import (
    IMAGE_FIELDS,
    SPACES,
    Filters,
    Space,
    dimensions,
    image_from_row,
)

PROPOSED = {"imgsmlr": 5, "pdq": 10, "cnn": 30, "part": 10, "clip": 10}
"""How many images each view's vector proposes, by method. Learned vectors find the copies that the
others miss; those find what has no texture."""

SPACE = {"imgsmlr": "imgsmlr", "pdq": "pdq", "cnn": "copy", "part": "copy", "clip": "clip"}
"""Method → the match type whose index it asks."""


@dataclass(frozen=True)
class Probe:
    """A described query. Values are in SQL's text form, each with one for each view compared.

    ``pattern`` belongs to the first of ``haar``. ``cnn``: of the whole picture; ``part``: of parts
    of it, which may show less of the image. ``clip_version``: of the vectors in ``clip``.
    ``sha256``: of the file.
    """

    haar: Sequence[str] = ()
    pattern: str | None = None
    pdq: Sequence[str] = ()
    cnn: Sequence[str] = ()
    part: Sequence[str] = ()
    clip: Sequence[str] = ()
    clip_version: str = ""
    sha256: str = ""

    def sources(self) -> list[tuple[str, str, Sequence[str]]]:
        """Method, version and vectors, of those that have any."""
        every = [
            ("imgsmlr", PIXELS_VERSION, self.haar),
            ("pdq", PIXELS_VERSION, self.pdq),
            ("cnn", COPY_VERSION, self.cnn),
            ("part", COPY_VERSION, self.part),
            ("clip", self.clip_version, self.clip),
        ]
        return [source for source in every if source[2]]


@dataclass(frozen=True)
class Candidate:
    """An image and its distance to the query by each method, the least over its views; None: not
    known."""

    image: Image
    distances: Mapping[str, float | None] = field(default_factory=dict)


def candidates(
    probe: Probe, filters: Filters | None = None, *, exclude: int = 0
) -> list[Candidate]:
    """Ready images that may be copies, in no order; ``exclude``: an image that is not meant."""
    where, params = (filters or Filters()).sql()
    if exclude:
        where += " AND i.id <> %(exclude)s"
        params["exclude"] = exclude
    proposed = _same_file(probe.sha256, params, where) if probe.sha256 else set()
    for method, version, vectors in probe.sources():
        proposed |= _propose(method, {**params, "version": version}, vectors, where)
    return _measure(probe, sorted(proposed)) if proposed else []


def local_features(ids: Sequence[int]) -> dict[int, bytes]:
    """The packed local features of images that have some, by id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT f.item_id, d.local_features FROM gallery_imagefingerprint f "
            "JOIN gallery_imagedetail d ON d.fingerprint_id = f.id "
            "WHERE f.item_id = ANY(%s) AND f.version = %s AND f.view = 'full' "
            "AND d.local_features IS NOT NULL",
            [list(ids), COPY_VERSION],
        )
        return {item: bytes(packed) for item, packed in cursor.fetchall()}


def stored_probe(image_id: int, clip_version: str) -> Probe:
    """The probe of a stored image: the vectors of all views of its first picture."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT f.version, f.haar::text, f.pdq::text, f.cnn::text, f.clip::text, "
            "d.pattern::text FROM gallery_imagefingerprint f "
            "LEFT JOIN gallery_imagedetail d ON d.fingerprint_id = f.id "
            "WHERE f.item_id = %s AND f.version IN %s AND f.view NOT LIKE 'frame-%%' "
            "ORDER BY f.view <> 'full', f.view",
            [image_id, (PIXELS_VERSION, COPY_VERSION, clip_version)],
        )
        rows = cursor.fetchall()
    haar, pdq, cnn, clip, patterns = (
        [row[column] for row in rows if row[column] is not None] for column in range(1, 6)
    )
    pattern = patterns[0] if patterns else None
    return Probe(haar, pattern, pdq, cnn, clip=clip, clip_version=clip_version)


def _distance(space: Space, parameter: str, vector: str) -> str:
    """SQL of the distance to a parameter, as the space's index knows it."""
    if space.cast == "halfvec":
        size = dimensions(vector)
        return f"{space.column}::halfvec({size}) {space.operator} %({parameter})s::halfvec({size})"
    return f"{space.column} {space.operator} %({parameter})s::{space.cast}"


def _same_file(sha256: str, params: Mapping[str, Any], where: str) -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT i.id FROM gallery_image i WHERE i.sha256 = %(sha256)s AND {where}",  # noqa: S608
            {**params, "sha256": sha256},
        )
        return {item for (item,) in cursor.fetchall()}


def _propose(
    method: str, params: Mapping[str, Any], vectors: Sequence[str], where: str
) -> set[int]:
    space, wanted = SPACES[SPACE[method]], PROPOSED[method]
    queries = {f"query{n}": vector for n, vector in enumerate(vectors)}

    def select(parameter: str, vector: str, exact: str) -> str:
        distance = _distance(space, parameter, vector)
        return (
            f"(SELECT f.item_id FROM gallery_imagefingerprint f "  # noqa: S608
            f"WHERE f.version = %(version)s AND {space.column} IS NOT NULL "
            f"AND (SELECT {where} FROM gallery_image i WHERE i.id = f.item_id) "
            f"ORDER BY ({distance}){exact} LIMIT {wanted})"
        )

    def run(exact: str) -> list[int]:
        sql = " UNION ALL ".join(select(*query, exact) for query in queries.items())
        with connection.cursor() as cursor:
            cursor.execute(
                f"SET LOCAL hnsw.ef_search = {space.ef_search}; "
                f"SET LOCAL hnsw.iterative_scan = strict_order; {sql}",
                {**params, **queries},
            )
            return [item for (item,) in cursor.fetchall()]

    found = run("")
    if len(found) < wanted * len(vectors):  # filtered, or a small gallery: see gallery.search
        found = run(" + 0")
    return set(found)


def _measure(probe: Probe, ids: Sequence[int]) -> list[Candidate]:
    """Every distance of these images, those that are still ready."""
    params: dict[str, Any] = {"ids": list(ids), "pattern": probe.pattern}
    fields = ", ".join(f"i.{name}" for name in IMAGE_FIELDS)
    columns, names = [], []
    for method, version, vectors in probe.sources():
        names.append(method)
        params[f"{method}_version"] = version
        if method == "imgsmlr":
            least, join = (
                "d.pattern <-> %(pattern)s::vector",
                ("JOIN gallery_imagedetail d ON d.fingerprint_id = f.id"),
            )
        else:
            space, join = SPACES[SPACE[method]], ""
            params |= {f"{method}{n}": vector for n, vector in enumerate(vectors)}
            each = [_distance(space, f"{method}{n}", v) for n, v in enumerate(vectors)]
            least = f"LEAST({', '.join(each)})"
        columns.append(
            f"(SELECT min({least}) FROM gallery_imagefingerprint f {join} "  # noqa: S608
            f"WHERE f.item_id = i.id AND f.version = %({method}_version)s)"
        )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join([*columns, fields])} FROM gallery_image i "  # noqa: S608
            "WHERE i.id = ANY(%(ids)s) AND i.status = 'ready'",
            params,
        )
        rows = cursor.fetchall()
    return [
        Candidate(
            image_from_row(row[len(names) :]), dict(zip(names, row[: len(names)], strict=True))
        )
        for row in rows
    ]
