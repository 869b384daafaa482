"""CLIP versions: one is searched, another fills beside it, and the switch leaves no rest."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from django.db import connection

from gallery.items import versions
from gallery.items.fingerprint_storage import store_fingerprints
from gallery.items.models import ClipVersion, ImageFingerprint
from gallery.search.nearest import nearest_images
from tests import factories as make

pytestmark = pytest.mark.django_db(transaction=True)
OLD, NEW = "clip/old/weights/fp32", "clip/it's new/weights/fp32"


@pytest.fixture(autouse=True)
def _nothing_cached() -> Iterator[None]:
    versions._cached = (0.0, None)
    yield
    versions._cached = (0.0, None)
    with connection.cursor() as cursor:
        for name in clip_indexes():
            cursor.execute(f"DROP INDEX {name}")


def clip_indexes() -> dict[str, str]:
    """Name → definition of the partial indexes over clip vectors."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE indexname LIKE 'imagefinger%_clip_%'"
        )
        return dict(cursor.fetchall())


def vector(position: int, dimensions: int) -> np.ndarray:
    unit = np.zeros(dimensions, np.float32)
    unit[position] = 1
    return unit


def test_the_first_version_is_active_and_indexed() -> None:
    assert versions.active() is None
    row = versions.register(OLD, 8)
    assert (row.state, row.dimensions) == ("active", 8)
    assert versions.active() == OLD
    (definition,) = clip_indexes().values()
    assert "halfvec(8)" in definition
    assert OLD in definition
    assert versions.register(OLD, 8) == row
    assert ClipVersion.objects.count() == 1


def test_another_version_fills_and_is_not_searched() -> None:
    versions.register(OLD, 8)
    assert versions.register(NEW, 4).state == "filling"
    assert versions.active() == OLD
    assert len(clip_indexes()) == 1


def test_switching(monkeypatch: pytest.MonkeyPatch) -> None:
    versions.register(OLD, 8)
    versions.register(NEW, 4)
    image = make.add_ready_image()
    store_fingerprints(image.pk, {OLD: {"clip": vector(0, 8)}, NEW: {"clip": vector(1, 4)}})
    question = {"clip": vector(1, 4)}
    versions.activate(NEW)
    versions._cached = (0.0, None)
    assert versions.active() == NEW
    # Who does not know of the switch yet finds everything.
    assert versions.drop_replaced() == 0
    assert len(nearest_images("clip", OLD, {"clip": vector(0, 8)}, threshold=0.1, limit=5)) == 1
    monkeypatch.setattr(versions, "GRACE", 0.0)
    assert versions.drop_replaced() == 1
    assert list(ClipVersion.objects.values_list("version", "state")) == [(NEW, "active")]
    assert list(clip_indexes()) == [versions.index_name(NEW)]
    stored = set(ImageFingerprint.objects.values_list("version", flat=True))
    assert stored == {"pixels-1", NEW}
    (match,) = nearest_images("clip", NEW, question, threshold=0.1, limit=5)
    assert (match.image.pk, match.distance) == (image.pk, 0)


def test_an_unknown_version_cannot_be_activated() -> None:
    versions.register(OLD, 8)
    with pytest.raises(ClipVersion.DoesNotExist):
        versions.activate(NEW)
    assert versions.active() == OLD


def test_workers_that_meet_new_models_at_once() -> None:
    def register(number: int) -> None:
        try:
            versions.register(f"clip/{number % 3}", 8)
        finally:
            connection.close()

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(register, range(9)))
    assert ClipVersion.objects.count() == 3
    assert ClipVersion.objects.filter(state="active").count() == 1
    assert len(clip_indexes()) == 1


def test_an_index_whose_building_was_cut_short_is_built_again() -> None:
    versions.register(OLD, 8)
    row = versions.register(NEW, 4)
    versions.begin(NEW)
    with connection.cursor() as cursor:
        # As after a build that was ended.
        cursor.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass",
            [versions.index_name(NEW)],
        )
        versions.activate(row.version)
        cursor.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid")
        assert cursor.fetchone() == (0,)
    assert len(clip_indexes()) == 2


def test_a_version_may_be_wanted_again_while_it_is_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    versions.register(OLD, 8)
    versions.register(NEW, 4)
    images = [make.add_ready_image(data=make.png(make.photo(seed))) for seed in range(3)]
    for image in images:
        store_fingerprints(image.pk, {OLD: {"clip": vector(0, 8)}, NEW: {"clip": vector(1, 4)}})
    versions.activate(NEW)
    monkeypatch.setattr(versions, "GRACE", 0.0)
    monkeypatch.setattr(versions, "ROWS_PER_BATCH", 2)
    row = ClipVersion.objects.get(version=OLD)
    # Somebody begins to fill it again when the first batch is gone.
    delete = versions.ImageFingerprint.objects.filter

    def begin_between(*args: Any, **given: Any) -> Any:
        if given.get("pk__gt"):
            versions.begin(OLD)
        return delete(*args, **given)

    monkeypatch.setattr(versions.ImageFingerprint.objects, "filter", begin_between)
    assert versions.drop_replaced() == 2
    monkeypatch.undo()
    row.refresh_from_db()
    assert row.state == "filling" and ImageFingerprint.objects.filter(version=OLD).count() == 1
    versions.activate(OLD)
    assert set(ClipVersion.objects.values_list("version", "state")) == {
        (OLD, "active"),
        (NEW, "replaced"),
    }
