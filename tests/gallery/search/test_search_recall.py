"""Nearest neighbours through HNSW against brute force, over 2,000 stored vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from django.db import connection
from numpy.typing import NDArray

from gallery.imaging.descriptors.base import PIXELS_VERSION
from gallery.imaging.descriptors.stored_patterns import STEP, pack_pattern
from gallery.items import versions
from gallery.items.models import ClipVersion, Image, ImageFingerprint
from gallery.items.vectors import encode
from gallery.search.nearest import INCLUSIVE, Filters, nearest_images, statement
from gallery.search.vector_index import VECTOR_SPACES, Proposal, Question
from gallery.shared.binary_copy import write_rows
from tests.gallery.search.engines import MILVUS, searching_on
from tests.gallery.search.synthetic import (
    COUNT,
    Floats,
    add_images,
    bit_text,
    clustered,
    force_indexes,
    recall,
    rounded,
    unit,
)

pytestmark = pytest.mark.django_db
QUERIES = 40
CLIP = "clip/synthetic/of/tests"
CLIP_DIMENSIONS = 64
FAR = 1e6


@dataclass(frozen=True)
class Gallery:
    """What is stored, row by row in the order of ids, and what to search with."""

    ids: NDArray[np.int64]
    haar: Floats
    pattern: Floats
    pdq: Floats
    clip: Floats
    queries: dict[str, list[dict[str, Any]]]


def insert(haar: Floats, pattern: Floats, pdq: Floats, clip: Floats) -> NDArray[np.int64]:
    """Rows as the services store them."""
    images = add_images()
    versions.register(CLIP, CLIP_DIMENSIONS)
    pixels = ImageFingerprint.objects.bulk_create(
        ImageFingerprint(item=image, version=PIXELS_VERSION, haar=haar[row], pdq=bit_text(pdq[row]))
        for row, image in enumerate(images)
    )
    write_rows(
        "gallery_imagedetail",
        "fingerprint_id, pattern",
        ((row.pk, pack_pattern(values)) for row, values in zip(pixels, pattern, strict=True)),
    )
    ImageFingerprint.objects.bulk_create(
        ImageFingerprint(item=image, version=CLIP, clip=clip[row])
        for row, image in enumerate(images)
    )
    return np.array([image.pk for image in images])


@pytest.fixture(scope="module")
def gallery(django_db_setup: None, django_db_blocker: Any) -> Iterator[Gallery]:
    rng = np.random.default_rng(0)
    everything = COUNT + QUERIES
    haar = rounded(clustered(rng, everything, np.ones(16)), np.float32)
    # Its first values are the signature's: what is near by one is near by the other.
    pattern = np.zeros((everything, 4096))
    pattern[:, :16] = haar
    pattern[:, 64:80] = rng.normal(scale=0.1, size=(everything, 16))
    # Stored patterns hold these numbers as they are.
    pattern = rounded(np.rint(pattern / STEP) * STEP, np.float32)
    pdq = (clustered(rng, everything, np.ones(256)) > 0).astype(np.float64)
    clip = rounded(unit(clustered(rng, everything, np.ones(CLIP_DIMENSIONS))), np.float16)
    queries = range(COUNT, everything)
    with django_db_blocker.unblock():
        versions._cached = (0.0, None)
        ids = insert(haar[:COUNT], pattern[:COUNT], pdq[:COUNT], clip[:COUNT])
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE gallery_image, gallery_imagefingerprint, gallery_imagedetail")
        yield Gallery(
            ids,
            haar[:COUNT],
            pattern[:COUNT],
            pdq[:COUNT],
            clip[:COUNT],
            {
                "imgsmlr": [{"haar": haar[row], "pattern": pattern[row]} for row in queries],
                "pdq": [{"pdq": bit_text(pdq[row])} for row in queries],
                "clip": [{"clip": clip[row]} for row in queries],
            },
        )
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE gallery_image, gallery_clipversion CASCADE")
            cursor.execute(f"DROP INDEX {versions.index_name(CLIP)}")
        versions._cached = (0.0, None)


def brute_force(
    gallery: Gallery, match_type: str, query: dict[str, Any], limit: int, kept: Any = slice(None)
) -> Floats:
    """The distances of the right answer, in order, among the rows ``kept``."""
    if match_type == "pdq":
        bits = np.array([float(bit) for bit in query["pdq"]])
        return np.sort(np.abs(gallery.pdq[kept] - bits).sum(axis=1))[:limit]
    if match_type == "clip":
        lengths = np.linalg.norm(gallery.clip[kept], axis=1) * np.linalg.norm(query["clip"])
        return np.sort(1 - gallery.clip[kept] @ query["clip"] / lengths)[:limit]
    signatures = np.linalg.norm(gallery.haar[kept] - query["haar"], axis=1)
    candidates = np.argsort(signatures)[: 3 * limit]
    patterns = np.linalg.norm(gallery.pattern[kept][candidates] - query["pattern"], axis=1)
    return np.sort(patterns)[:limit]


def version_of(match_type: str) -> str:
    return CLIP if match_type == "clip" else PIXELS_VERSION


def distances(
    match_type: str, query: dict[str, Any], limit: int, filters: Filters | None = None
) -> Floats:
    matches = nearest_images(
        match_type,
        version_of(match_type),
        query,
        threshold=FAR,
        limit=limit,
        filters=filters,
    )
    found = [match.distance for match in matches]
    assert found == sorted(found)
    assert len({match.image.pk for match in matches}) == len(matches)
    return np.array(found)


@pytest.fixture(scope="module", params=["index forced", "planner's choice", MILVUS])
def engine(
    request: pytest.FixtureRequest, gallery: Gallery, django_db_blocker: Any
) -> Iterator[str]:
    with searching_on(request.param, request, django_db_blocker):
        yield request.param


@pytest.fixture
def plan(engine: str) -> str:
    """Forbids sequential scans and sorts, or leaves the planner alone, in this transaction."""
    if engine == "index forced":
        force_indexes()
    return engine


def explain(match_type: str, query: dict[str, Any], limit: int, *, exact: bool) -> str:
    """The plan of the statement that a search runs."""
    space = VECTOR_SPACES[match_type]
    question = Question(match_type, version_of(match_type), encode(query[space.column]), limit)
    where, params = Filters().sql()
    sql, of_scan = statement(question, Proposal(exact=exact), where, INCLUSIVE)
    params |= of_scan | {
        "threshold": FAR,
        "limit": limit,
        "digits": 6,
    }
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + sql, params)
        return "\n".join(row[0] for row in cursor.fetchall())


INDEXES = {
    "imgsmlr": "imagefingerprint_haar_hnsw",
    "pdq": "imagefingerprint_pdq_hnsw",
    "clip": versions.index_name(CLIP),
}
MATCH_TYPES = pytest.mark.parametrize("match_type", INDEXES)


@pytest.mark.slow
@MATCH_TYPES
def test_recall_at_10(gallery: Gallery, plan: str, match_type: str) -> None:
    queries = gallery.queries[match_type]
    if plan == "index forced":
        assert INDEXES[match_type] in explain(match_type, queries[0], 10, exact=False)
    recalls = [
        recall(distances(match_type, query, 10), brute_force(gallery, match_type, query, 10))
        for query in queries
    ]
    assert np.mean(recalls) >= 0.99


@MATCH_TYPES
def test_the_index_is_used_at_this_size(gallery: Gallery, match_type: str) -> None:
    query = gallery.queries[match_type][0]
    assert INDEXES[match_type] in explain(match_type, query, 10, exact=False)
    assert "hnsw" not in explain(match_type, query, 10, exact=True)


@pytest.mark.slow
@MATCH_TYPES
@pytest.mark.parametrize(
    ("filters", "remainder"),
    [(Filters(data_id_prefix="rare-"), 0), (Filters(meta={"kind": "rare"}), 1)],
)
def test_rare_filters_are_exact(
    gallery: Gallery, plan: str, match_type: str, filters: Filters, remainder: int
) -> None:
    kept = np.arange(COUNT) % 100 == remainder
    for query in gallery.queries[match_type][:5]:
        for limit in (3, 10, 100):
            right = brute_force(gallery, match_type, query, limit, kept)
            found = distances(match_type, query, limit, filters)
            assert len(found) == min(limit, kept.sum())
            np.testing.assert_allclose(found, right, atol=2e-6)


@pytest.mark.slow
@MATCH_TYPES
def test_nearly_all_quarantined(gallery: Gallery, plan: str, match_type: str) -> None:
    kept = np.arange(COUNT) % 250 == 3
    Image.objects.exclude(pk__in=gallery.ids[kept].tolist()).update(status="quarantined")
    for query in gallery.queries[match_type][:5]:
        for limit in (3, 10):
            right = brute_force(gallery, match_type, query, limit, kept)
            np.testing.assert_allclose(distances(match_type, query, limit), right, atol=2e-6)


@MATCH_TYPES
def test_the_neighbourhood_is_quarantined(gallery: Gallery, plan: str, match_type: str) -> None:
    """What hides the nearest must not hide those behind them."""
    query = gallery.queries[match_type][0]
    hidden = nearest_images(match_type, version_of(match_type), query, threshold=FAR, limit=300)
    Image.objects.filter(pk__in=[match.image.pk for match in hidden]).update(status="quarantined")
    kept = ~np.isin(gallery.ids, [match.image.pk for match in hidden])
    right = brute_force(gallery, match_type, query, 10, kept)
    assert recall(distances(match_type, query, 10), right) == 1


@MATCH_TYPES
def test_more_than_there_is(gallery: Gallery, plan: str, match_type: str) -> None:
    query = gallery.queries[match_type][0]
    kept = np.arange(COUNT) % 100 == 0
    found = distances(match_type, query, 500, Filters(data_id_prefix="rare-"))
    np.testing.assert_allclose(found, brute_force(gallery, match_type, query, 500, kept), atol=2e-6)


@pytest.mark.slow
@MATCH_TYPES
@pytest.mark.parametrize("limit", [200, 500])
def test_many_results_are_exact_or_nearly(
    gallery: Gallery, plan: str, match_type: str, limit: int
) -> None:
    """Legacy searches take up to 500; imgsmlr looks at three times as many, beyond any index."""
    for query in gallery.queries[match_type][:3]:
        right = brute_force(gallery, match_type, query, limit)
        assert recall(distances(match_type, query, limit), right) >= 0.99


@MATCH_TYPES
def test_threshold_is_outside_the_scan(gallery: Gallery, plan: str, match_type: str) -> None:
    """It cuts the answer short and never changes which images are in it."""
    query = gallery.queries[match_type][0]
    every = distances(match_type, query, 20)
    for threshold in (every[4], every[-1]):
        matches = nearest_images(
            match_type, version_of(match_type), query, threshold=float(threshold), limit=20
        )
        found = [match.distance for match in matches]
        np.testing.assert_array_equal(found, every[every <= threshold])


def test_a_picture_finds_itself(gallery: Gallery, plan: str) -> None:
    for row in range(0, COUNT, 97):
        query = {"haar": gallery.haar[row], "pattern": gallery.pattern[row]}
        (match,) = nearest_images("imgsmlr", PIXELS_VERSION, query, threshold=0, limit=1)
        assert (match.image.pk, match.distance) == (gallery.ids[row], 0)


def test_versions_do_not_mix(gallery: Gallery) -> None:
    query = gallery.queries["clip"][0]
    assert nearest_images("clip", "clip/another", query, threshold=FAR, limit=5) == []
    assert ClipVersion.objects.get().version == CLIP


@pytest.mark.parametrize(
    ("match_type", "threshold", "limit", "looked_at"),
    [
        ("pdq", 31, 10, 400),
        ("pdq", 64, 10, 400),
        ("pdq", 65, 10, 1000),
        ("pdq", 31, 300, 600),
        ("clip", FAR, 10, 400),
    ],
)
def test_far_hashes_are_searched_for_longer(
    gallery: Gallery, match_type: str, threshold: float, limit: int, looked_at: int
) -> None:
    """Distances of unrelated hashes are alike, which leads a graph astray; copies are near."""
    version = CLIP if match_type == "clip" else PIXELS_VERSION
    columns = gallery.queries[match_type][0]
    nearest_images(match_type, version, columns, threshold=threshold, limit=limit)
    with connection.cursor() as cursor:
        cursor.execute("SHOW hnsw.ef_search")
        assert cursor.fetchone() == (str(looked_at),)
