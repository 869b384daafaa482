"""Headers of files that are sent to one caller."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

Answer = TypeVar("Answer", bound=HttpResponseBase)

CSV = "text/csv; charset=utf-8"


def private(response: Answer) -> Answer:
    """Forbid caches to store the response, and browsers to run, embed or reinterpret it."""
    response["Cache-Control"] = "private, no-store"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def download(
    name: str, content: bytes | Iterable[str] | Iterable[bytes], content_type: str = CSV
) -> HttpResponseBase:
    """Return a file for the browser to save as ``name``. An iterable is streamed."""
    kind = HttpResponse if isinstance(content, bytes) else StreamingHttpResponse
    response = kind(content, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return private(response)
