"""Candidates for copies: what the indexes propose against brute force, over 2,000 images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from django.db import connection
from numpy.typing import NDArray

from gallery.imaging.descriptors.base import CNN_DIMENSIONS, COPY_VERSION, PIXELS_VERSION
from gallery.items.models import Image, ImageDetail, ImageFingerprint
from gallery.items.vectors import encode
from gallery.search.copy_candidates import (
    PROPOSED_PER_VIEW,
    QueryView,
    find_candidates,
    stored_local_features,
    stored_view,
)
from gallery.search.nearest import Filters
from tests.gallery.search.engines import MILVUS, PGVECTOR, searching_on
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
QUERIES = 30


@dataclass(frozen=True)
class Gallery:
    """What is stored, row by row in the order of ids, and vectors that are not."""

    ids: NDArray[np.int64]
    cnn: Floats
    pdq: Floats
    queries: Floats


@pytest.fixture(scope="module")
def gallery(django_db_setup: None, django_db_blocker: Any) -> Iterator[Gallery]:
    rng = np.random.default_rng(3)
    # Few directions carry most of the variance, as in the vectors of any model.
    strength = 1 / (1 + np.arange(CNN_DIMENSIONS) / 16)
    cnn = rounded(unit(clustered(rng, COUNT + QUERIES, strength, spread=0.3)), np.float16)
    pdq = (rng.random((COUNT, 256)) > 0.5).astype(np.float64)
    with django_db_blocker.unblock():
        images = add_images()
        ImageFingerprint.objects.bulk_create(
            ImageFingerprint(item=image, version=COPY_VERSION, cnn=cnn[row])
            for row, image in enumerate(images)
        )
        ImageFingerprint.objects.bulk_create(
            ImageFingerprint(item=image, version=PIXELS_VERSION, pdq=bit_text(pdq[row]))
            for row, image in enumerate(images)
        )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE gallery_image, gallery_imagefingerprint")
        ids = np.array([image.pk for image in images])
        yield Gallery(ids, cnn[:COUNT], pdq, cnn[COUNT:])
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE gallery_image CASCADE")


@pytest.fixture(scope="module", params=[PGVECTOR, MILVUS], autouse=True)
def engine(
    request: pytest.FixtureRequest, gallery: Gallery, django_db_blocker: Any
) -> Iterator[str]:
    with searching_on(request.param, request, django_db_blocker):
        yield request.param


def brute_force(gallery: Gallery, query: Floats, kept: Any = slice(None)) -> Floats:
    """The distances of the right proposals, in order."""
    lengths = np.linalg.norm(gallery.cnn[kept], axis=1) * np.linalg.norm(query)
    return np.sort(1 - gallery.cnn[kept] @ query / lengths)[: PROPOSED_PER_VIEW["cnn"]]


def distances(query_view: QueryView, filters: Filters | None = None) -> Floats:
    found = find_candidates(query_view, filters)
    assert len({candidate.image.pk for candidate in found}) == len(found)
    return np.sort([candidate.distances["cnn"] for candidate in found])  # type: ignore[type-var]


@pytest.mark.slow
@pytest.mark.parametrize("forced", [True, False])
def test_proposals_are_those_of_brute_force(gallery: Gallery, forced: bool) -> None:
    if forced:
        force_indexes()
    found = [
        recall(distances(QueryView(cnn=[encode(query)])), brute_force(gallery, query))
        for query in gallery.queries
    ]
    assert np.mean(found) >= 0.99


@pytest.mark.slow
def test_a_filter_that_leaves_few_finds_them_all(gallery: Gallery) -> None:
    rare = np.arange(0, COUNT, 100)
    for query in gallery.queries[:5]:
        found = distances(QueryView(cnn=[encode(query)]), Filters(data_id_prefix="rare-"))
        np.testing.assert_allclose(found, brute_force(gallery, query, rare), atol=2e-6)


def test_views_are_united_and_the_nearest_counts(gallery: Gallery) -> None:
    one, other = gallery.cnn[10], gallery.cnn[20]
    found = {
        c.image.pk: c.distances
        for c in find_candidates(QueryView(cnn=[encode(one), encode(other)]))
    }
    for row in (10, 20):
        assert found[gallery.ids[row]]["cnn"] == pytest.approx(0, abs=1e-6)


def test_what_one_method_proposes_is_measured_by_all(gallery: Gallery) -> None:
    query_view = QueryView(cnn=[encode(gallery.cnn[10])], pdq=[bit_text(gallery.pdq[20])])
    found = {candidate.image.pk: candidate.distances for candidate in find_candidates(query_view)}
    assert found[gallery.ids[20]]["pdq"] == 0
    right = 1 - gallery.cnn[10] @ gallery.cnn[20]
    assert found[gallery.ids[20]]["cnn"] == pytest.approx(right, abs=2e-3)
    assert found[gallery.ids[10]]["pdq"] == np.abs(gallery.pdq[10] - gallery.pdq[20]).sum()


def test_only_ready_images_and_not_the_excluded(gallery: Gallery) -> None:
    hidden, asked = int(gallery.ids[30]), QueryView(cnn=[encode(gallery.cnn[30])])
    assert hidden in [candidate.image.pk for candidate in find_candidates(asked)]
    assert hidden not in [c.image.pk for c in find_candidates(asked, exclude=hidden)]
    for status in ("pending", "quarantined"):
        Image.objects.filter(pk=hidden).update(status=status)
        found = find_candidates(asked)
        assert hidden not in [candidate.image.pk for candidate in found]
        assert len(found) == PROPOSED_PER_VIEW["cnn"]


def test_nothing_to_look_for(gallery: Gallery) -> None:
    assert find_candidates(QueryView()) == []


def test_a_stored_probe_finds_its_image_first(gallery: Gallery) -> None:
    pk = int(gallery.ids[40])
    query_view = stored_view(pk, "")
    assert (len(query_view.cnn), len(query_view.pdq), query_view.clip) == (1, 1, [])
    (itself,) = [c for c in find_candidates(query_view) if c.image.pk == pk]
    assert itself.distances == {"pdq": 0, "cnn": pytest.approx(0, abs=1e-6)}


def test_other_versions_are_not_looked_at(gallery: Gallery) -> None:
    pk = int(gallery.ids[50])
    ImageFingerprint.objects.filter(item=pk, version=COPY_VERSION).update(version="copy-0")
    assert pk not in [c.image.pk for c in find_candidates(QueryView(cnn=[encode(gallery.cnn[50])]))]


def test_local_features_of_those_that_have_some(gallery: Gallery) -> None:
    first, second = (int(pk) for pk in gallery.ids[60:62])
    row = ImageFingerprint.objects.get(item=first, version=COPY_VERSION)
    ImageDetail.objects.create(fingerprint=row, local_features=b"\x00\x01")
    assert stored_local_features([first, second]) == {first: b"\x00\x01"}
