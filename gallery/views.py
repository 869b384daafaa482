"""The search page, and media of images. Each request checks the status again."""

from __future__ import annotations

from typing import Any, BinaryIO, Final, cast

import orjson
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST, require_safe

from gallery.items.item import Status
from gallery.items.media_responses import (
    CLEAR,
    gone,
    jpeg_response,
    media_response,
    rendered_pixels,
    stored_pixels,
    visible_item,
)
from gallery.items.models import Image
from gallery.shared.access import access_of
from gallery.shared.csv_export import csv_lines
from gallery.shared.errors import UserError
from gallery.shared.file_responses import file_response
from gallery.shared.responses import download

MAX_ROWS: Final = 10_000
MAX_COLUMNS: Final = 40

CONTENT_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
    "avif": "image/avif",
    "heic": "image/heic",
    "jxl": "image/jxl",
    "jp2": "image/jp2",
}


@require_safe
@ensure_csrf_cookie
def search_page(request: HttpRequest) -> HttpResponseBase:
    """Return the search page. All its data comes from the API, which checks access."""
    return render(request, "gallery/search/page.html")


@require_POST
def table_csv(request: HttpRequest) -> HttpResponseBase:
    """Return a table that the page sends, {columns, rows}, as CSV.

    So the rule about what spreadsheets run stands once, on the server.
    """
    access = access_of(request)
    access.require("search")
    access.charge(1)
    columns, rows = _table(request.body)
    return download("results.csv", csv_lines(columns, rows))


def _table(body: bytes) -> tuple[list[str], list[list[Any]]]:
    try:
        table = orjson.loads(body)
        columns, rows = table["columns"], table["rows"]
        cells = [cell for row in [columns, *rows] for cell in row]
        is_table = all(isinstance(row, list) and len(row) == len(columns) for row in rows)
    except (ValueError, TypeError, KeyError):
        raise UserError("Send a table as JSON: columns, and rows of as many cells.") from None
    plain = all(isinstance(cell, str | int | float | None) for cell in cells)
    named = isinstance(columns, list) and all(isinstance(name, str) for name in columns)
    if not (is_table and plain and named):
        raise UserError("Send a table as JSON: columns, and rows of as many cells.")
    if len(rows) > MAX_ROWS or len(columns) > MAX_COLUMNS:
        raise UserError(f"A table has at most {MAX_ROWS:,} rows and {MAX_COLUMNS} columns.")
    return columns, rows


@require_safe
def original(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Return the unchanged original, or the thumbnail if the original is not kept.

    ``?rendering=black`` or ``colour`` returns another way in which viewers show it, as a JPEG.
    """
    image = _visible(request, pk)
    if image.original and (rendering := request.GET.get("rendering", "")):
        pixels = rendered_pixels(image.original.name or "", rendering)
        return media_response(
            request,
            image,
            what=f"original, {rendering}"[:80],
            clear=lambda: jpeg_response(pixels, CLEAR),
            pixels=lambda: pixels,
        )
    if image.original:
        return _answer(request, image, "original", image.original.name, CONTENT_TYPES[image.format])
    return _answer(request, image, "thumbnail", image.thumbnail.name, "image/jpeg")


@require_safe
def thumbnail(request: HttpRequest, pk: int) -> HttpResponseBase:
    image = _visible(request, pk)
    return _answer(request, image, "thumbnail", image.thumbnail.name, "image/jpeg")


def _visible(request: HttpRequest, pk: int) -> Image:
    image = visible_item(request, Image, pk)
    if image.status == Status.PENDING and not image.original:
        raise gone(Image)
    return image


def _answer(
    request: HttpRequest, image: Image, what: str, name: str | None, content_type: str
) -> HttpResponseBase:
    return media_response(
        request,
        image,
        what=what,
        clear=lambda: _file(name, content_type),
        pixels=lambda: stored_pixels(image.thumbnail.name, image.original.name),
    )


def _file(name: str | None, content_type: str) -> HttpResponseBase:
    try:
        stream = default_storage.open(name or "")
    except (FileNotFoundError, IsADirectoryError):
        raise gone(Image) from None
    return file_response(cast(BinaryIO, stream), content_type)
