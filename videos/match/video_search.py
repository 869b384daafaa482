"""Finds the videos that show a picture or a clip, and when.

Stored vectors propose candidates (``frame_search``, ``alignment_candidates``); the pictures of the
proxies verify them (``proxy_verification``).
"""

from __future__ import annotations

import io
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gallery.imaging import decoding, descriptors
from gallery.imaging.decoding.sniffing import sniff as sniff_picture
from gallery.items import conf
from gallery.items.publishing import check_query
from gallery.search import replica
from gallery.search.image_search import load_bytes
from gallery.shared.access import NOBODY, Sender
from videos import conf as video_conf
from videos.decode.decoder_protocol import ANIMATIONS
from videos.decode.decoding import decode
from videos.decode.errors import NotAVideo
from videos.decode.sniffing import HEAD_BYTES, sniff, why_unknown
from videos.match import queries
from videos.match.alignment_candidates import (
    AlignmentCandidate,
    footage_candidates,
    limit_per_video,
    still_candidates,
)
from videos.match.confidence import QueryKind, VideoEvidence, calibrations, confidence, logit
from videos.match.frame_search import StoredSpans, candidate_videos, load_spans
from videos.match.proxy_verification import ProxyVerifier
from videos.match.queries import DescribedQuery, Embed, QueryFrame
from videos.match.verification import Verification
from videos.models import Video

DEFAULT_LIMIT = 10

MAX_VERIFIED, MAX_VERIFIED_PER_VIDEO = 6, 3
"""Candidates that are verified, the likeliest first: in all, and of one video."""

SAME_TOLERANCE = 0.02
"""A range whose correlation or similarity is lower by at most this much is as good."""

MAX_SHOWN_PAIRS = 5


@dataclass(frozen=True, slots=True)
class FramePair:
    """A moment of the query and of the video that show the same: ms of each, and their cosine."""

    query: int
    time: int
    similarity: float


@dataclass(frozen=True, slots=True)
class VideoRange:
    """A part of a video, ms."""

    video: Video
    start: int
    end: int

    def overlaps(self, other: VideoRange) -> bool:
        same = self.video.pk == other.video.pk
        return same and self.start <= other.end and other.start <= self.end


@dataclass(frozen=True, slots=True)
class VideoMatch:
    """The query from ``query_start`` to ``query_end`` shows the video from ``start`` to ``end``.

    All times are in ms; video time = ``offset`` + ``speed`` × query time. For a still ``offset`` is
    its moment, and from ``start`` to ``end`` the video looks the same. ``confidence``: by the model
    of ``kind`` from ``evidence``.
    """

    video: Video
    kind: QueryKind
    evidence: VideoEvidence
    confidence: float
    start: int
    end: int
    query_start: int
    query_end: int
    offset: int
    speed: float
    mirrored: bool
    matches: tuple[FramePair, ...]


@dataclass(frozen=True)
class VideoSearchResult:
    """``results``: the most certain first. ``ambiguous``: other ranges that match the query as well
    as the first result. ``low_information``: the query shows too little to be found."""

    results: Sequence[VideoMatch] = ()
    low_information: bool = False
    ambiguous: Sequence[VideoRange] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _RatedCandidate:
    candidate: AlignmentCandidate
    kind: QueryKind
    evidence: VideoEvidence
    verification: Verification | None
    logit: float
    confidence: float

    @property
    def is_proved(self) -> bool:
        """Whether its pictures were compared, and show the query."""
        return (
            self.verification is not None and self.confidence >= calibrations()[self.kind].precise
        )

    @property
    def correlation(self) -> float:
        """0 where no pictures were compared."""
        return self.verification.correlation if self.verification else 0.0


def search_videos(
    *,
    data: bytes | None = None,
    url: str | None = None,
    limit: int = DEFAULT_LIMIT,
    min_confidence: float | None = None,
    sender: Sender = NOBODY,
    may_lag: bool = False,
) -> VideoSearchResult:
    """Find the videos that show a picture, an animation or a clip, given as bytes or as a link.

    ``sender``: whose right to search with it is checked. ``min_confidence`` None: the calibrated
    one at which no unrelated video was found. ``may_lag``: the newest may be missing.

    Raises what fetching and decoding raise, and ``Unavailable`` where the model of ``copy`` is
    missing.
    """
    content = load_bytes(url=url, data=data)
    check_query(content, sender)
    frames, still = read_query(content)
    embed = descriptors.get_copy().embed
    if not any(frame.votes for frame in frames):
        return VideoSearchResult(low_information=True)
    kind: QueryKind = "still" if still else "clip"
    least = calibrations()[kind].precise if min_confidence is None else min_confidence
    find = _find_still if still else _find_footage
    found = find(frames, embed, may_lag)
    rated = [one for one in found if one.confidence >= least]
    videos = Video.objects.ready().in_bulk([one.candidate.video for one in rated])
    rated = [one for one in rated if one.candidate.video in videos]
    listed = _best_per_video(rated) if still else rated
    return VideoSearchResult(
        results=[_video_match(one, frames, videos) for one in listed[:limit]],
        ambiguous=_equally_good(rated, frames, videos),
    )


def _spans(
    query: DescribedQuery, may_lag: bool, *, known: Container[int] = ()
) -> dict[int, StoredSpans]:
    """Return the spans of the candidates that are not yet known."""

    def read() -> dict[int, StoredSpans]:
        return load_spans([video for video in candidate_videos(query) if video not in known])

    # ``search_videos`` looks afterwards which of the videos are ready.
    return replica.find(read)[0] if may_lag else read()


def read_query(content: bytes) -> tuple[list[QueryFrame], bool]:
    """Return the frames of a query, and whether it is a still. Raises ``NotAnImage``, ``TooLarge``
    and the errors of ``videos.decode.errors``."""
    head = content[:HEAD_BYTES]
    container = sniff(head)
    if container is None and sniff_picture(head) is None:
        raise NotAVideo(why_unknown(head))
    if container is None or (
        container in ANIMATIONS and decoding.inspect(content, conf.limits()).frames == 1
    ):
        return [queries.still_frame(decoding.decode(content, conf.limits()).rgb)], True
    with decode(
        io.BytesIO(content),
        video_conf.query_limits(),
        fps=queries.SAMPLES_PER_SECOND,
        phase=video_conf.phase(),
        long_side=queries.LONG_SIDE,
    ) as footage:
        frames = queries.sample_footage(footage)
    return frames, len(frames) == 1


def _find_still(frames: Sequence[QueryFrame], embed: Embed, may_lag: bool) -> list[_RatedCandidate]:
    """Describe more views of the query as long as none of them is certainly in a video."""
    verifier, rated = ProxyVerifier(frames), []
    spans: dict[int, StoredSpans] = {}
    query: DescribedQuery | None = None
    for view in queries.describe_still(frames[0], embed):
        query = query.joined(view) if query else view
        spans |= _spans(view, may_lag, known=spans)
        rated = _rate(still_candidates(query, spans), "still", verifier)
        if any(one.verification and one.verification.certain for one in rated):
            break
    return rated


def _find_footage(
    frames: Sequence[QueryFrame], embed: Embed, may_lag: bool
) -> list[_RatedCandidate]:
    query = queries.describe_footage(frames, embed)
    found = footage_candidates(query, _spans(query, may_lag))
    return _rate(found, "clip", ProxyVerifier(frames))


def _rate(
    found: Sequence[AlignmentCandidate], kind: QueryKind, verifier: ProxyVerifier
) -> list[_RatedCandidate]:
    ranked = sorted(found, key=lambda one: -logit(one.evidence, "stored"))
    likely = limit_per_video(ranked, MAX_VERIFIED_PER_VIDEO)[:MAX_VERIFIED]
    rated = []
    for one, verification in verifier.verify(likely):
        evidence, by = one.evidence, kind
        if verification is None:
            by = "stored"
        else:
            evidence = replace(
                evidence,
                correlation=verification.correlation,
                inliers=verification.inliers,
                proven=verification.proven / max(1, verification.compared),
                shown=verification.shown,
                copy=verification.copy,
            )
        odds, sure = logit(evidence, by), confidence(evidence, by)
        rated.append(_RatedCandidate(one, by, evidence, verification, odds, sure))
    # Odds from vectors alone are of another model: they never outweigh compared pictures.
    return sorted(rated, key=lambda one: (not one.is_proved, -one.logit))


def _best_per_video(rated: Sequence[_RatedCandidate]) -> list[_RatedCandidate]:
    seen: dict[int, _RatedCandidate] = {}
    for one in rated:
        seen.setdefault(one.candidate.video, one)
    return list(seen.values())


def _equally_good(
    rated: Sequence[_RatedCandidate], frames: Sequence[QueryFrame], videos: Mapping[int, Video]
) -> list[VideoRange]:
    if not rated:
        return []
    first, *others = rated
    length = first.candidate.end - first.candidate.start
    video = videos[first.candidate.video]
    ranges = [_range(video, start, start + length) for start in first.candidate.rivals]
    ranges += [
        _range(videos[one.candidate.video], *_times(one, frames))
        for one in others
        if one.correlation >= first.correlation - SAME_TOLERANCE
        and one.evidence.coverage >= 0.9 * first.evidence.coverage
        and one.evidence.similarity >= first.evidence.similarity - SAME_TOLERANCE
    ]
    distinct = [_range(video, *_times(first, frames))]
    for one in ranges:
        if not any(map(one.overlaps, distinct)):
            distinct.append(one)
    return distinct[1:]


def _range(video: Video, start: float, end: float) -> VideoRange:
    return VideoRange(video, round(start * 1000), round(end * 1000))


def _times(rated: _RatedCandidate, frames: Sequence[QueryFrame]) -> tuple[float, float]:
    """Start and end in seconds."""
    found, verification = rated.candidate, rated.verification
    if verification is None:
        return found.start, found.end
    if verification.start is not None and verification.end is not None:
        return verification.start, verification.end
    query_times = (frames[found.expected.frames[at]].t / 1000 for at in (0, -1))
    start, end = (verification.offset + verification.speed * t for t in query_times)
    return max(0.0, start), end


def _video_match(
    rated: _RatedCandidate, frames: Sequence[QueryFrame], videos: Mapping[int, Video]
) -> VideoMatch:
    found = rated.candidate
    start, end = _times(rated, frames)
    exact = rated.verification or found.expected
    count = min(MAX_SHOWN_PAIRS, len(found.pairs))
    pairs = [found.pairs[at] for at in np.linspace(0, len(found.pairs) - 1, count).astype(int)]
    return VideoMatch(
        video=videos[found.video],
        kind=rated.kind,
        evidence=rated.evidence,
        confidence=round(rated.confidence, 6),
        start=round(start * 1000),
        end=round(end * 1000),
        query_start=frames[found.expected.frames[0]].t,
        query_end=frames[found.expected.frames[-1]].t,
        offset=round(exact.offset * 1000),
        speed=round(exact.speed, 4),
        mirrored=rated.verification.mirrored if rated.verification else False,
        matches=tuple(
            FramePair(
                frames[number].t,
                max(0, round(exact.offset * 1000 + exact.speed * frames[number].t)),
                round(similarity, 4),
            )
            for number, similarity in pairs
        ),
    )
