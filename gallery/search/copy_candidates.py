"""Finds images that may be copies of a query.

Every index proposes images, and every method measures all of them: a copy that is far from the
query by one method may be near by another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from django.db import connection

from gallery.imaging.descriptors.base import COPY_VERSION, PIXELS_VERSION
from gallery.imaging.descriptors.stored_patterns import PatternQuery
from gallery.items.models import Image
from gallery.search import replica
from gallery.search.milvus_index import index_in_use
from gallery.search.nearest import IMAGE_FIELDS, Filters, image_from_row
from gallery.search.vector_index import (
    VECTOR_SPACES,
    Proposal,
    Question,
    near_sql,
    settings_sql,
)

PROPOSED_PER_VIEW = {"imgsmlr": 5, "pdq": 10, "cnn": 30, "part": 10, "clip": 10}
"""Number of images that the vector of each view proposes, by method. Learned vectors find copies
that the others miss; the others find pictures without texture."""

EF_SEARCH = 200
"""Of all indexes, which one statement asks: at least six times what a vector proposes."""

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
    pattern: PatternQuery | None = None
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

    def measured_by_sql(self) -> list[tuple[str, str, Sequence[str]]]:
        """Of imgsmlr the index only knows signatures."""
        return [source for source in self.sources() if source[0] != "imgsmlr"]


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
    query_view: QueryView,
    filters: Filters | None = None,
    *,
    exclude: int = 0,
    asked: QueryView | None = None,
    known: Collection[int] = (),
) -> list[CopyCandidate]:
    """Return ready images that may be copies, in no order, each with its distances by all vectors.

    The images nearest to each vector are proposed, and those that are the same file. ``exclude``:
    an image's id. ``asked``: the vectors that propose, if not all of them do; ``known``: ids that
    were proposed before.
    """
    asked = asked or query_view
    where, params = (filters or Filters()).sql()
    params |= {"sha256": asked.sha256, "exclude": exclude, "known": list(known)}
    if exclude:
        where += " AND i.id <> %(exclude)s"
    questions = [
        (
            method,
            Question(
                MATCH_TYPE_OF_METHOD[method],
                version,
                vector,
                PROPOSED_PER_VIEW[method],
                filtered=bool(filters),
            ),
        )
        for method, version, vectors in asked.sources()
        for vector in vectors
    ]
    if not (questions or asked.sha256 or known):
        return []
    found = index_in_use().propose([question for _, question in questions])
    proposed = [(*asked_by, one) for asked_by, one in zip(questions, found, strict=True)]
    rows, short = _found(query_view, asked.sha256, proposed, where, params)
    if short:  # see ``nearest``
        proposed = [
            (method, question, Proposal(exact=True) if method in short else one)
            for method, question, one in proposed
        ]
        rows, _ = _found(query_view, asked.sha256, proposed, where, params)
    names = [method for method, _, _ in query_view.measured_by_sql()]
    candidates = [
        CopyCandidate(row[len(names) :], dict(zip(names, row[: len(names)], strict=True)))
        for row in rows
    ]
    if query_view.pattern is None:
        return candidates
    far = _pattern_distances(query_view.pattern, [one.pk for one in candidates])
    return [
        replace(one, distances={**one.distances, "imgsmlr": far.get(one.pk)}) for one in candidates
    ]


def _found(
    query_view: QueryView,
    sha256: str,
    proposed: Sequence[tuple[str, Question, Proposal]],
    where: str,
    params: Mapping[str, Any],
) -> tuple[list[Any], set[str]]:
    """Return the rows of the candidates, and the methods that proposed fewer than they should.

    One statement takes the proposals of all methods and measures: a statement for each took as long
    again to plan and to be sent.
    """
    values = dict(params)
    near, wanted = dict[str, list[str]](), Counter[str]()
    for n, (method, question, proposal) in enumerate(proposed):
        scan, of_scan = near_sql(question, proposal, f"near{n}", where)
        near.setdefault(method, []).append(f"(SELECT item_id FROM ({scan}) n{n})")  # noqa: S608
        wanted[method] += question.wanted
        values |= of_scan
    tables = [f"near_{name} AS MATERIALIZED ({' UNION ALL '.join(s)})" for name, s in near.items()]
    counts = [f"(SELECT count(*) FROM near_{method})" for method in near]  # noqa: S608
    ids = [f"SELECT item_id FROM near_{method}" for method in near]  # noqa: S608
    if sha256:
        ids.append(f"SELECT i.id FROM gallery_image i WHERE i.sha256 = %(sha256)s AND {where}")  # noqa: S608
    ids.append("SELECT unnest(%(known)s::bigint[])")
    columns = []
    for method, version, vectors in query_view.measured_by_sql():
        values[f"{method}_version"] = version
        values |= {f"{method}{n}": vector for n, vector in enumerate(vectors)}
        columns.append(_least_sql(method, vectors))
    fields = ", ".join(f"i.{name}" for name in IMAGE_FIELDS)
    begin = f"WITH {', '.join(tables)} " if tables else ""
    with replica.connection().cursor() as cursor:
        cursor.execute(
            f"{settings_sql(EF_SEARCH)}{begin}"  # noqa: S608
            f"SELECT {', '.join([*counts, *columns, fields])} FROM gallery_image i "
            f"WHERE i.id = ANY(ARRAY({' UNION '.join(ids)})) AND i.status = 'ready'",
            values,
        )
        rows = cursor.fetchall()
    # Without a row nothing was proposed.
    counted = dict(zip(near, rows[0] if rows else [0] * len(near), strict=False))
    return [row[len(near) :] for row in rows], {m for m in near if counted[m] < wanted[m]}


def _least_sql(method: str, vectors: Sequence[str]) -> str:
    """Return a column: the least distance of an image ``i`` to these vectors."""
    space = VECTOR_SPACES[MATCH_TYPE_OF_METHOD[method]]
    each = [space.distance_sql(f"{method}{n}", vector) for n, vector in enumerate(vectors)]
    return (
        f"(SELECT min(LEAST({', '.join(each)})) FROM gallery_imagefingerprint f "  # noqa: S608
        f"WHERE f.item_id = i.id AND f.version = %({method}_version)s)"
    )


def _pattern_distances(query: PatternQuery, ids: Sequence[int]) -> dict[int, float]:
    """Return the least distance of the patterns of each image that has some."""
    with replica.connection().cursor() as cursor:
        cursor.execute(
            "SELECT f.item_id, d.pattern FROM gallery_imagefingerprint f "
            "JOIN gallery_imagedetail d ON d.fingerprint_id = f.id "
            "WHERE f.item_id = ANY(%s) AND f.version = %s AND d.pattern IS NOT NULL",
            [list(ids), PIXELS_VERSION],
        )
        return query.least([(item, bytes(packed)) for item, packed in cursor.fetchall()])


def stored_local_features(ids: Sequence[int]) -> dict[int, bytes]:
    """Return the packed local features by id; images without them are left out."""
    with replica.connection().cursor() as cursor:
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
            "d.pattern FROM gallery_imagefingerprint f "
            "LEFT JOIN gallery_imagedetail d ON d.fingerprint_id = f.id "
            "WHERE f.item_id = %s AND f.version IN %s AND f.view NOT LIKE 'frame-%%' "
            "ORDER BY f.view <> 'full', f.view",
            [image_id, (PIXELS_VERSION, COPY_VERSION, clip_version)],
        )
        rows = cursor.fetchall()
    haar, pdq, cnn, clip, patterns = (
        [row[column] for row in rows if row[column] is not None] for column in range(1, 6)
    )
    pattern = PatternQuery.of(bytes(patterns[0])) if patterns else None
    return QueryView(haar, pattern, pdq, cnn, clip=clip, clip_version=clip_version)
