"""The addresses of v1 by their place in the URL map: the way to a page, and what is below it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from django.urls import Resolver404, URLPattern, URLResolver, get_resolver, resolve

ROOT: Final = "/api/v1/"
WITHOUT_VERSION: Final = "/api/"
"""Shows the same as ``ROOT``."""
MayOpen = Callable[[Any], bool]
"""Whether the reader may use a view."""
PARAMETER: Final = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Link:
    title: str
    href: str
    about: str = ""


def title_of(view_class: Any, kwargs: Mapping[str, Any]) -> str:
    """Return the view's name, with the id or name that the end of its address has."""
    name = getattr(view_class, "name", None) or _words(view_class.__name__)
    if kwargs and getattr(view_class, "numbered", False):
        return f"{name} {list(kwargs.values())[-1]}"
    return str(name)


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()


def way_to(path: str) -> list[Link]:
    """Return the pages from the root to the path, itself included."""
    ends = [match.end() for match in re.finditer("/", path) if match.end() >= len(ROOT)]
    found = []
    for end in ends:
        try:
            view = resolve(path[:end])
        except Resolver404:
            continue
        cls = getattr(view.func, "view_class", None)
        if cls is not None:
            found.append(Link(title_of(cls, view.kwargs), path[:end]))
    return found


def below(path: str, may_open: MayOpen) -> list[Link]:
    """Return the addresses one step below a page, as far as its own ids name them."""
    here = resolve(path).route
    steps: list[str] = []
    found = []
    for route, cls in _routes():
        rest = route.removeprefix(here)
        if rest == route or not rest or PARAMETER.search(rest):
            continue
        if any(rest.startswith(step) for step in steps):
            continue
        steps.append(rest)
        if may_open(cls):
            found.append(Link(title_of(cls, {}), path + rest, about(cls)))
    return found


def row_address(path: str) -> bool:
    """Whether the path of a list, followed by an id and a slash, is the page of a row."""
    here = resolve(path).route
    return any(re.fullmatch(r"<int:\w+>/", route.removeprefix(here)) for route, _ in _routes())


def about(view_class: Any) -> str:
    """Return what the view says of itself: of the class, or of its only method."""
    methods = (getattr(view_class, name, None) for name in ("post", "get", "patch"))
    docs = (one.__doc__ for one in (view_class, *methods) if one is not None)
    own = next((doc for doc in docs if doc and doc.strip()), "")
    return first_words(own)


def first_words(doc: str) -> str:
    """Return the first paragraph of a docstring as plain text."""
    return " ".join(doc.split("\n\n")[0].replace("``", "").split())


def parts(may_open: MayOpen) -> dict[str, list[Link]]:
    """Return the addresses without ids, by the first part of their path."""
    found: dict[str, list[Link]] = {}
    for route, cls in _routes():
        path = f"/{route}"
        names = path.removeprefix(ROOT).split("/")
        if PARAMETER.search(route) or path == ROOT or not may_open(cls):
            continue
        part = names[1] if names[0] == "moderation" else names[0]
        found.setdefault(part.removesuffix(".csv"), []).append(
            Link(title_of(cls, {}), path, about(cls))
        )
    return found


def _routes() -> list[tuple[str, Any]]:
    return _routes_of(get_resolver())


@cache
def _routes_of(resolver: URLResolver) -> list[tuple[str, Any]]:
    return sorted(_walk(resolver, ""), key=lambda entry: entry[0])


def _walk(resolver: URLResolver, before: str) -> Iterator[tuple[str, Any]]:
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            if route.startswith("api/v1/"):
                yield from _walk(entry, route)
        elif isinstance(entry, URLPattern) and f"/{route}".startswith(ROOT):
            cls = getattr(entry.callback, "view_class", None)
            if cls is not None:
                yield route, cls
