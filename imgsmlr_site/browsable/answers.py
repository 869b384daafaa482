"""The JSON of an answer as a page shows it: ids and addresses are links."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from django.utils.html import urlize
from django.utils.safestring import SafeString, mark_safe

MODERATION: Final = "/api/v1/moderation/"
PAGES: Final[Mapping[str, str]] = {
    "image": "/api/v1/images/{}/",
    "video": "/api/v1/videos/{}/",
    "list": f"{MODERATION}lists/{{}}/",
    "allows_for": f"{MODERATION}lists/{{}}/",
    "case": f"{MODERATION}cases/{{}}/",
    "cases": f"{MODERATION}cases/{{}}/",
    "batch": f"{MODERATION}batches/{{}}/",
    "webhook": f"{MODERATION}webhooks/{{}}/",
}
"""Name of a field, or of the object that has the ``id`` → page of what the number names."""

LINE: Final = re.compile(r"^( *)(?:&quot;(\w+)&quot;: )?(\d+|[\[{])?(,?)$")
"""A line of indented JSON that holds an integer, or opens an object or array."""


def with_links(text: str, rows: str, row_links: Sequence[str] = ()) -> SafeString:
    """Return indented JSON as HTML.

    ``rows``: the address of the list whose rows these are, each with a page of its own, or "".
    ``row_links``: steps below the page of a row, offered beside its id.
    """
    within: list[tuple[int, str]] = []
    on_list = ""
    lines = []
    for line in urlize(text, nofollow=True, autoescape=True).split("\n"):
        found = LINE.match(line)
        indent = len(line) - len(line.lstrip())
        while within and within[-1][0] >= indent:
            within.pop()
        if found is None:
            lines.append(line)
            continue
        _, name, value, _ = found.groups()
        if value in ("{", "["):
            if name:
                within.append((indent, name))
        elif value:
            inside = [key for _, key in within]
            if name == "list":
                on_list = value
            line = _linked(line, name, value, inside, on_list, rows, row_links)
        lines.append(line)
    return mark_safe("\n".join(lines))  # noqa: S308 # urlize escaped it


def _linked(
    line: str,
    name: str | None,
    number: str,
    inside: Sequence[str],
    on_list: str,
    rows: str,
    row_links: Sequence[str],
) -> str:
    # What a client stored under a name says nothing about our rows.
    if "meta" in inside:
        return line
    holder = inside[-1] if inside else ""
    beside = ""
    if name == "id" and holder == "results" and rows:
        href = f"{rows}{number}/"
        beside = "".join(
            f' <a class="api-row-link" href="{href}{step}/">{step}</a>' for step in row_links
        )
    elif name == "item" and on_list:
        href = f"{MODERATION}lists/{on_list}/items/{number}/"
    elif (key := holder if name in (None, "id") else name) in PAGES:
        href = PAGES[str(key)].format(number)
    else:
        return line
    start, comma = line.removesuffix(",").removesuffix(number), "," if line.endswith(",") else ""
    return f'{start}<a href="{href}">{number}</a>{comma}{beside}'
