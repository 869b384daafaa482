"""Pictures that show a person why an image was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gallery.imaging import geometry
from gallery.imaging.descriptors.base import Pixels
from gallery.items.file_storage import thumbnail_rgb
from gallery.search.nearest import Match

EXPLAINED = 10
"""Matches that are drawn; each takes about 10 ms and 60 KB."""


def explain(query_rgb: Pixels, matches: Sequence[Match]) -> list[Match]:
    """The first matches that geometry proves get a JPEG: query and image side by side."""
    drawn = [replace(match, explanation=_draw(query_rgb, match)) for match in matches[:EXPLAINED]]
    return [*drawn, *matches[EXPLAINED:]]


def _draw(query_rgb: Pixels, match: Match) -> bytes | None:
    if match.geometry is None or (stored := thumbnail_rgb(match.image)) is None:
        return None
    return geometry.side_by_side(query_rgb, stored, match.geometry)
