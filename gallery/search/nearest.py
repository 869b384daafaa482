"""Finds the images nearest to a described query in one SQL statement, the threshold outside the
scan. For ``imgsmlr`` SQL finds signatures, and their patterns are compared here.

The raw statement takes a third of the time of the same query through the ORM (docs/benchmarks.md).
A filtered HNSW scan may end before it has found enough candidates. Then the search is repeated
exactly, without the index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from gallery.imaging import geometry
from gallery.imaging.descriptors.stored_patterns import PatternQuery
from gallery.items.models import Image
from gallery.items.vectors import encode
from gallery.search import replica
from gallery.search.milvus_index import index_in_use
from gallery.search.vector_index import (
    VECTOR_SPACES,
    Proposal,
    Question,
    VectorIndex,
    near_sql,
    settings_sql,
)

RERANK_FACTOR = 3
"""imgsmlr fetches this many signatures for each result wanted, as the original does."""


@dataclass(frozen=True)
class Filters:
    """Restricts results by the start of data_id and by keys of meta."""

    data_id_prefix: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.data_id_prefix or self.meta)

    def sql(self) -> tuple[str, dict[str, Any]]:
        """Return conditions on ``i`` (gallery_image), with their parameters."""
        conditions, params = ["i.status = 'ready'"], dict[str, Any]()
        if self.data_id_prefix:
            conditions.append("i.data_id LIKE %(prefix)s")
            escaped = self.data_id_prefix.replace("\\", r"\\").replace("%", r"\%")
            params["prefix"] = escaped.replace("_", r"\_") + "%"
        if self.meta:
            conditions.append("i.meta @> %(meta)s::jsonb")
            params["meta"] = orjson.dumps(self.meta).decode()
        return " AND ".join(conditions), params


@dataclass(frozen=True)
class ThresholdRule:
    """How a distance is compared with a threshold, and whether it is rounded before that."""

    operator: str = "<="
    digits: int = 6
    round_first: bool = True

    def is_met(self, distance: float, threshold: float) -> bool:
        """Return whether a distance that is rounded already is within the threshold."""
        return distance < threshold or (distance == threshold and self.operator == "<=")


INCLUSIVE = ThresholdRule()


@dataclass(frozen=True)
class ImageMatch:
    """One image found, and its rounded distance from the query.

    Copy searches add the confidence, the distance by each method, the geometric match, and on
    request an ``explanation``: a JPEG of both side by side.
    """

    image: Image
    distance: float
    confidence: float | None = None
    methods: Mapping[str, float] = field(default_factory=dict)
    geometry: geometry.GeometricMatch | None = None
    explanation: bytes | None = None


def nearest_images(
    match_type: str,
    version: str,
    columns: Mapping[str, Any],
    *,
    threshold: float,
    limit: int,
    filters: Filters | None = None,
    rule: ThresholdRule = INCLUSIVE,
    index: VectorIndex | None = None,
) -> list[ImageMatch]:
    """Return the ``limit`` nearest ready images within ``threshold``, by distance, then id.

    ``columns``: a descriptor's values for the query, as arrays or as they are stored, vectors in
    SQL's text form. ``index``: that which proposes, if not the configured one.
    """
    where, params = (filters or Filters()).sql()
    by_pattern = match_type == "imgsmlr"
    question = Question(
        match_type,
        version,
        encode(columns[VECTOR_SPACES[match_type].column]),
        limit * (RERANK_FACTOR if by_pattern else 1),
        filtered=bool(filters),
    )
    params |= {"threshold": threshold, "limit": limit, "digits": rule.digits}
    pattern = PatternQuery.of(columns["pattern"]) if by_pattern else None

    def run(proposal: Proposal) -> tuple[int, list[ImageMatch]]:
        if pattern is None:
            return _run(question, proposal, where, params, rule)
        return _run_by_pattern(question, pattern, proposal, where, params, rule)

    (proposal,) = (index or index_in_use()).propose([question])
    scanned, matches = run(proposal)
    if scanned < question.wanted and not proposal.exact:
        _, matches = run(Proposal(exact=True))
    return matches


def stored_columns(image_id: int, match_type: str, version: str) -> dict[str, Any] | None:
    """Return what is stored of an image's ``full`` view, vectors in SQL's text form; None if there
    is nothing."""
    space = VECTOR_SPACES[match_type]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT f.{space.column}::text, d.pattern FROM gallery_imagefingerprint f "  # noqa: S608
            "LEFT JOIN gallery_imagedetail d ON d.fingerprint_id = f.id "
            f"WHERE f.item_id = %s AND f.view = 'full' AND f.version = %s "
            f"AND f.{space.column} IS NOT NULL",
            [image_id, version],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    vector, pattern = row
    return {space.column: vector} | ({} if pattern is None else {"pattern": bytes(pattern)})


IMAGE_FIELDS = [field.attname for field in Image._meta.concrete_fields]
_META = IMAGE_FIELDS.index("meta")


def statement(
    question: Question, proposal: Proposal, where: str, rule: ThresholdRule
) -> tuple[str, dict[str, Any]]:
    """Return the search as one SQL statement, with the parameters of its scan; its first column is
    the number of candidates scanned."""
    scan, params = near_sql(question, proposal, "query", where)
    compared = "distance" if rule.round_first else "exactly"
    fields = ", ".join(f"i.{name}" for name in IMAGE_FIELDS)
    sql = f"""
        WITH nearest AS MATERIALIZED ({scan}), ranked AS (
            SELECT item_id, exactly, round(exactly::numeric, %(digits)s) AS distance
            FROM (SELECT n.item_id, min(n.distance) AS exactly
                  FROM nearest n GROUP BY n.item_id) AS ranks
        ), best AS (
            SELECT item_id, distance FROM ranked
            WHERE {compared} {rule.operator} %(threshold)s
            ORDER BY distance, item_id LIMIT %(limit)s
        )
        SELECT c.scanned, b.distance, {fields}
        FROM (SELECT count(*) AS scanned FROM nearest) c
        LEFT JOIN best b ON true LEFT JOIN gallery_image i ON i.id = b.item_id
        ORDER BY b.distance, b.item_id
    """  # noqa: S608 (every piece is a constant of these modules)
    return sql, params


def _run(
    question: Question,
    proposal: Proposal,
    where: str,
    params: Mapping[str, Any],
    rule: ThresholdRule,
) -> tuple[int, list[ImageMatch]]:
    sql, of_scan = statement(question, proposal, where, rule)
    rows = _fetched(question, sql, {**params, **of_scan})
    matches = [
        ImageMatch(image_from_row(row[2:]), float(row[1])) for row in rows if row[1] is not None
    ]
    return rows[0][0], matches


def _run_by_pattern(
    question: Question,
    pattern: PatternQuery,
    proposal: Proposal,
    where: str,
    params: Mapping[str, Any],
    rule: ThresholdRule,
) -> tuple[int, list[ImageMatch]]:
    """``_run`` for imgsmlr: the patterns of the nearest signatures are compared here, as SQL cannot
    read what is stored of them."""
    scan, of_scan = near_sql(question, proposal, "query", where)
    sql = (
        f"WITH nearest AS MATERIALIZED ({scan}) SELECT n.item_id, d.pattern FROM nearest n "  # noqa: S608
        "LEFT JOIN gallery_imagedetail d ON d.fingerprint_id = n.fingerprint_id"
    )
    rows = _fetched(question, sql, {**params, **of_scan})
    found = [(item, bytes(packed)) for item, packed in rows if packed is not None]
    least = pattern.least(found, params["threshold"] + 10**-rule.digits)
    ranked = sorted(
        (distance, item)
        for item, exactly in least.items()
        for distance in [round(exactly, rule.digits)]
        if rule.is_met(distance if rule.round_first else exactly, params["threshold"])
    )
    best = ranked[: params["limit"]]
    images = _shown(replica.connection(), [item for _, item in best], where, params)
    return len(rows), [ImageMatch(images[item], far) for far, item in best if item in images]


def _fetched(question: Question, sql: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    looked_at = question.space.looked_at(params["threshold"])
    ef_search = min(1000, max(looked_at, 2 * question.wanted))
    with replica.connection().cursor() as cursor:
        cursor.execute(settings_sql(ef_search) + sql, params)
        return list(cursor.fetchall())


def still_shown(matches: Sequence[ImageMatch], filters: Filters | None) -> list[ImageMatch]:
    """Return the matches whose images are ready and pass the filters now, as they are now.

    For matches that a replica found.
    """
    where, params = (filters or Filters()).sql()
    images = _shown(connection, [match.image.pk for match in matches], where, params)
    return [
        replace(match, image=images[match.image.pk])
        for match in matches
        if match.image.pk in images
    ]


def _shown(
    database: BaseDatabaseWrapper, ids: Sequence[int], where: str, params: Mapping[str, Any]
) -> dict[int, Image]:
    """Return those of the images that are ready and pass the filters, by id."""
    fields = ", ".join(f"i.{name}" for name in IMAGE_FIELDS)
    with database.cursor() as cursor:
        cursor.execute(
            f"SELECT {fields} FROM gallery_image i WHERE i.id = ANY(%(ids)s) AND {where}",  # noqa: S608
            {**params, "ids": list(ids)},
        )
        return {image.pk: image for image in map(image_from_row, cursor.fetchall())}


def image_from_row(row: Sequence[Any]) -> Image:
    values = list(row)
    if values[_META] is not None:  # Django leaves jsonb as text for raw cursors
        values[_META] = orjson.loads(values[_META])
    return Image.from_db("default", IMAGE_FIELDS, values)
