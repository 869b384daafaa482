"""Every picture that a viewer may show of a file, and the name that it goes by.

A file may show more than its first picture: later frames and pages, second pictures, the thumbnail
that a camera put in; and each of these in several renderings, as what lies behind transparent
pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gallery import decoding
from gallery.decoding import Limits, Shown
from gallery.descriptors.base import Pixels
from gallery.pictures import Picture

FULL: Final = "full"
"""View of the first picture as it is usually seen."""

VIDEO: Final = "video"
"""The video at the end of a photograph that moves. It is read where it is screened."""

_LETTERS: Final = {"black": "b", "colour": "c", "unconverted": "u", "inverted": "i"}
"""``Rendering.name`` → how it ends the name of a view."""

_NAMES: Final = {letter: name for name, letter in _LETTERS.items()}


@dataclass(frozen=True, slots=True, eq=False)
class ShownPicture:
    """One of a file's pictures, as descriptors read it.

    ``frame``: its number in an animation or a file of pages, 0 of all else. ``rendering``: which of
    the pictures there it is, "" for the usual one, else such as ``black``, ``picture-1 black`` or
    ``thumbnail``. ``duration_ms``: how long it is shown. ``doubt``: why a viewer may show other
    colours, as a sentence.
    """

    rgb: Pixels
    legacy_rgb: Pixels
    frame: int
    rendering: str
    duration_ms: int
    doubt: str | None

    @property
    def view(self) -> str:
        """The name under which it is stored."""
        return view_name(self.frame, self.rendering)


def shown_pictures(
    data: bytes, limits: Limits, *, first: Picture | None = None
) -> Iterator[ShownPicture]:
    """The distinct pictures of a file, in its order, each in all its renderings.

    ``first``: the first picture, if it is decoded already. Raises NotAnImage, TooLarge, also midway.
    """
    for shown in decoding.shown(data, limits, first=first):
        yield from _renderings(shown)


def view_name(frame: int, rendering: str) -> str:
    """At most 16 characters: ``full``, ``full b``, ``frame-3``, ``picture-1 u``, ``thumbnail``."""
    *other, last = rendering.split() or [""]
    letter = _LETTERS.get(last, "")
    names = [*other, last] if not letter else other
    name = " ".join(names) or (f"frame-{frame}" if frame else FULL)
    return f"{name} {letter}".rstrip()


def place_of(view: str) -> tuple[int, str]:
    """The frame and the rendering that a view's name says."""
    name, _, letter = view.partition(" ")
    found = re.fullmatch(r"frame-(\d+)", name)
    usual = found is not None or name == FULL
    words = [] if usual else [name]
    words += [_NAMES[letter]] if letter else []
    return int(found[1]) if found else 0, " ".join(words)


def _renderings(shown: Shown) -> Iterator[ShownPicture]:
    """The picture as it is usually seen, then its others."""
    picture, frame, name = shown.picture, 0, ""
    if shown.place in ("full", "frame"):
        frame = shown.number
    else:
        name = "thumbnail" if shown.place == "thumbnail" else f"picture-{shown.number}"
    facts = shown.duration_ms or 0, picture.doubt
    usual, *others = picture.renderings()
    yield ShownPicture(usual.rgb, picture.legacy_rgb, frame, name, *facts)
    for other in others:
        rendering = f"{name} {other.name}".strip()
        yield ShownPicture(other.rgb, other.rgb, frame, rendering, *facts)
