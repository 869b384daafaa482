"""What the small copies of the videos say of the claims about a query."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import av
from django.core.files.storage import default_storage

from videos.match.alignment_candidates import Found
from videos.match.queries import QueryFrame
from videos.match.verifying import Proof, Verifier
from videos.match.windows import Timed, read_window
from videos.models import Video

logger = logging.getLogger(__name__)


def proofs(frames: Sequence[QueryFrame], likely: Sequence[Found]) -> list[Proof | None]:
    """What the pictures say of each claim; None where there are none."""
    verifier = Verifier(frames)
    proxies = Video.objects.ready().in_bulk([one.video for one in likely])
    with ThreadPoolExecutor(2) as pool:
        windows = list(pool.map(lambda one: _window(verifier, one, proxies.get(one.video)), likely))

        def verified(one: Found, window: list[Timed] | None) -> Proof | None:
            return None if window is None else verifier.verify(one.claim, window)

        def laid(one: Found, window: list[Timed] | None, proof: Proof | None) -> Proof | None:
            if window is None or proof is None or any(map(one.claim.is_part_of, certain)):
                return proof
            return verifier.laid(one.claim, window, proof)

        proved = list(pool.map(verified, likely, windows))
        # Where one video shows the frames as they are, others need not be searched for a part.
        certain = [
            one.claim
            for one, proof in zip(likely, proved, strict=True)
            if proof is not None and proof.certain
        ]
        return list(pool.map(laid, likely, windows, proved))


def _window(verifier: Verifier, found: Found, video: Video | None) -> list[Timed] | None:
    """The part of its small copy that a claim is about; None where it cannot be read."""
    if video is None or not video.proxy:
        return None
    try:
        # Of its own: threads that verify two claims about one video do not share a position.
        with default_storage.open(video.proxy.name or "") as file:
            return read_window(file, *verifier.window(found.claim))
    except (OSError, av.error.FFmpegError):
        logger.exception("the proxy of video %s cannot be read", video.pk)
        return None
