"""Images as CSV, one row at a time, in cells that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

from gallery.items.models import Image

COLUMNS = (
    "id",
    "status",
    "failure",
    "format",
    "width",
    "height",
    "bytes",
    "md5",
    "sha1",
    "sha256",
    "url",
    "data_id",
    "remark",
    "meta",
    "added_by",
    "uploader",
    "created_at",
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With these a spreadsheet begins to compute: a data id could run a command on the reader's
machine. https://owasp.org/www-community/attacks/CSV_Injection"""
CHUNK = 2_000


class Echo:
    """A file for ``csv`` whose ``write`` returns each line, so that lines can be streamed."""

    def write(self, line: str) -> str:
        return line


def cell(value: Any) -> str:
    """A value as text; null is empty; text that a spreadsheet would compute gets an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def lines(images: QuerySet[Image]) -> Iterator[str]:
    """The header and a line per image, read from the database in chunks."""
    write = csv.writer(Echo()).writerow
    yield write(COLUMNS)
    for row in images.values_list(*COLUMNS).iterator(CHUNK):
        yield write([cell(value) for value in row])


def csv_response(images: QuerySet[Image]) -> StreamingHttpResponse:
    name = f"images-{timezone.now():%Y%m%d-%H%M%S}.csv"
    return StreamingHttpResponse(
        lines(images),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "private, no-store",
        },
    )
