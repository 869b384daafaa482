"""Neighbours of frames through the index against brute force, and all spans of a video."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from django.db import connection
from numpy.typing import NDArray

from gallery.items.vectors import encode
from tests.videos import library
from videos.match import frame_search
from videos.match.frame_search import (
    EF_SEARCH,
    NEIGHBOURS,
    candidate_videos,
    load_spans,
    statement,
    vote_for_videos,
)
from videos.match.queries import DescribedQuery
from videos.models import FRAME_VERSION, Frame, Video

pytestmark = pytest.mark.django_db

VIDEOS, FRAMES, QUERIES, SIZE = 50, 40, 10, 512
Floats = NDArray[np.float32]


def unit(vectors: NDArray[np.floating]) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


def video_row(number: int, **fields: Any) -> Video:
    return Video(
        **{
            **{"md5": f"{number:032d}", "sha1": "", "sha256": "", "format": "mp4", "width": 1},
            **{"height": 1, "bytes": 1, "status": "ready", "added_by": "tests"},
            **fields,
        }
    )


@pytest.fixture(scope="module")
def stored(django_db_setup: None, django_db_blocker: Any) -> Iterator[tuple[list[int], Floats]]:
    """Ids, and the vectors (videos × frames × 512): scenes whose frames are alike, as in films."""
    rng = np.random.default_rng(0)
    scenes = unit(rng.normal(size=(VIDEOS, 8, 1, SIZE)))
    frames = unit(scenes + rng.normal(scale=0.03, size=(VIDEOS, 8, FRAMES // 8, SIZE)))
    vectors = frames.reshape(VIDEOS, FRAMES, SIZE).astype(np.float16).astype(np.float32)
    with django_db_blocker.unblock():
        library.clear()
        rows = Video.objects.bulk_create([video_row(n) for n in range(VIDEOS)])
        Frame.objects.bulk_create(
            [
                Frame(
                    item=row,
                    version=FRAME_VERSION,
                    t0=1000 * n,
                    t1=1000 * n + 500,
                    weight=0.5 + 0.5 * (n % 2),
                    cnn=vector,
                )
                for row, of_video in zip(rows, vectors, strict=True)
                for n, vector in enumerate(of_video)
            ],
            batch_size=500,
        )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE videos_video, videos_frame")
        yield [row.pk for row in rows], vectors
        library.clear()


@pytest.fixture(scope="module")
def queries() -> Floats:
    """Frames near to stored ones, and some that are near to none."""
    rng = np.random.default_rng(1)
    return unit(rng.normal(size=(QUERIES, SIZE)))


def near(vectors: Floats, count: int = QUERIES) -> Floats:
    rng = np.random.default_rng(2)
    some = vectors.reshape(-1, SIZE)[rng.integers(VIDEOS * FRAMES, size=count)]
    return unit(some + rng.normal(scale=0.02, size=some.shape))


@pytest.fixture(params=["index forced", "planner's choice"])
def plan(request: Any) -> str:
    if request.param == "index forced":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
    return str(request.param)


def brute_force(
    ids: list[int], vectors: Floats, query: Floats, kept: NDArray[np.bool_] | None = None
) -> dict[tuple[int, int], float]:
    """(query, video) → vote, from the nearest frames of the videos that are kept."""
    kept = np.ones(VIDEOS, np.bool_) if kept is None else kept
    flat = vectors[kept].reshape(-1, SIZE)
    owners = np.repeat(np.array(ids)[kept], FRAMES)
    weights = np.tile(0.5 + 0.5 * (np.arange(FRAMES) % 2), int(kept.sum()))
    votes: dict[tuple[int, int], float] = {}
    for number, cosines in enumerate(query @ flat.T):
        for at in np.argsort(-cosines)[:NEIGHBOURS]:
            vote = float(weights[at] * (cosines[at] - frame_search.MIN_COSINE))
            key = number, int(owners[at])
            if vote > 0:
                votes[key] = max(vote, votes.get(key, 0.0))
    return votes


def votes_of(query: Floats, **options: Any) -> dict[tuple[int, int], float]:
    found = vote_for_videos(np.arange(len(query)), query, **options)
    assert len({(frame, video) for frame, video, _ in found}) == len(found)
    return {(frame, video): vote for frame, video, vote in found}


def explain(query: Floats, *, exact: bool) -> str:
    params = {
        "frames": list(range(len(query))),
        "vectors": [encode(vector) for vector in query],
        "version": FRAME_VERSION,
        "exclude": 0,
        "floor": 0.0,
    }
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + statement(exact=exact), params)
        return "\n".join(row[0] for row in cursor.fetchall())


@pytest.mark.slow
def test_recall(stored: Any, plan: str) -> None:
    ids, vectors = stored
    query = near(vectors, 40)
    if plan == "index forced":
        assert "frame_cnn_hnsw" in explain(query, exact=False)
    found, right = votes_of(query), brute_force(ids, vectors, query)
    assert right
    kept = [key in found and found[key] >= vote - 1e-3 for key, vote in right.items()]
    assert np.mean(kept) >= 0.99
    for key, vote in found.items():
        assert vote <= right[key] + 1e-3


@pytest.mark.slow
def test_exact_means_exact(stored: Any) -> None:
    ids, vectors = stored
    query = near(vectors)
    assert "hnsw" not in explain(query, exact=True)
    found, right = votes_of(query, exact=True), brute_force(ids, vectors, query)
    assert found == pytest.approx(right, abs=1e-3)


def test_strangers_get_no_vote(stored: Any, queries: Floats, plan: str) -> None:
    assert votes_of(queries) == {}


@pytest.mark.parametrize("status", ["pending", "quarantined"])
def test_the_neighbourhood_is_hidden(stored: Any, plan: str, status: str) -> None:
    """What hides the nearest must not hide those behind them."""
    ids, vectors = stored
    query = near(vectors, 5)
    hidden = {video for _, video in votes_of(query)}
    Video.objects.filter(pk__in=hidden).update(status=status)
    found = votes_of(query)
    kept = ~np.isin(ids, list(hidden))
    assert found == pytest.approx(brute_force(ids, vectors, query, kept), abs=1e-3)


def test_nearly_all_are_hidden(stored: Any, plan: str) -> None:
    ids, vectors = stored
    kept = np.arange(VIDEOS) == 7
    Video.objects.exclude(pk=ids[7]).update(status="quarantined")
    query = near(vectors[7:8].repeat(VIDEOS, axis=0), 5)
    assert votes_of(query) == pytest.approx(brute_force(ids, vectors, query, kept), abs=1e-3)
    assert {video for _, video in votes_of(query)} == {ids[7]}


def test_a_video_may_be_excluded(stored: Any, plan: str) -> None:
    ids, vectors = stored
    assert {video for _, video in votes_of(vectors[3, :4])} == {ids[3]}
    assert votes_of(vectors[3, :4], exclude=ids[3]) == {}


def test_other_versions_and_frames_without_weight_are_not_asked(stored: Any) -> None:
    _, vectors = stored
    row = video_row(999)
    row.save()
    for n, (version, weight) in enumerate((("another", 1.0), (FRAME_VERSION, 0.0))):
        Frame.objects.create(
            item=row, version=version, t0=n, t1=n, weight=weight, cnn=vectors[0, 0]
        )
    assert row.pk not in {video for _, video in votes_of(vectors[0, :1])}
    assert load_spans([row.pk]) == {}


def described(vectors: Floats) -> DescribedQuery:
    count = len(vectors)
    return DescribedQuery(
        times=1000 * np.arange(count),
        weights=np.ones(count),
        vectors=vectors,
        vector_frames=np.arange(count),
        parts=np.zeros(count, np.bool_),
        hashes=np.empty((0, 32), np.uint8),
        hash_frames=np.empty(0, np.intp),
    )


def test_candidates_are_ranked_by_the_votes_of_all_frames(stored: Any) -> None:
    ids, vectors = stored
    query = np.concatenate([vectors[4, :20], vectors[9, :6]])
    ranked = candidate_videos(described(query))
    assert list(ranked)[:2] == [ids[4], ids[9]]
    assert ranked[ids[4]] > 2 * ranked[ids[9]]
    assert list(candidate_videos(described(query), exclude=ids[4])) == [ids[9]]


def test_nothing_to_propose_with(stored: Any) -> None:
    assert candidate_videos(described(np.empty((0, SIZE), np.float32))) == {}
    assert load_spans([]) == {}


def test_spans_are_what_is_stored(stored: Any) -> None:
    ids, vectors = stored
    Video.objects.filter(pk=ids[2]).update(status="quarantined")
    spans = load_spans([ids[1], ids[2], ids[5]])
    assert set(spans) == {ids[1], ids[5]}
    for number in (1, 5):
        found = spans[ids[number]]
        np.testing.assert_array_equal(found.t0, 1000 * np.arange(FRAMES))
        np.testing.assert_array_equal(found.t1, found.t0 + 500)
        np.testing.assert_array_equal(found.weights, 0.5 + 0.5 * (np.arange(FRAMES) % 2))
        np.testing.assert_array_equal(found.vectors, vectors[number])
        assert not found.hashes.any()


def test_views_of_one_span_count_as_one(stored: Any) -> None:
    _, vectors = stored
    row = video_row(998)
    row.save()
    ones, zeros = "1" * 256, "01" * 128
    for view, t0, cnn, pdq in (
        *(("full", 0, vectors[0, 0], ones), ("trimmed", 0, vectors[0, 30], zeros)),
        ("full", 2000, vectors[0, 20], None),
    ):
        Frame.objects.create(
            item=row, version=FRAME_VERSION, view=view, t0=t0, t1=t0, weight=1, cnn=cnn, pdq=pdq
        )
    spans = load_spans([row.pk])[row.pk]
    assert (spans.t0.tolist(), spans.span_of.tolist()) == ([0, 2000], [0, 0, 1])
    query = described(vectors[0, [30, 20]])
    np.testing.assert_allclose(np.diag(frame_search.frame_similarity(query, spans)), 1.0, atol=1e-3)


def test_similarity_is_the_best_of_vectors_and_hashes(stored: Any) -> None:
    rng = np.random.default_rng(3)
    ours = rng.integers(0, 256, (2, 32)).astype(np.uint8)
    theirs = ours[::-1].copy()
    theirs[0, 0] ^= 0b11111111  # 8 of 256 bits
    row = video_row(997)
    row.save()
    for n, packed in enumerate(theirs):
        Frame.objects.create(
            item=row,
            version=FRAME_VERSION,
            t0=n,
            t1=n,
            weight=1,
            cnn=unit(rng.normal(size=SIZE)),
            pdq="".join(map(str, np.unpackbits(packed))),
        )
    spans = load_spans([row.pk])[row.pk]
    np.testing.assert_array_equal(spans.hashes, theirs)
    query = DescribedQuery(
        times=np.arange(2),
        weights=np.ones(2),
        vectors=np.empty((0, SIZE), np.float32),
        vector_frames=np.empty(0, np.intp),
        parts=np.empty(0, np.bool_),
        hashes=ours,
        hash_frames=np.arange(2),
    )
    expected = [[0.0, 1.0], [1.0 - 8 / frame_search.HASH_REACH, 0.0]]
    np.testing.assert_allclose(frame_search.frame_similarity(query, spans), expected)


def test_the_rule_of_the_index() -> None:
    assert 2 * NEIGHBOURS <= EF_SEARCH <= 1000
