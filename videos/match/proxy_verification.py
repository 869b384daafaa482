"""Verifies candidates on the proxies (small copies) of the videos."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import av
from django.core.files.storage import default_storage

from videos.decode.proxies import TimedPicture, read_window
from videos.match.alignment_candidates import AlignmentCandidate
from videos.match.queries import QueryFrame
from videos.match.verification import Verification, Verifier
from videos.models import Video

logger = logging.getLogger(__name__)


def verify_candidates(
    frames: Sequence[QueryFrame], likely: Sequence[AlignmentCandidate]
) -> list[Verification | None]:
    """Return the verification of each candidate; None where its video has no readable proxy."""
    verifier = Verifier(frames)
    proxies = Video.objects.ready().in_bulk([one.video for one in likely])
    with ThreadPoolExecutor(2) as pool:
        windows = list(pool.map(lambda one: _window(verifier, one, proxies.get(one.video)), likely))

        def verified(
            one: AlignmentCandidate, window: list[TimedPicture] | None
        ) -> Verification | None:
            return None if window is None else verifier.verify(one.expected, window)

        def refined(
            one: AlignmentCandidate,
            window: list[TimedPicture] | None,
            verification: Verification | None,
        ) -> Verification | None:
            if window is None or verification is None or any(map(one.expected.is_part_of, certain)):
                return verification
            return verifier.verify_registered(one.expected, window, verification)

        results = list(pool.map(verified, likely, windows))
        # Frames that one video certainly shows unedited need no slower comparison with others.
        certain = [
            one.expected
            for one, verification in zip(likely, results, strict=True)
            if verification is not None and verification.certain
        ]
        return list(pool.map(refined, likely, windows, results))


def _window(
    verifier: Verifier, found: AlignmentCandidate, video: Video | None
) -> list[TimedPicture] | None:
    """None if the proxy cannot be read."""
    if video is None or not video.proxy:
        return None
    try:
        # Opened for each candidate, so that threads do not share a position in the file.
        with default_storage.open(video.proxy.name or "") as file:
            return read_window(file, *verifier.window(found.expected))
    except (OSError, av.error.FFmpegError):
        logger.exception("the proxy of video %s cannot be read", video.pk)
        return None
