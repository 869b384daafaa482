"""Finds images that may be copies of a query.

Every index proposes images, and every method measures all of them: a copy that is far from the
query by one method may be near by another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.db import connection

from gallery.imaging.descriptors.base import COPY_VERSION, PIXELS_VERSION
from gallery.items.models import Image
from gallery.search.nearest import (
    IMAGE_FIELDS,
    VECTOR_SPACES,
    Filters,
    VectorSpace,
    dimensions,
    image_from_row,
)

PROPOSED_PER_VIEW = {"imgsmlr": 5, "pdq": 10, "cnn": 30, "part": 10, "clip": 10}
"""Number of images that the vector of each view proposes, by method. Learned vectors find copies
that the others miss; the others find pictures without texture."""

MATCH_TYPE_OF_METHOD = {
    "imgsmlr": "imgsmlr",
    "pdq": "pdq",
    "cnn": "copy",
    "part": "copy",
    "clip": "clip",
}
"""Method → the match type whose index it searches."""


@dataclass(frozen=True)
class QueryView:
    """The vectors of a query in SQL's text form, one for each of its views and each method.

    ``pattern`` belongs to the first of ``haar``. ``cnn``: of the whole picture, also without its
    borders; ``part``: of its quarters. ``clip_version``: of the vectors in ``clip``. ``sha256``: of
    the file.
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
        every = [
            ("imgsmlr", PIXELS_VERSION, self.haar),
            ("pdq", PIXELS_VERSION, self.pdq),
            ("cnn", COPY_VERSION, self.cnn),
            ("part", COPY_VERSION, self.part),
            ("clip", self.clip_version, self.clip),
        ]
        return [source for source in every if source[2]]


@dataclass(frozen=True)
class CopyCandidate:
    """An image and its least distance to the query over all views, by method; None if unknown.

    ``row``: the values of ``IMAGE_FIELDS``. Of the candidates of a search few are looked at, and
    making a model of each takes longer than reading it.
    """

    row: Sequence[Any]
    distances: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def pk(self) -> int:
        pk: int = self.row[_PK]
        return pk

    @property
    def sha256(self) -> str:
        sha256: str = self.row[_SHA256]
        return sha256

    @cached_property
    def image(self) -> Image:
        return image_from_row(self.row)


_PK, _SHA256 = IMAGE_FIELDS.index("id"), IMAGE_FIELDS.index("sha256")


def find_candidates(
    query_view: QueryView, filters: Filters | None = None, *, exclude: int = 0
) -> list[CopyCandidate]:
    """Return ready images that may be copies, in no order. ``exclude``: an image's id."""
    return measure_distances(query_view, propose_images(query_view, filters, exclude=exclude))


def propose_images(
    query_view: QueryView, filters: Filters | None = None, *, exclude: int = 0
) -> set[int]:
    """Return the ids of the images nearest to each vector, and of those that are the same file."""
    where, params = (filters or Filters()).sql()
    if exclude:
        where += " AND i.id <> %(exclude)s"
        params["exclude"] = exclude
    proposed = _same_file(query_view.sha256, params, where) if query_view.sha256 else set()
    for method, version, vectors in query_view.sources():
        proposed |= _nearest(method, {**params, "version": version}, vectors, where)
    return proposed


def measure_distances(query_view: QueryView, ids: Collection[int]) -> list[CopyCandidate]:
    """Return those images that are ready, each with its distances, in no order."""
    if not ids:
        return []
    params: dict[str, Any] = {"ids": sorted(ids), "pattern": query_view.pattern}
    fields = ", ".join(f"i.{name}" for name in IMAGE_FIELDS)
    columns, names = [], []
    for method, version, vectors in query_view.sources():
        names.append(method)
        params[f"{method}_version"] = version
        if method == "imgsmlr":
            least, join = (
                "d.pattern <-> %(pattern)s::vector",
                ("JOIN gallery_imagedetail d ON d.fingerprint_id = f.id"),
            )
        else:
            space, join = VECTOR_SPACES[MATCH_TYPE_OF_METHOD[method]], ""
            params |= {f"{method}{n}": vector for n, vector in enumerate(vectors)}
            each = [_distance_sql(space, f"{method}{n}", v) for n, v in enumerate(vectors)]
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
        CopyCandidate(row[len(names) :], dict(zip(names, row[: len(names)], strict=True)))
        for row in rows
    ]


def stored_local_features(ids: Sequence[int]) -> dict[int, bytes]:
    """Return the packed local features by id; images without them are left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT f.item_id, d.local_features FROM gallery_imagefingerprint f "
            "JOIN gallery_imagedetail d ON d.fingerprint_id = f.id "
            "WHERE f.item_id = ANY(%s) AND f.version = %s AND f.view = 'full' "
            "AND d.local_features IS NOT NULL",
            [list(ids), COPY_VERSION],
        )
        return {item: bytes(packed) for item, packed in cursor.fetchall()}


def stored_view(image_id: int, clip_version: str) -> QueryView:
    """Return the ``QueryView`` of a stored image: all views of its first picture."""
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
    return QueryView(haar, pattern, pdq, cnn, clip=clip, clip_version=clip_version)


def _distance_sql(space: VectorSpace, parameter: str, vector: str) -> str:
    """In the form that the index covers."""
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


def _nearest(
    method: str, params: Mapping[str, Any], vectors: Sequence[str], where: str
) -> set[int]:
    space, wanted = VECTOR_SPACES[MATCH_TYPE_OF_METHOD[method]], PROPOSED_PER_VIEW[method]
    queries = {f"query{n}": vector for n, vector in enumerate(vectors)}

    def select(parameter: str, vector: str, exact: str) -> str:
        distance = _distance_sql(space, parameter, vector)
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
    if len(found) < wanted * len(vectors):  # see ``nearest``
        found = run(" + 0")
    return set(found)
