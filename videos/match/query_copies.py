"""Small copies of clips that are searched with, for searches that are shared by a link."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise

from gallery.imaging.pixels import fitted
from gallery.search.image_search import QUERY_SIDE
from gallery.shared.jpeg import Quality, encode_jpeg
from videos.decode.proxies import FRAMES_PER_SECOND, ProxyWriter
from videos.match.queries import LONG_SIDE, QueryFrame
from videos.match.video_search import read_query

_LAST_MS = round(1000 / FRAMES_PER_SECOND)


def copy_query(data: bytes) -> bytes:
    """Return what a search looks at: a clip's pictures as an MP4, a still as a JPEG.

    Each picture of the MP4 is shown from its own time to that of the next, so that a search with
    the copy finds what a search with the clip finds. Raises what ``read_query`` raises.
    """
    frames, still = read_query(data)
    if still:
        return encode_jpeg(fitted(frames[0].rgb, QUERY_SIDE), Quality.THUMBNAIL)
    return _mp4(frames)


def _mp4(frames: Sequence[QueryFrame]) -> bytes:
    mp4 = io.BytesIO()
    ends = [following.t for _, following in pairwise(frames)]
    with ProxyWriter(mp4, LONG_SIDE) as writer:
        for frame, end in zip(frames, [*ends, frames[-1].t + _LAST_MS], strict=True):
            # The next frame ends it: what is shown for long need not be repeated.
            writer.add(frame.t, min(end, frame.t + _LAST_MS), frame.rgb)
    return mp4.getvalue()
