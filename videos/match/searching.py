"""Which videos show a picture or a clip, and when? Vectors propose, pictures prove."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gallery.imaging import decoding, descriptors
from gallery.imaging.sniffing import sniff as sniff_picture
from gallery.items import conf
from gallery.items.publishing import check_query
from gallery.search.searching import bytes_of
from gallery.shared.access import NOBODY, Sender
from videos import conf as video_conf
from videos.decode.decoding import decode, sniff
from videos.decode.errors import NotAVideo
from videos.decode.sniffing import ANIMATIONS, HEAD_BYTES, why_unknown
from videos.match import alignment_candidates, proving, queries
from videos.match.alignment_candidates import Found
from videos.match.confidence import (
    Evidence,
    Kind,
    calibrations,
    confidence,
    logit,
)
from videos.match.queries import QueryFrame
from videos.match.search import candidates, spans_of
from videos.match.verifying import Proof
from videos.models import Video

LIMIT = 10

VERIFIED, VERIFIED_EACH = 6, 3
"""Claims that are proved on the pictures, the likeliest first; and of one video."""

EQUAL = 0.02
"""A place whose pictures are less alike by no more than this is as good."""

SHOWN = 5
"""Pairs of frames of an answer."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A moment of the query and of the video that show the same: ms of each, cosine."""

    query: int
    time: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a video, ms."""

    video: Video
    start: int
    end: int

    def overlaps(self, other: Place) -> bool:
        """Whether both show a moment of the same video."""
        same = self.video.pk == other.video.pk
        return same and self.start <= other.end and other.start <= self.end


@dataclass(frozen=True, slots=True)
class Hit:
    """The query from ``query_start`` to ``query_end`` shows the video from ``start`` to ``end``.

    All in ms of either; video time = ``offset`` + ``speed`` × query time. For a still ``offset``
    is its moment, and from ``start`` to ``end`` the video looks the same. ``confidence`` is what
    the model of ``kind`` makes of ``evidence``.
    """

    video: Video
    kind: Kind
    evidence: Evidence
    confidence: float
    start: int
    end: int
    query_start: int
    query_end: int
    offset: int
    speed: float
    mirrored: bool
    matches: tuple[Pair, ...]


@dataclass(frozen=True)
class Answer:
    """``results``: the most certain first. ``ambiguous``: other places that show the query as well
    as the first result. ``low_information``: the query shows too little to be found."""

    results: Sequence[Hit] = ()
    low_information: bool = False
    ambiguous: Sequence[Place] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    found: Found
    kind: Kind
    evidence: Evidence
    proof: Proof | None
    logit: float
    confidence: float


def search(
    *,
    data: bytes | None = None,
    url: str | None = None,
    limit: int = LIMIT,
    min_confidence: float | None = None,
    sender: Sender = NOBODY,
) -> Answer:
    """Find the videos that show a picture, an animation or a clip, given as bytes or as a link.

    ``sender``: who is told whether it may be searched with.
    ``min_confidence`` None: the one from which on strangers were not found. Raises what fetching
    and decoding raise, and ``Unavailable`` where the model of ``copy`` is not here.
    """
    content = bytes_of(url=url, data=data)
    check_query(content, sender)
    frames, still = read(content)
    embed = descriptors.get_copy().embed
    if not any(frame.votes for frame in frames):
        return Answer(low_information=True)
    if still:
        query = queries.describe_still(frames[0], embed)
        found = alignment_candidates.of_still(query, spans_of(list(candidates(query))))
    else:
        query = queries.describe_footage(frames, embed)
        found = alignment_candidates.of_footage(query, spans_of(list(candidates(query))))
    kind: Kind = "still" if still else "clip"
    judged = _judge(frames, found, kind)
    least = calibrations()[kind].precise if min_confidence is None else min_confidence
    sure = [one for one in judged if one.confidence >= least]
    videos = Video.objects.ready().in_bulk([one.found.video for one in sure])
    sure = [one for one in sure if one.found.video in videos]
    shown = _first_of_each(sure) if still else sure
    return Answer(
        results=[_hit(one, frames, videos) for one in shown[:limit]],
        ambiguous=_as_good(sure, frames, videos),
    )


def read(content: bytes) -> tuple[list[QueryFrame], bool]:
    """The frames of a query, and whether it is a still. Raises ``NotAnImage``, ``NotAVideo`` and
    what goes beyond the limits."""
    head = content[:HEAD_BYTES]
    container = sniff(head)
    if container is None and sniff_picture(head) is None:
        raise NotAVideo(why_unknown(head))
    if container is None or (
        container in ANIMATIONS and decoding.inspect(content, conf.limits()).frames == 1
    ):
        return [queries.still(decoding.decode(content, conf.limits()).rgb)], True
    with decode(
        io.BytesIO(content),
        video_conf.query_limits(),
        fps=queries.SAMPLES_PER_SECOND,
        phase=video_conf.phase(),
        long_side=queries.LONG_SIDE,
    ) as footage:
        frames = queries.footage(footage)
    return frames, len(frames) == 1


def _judge(frames: Sequence[QueryFrame], found: Sequence[Found], kind: Kind) -> list[_Judged]:
    """Claims with what is known about them, the most certain first."""
    ranked = sorted(found, key=lambda one: -logit(one.evidence, "stored"))
    likely = alignment_candidates.at_most_each(ranked, VERIFIED_EACH)[:VERIFIED]
    judged = []
    for one, proof in zip(likely, proving.proofs(frames, likely), strict=True):
        evidence, by = one.evidence, kind
        if proof is None:
            by = "stored"
        else:
            evidence = replace(
                evidence,
                likeness=proof.likeness,
                inliers=proof.inliers,
                proven=proof.proven / max(1, proof.compared),
                shown=proof.shown,
            )
        odds, sure = logit(evidence, by), confidence(evidence, by)
        judged.append(_Judged(one, by, evidence, proof, odds, sure))
    return sorted(judged, key=lambda one: -one.logit)


def _first_of_each(judged: Sequence[_Judged]) -> list[_Judged]:
    seen: dict[int, _Judged] = {}
    for one in judged:
        seen.setdefault(one.found.video, one)
    return list(seen.values())


def _as_good(
    judged: Sequence[_Judged], frames: Sequence[QueryFrame], videos: Mapping[int, Video]
) -> list[Place]:
    """What cannot be told from the first answer, each place once, and not its own."""
    if not judged:
        return []
    first, *others = judged
    length = first.found.end - first.found.start
    places = [
        _place(videos[first.found.video], start, start + length) for start in first.found.rivals
    ]
    alike = first.proof.likeness if first.proof else 0.0
    for one in others:
        as_alike = (one.proof.likeness if one.proof else 0.0) >= alike - EQUAL
        as_much = one.evidence.coverage >= 0.9 * first.evidence.coverage
        as_similar = one.evidence.similarity >= first.evidence.similarity - EQUAL
        if as_alike and as_much and as_similar:
            places.append(_place(videos[one.found.video], *_times(one, frames)))
    known = [_place(videos[first.found.video], *_times(first, frames))]
    for place in places:
        if not any(map(place.overlaps, known)):
            known.append(place)
    return known[1:]


def _place(video: Video, start: float, end: float) -> Place:
    return Place(video, round(start * 1000), round(end * 1000))


def _times(judged: _Judged, frames: Sequence[QueryFrame]) -> tuple[float, float]:
    """Start and end in seconds."""
    found, proof = judged.found, judged.proof
    if proof is None:
        return found.start, found.end
    if proof.start is not None and proof.end is not None:
        return proof.start, proof.end
    first, last = (frames[found.claim.frames[at]].t / 1000 for at in (0, -1))
    return max(0.0, proof.offset + proof.speed * first), proof.offset + proof.speed * last


def _hit(judged: _Judged, frames: Sequence[QueryFrame], videos: Mapping[int, Video]) -> Hit:
    found = judged.found
    start, end = _times(judged, frames)
    sure = judged.proof or found.claim
    shown = np.linspace(0, len(found.pairs) - 1, min(SHOWN, len(found.pairs))).astype(int)
    pairs = [found.pairs[at] for at in shown]
    return Hit(
        video=videos[found.video],
        kind=judged.kind,
        evidence=judged.evidence,
        confidence=round(judged.confidence, 6),
        start=round(start * 1000),
        end=round(end * 1000),
        query_start=frames[found.claim.frames[0]].t,
        query_end=frames[found.claim.frames[-1]].t,
        offset=round(sure.offset * 1000),
        speed=round(sure.speed, 4),
        mirrored=judged.proof.mirrored if judged.proof else False,
        matches=tuple(
            Pair(
                frames[number].t,
                max(0, round(sure.offset * 1000 + sure.speed * frames[number].t)),
                round(alike, 4),
            )
            for number, alike in pairs
        ),
    )
