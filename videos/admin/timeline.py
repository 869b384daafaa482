"""A strip of a video's frames, and a timeline of the parts that searches can find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.urls import reverse
from django.utils.translation import gettext as _

from videos.decode.errors import clock
from videos.models import Video

MAX_STRIP_FRAMES: Final = 24
BINS: Final = 400
SILENT, COMMON, RARE = "silent", "common", "rare"
_RARE_FROM: Final = 0.6
"""A frame that one other video shows too has weight 0.63."""


@dataclass(frozen=True, slots=True)
class StripFrame:
    """``label``: the time as text. ``url``: the address of its picture."""

    seconds: float
    label: str
    url: str

    @property
    def name(self) -> str:
        return _("Frame at %(time)s") % {"time": self.label}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Adjacent bins of one kind. ``x`` and ``width`` in bins of ``BINS``."""

    kind: str
    x: int
    width: int


def strip(video: Video) -> list[StripFrame]:
    times = list(
        video.frames.filter(view="full").order_by("t0").values_list("t0", flat=True).distinct()
    )
    count = min(MAX_STRIP_FRAMES, len(times))
    chosen = [times[n * len(times) // count] for n in range(count)]
    return [StripFrame(t / 1000, clock(t), frame_address(video, t / 1000)) for t in chosen]


def frame_address(video: Video, seconds: float) -> str:
    return f"{reverse('video-frame', args=[video.pk])}?t={seconds}"


def timeline(video: Video) -> list[Stretch]:
    """Return where the video has frames, and how well they identify it.

    silent: black, flat or noise; common: several other videos show it too; rare: few or none do.
    """
    duration = max(1, video.duration_ms or 0)
    kinds: list[str] = [""] * BINS
    rows = video.frames.order_by("t0").values_list("t0", "t1", "weight")
    for t0, t1, weight in rows:
        kind = RARE if weight >= _RARE_FROM else COMMON if weight > 0 else SILENT
        first, last = (min(BINS - 1, t * BINS // duration) for t in (t0, t1))
        kinds[first : last + 1] = [kind] * (last + 1 - first)
    # Moving scenes have one frame per second; it stands for the time up to the next one.
    for at in range(1, BINS):
        kinds[at] = kinds[at] or kinds[at - 1]
    return _joined(kinds)


def _joined(kinds: list[str]) -> list[Stretch]:
    starts = [at for at in range(len(kinds)) if at == 0 or kinds[at] != kinds[at - 1]]
    ends = [*starts[1:], len(kinds)]
    return [
        Stretch(kinds[start], start, end - start)
        for start, end in zip(starts, ends, strict=True)
        if kinds[start]
    ]
