"""Finds videos by the nearest stored frames, then loads all their frames to compare them.

One statement looks up all frames of a query in the HNSW index (docs/benchmarks.md). The videos it
proposes are then compared in full, which also finds frames that the index missed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gallery.imaging.descriptors.base import CNN_DIMENSIONS
from gallery.imaging.pixels import Pixels
from gallery.items.vectors import encode
from gallery.search import replica
from gallery.shared.binary_copy import BIGINT, BITS_256, DOUBLE, halfvec, read_rows
from videos.match.queries import DescribedQuery, Vectors
from videos.models import FRAME_VERSION

MAX_PROPOSING_FRAMES: Final = 24
"""Frames of a query that are looked up in the index, evenly chosen."""

MAX_CANDIDATE_VIDEOS: Final = 12
"""Videos that are compared in full."""

NEIGHBOURS: Final = 40
"""Stored frames that each vector of the query proposes."""

EF_SEARCH: Final = 100

MIN_COSINE: Final = 0.25
"""Least cosine of a neighbour that votes; unrelated pictures reach it."""

PART_PENALTY: Final = 0.1
"""Subtracted from the cosine of a quarter of the query, which shows less."""

HASH_REACH: Final = 64.0
"""Hashes of this Hamming distance or more have similarity 0."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredSpans:
    """The voting spans of one video, in order: ms, rarity 0..1, and the views of each.

    ``span_of``: for each of the ``vectors`` (n × 512) and ``hashes`` (n × 32 bytes), its span.
    """

    t0: NDArray[np.int64]
    t1: NDArray[np.int64]
    weights: NDArray[np.float64]
    vectors: Vectors
    hashes: Pixels
    span_of: NDArray[np.intp]


def candidate_videos(
    query: DescribedQuery, *, exclude: int = 0, proposing: int = MAX_PROPOSING_FRAMES
) -> dict[int, float]:
    """Return ready videos that may show the query: id → votes, most first;
    ``MAX_CANDIDATE_VIDEOS``.

    Each of ``proposing`` frames of the query gives a video one vote, larger if its best frame is
    nearer and rarer. ``exclude``: a video that is left out.
    """
    voting = np.unique(query.vector_frames)
    chosen = voting[np.linspace(0, len(voting) - 1, min(proposing, len(voting))).astype(int)]
    kept = np.flatnonzero(np.isin(query.vector_frames, chosen))
    total: dict[int, float] = defaultdict(float)
    for _, video, vote in vote_for_videos(
        query.vector_frames[kept], query.vectors[kept], exclude=exclude
    ):
        total[video] += vote
    ranked = sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))
    return dict(ranked[:MAX_CANDIDATE_VIDEOS])


def vote_for_videos(
    frames: NDArray[np.intp], vectors: Vectors, *, exclude: int = 0, exact: bool = False
) -> list[tuple[int, int, float]]:
    """Return (query frame, video, vote > 0), from the nearest stored frames of each vector.

    ``exact``: without the index, after a filtered scan of the index ended early.
    """
    if not len(frames):
        return []
    params = {
        "frames": frames.tolist(),
        "vectors": [encode(vector) for vector in vectors],
        "version": FRAME_VERSION,
        "exclude": exclude,
        "floor": MIN_COSINE,
    }
    with replica.connection().cursor() as cursor:
        # Sent as one text, the three statements are one transaction and one round trip.
        cursor.execute(
            f"SET LOCAL hnsw.ef_search = {EF_SEARCH}; "
            f"SET LOCAL hnsw.iterative_scan = strict_order; {statement(exact=exact)}",
            params,
        )
        found = cursor.fetchall()
    if not exact and sum(row[3] for row in found) < NEIGHBOURS * len(frames):
        return vote_for_videos(frames, vectors, exclude=exclude, exact=True)
    return [(frame, video, vote) for frame, video, vote, _ in found if vote > 0]


def statement(*, exact: bool) -> str:
    """Return the SQL of the nearest frames of all vectors: the best of each video for each query
    frame.

    The last column counts the neighbours of a row. ``+ 0`` keeps the planner from using the index;
    the subquery on the video keeps it from using a join.
    """
    order = "(f.cnn <=> q.vector) + 0" if exact else "f.cnn <=> q.vector"
    return f"""
        WITH query AS MATERIALIZED (
            SELECT frame, vector::halfvec({CNN_DIMENSIONS}) AS vector
            FROM unnest(%(frames)s::int[], %(vectors)s::text[]) AS u (frame, vector)
        )
        SELECT q.frame, n.item_id, max(n.weight * (1 - n.distance - %(floor)s))::float8, count(*)
        FROM query q CROSS JOIN LATERAL (
            SELECT f.item_id, f.weight, f.cnn <=> q.vector AS distance
            FROM videos_frame f
            WHERE f.version = %(version)s AND f.weight > 0 AND f.cnn IS NOT NULL
            AND (SELECT v.status = 'ready' AND v.id <> %(exclude)s
                 FROM videos_video v WHERE v.id = f.item_id)
            ORDER BY {order} LIMIT {NEIGHBOURS}
        ) n
        GROUP BY q.frame, n.item_id
    """  # noqa: S608 (every piece is a constant of this module)


_COLUMNS: Final = {
    **{"video": BIGINT, "t0": BIGINT, "t1": BIGINT, "weight": DOUBLE},
    **{"vector": halfvec(CNN_DIMENSIONS), "hash": BITS_256},
}


def load_spans(videos: Sequence[int]) -> dict[int, StoredSpans]:
    """Return the voting spans of the ready ones of these videos; a missing hash is all zeros.

    Binary COPY takes 1.1 KB for each view; text would take several.
    """
    rows = read_rows(
        "SELECT f.item_id::int8, f.t0::int8, f.t1::int8, f.weight::float8, "
        "f.cnn, COALESCE(f.pdq, repeat('0', 256)::bit(256)) "
        "FROM videos_frame f JOIN videos_video v ON v.id = f.item_id "
        "WHERE f.item_id = ANY(%(videos)s) AND f.weight > 0 AND f.version = %(version)s "
        "AND f.cnn IS NOT NULL AND v.status = 'ready' ORDER BY f.item_id, f.t0",
        {"videos": [int(video) for video in videos], "version": FRAME_VERSION},
        _COLUMNS,
        replica.connection(),
    )
    return {int(video): _spans(rows[rows["video"] == video]) for video in np.unique(rows["video"])}


def _spans(rows: NDArray[np.void]) -> StoredSpans:
    t0, first, of = np.unique(rows["t0"], return_index=True, return_inverse=True)
    return StoredSpans(
        t0=t0.astype(np.int64),
        t1=rows["t1"][first].astype(np.int64),
        weights=rows["weight"][first].astype(np.float64),
        vectors=rows["vector"]["values"].astype(np.float32),
        hashes=np.ascontiguousarray(rows["hash"]["values"]),
        span_of=of.astype(np.intp),
    )


def frame_similarity(query: DescribedQuery, spans: StoredSpans) -> NDArray[np.float64]:
    """Compare query frames × spans, the best of all views: 1 equal, 0 nothing in common."""
    result = np.zeros((len(query.times), len(spans.t0)))
    if len(query.vectors):
        cosines = query.vectors @ spans.vectors.T
        cosines[query.parts] -= PART_PENALTY
        _best_into(result, cosines, query.vector_frames, spans.span_of)
    if len(query.hashes):
        seen = spans.hashes.any(axis=1)
        ours, theirs = query.hashes.view(np.uint64), spans.hashes[seen].view(np.uint64)
        differing = sum(
            np.bitwise_count(ours[:, None, word] ^ theirs[None, :, word]).astype(np.int16)
            for word in range(4)
        )
        _best_into(result, 1.0 - differing / HASH_REACH, query.hash_frames, spans.span_of[seen])
    return result


def _best_into(
    result: NDArray[np.float64],
    values: NDArray[Any],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
) -> None:
    np.maximum.at(result, (rows[:, None], columns[None, :]), values)
