"""The frames of a picture file.

Every frame is compared by its hashes, however many there are. A model costs a hundred times as
much: of an animation, and of a file of pages, models compare at most ``MODEL_FRAMES``. They are
chosen by how long they are shown and by how different they are, so that no place in the file is
safe, and ``Screening.partly`` says how many they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from gallery.imaging import decoding
from gallery.imaging.decoding.rendered_pictures import RenderedPicture, rendered_pictures
from gallery.imaging.descriptors.pdq import LOW_QUALITY, dihedral_hashes
from gallery.imaging.frame_selection import TimedHash, select_frames
from gallery.imaging.inner_pictures import inner_pictures
from gallery.items import conf
from moderation.screening.types import ContentFrame, Pixels

MODEL_FRAMES: Final = 64
"""Frames of one file that models compare."""

FRAMES_IN_PARTS: Final = 8
"""Those of them of which crops are compared, too: this finds crops and insets."""


def hashed_frame(rgb: Pixels, legacy_rgb: Pixels, **facts: Any) -> ContentFrame:
    """With all eight hashes, if their quality is good."""
    found = dihedral_hashes(rgb)
    if found is None:
        return ContentFrame(rgb, legacy_rgb, **facts)
    hashes, quality = found
    good = hashes if quality >= LOW_QUALITY else []
    return ContentFrame(rgb, legacy_rgb, good, quality, **facts)


class PictureFile:
    """A still, an animation, or a file of pages. Reading it raises what decoding raises.

    ``doubts``: why viewers may show other colours, of what was read so far.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._read: list[_ReadFrame] = []
        self._still = True
        self.doubts: list[str] = []

    def frames(self) -> Iterator[ContentFrame]:
        """Every frame with its hashes; models compare those of a still, too."""
        limits = conf.limits()
        self._still = decoding.inspect(self._data, limits).frames == 1
        for picture in rendered_pictures(self._data, limits):
            if picture.doubt and picture.doubt not in self.doubts:
                self.doubts.append(picture.doubt)
            frame = hashed_frame(picture.rgb, picture.legacy_rgb, **self._facts(picture))
            number = len(self._read)
            timed = TimedHash(picture.duration_ms, frame.hashes[0] if frame.hashes else None)
            self._read.append(_ReadFrame(picture.view, timed, frame.quality))
            if self._still and number < MODEL_FRAMES:
                yield replace(frame, in_parts=number < FRAMES_IN_PARTS)
                yield from _inner(frame)
            else:
                yield replace(frame, hashes_only=True)

    def chosen(self) -> Iterator[ContentFrame]:
        """After ``frames``: the frames of an animation that models compare."""
        if self._still:
            return
        order = select_frames([one.timed for one in self._read], MODEL_FRAMES)
        wanted = {self._read[at].view: rank for rank, at in enumerate(order)}
        quality = {one.view: one.quality for one in self._read}
        for picture in rendered_pictures(self._data, conf.limits()):
            if (rank := wanted.get(picture.view)) is not None:
                yield ContentFrame(
                    picture.rgb,
                    picture.legacy_rgb,
                    quality=quality[picture.view],
                    in_parts=rank < FRAMES_IN_PARTS,
                    **self._facts(picture),
                )

    def _facts(self, picture: RenderedPicture) -> dict[str, Any]:
        frame = None if self._still else picture.frame
        return {"frame": frame, "rendering": picture.rendering}


def _inner(frame: ContentFrame) -> Iterator[ContentFrame]:
    for name, rgb in inner_pictures(frame.rgb).items():
        rendering = f"{frame.rendering} {name}".strip()
        yield replace(hashed_frame(rgb, rgb), frame=frame.frame, rendering=rendering)


@dataclass(frozen=True, slots=True)
class _ReadFrame:
    """What is remembered of a frame until it is known which ones are chosen."""

    view: str
    timed: TimedHash
    quality: int | None
