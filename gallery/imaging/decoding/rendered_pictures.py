"""Yields every picture that a viewer may show of a file, and names its views.

A file may hold later frames and pages, second pictures and a camera's thumbnail, and each of them
has several renderings, for example over white and over black.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gallery.imaging.decoding import decoders
from gallery.imaging.decoding.decoder_protocol import Job
from gallery.imaging.decoding.limits import PictureLimits
from gallery.imaging.decoding.pictures import Picture, cells
from gallery.imaging.pixels import Pixels

FULL_VIEW: Final = "full"
"""The view of the first picture as most viewers show it."""

VIDEO_VIEW: Final = "video"
"""The view of a motion photo's video, which is read when it is screened."""

_LETTERS: Final = {"black": "b", "colour": "c", "unconverted": "u", "inverted": "i"}
"""``Rendering.name`` → the last letter of a view's name."""


Translate = Callable[[str], str]
_NAMES: Final = {letter: name for name, letter in _LETTERS.items()}


@dataclass(frozen=True, slots=True, eq=False)
class RenderedPicture:
    """One rendering of one of a file's pictures, for descriptors.

    ``frame``: its number in an animation or a file of pages, else 0. ``rendering``: "" for the
    usual one, else for example ``black``, ``picture-1 black`` or ``thumbnail``. ``doubt``: a
    sentence that says why its colour profile is suspicious.
    """

    rgb: Pixels
    legacy_rgb: Pixels
    frame: int
    rendering: str
    duration_ms: int
    doubt: str | None

    @property
    def view(self) -> str:
        return view_name(self.frame, self.rendering)


def rendered_pictures(
    data: bytes, limits: PictureLimits, *, first: Picture | None = None
) -> Iterator[RenderedPicture]:
    """Yield the distinct pictures of a file, in order, each in all its renderings.

    These are the primary one, the frames or pages that differ from the one before, further
    pictures, and embedded previews. Further pictures and previews are left out if they are damaged
    or look like an earlier one. ``first``: the result of ``decode``, so that it need not be decoded
    again. Raises what ``decode`` raises, also after some pictures.
    """
    if first is None or first.rest == "all":
        job = Job("all", limits)
    else:
        yield from _all_renderings(first)
        if first.rest == "nothing":
            return
        job = Job("others", limits, cells(first.rgb).tobytes().hex(), first.orientation)
    for picture in decoders.pictures(job, data):
        yield from _all_renderings(picture)


def view_name(frame: int, rendering: str) -> str:
    """For example ``full``, ``full b``, ``frame-3``, ``picture-1 u``, ``thumbnail``; ≤ 16
    characters."""
    *other, last = rendering.split() or [""]
    letter = _LETTERS.get(last, "")
    names = [*other, last] if not letter else other
    name = " ".join(names) or (f"frame-{frame}" if frame else FULL_VIEW)
    return f"{name} {letter}".rstrip()


def other_renderings(views: Iterable[str]) -> list[str]:
    """Return the renderings of a still other than the usual one, from its stored views."""
    found = re.compile(r"full [bcui]|(?:picture-\d+|thumbnail)(?: [bcui])?")
    return [parse_view(view)[1] for view in sorted(set(views)) if found.fullmatch(view)]


def parse_view(view: str) -> tuple[int, str]:
    name, _, letter = view.partition(" ")
    found = re.fullmatch(r"frame-(\d+)", name)
    usual = found is not None or name == FULL_VIEW
    words = [] if usual else [name]
    words += [_NAMES[letter]] if letter else []
    return int(found[1]) if found else 0, " ".join(words)


def describe_rendering(rendering: str, gettext: Translate = str) -> str:
    """Describe a rendering in words: ``the picture over black``, ``the preview in the file``.

    Also for the renderings that screening adds: strips, sections and the streams of a video.
    ``gettext`` translates.
    """
    in_words = {
        "black": gettext("over black"),
        "colour": gettext("as colour alone"),
        "unconverted": gettext("without its colour profile"),
        "inverted": gettext("with its inks inverted"),
    }
    what, ways = gettext("the picture"), []
    for name, number in re.findall(r"([a-z]+)[- ]?(\d*)", rendering):
        if name == "picture":
            what = gettext("picture %(number)s in the file") % {"number": number}
        elif name == "thumbnail":
            what = gettext("the preview in the file")
        elif name == VIDEO_VIEW:
            what = gettext("the video in the photo")
        elif name == "stream":
            what = gettext("video track %(number)s") % {"number": number}
        elif name == "strips":
            ways.append(gettext("taken apart in strips (%(number)s)") % {"number": number})
        elif name == "section":
            words = {"number": number, "what": what}
            what = gettext("section %(number)s of %(what)s") % words
        else:
            ways.append(in_words[name])
    return " ".join([what, *ways])


def rendering_labels(renderings: Sequence[str], gettext: Translate = str) -> list[str]:
    """Return labels of the buttons that choose between renderings of one file: ``Over black``."""
    transparent = any(name.endswith(("black", "colour")) for name in renderings)
    usual = gettext("Over white") if transparent else gettext("Usual")
    picture = gettext("the picture")
    return [
        _label(describe_rendering(name, gettext), picture) if name else usual for name in renderings
    ]


def _label(words: str, picture: str) -> str:
    words = words.removeprefix(f"{picture} ").removeprefix("the ").removesuffix(f" of {picture}")
    return words[0].upper() + words[1:]


def _all_renderings(picture: Picture) -> Iterator[RenderedPicture]:
    frame, name = 0, ""
    if picture.place in ("full", "frame"):
        frame = picture.number
    else:
        name = "thumbnail" if picture.place == "thumbnail" else f"picture-{picture.number}"
    facts = picture.duration_ms or 0, picture.doubt
    usual, *others = picture.renderings
    yield RenderedPicture(usual.rgb, picture.legacy_rgb, frame, name, *facts)
    for other in others:
        rendering = f"{name} {other.name}".strip()
        yield RenderedPicture(other.rgb, other.rgb, frame, rendering, *facts)
