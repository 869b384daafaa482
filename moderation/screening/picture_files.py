"""The pictures of one file, as they are screened.

Every picture is compared by its hashes, however many there are. What a model has to describe costs
a hundred times as much: of an animation, and of a file of pages, at most ``LEARNED`` pictures are
compared so. They are chosen by how long they are shown and by how different they are, so that no
place in the file is safe, and the answer says how many that were.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from gallery.imaging import decoding
from gallery.imaging.descriptors.pdq import LOW_QUALITY, dihedral
from gallery.imaging.frame_choice import TimedHash, most_telling
from gallery.imaging.inner_pictures import inner_pictures
from gallery.imaging.shown_pictures import ShownPicture, shown_pictures
from gallery.items import conf
from moderation.screening.matching import Pixels, View

LEARNED: Final = 64
"""Pictures of one file that are compared by models."""

IN_PARTS: Final = 8
"""Those of them that are looked at in parts, too: crops and insets are found in these."""


def hashed_view(rgb: Pixels, legacy_rgb: Pixels, **facts: Any) -> View:
    """A picture with all eight hashes, if they can be relied upon."""
    found = dihedral(rgb)
    if found is None:
        return View(rgb, legacy_rgb, **facts)
    hashes, quality = found
    good = hashes if quality >= LOW_QUALITY else []
    return View(rgb, legacy_rgb, good, quality, **facts)


class PictureFile:
    """A still, an animation, or a file of pages. Reading it raises what decoding raises.

    ``doubts``: why its colours may be others than a viewer shows, of what was read so far.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._seen: list[_Seen] = []
        self._still = True
        self.doubts: list[str] = []

    def views(self) -> Iterator[View]:
        """Every picture with its hashes; those of a still are compared by models, too."""
        limits = conf.limits()
        self._still = decoding.inspect(self._data, limits).frames == 1
        for picture in shown_pictures(self._data, limits):
            if picture.doubt and picture.doubt not in self.doubts:
                self.doubts.append(picture.doubt)
            view = hashed_view(picture.rgb, picture.legacy_rgb, **self._facts(picture))
            number = len(self._seen)
            frame = TimedHash(picture.duration_ms, view.hashes[0] if view.hashes else None)
            self._seen.append(_Seen(picture.view, frame, view.quality))
            if self._still and number < LEARNED:
                yield replace(view, in_parts=number < IN_PARTS)
                yield from _inner(view)
            else:
                yield replace(view, hashes_only=True)

    def chosen(self) -> Iterator[View]:
        """After ``views``: the pictures of an animation that are compared by models."""
        if self._still:
            return
        order = most_telling([seen.frame for seen in self._seen], LEARNED)
        wanted = {self._seen[at].view: rank for rank, at in enumerate(order)}
        quality = {seen.view: seen.quality for seen in self._seen}
        for picture in shown_pictures(self._data, conf.limits()):
            if (rank := wanted.get(picture.view)) is not None:
                yield View(
                    picture.rgb,
                    picture.legacy_rgb,
                    quality=quality[picture.view],
                    in_parts=rank < IN_PARTS,
                    **self._facts(picture),
                )

    def _facts(self, picture: ShownPicture) -> dict[str, Any]:
        frame = None if self._still else picture.frame
        return {"frame": frame, "rendering": picture.rendering}


def _inner(view: View) -> Iterator[View]:
    for name, rgb in inner_pictures(view.rgb).items():
        rendering = f"{view.rendering} {name}".strip()
        yield replace(hashed_view(rgb, rgb), frame=view.frame, rendering=rendering)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is kept of a picture until it is known which are chosen."""

    view: str
    frame: TimedHash
    quality: int | None
