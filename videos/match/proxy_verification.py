"""Verifies candidates on the proxies (small copies) of the videos."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import av
from django.core.files.storage import default_storage

from videos.decode.proxies import TimedPicture, read_window
from videos.match.alignment_candidates import AlignmentCandidate
from videos.match.queries import QueryFrame
from videos.match.temporal_alignment import ExpectedAlignment
from videos.match.verification import Verification, Verifier
from videos.models import Video

logger = logging.getLogger(__name__)


BATCH: Final = 2
"""Candidates that are verified at a time, each on a thread."""

AS_SIMILAR: Final = 0.05
"""Candidates whose stored frames are less similar, by more than this, than those of a certain one
for the same frames of the query are not verified."""


class ProxyVerifier:
    """Verifies candidates of one query, each of them once."""

    def __init__(self, frames: Sequence[QueryFrame]) -> None:
        self._verifier = Verifier(frames)
        self._known: dict[tuple[int, ExpectedAlignment], Verification | None] = {}

    def verify(
        self, likely: Sequence[AlignmentCandidate]
    ) -> list[tuple[AlignmentCandidate, Verification | None]]:
        """Return the candidates with their verification, None where the video has no readable
        proxy. ``likely``: the likeliest first. What is surely shown elsewhere is left out."""
        videos = Video.objects.ready().in_bulk({one.video for one in likely})
        windows: dict[int, list[TimedPicture] | None] = {}
        results: dict[int, Verification | None] = {}
        certain: list[AlignmentCandidate] = []

        def verify(place: int) -> Verification | None:
            one = likely[place]
            if (one.video, one.expected) in self._known:
                return self._known[one.video, one.expected]
            windows[place] = self._window(one, videos.get(one.video))
            window = windows[place]
            return None if window is None else self._verifier.verify(one.expected, window)

        def refine(place: int) -> Verification | None:
            one, window, verification = likely[place], windows.get(place), results[place]
            shown = any(one.expected.is_part_of(other.expected) for other in certain)
            if window is None or verification is None or shown:
                return verification
            return self._verifier.verify_registered(one.expected, window, verification)

        with ThreadPoolExecutor(BATCH) as pool:
            for first in range(0, len(likely), BATCH):
                places = [
                    place
                    for place in range(first, min(first + BATCH, len(likely)))
                    if not _is_shown_better(likely[place], certain)
                ]
                results |= zip(places, pool.map(verify, places), strict=True)
                certain += [
                    likely[place]
                    for place in places
                    if (verification := results[place]) is not None and verification.certain
                ]
            # Frames that one video certainly shows unedited need no slower comparison with others.
            results = dict(zip(results, pool.map(refine, list(results)), strict=True))
        found = [(likely[place], verification) for place, verification in results.items()]
        self._known |= {(one.video, one.expected): verified for one, verified in found}
        return found

    def _window(self, found: AlignmentCandidate, video: Video | None) -> list[TimedPicture] | None:
        """None if the proxy cannot be read."""
        if video is None or not video.proxy:
            return None
        try:
            # Opened for each candidate, so that threads do not share a position in the file.
            with default_storage.open(video.proxy.name or "") as file:
                return read_window(file, *self._verifier.window(found.expected))
        except (OSError, av.error.FFmpegError):
            logger.exception("the proxy of video %s cannot be read", video.pk)
            return None


def _is_shown_better(one: AlignmentCandidate, certain: Sequence[AlignmentCandidate]) -> bool:
    """Return whether its frames of the query certainly show something that is more similar."""
    return any(
        one.expected.is_part_of(other.expected)
        and one.evidence.similarity < other.evidence.similarity - AS_SIMILAR
        for other in certain
    )
