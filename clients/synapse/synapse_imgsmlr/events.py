"""The media that an event points to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

MOST_LINKS = 20
_LINK = re.compile(r"mxc://([A-Za-z0-9.:\[\]-]{1,255})/([A-Za-z0-9_-]{1,255})")


def media_of(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (server, media id) of each ``mxc://`` link anywhere in the content, at most
    ``MOST_LINKS``.

    Pictures, their thumbnails, avatars, stickers, and pictures in formatted text are all links of
    this kind. A ``body`` is plain text, in which a link shows nothing. Encrypted events show none.
    """
    found = dict.fromkeys(pair for text in _texts(content) for pair in _LINK.findall(text))
    return list(found)[:MOST_LINKS]


def _texts(value: object) -> Iterator[str]:
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, Mapping):
            stack.extend(part for name, part in one.items() if name != "body")
        elif isinstance(one, list | tuple):
            stack.extend(one)
