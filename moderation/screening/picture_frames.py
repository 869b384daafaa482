"""The frames of a picture file.

The hashes of every frame are compared. A model costs a hundred times as much, so models compare at
most ``MODEL_FRAMES`` of an animation or of a file of pages: of frames that show nearly the same
only the first, of a pan only those that show all of it. Frames are chosen by how long they are
shown and by how different they are, so that no position in the file is safe. ``Screening.partly``
says how many were compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from gallery.imaging import decoding
from gallery.imaging.decoding.pictures import Picture
from gallery.imaging.decoding.rendered_pictures import RenderedPicture, rendered_pictures
from gallery.imaging.descriptors.pdq import LOW_QUALITY, dihedral_hashes
from gallery.imaging.frame_selection import TimedHash, select_frames
from gallery.imaging.inner_pictures import inner_pictures
from gallery.imaging.near_frames import NearFrames
from gallery.imaging.panned_frames import PannedFrame, standing_for
from gallery.items import conf
from moderation.screening.types import ContentFrame, Pixels, Place

MODEL_FRAMES: Final = 64
"""Frames of one file that models compare."""

FRAMES_IN_PARTS: Final = 8
"""Of these, the frames whose crops are compared too, which finds crops and insets."""

MOST_PANNED: Final = 256
"""Groups of frames of which is looked whether they belong to a pan: 21 MB."""

KEPT_PIXELS: Final = 16_000_000
"""Pixels of all pictures of an animation up to which they are kept for the models: 48 MB, twice as
much if imgsmlr reads other pixels. Those of larger animations are decoded again."""


def hashed_frame(rgb: Pixels, legacy_rgb: Pixels, **facts: Any) -> ContentFrame:
    """Return a frame with all eight hashes, if their quality is sufficient."""
    found = dihedral_hashes(rgb)
    if found is None:
        return ContentFrame(rgb, legacy_rgb, **facts)
    hashes, quality = found
    good = hashes if quality >= LOW_QUALITY else []
    return ContentFrame(rgb, legacy_rgb, good, quality, **facts)


class PictureFile:
    """A still picture, an animation, or a file of pages. Reading it raises decoding errors.

    ``first``: its first picture, if ``decode`` has read it. ``doubts``: why viewers may show other
    colours, for the part that was read so far.
    """

    def __init__(self, data: bytes, first: Picture | None = None) -> None:
        self._data = data
        self._first = first
        self._near = NearFrames()
        self._groups: list[_Group] = []
        self._kept: list[RenderedPicture] = []
        self._pixels = 0
        self._still = True
        self.doubts: list[str] = []

    def frames(self) -> Iterator[ContentFrame]:
        """Yield every frame with its hashes. Models compare only the frames of a still picture."""
        limits = conf.limits()
        info = self._first.info if self._first else decoding.inspect(self._data, limits)
        self._still = info.frames == 1
        found = rendered_pictures(self._data, limits, first=self._first)
        for number, picture in enumerate(found):
            if picture.doubt and picture.doubt not in self.doubts:
                self.doubts.append(picture.doubt)
            frame = hashed_frame(picture.rgb, picture.legacy_rgb, **self._facts(picture))
            if not self._still:
                self._group(picture, frame)
            if self._still and number < MODEL_FRAMES:
                yield replace(frame, in_parts=number < FRAMES_IN_PARTS)
                yield from _inner(frame)
            else:
                yield replace(frame, hashes_only=True)

    def chosen(self) -> Iterator[ContentFrame]:
        """Yield the frames of an animation that models compare. Read ``frames`` first."""
        if self._still:
            return
        groups = self._standing()
        shown = [TimedHash(group.duration_ms, group.hash) for group in groups]
        order = select_frames(shown, MODEL_FRAMES)
        wanted = {groups[at].view: (rank, groups[at]) for rank, at in enumerate(order)}
        for picture in self._kept or rendered_pictures(self._data, conf.limits()):
            if picture.view not in wanted:
                continue
            rank, group = wanted[picture.view]
            yield ContentFrame(
                picture.rgb,
                picture.legacy_rgb,
                quality=group.quality,
                in_parts=rank < FRAMES_IN_PARTS,
                near=group.others,
                **self._facts(picture),
            )

    def _group(self, picture: RenderedPicture, frame: ContentFrame) -> None:
        own = frame.hashes[0] if frame.hashes else None
        number = self._near.group(picture.rgb, picture.legacy_rgb, own)
        if number == len(self._groups):
            few = own is not None and number < MOST_PANNED
            panned = PannedFrame.of(picture.rgb, picture.legacy_rgb) if few else None
            self._groups.append(_Group(picture.view, frame.place, own, frame.quality, panned))
            self._keep(picture)
        else:
            self._groups[number].others.append(frame.place)
        self._groups[number].duration_ms += picture.duration_ms

    def _standing(self) -> list[_Group]:
        """Return the groups without those for which others of a pan stand."""
        standing = standing_for([group.panned for group in self._groups])
        for number, by in standing.items():
            group = self._groups[number]
            self._groups[by].others += [group.place, *group.others]
            self._groups[by].duration_ms += group.duration_ms
        return [group for at, group in enumerate(self._groups) if at not in standing]

    def _keep(self, picture: RenderedPicture) -> None:
        self._pixels += picture.rgb.size // 3
        if self._pixels > KEPT_PIXELS:
            self._kept.clear()
        else:
            self._kept.append(picture)

    def _facts(self, picture: RenderedPicture) -> dict[str, Any]:
        frame = None if self._still else picture.frame
        return {"frame": frame, "rendering": picture.rendering}


def _inner(frame: ContentFrame) -> Iterator[ContentFrame]:
    for name, rgb in inner_pictures(frame.rgb).items():
        rendering = f"{frame.rendering} {name}".strip()
        yield replace(hashed_frame(rgb, rgb), frame=frame.frame, rendering=rendering)


@dataclass(slots=True)
class _Group:
    """What is kept of frames that show nearly the same, until the frames for models are chosen.

    ``view``, ``place``, ``hash``, ``quality``, ``panned``: of the first of them. ``others``: where
    the others are. ``duration_ms``: of all.
    """

    view: str
    place: Place
    hash: bytes | None
    quality: int | None
    panned: PannedFrame | None
    others: list[Place] = field(default_factory=list)
    duration_ms: int = 0
