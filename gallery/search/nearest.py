"""Nearest images of a described query: one SQL statement a search, thresholds outside the scan.

What was measured (docs/benchmarks.md): the raw statement takes a third of the time of the same
query through the ORM; an HNSW scan that is filtered may end before it has found enough, so an
answer with fewer candidates than asked for is computed again exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import connection

from gallery.imaging import geometry
from gallery.items.models import Image
from gallery.items.vectors import encode

EXACT_ABOVE = 500
"""Candidates beyond which HNSW (ef_search ≤ 1,000) is not used."""
RERANK_FACTOR = 3
"""imgsmlr looks at this many signatures for each result asked for, as the original does."""


@dataclass(frozen=True)
class Space:
    """Where one match type's vectors lie, and how far apart two of them are."""

    column: str
    operator: str
    cast: str
    ef_search: int
    rerank: str | None = None


SPACES: Mapping[str, Space] = {
    "imgsmlr": Space("f.haar", "<->", "vector(16)", 60, rerank="pattern"),
    "pdq": Space("f.pdq", "<~>", "bit(256)", 400),
    "copy": Space("f.cnn", "<=>", "halfvec(512)", 200),
    "clip": Space("f.clip", "<=>", "halfvec", 200),
}


@dataclass(frozen=True)
class Filters:
    """Which images may be found: by the start of their data_id, and by keys of their meta."""

    data_id_prefix: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    def sql(self) -> tuple[str, dict[str, Any]]:
        """Conditions on ``i`` (gallery_image), with their parameters."""
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
class Comparison:
    """How a distance meets the threshold, and whether it is rounded before or after that."""

    operator: str = "<="
    digits: int = 6
    round_first: bool = True


INCLUSIVE = Comparison()


@dataclass(frozen=True)
class Match:
    """One image found, and how far it is from the query, rounded.

    Searches for copies also say how sure they are, what each method measured, where the query
    shows the image, and on request as a JPEG: both side by side.
    """

    image: Image
    distance: float
    confidence: float | None = None
    methods: Mapping[str, float] = field(default_factory=dict)
    geometry: geometry.Match | None = None
    explanation: bytes | None = None


def nearest(
    match_type: str,
    version: str,
    columns: Mapping[str, Any],
    *,
    threshold: float,
    limit: int,
    filters: Filters | None = None,
    comparison: Comparison = INCLUSIVE,
) -> list[Match]:
    """The ``limit`` nearest ready images within ``threshold``, by distance, then id.

    ``columns`` are a descriptor's values for the query, arrays or already in SQL's text form.
    """
    space = SPACES[match_type]
    wanted = limit * (RERANK_FACTOR if space.rerank else 1)
    where, params = (filters or Filters()).sql()
    params |= {
        "version": version,
        "query": encode(columns[space.column.removeprefix("f.")]),
        "detail": encode(columns[space.rerank]) if space.rerank else None,
        "wanted": wanted,
        "threshold": threshold,
        "limit": limit,
        "digits": comparison.digits,
    }
    if space.cast == "halfvec":
        params["dimensions"] = dimensions(params["query"])
    exact = wanted > EXACT_ABOVE
    scanned, matches = _run(space, where, params, comparison, exact=exact)
    if scanned < wanted and not exact:
        _, matches = _run(space, where, params, comparison, exact=True)
    return matches


def stored_columns(image_id: int, match_type: str, version: str) -> dict[str, str] | None:
    """The stored vectors of an image's ``full`` view in SQL's text form, or None."""
    space = SPACES[match_type]
    detail = ", d.pattern::text" if space.rerank else ""
    join = "JOIN gallery_imagedetail d ON d.fingerprint_id = f.id" if space.rerank else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {space.column}::text{detail} FROM gallery_imagefingerprint f {join} "  # noqa: S608
            f"WHERE f.item_id = %s AND f.view = 'full' AND f.version = %s "
            f"AND {space.column} IS NOT NULL",
            [image_id, version],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    names = [space.column.removeprefix("f."), *([space.rerank] if space.rerank else [])]
    return dict(zip(names, row, strict=True))


IMAGE_FIELDS = [field.attname for field in Image._meta.concrete_fields]
META = IMAGE_FIELDS.index("meta")


def dimensions(vector: str) -> int:
    """The length of a vector in SQL's text form."""
    return vector.count(",") + 1


def statement(space: Space, where: str, comparison: Comparison, *, exact: bool) -> str:
    """The search as one SQL statement; its rows start with the number of candidates seen.

    ``+ 0`` hides the distance from the planner's index matching, which makes the scan exact. An
    index scan looks each image up by its id, in a subquery that the planner cannot turn into a
    join: before the tables are analysed it would join by status, every ready image each time.
    """
    column = space.column
    if space.cast == "halfvec":
        # Only this cast matches the partial index of one model's version.
        column, cast = "f.clip::halfvec(%(dimensions)s)", "halfvec(%(dimensions)s)"
    else:
        cast = space.cast
    distance = f"{column} {space.operator} %(query)s::{cast}"
    order = f"({distance}) + 0" if exact else distance
    source, condition = "", f"(SELECT {where} FROM gallery_image i WHERE i.id = f.item_id)"  # noqa: S608
    if exact:
        source, condition = "JOIN gallery_image i ON i.id = f.item_id", where
    ranked = "n.distance"
    join = ""
    if space.rerank:
        # Named once: 4,096 numbers in text form take as long to read as the whole scan.
        ranked = f"d.{space.rerank} <-> %(detail)s::vector"
        join = "JOIN gallery_imagedetail d ON d.fingerprint_id = n.fingerprint_id"
    compared = "distance" if comparison.round_first else "exactly"
    fields = ", ".join(f"i.{name}" for name in IMAGE_FIELDS)
    return f"""
        WITH nearest AS MATERIALIZED (
            SELECT f.id AS fingerprint_id, f.item_id, {distance} AS distance
            FROM gallery_imagefingerprint f {source}
            WHERE f.version = %(version)s AND {space.column} IS NOT NULL AND {condition}
            ORDER BY {order} LIMIT %(wanted)s
        ), ranked AS (
            SELECT item_id, exactly, round(exactly::numeric, %(digits)s) AS distance
            FROM (SELECT n.item_id, min({ranked}) AS exactly
                  FROM nearest n {join} GROUP BY n.item_id) AS ranks
        ), best AS (
            SELECT item_id, distance FROM ranked
            WHERE {compared} {comparison.operator} %(threshold)s
            ORDER BY distance, item_id LIMIT %(limit)s
        )
        SELECT c.scanned, b.distance, {fields}
        FROM (SELECT count(*) AS scanned FROM nearest) c
        LEFT JOIN best b ON true LEFT JOIN gallery_image i ON i.id = b.item_id
        ORDER BY b.distance, b.item_id
    """  # noqa: S608 (every piece is a constant of this module)


def _run(
    space: Space,
    where: str,
    params: Mapping[str, Any],
    comparison: Comparison,
    *,
    exact: bool,
) -> tuple[int, list[Match]]:
    sql = statement(space, where, comparison, exact=exact)
    ef_search = min(1000, max(space.ef_search, 2 * params["wanted"]))
    with connection.cursor() as cursor:
        # Sent as one text, the three statements are one transaction and one round trip.
        cursor.execute(
            f"SET LOCAL hnsw.ef_search = {ef_search}; "
            f"SET LOCAL hnsw.iterative_scan = strict_order; {sql}",
            params,
        )
        rows = cursor.fetchall()
    matches = [Match(image_from_row(row[2:]), float(row[1])) for row in rows if row[1] is not None]
    return rows[0][0], matches


def image_from_row(row: Sequence[Any]) -> Image:
    """An image from the columns ``IMAGE_FIELDS`` of a raw query."""
    values = list(row)
    if values[META] is not None:  # Django leaves jsonb as text for raw cursors
        values[META] = orjson.loads(values[META])
    return Image.from_db("default", IMAGE_FIELDS, values)
