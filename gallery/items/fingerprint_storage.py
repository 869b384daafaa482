"""Store descriptors' columns as rows: one fingerprint per version and view, with its detail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connection

from gallery.imaging.descriptors.base import Columns, ColumnsByVersion, Vector
from gallery.imaging.descriptors.stored_patterns import pack_pattern
from gallery.items.vectors import encode
from gallery.shared.binary_copy import write_rows

DETAILS = ("pattern", "local_features")
"""Columns of ``ImageDetail``. A version writes at most one of them."""


def store_fingerprints(image_id: int, columns: ColumnsByVersion, view: str = "full") -> None:
    """Insert one fingerprint row per version, with its detail. Existing rows stay unchanged."""
    store_many({image_id: columns}, view)


def store_other_views(image_id: int, further: Mapping[str, ColumnsByVersion]) -> None:
    """Store the fingerprints of a file's other views: view → columns by version."""
    for view, columns in further.items():
        store_fingerprints(image_id, columns, view)


def store_many(columns: Mapping[int, ColumnsByVersion], view: str = "full") -> None:
    """Store the fingerprints of several images (id → columns), one statement per version.

    A version that found nothing in a picture gets a row too, to record that it ran.
    """
    versions = {version for by_version in columns.values() for version in by_version}
    for version in sorted(versions):
        _store_version(
            {pk: values[version] for pk, values in columns.items() if version in values},
            version,
            view,
        )


def _store_version(rows: Mapping[int, Columns], version: str, view: str) -> None:
    # Column names come from our descriptors, never from a caller.
    names = sorted({name for values in rows.values() for name in values} - {*DETAILS})
    into = ", ".join(["item_id", "view", "version", *names])
    row = f"(%s, %s, %s{', %s' * len(names)})"
    insert = (
        f"INSERT INTO gallery_imagefingerprint ({into}) "  # noqa: S608
        f"VALUES {', '.join([row] * len(rows))} ON CONFLICT DO NOTHING RETURNING id, item_id"
    )
    params: list[Any] = []
    for pk, values in rows.items():
        params += [pk, view, version, *(encode(values.get(name)) for name in names)]
    with connection.cursor() as cursor:
        cursor.execute(insert, params)
        inserted = cursor.fetchall()
    for name in DETAILS:
        details = [(row, _packed(rows[pk][name])) for row, pk in inserted if name in rows[pk]]
        if details:
            write_rows("gallery_imagedetail", f"fingerprint_id, {name}", details)


def _packed(detail: Vector | bytes) -> bytes:
    """``detail``: a pattern that was just computed, or what is packed already."""
    return detail if isinstance(detail, bytes) else pack_pattern(detail)
