"""Pictures that show a person why an image was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gallery import conf, decoding, geometry
from gallery.descriptors.base import Pixels
from gallery.errors import UserError
from gallery.models import Image
from gallery.search import Match

EXPLAINED = 10
"""Matches that are drawn; each takes about 10 ms and 60 KB."""


def explain(query_rgb: Pixels, matches: Sequence[Match]) -> list[Match]:
    """The first matches that geometry proves get a JPEG: query and image side by side."""
    drawn = [replace(match, explanation=_draw(query_rgb, match)) for match in matches[:EXPLAINED]]
    return [*drawn, *matches[EXPLAINED:]]


def stored_rgb(image: Image) -> Pixels | None:
    """The pixels of a stored image, from its thumbnail; None if it has none."""
    try:
        with image.thumbnail.open() as stream:
            return decoding.decode(stream.read(), conf.limits()).rgb
    except (FileNotFoundError, ValueError, UserError):
        return None


def _draw(query_rgb: Pixels, match: Match) -> bytes | None:
    if match.geometry is None or (stored := stored_rgb(match.image)) is None:
        return None
    return geometry.side_by_side(query_rgb, stored, match.geometry)
