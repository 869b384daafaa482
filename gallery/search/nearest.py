"""Finds the images nearest to a described query in one SQL statement, the threshold outside the
scan.

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

from gallery.imaging import geometry
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

    ``columns``: a descriptor's values for the query, as arrays or in SQL's text form. ``index``:
    that which proposes, if not the configured one.
    """
    space = VECTOR_SPACES[match_type]
    question = Question(
        match_type,
        version,
        encode(columns[space.column]),
        limit * (RERANK_FACTOR if space.rerank else 1),
        filtered=bool(filters),
    )
    where, params = (filters or Filters()).sql()
    params |= {
        "detail": encode(columns[space.rerank]) if space.rerank else None,
        "threshold": threshold,
        "limit": limit,
        "digits": rule.digits,
    }
    (proposal,) = (index or index_in_use()).propose([question])
    scanned, matches = _run(question, proposal, where, params, rule)
    if scanned < question.wanted and not proposal.exact:
        _, matches = _run(question, Proposal(exact=True), where, params, rule)
    return matches


def stored_columns(image_id: int, match_type: str, version: str) -> dict[str, str] | None:
    """Return the vectors of an image's ``full`` view in SQL's text form; None if there are none."""
    space = VECTOR_SPACES[match_type]
    detail = ", d.pattern::text" if space.rerank else ""
    join = "JOIN gallery_imagedetail d ON d.fingerprint_id = f.id" if space.rerank else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT f.{space.column}::text{detail} FROM gallery_imagefingerprint f {join} "  # noqa: S608
            f"WHERE f.item_id = %s AND f.view = 'full' AND f.version = %s "
            f"AND f.{space.column} IS NOT NULL",
            [image_id, version],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    names = [space.column, *([space.rerank] if space.rerank else [])]
    return dict(zip(names, row, strict=True))


IMAGE_FIELDS = [field.attname for field in Image._meta.concrete_fields]
_META = IMAGE_FIELDS.index("meta")


def statement(
    question: Question, proposal: Proposal, where: str, rule: ThresholdRule
) -> tuple[str, dict[str, Any]]:
    """Return the search as one SQL statement, with the parameters of its scan; its first column is
    the number of candidates scanned."""
    scan, params = near_sql(question, proposal, "query", where)
    ranked = "n.distance"
    join = ""
    if rerank := question.space.rerank:
        # Used once: parsing 4,096 numbers in text form takes as long as the whole scan.
        ranked = f"d.{rerank} <-> %(detail)s::vector"
        join = "JOIN gallery_imagedetail d ON d.fingerprint_id = n.fingerprint_id"
    compared = "distance" if rule.round_first else "exactly"
    fields = ", ".join(f"i.{name}" for name in IMAGE_FIELDS)
    sql = f"""
        WITH nearest AS MATERIALIZED ({scan}), ranked AS (
            SELECT item_id, exactly, round(exactly::numeric, %(digits)s) AS distance
            FROM (SELECT n.item_id, min({ranked}) AS exactly
                  FROM nearest n {join} GROUP BY n.item_id) AS ranks
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
    looked_at = question.space.looked_at(params["threshold"])
    ef_search = min(1000, max(looked_at, 2 * question.wanted))
    with replica.connection().cursor() as cursor:
        cursor.execute(settings_sql(ef_search) + sql, {**params, **of_scan})
        rows = cursor.fetchall()
    matches = [
        ImageMatch(image_from_row(row[2:]), float(row[1])) for row in rows if row[1] is not None
    ]
    return rows[0][0], matches


def still_shown(matches: Sequence[ImageMatch], filters: Filters | None) -> list[ImageMatch]:
    """Return the matches whose images are ready and pass the filters now, as they are now.

    For matches that a replica found.
    """
    where, params = (filters or Filters()).sql()
    fields = ", ".join(f"i.{name}" for name in IMAGE_FIELDS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {fields} FROM gallery_image i WHERE i.id = ANY(%(ids)s) AND {where}",  # noqa: S608
            {**params, "ids": [match.image.pk for match in matches]},
        )
        images = {image.pk: image for image in map(image_from_row, cursor.fetchall())}
    return [
        replace(match, image=images[match.image.pk])
        for match in matches
        if match.image.pk in images
    ]


def image_from_row(row: Sequence[Any]) -> Image:
    values = list(row)
    if values[_META] is not None:  # Django leaves jsonb as text for raw cursors
        values[_META] = orjson.loads(values[_META])
    return Image.from_db("default", IMAGE_FIELDS, values)
