"""Every picture that a viewer may show of a file, and the name that it goes by.

A file may show more than its first picture: later frames and pages, second pictures, the thumbnail
that a camera put in; and each of these in several renderings, as what lies behind transparent
pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gallery.imaging import decoding
from gallery.imaging.decoding import Shown
from gallery.imaging.descriptors.base import Pixels
from gallery.imaging.picture_limits import Limits
from gallery.imaging.pictures import Picture

FULL: Final = "full"
"""View of the first picture as it is usually seen."""

VIDEO: Final = "video"
"""The video at the end of a photograph that moves. It is read where it is screened."""

_LETTERS: Final = {"black": "b", "colour": "c", "unconverted": "u", "inverted": "i"}
"""``Rendering.name`` → how it ends the name of a view."""

_MANNERS: Final = {
    "black": "over black",
    "colour": "as colour alone",
    "unconverted": "without its colour profile",
    "inverted": "with its inks inverted",
}
"""``Rendering.name`` → how a person calls a picture that is shown so."""

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

    ``first``: the first picture, if it is decoded already. Raises NotAnImage, TooLarge, also
    midway.
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


def other_renderings(views: Iterable[str]) -> list[str]:
    """Of the views that are stored of a still: how else than usually a viewer may show it."""
    found = re.compile(r"full [bcui]|(?:picture-\d+|thumbnail)(?: [bcui])?")
    return [place_of(view)[1] for view in sorted(set(views)) if found.fullmatch(view)]


def place_of(view: str) -> tuple[int, str]:
    """The frame and the rendering that a view's name says."""
    name, _, letter = view.partition(" ")
    found = re.fullmatch(r"frame-(\d+)", name)
    usual = found is not None or name == FULL
    words = [] if usual else [name]
    words += [_NAMES[letter]] if letter else []
    return int(found[1]) if found else 0, " ".join(words)


def in_words(rendering: str) -> str:
    """A rendering as a part of a sentence: ``the picture over black``, ``the preview in the file``.

    Also those that screening adds: strips that were taken apart, and the streams of a video.
    """
    what, manners = "the picture", []
    for name, number in re.findall(r"([a-z]+)[- ]?(\d*)", rendering):
        if name == "picture":
            what = f"picture {number} in the file"
        elif name == "thumbnail":
            what = "the preview in the file"
        elif name == VIDEO:
            what = "the video in the photo"
        elif name == "stream":
            what = f"video track {number}"
        elif name == "strips":
            manners.append(f"taken apart in strips ({number})")
        elif name == "section":
            what = f"section {number} of {what}"
        else:
            manners.append(_MANNERS[name])
    return " ".join([what, *manners])


def labels(renderings: Sequence[str]) -> list[str]:
    """The same for buttons that choose between renderings of one file: ``Over black``."""
    transparent = any(name.endswith(("black", "colour")) for name in renderings)
    usual = "Over white" if transparent else "Usual"
    return [_label(in_words(name)) if name else usual for name in renderings]


def _label(words: str) -> str:
    words = words.removeprefix("the picture ").removeprefix("the ").removesuffix(" of the picture")
    return words[0].upper() + words[1:]


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
