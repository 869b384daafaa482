"""The views of v1 that take a body, from the URL map, so that a new one is tested, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from gallery.api.schema import body_of


def bodies() -> Iterator[tuple[str, str, Any]]:
    """Path, method and serializer of each."""
    for path, view in _views(get_resolver()):
        for method in ("POST", "PATCH"):
            body = body_of(view, method)
            if body is not None:
                yield path, method, body


def _views(resolver: URLResolver, before: str = "") -> Iterator[tuple[str, Any]]:
    for entry in resolver.url_patterns:
        path = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _views(entry, path)
        elif isinstance(entry, URLPattern) and path.startswith("api/v1/"):
            cls = getattr(entry.callback, "view_class", None)
            if cls is not None:
                view = cls()
                view.request, view.kwargs = None, {}
                yield path, view
