"""Milvus beside PostgreSQL: what is new, gone or withheld, and what fails."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client, override_settings
from django.utils import timezone

from gallery.imaging.descriptors.base import COPY_VERSION, PIXELS_VERSION
from gallery.items import versions
from gallery.items.changing import delete_items
from gallery.items.models import Image, ImageFingerprint
from gallery.items.vectors import encode
from gallery.search import index_feeding, milvus, milvus_index, vector_index
from gallery.search.copy_candidates import QueryView, find_candidates
from gallery.search.models import IndexChange, IndexCollection
from gallery.search.nearest import nearest_images
from gallery.search.vector_index import Question
from gallery.shared import counters
from gallery.shared.errors import Conflict
from gallery.shared.locking import Lock
from imgsmlr_site.checks import check_milvus
from imgsmlr_site.env import LOOPBACK
from tests.gallery.search.engines import feed, on_milvus
from tests.gallery.search.synthetic import Floats, bit_text, unit

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = 30
VECTORS = unit(np.random.default_rng(5).normal(size=(100, 512)))
"""Of image after image."""


@pytest.fixture(autouse=True)
def on(milvus_url: str, transactional_db: None, django_db_blocker: Any) -> Iterator[None]:
    with on_milvus(milvus_url, django_db_blocker):
        yield


@pytest.fixture
def images() -> list[int]:
    return add(range(COUNT))


def add(rows: range, status: str = "ready") -> list[int]:
    """Images with the vectors of these rows."""
    made = Image.objects.bulk_create(
        Image(
            md5=f"{row:032d}",
            format="png",
            width=1,
            height=1,
            bytes=1,
            status=status,
            added_by="tests",
        )
        for row in rows
    )
    ImageFingerprint.objects.bulk_create(
        ImageFingerprint(item=image, version=COPY_VERSION, cnn=VECTORS[row])
        for row, image in zip(rows, made, strict=True)
    )
    return [image.pk for image in made]


def found(row: int) -> int | None:
    """The image at the vector of this row."""
    candidates = find_candidates(QueryView(cnn=[encode(VECTORS[row])]))
    return next((one.pk for one in candidates if (one.distances["cnn"] or 0) < 1e-3), None)


def proposed(row: int, wanted: int = 1) -> list[int] | None:
    """The images that Milvus proposes for the vector of this row, stored or not; None: it is not
    asked."""
    question = Question("copy", COPY_VERSION, encode(VECTORS[row]), wanted)
    (proposal,) = milvus_index.MILVUS.propose([question])
    if proposal.rows is None:
        return None
    rows = ImageFingerprint.objects.in_bulk(proposal.rows)
    return [rows[pk].item_id for pk in proposal.rows if pk in rows]


@pytest.mark.slow
def test_what_is_new_is_found_before_milvus_knows_it(images: list[int]) -> None:
    feed()
    (new,) = add(range(50, 51))
    assert new not in (proposed(50, 30) or [])
    assert found(50) == new
    assert IndexChange.objects.count() == 1
    assert index_feeding.lag().seconds > 0
    feed()
    assert index_feeding.lag() == index_feeding.Lag(0, [])
    assert (proposed(50) or [])[0] == new
    assert found(50) == new


def test_what_was_withheld_or_deleted_since_is_not_shown(images: list[int]) -> None:
    feed()
    deleted, withheld = images[0], images[1]
    delete_items(items=Image.objects.filter(pk=deleted), by="tests")
    Image.objects.filter(pk=withheld).update(status="quarantined")
    assert (proposed(1) or [])[0] == withheld  # Milvus does not know yet
    assert found(0) is None
    assert found(1) is None
    feed()
    assert withheld not in (proposed(1, 30) or [])
    assert found(2) == images[2]
    Image.objects.filter(pk=withheld).update(status="ready")
    assert found(1) == withheld
    feed()
    assert (proposed(1) or [])[0] == withheld


def test_what_milvus_remembers_wrongly_is_measured_anew(images: list[int]) -> None:
    """Its vectors belong to other rows, as after a backup was restored."""
    feed()
    fingerprints = list(ImageFingerprint.objects.order_by("id").values_list("id", flat=True))
    (collection,) = IndexCollection.objects.filter(match_type="copy")
    milvus.put(collection.name, fingerprints, VECTORS[50:80].astype(np.float32))
    candidates = find_candidates(QueryView(cnn=[encode(VECTORS[50])]))
    right = {pk: 1 - float(VECTORS[row] @ VECTORS[50]) for row, pk in enumerate(images)}
    for one in candidates:
        assert one.distances["cnn"] == pytest.approx(right[one.pk], abs=2e-3)


def test_changes_are_written_by_statement_and_only_of_what_is_searched(images: list[int]) -> None:
    feed()
    add(range(50, 60))
    pending = add(range(60, 70), status="pending")
    assert IndexChange.objects.count() == 10
    Image.objects.filter(pk__in=pending).update(remark="still pending")
    assert IndexChange.objects.count() == 10
    with connection.cursor() as cursor:
        cursor.execute("UPDATE gallery_image SET status = 'ready' WHERE status = 'pending'")
    assert IndexChange.objects.count() == 20
    with transaction.atomic():
        add(range(70, 80))
        transaction.set_rollback(True)
    assert IndexChange.objects.count() == 20


def test_without_milvus_nothing_is_written_down(images: list[int]) -> None:
    feed()
    with override_settings(MILVUS_URL=""):
        assert found(0) == images[0]
        index_feeding.feed_some()
        add(range(50, 60))
        assert not IndexChange.objects.exists()
        assert not IndexCollection.objects.exists()


def test_a_change_of_mind_between_two_feedings(images: list[int]) -> None:
    """Changes come late and twice, and the last state counts."""
    feed()
    Image.objects.filter(pk=images[0]).update(status="quarantined")
    Image.objects.filter(pk=images[0]).update(status="ready")
    (new,) = add(range(50, 51))
    Image.objects.filter(pk=new).delete()
    feed()
    assert (proposed(0) or [])[0] == images[0]
    assert len(proposed(0, 90) or []) == COUNT


def test_equal_vectors(images: list[int]) -> None:
    """More copies of a picture than are proposed: the answer is full, and the next is by id."""
    copies = add(range(COUNT, COUNT + 40))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM gallery_imagefingerprint WHERE item_id = ANY(%s)", [copies])
    ImageFingerprint.objects.bulk_create(
        ImageFingerprint(item_id=pk, version=COPY_VERSION, cnn=VECTORS[99]) for pk in copies
    )
    feed()
    query = {"cnn": VECTORS[99]}
    matches = nearest_images("copy", COPY_VERSION, query, threshold=0.01, limit=40)
    assert [match.image.pk for match in matches] == copies


def test_milvus_that_is_away(images: list[int], caplog: Any) -> None:
    feed()
    with override_settings(MILVUS_URL="http://127.0.0.1:9"):
        milvus_index.MILVUS.forget()
        before = failures()
        assert found(0) == images[0]
        assert found(1) == images[1]
        assert "PostgreSQL searches" in caplog.text
        # The second search did not wait for it.
        now = failures()
        assert now["failed"] == before.get("failed", 0) + 1
        assert now["not asked"] == before.get("not asked", 0) + 1
        with pytest.raises(milvus.MilvusUnavailable):
            feed()
    milvus_index.MILVUS.forget()
    add(range(50, 51))
    feed()
    assert (proposed(50) or [])[0] == found(50)


def failures() -> dict[str, int]:
    return {labels[0]: number for labels, number, _ in counters.read("index_failures")}


def test_tasks_feed_it(images: list[int]) -> None:
    assert index_feeding.feed_some() == COUNT
    with only_one_elsewhere():
        assert index_feeding.feed_some() == 0
    with override_settings(MILVUS_URL="http://127.0.0.1:9"):
        assert index_feeding.feed_some() == 0


@pytest.mark.slow
def test_health_and_metrics_say_how_far_it_is(
    images: list[int], client: Client, settings: Any
) -> None:
    settings.OPEN_API = LOOPBACK
    answer = client.get("/readyz")
    assert "Milvus is being filled" in answer.json()["index"]
    assert metric(client, "index_incomplete_collections") == 3
    feed()
    assert client.get("/readyz").json()["index"] == "ok"
    add(range(50, 53))
    IndexChange.objects.update(created_at=timezone.now() - timedelta(seconds=400))
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert "the oldest for 40" in answer.json()["index"]
    assert metric(client, "index_waiting_changes") == 3
    assert 400 <= metric(client, "index_lag_seconds") < 420
    with override_settings(MILVUS_URL="http://127.0.0.1:9"):
        found(0)
        answer = client.get("/readyz")
    assert answer.status_code == 200
    assert "does not answer" in answer.json()["index"]
    assert metric(client, 'index_failures_total{outcome="failed"}') >= 1


def metric(client: Client, name: str) -> float:
    lines = client.get("/metrics").content.decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[-1])


def test_a_missing_package_is_said_and_searches_go_on(
    images: list[int], monkeypatch: Any, caplog: Any
) -> None:
    feed()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pymilvus", None)
        (problem,) = check_milvus(None)
        assert "requirements-milvus.lock" in str(problem.hint)
        assert found(0) == images[0]
        assert "requirements-milvus.lock" in caplog.text
        with override_settings(MILVUS_URL=""):
            assert check_milvus(None) == []
    assert check_milvus(None) == []


@pytest.mark.slow
def test_after_a_backup_was_restored_it_is_filled_anew(images: list[int]) -> None:
    feed()
    index_feeding.forget()
    milvus_index.MILVUS.forget()
    assert proposed(0) is None
    assert found(0) == images[0]
    assert feed() == COUNT


def test_collections_that_milvus_lost_are_filled_again(images: list[int]) -> None:
    feed()
    (collection,) = IndexCollection.objects.filter(match_type="copy")
    milvus.drop(collection.name)
    assert found(0) == images[0]
    assert failures()["failed"] >= 1
    assert feed() == COUNT
    assert (proposed(0) or [])[0] == images[0]


def test_a_server_that_was_restarted_is_asked_again(images: list[int]) -> None:
    feed()
    (collection,) = IndexCollection.objects.filter(match_type="copy")
    with milvus._asked() as client:
        client.release_collection(collection.name)
    assert found(0) == images[0]
    assert failures()["failed"] >= 1
    assert feed() == 0
    assert (proposed(0) or [])[0] == images[0]


@pytest.mark.slow
def test_rebuilding_is_interrupted_and_resumed(images: list[int], monkeypatch: Any) -> None:
    feed()
    before = set(IndexCollection.objects.values_list("name", flat=True))
    monkeypatch.setattr(index_feeding, "ROWS", 10)
    index_feeding.rebuild()
    with pytest.raises(Conflict), only_one_elsewhere():
        index_feeding.rebuild()
    assert index_feeding.rows_to_read() == COUNT
    work = index_feeding.feed()
    while index_feeding.rows_to_read() > 10:
        next(work)
    work.close()
    assert (proposed(0) or [])[0] == images[0]  # by the collections from before
    Image.objects.filter(pk=images[0]).update(status="quarantined")  # it was read already
    index_feeding.rebuild()  # goes on
    assert index_feeding.rows_to_read() == 10
    feed()
    assert not index_feeding.lag().incomplete
    assert images[0] not in (proposed(0, 90) or [])
    assert (proposed(29) or [])[0] == images[29]
    # Processes that search still know those from before for a moment.
    assert before < set(IndexCollection.objects.values_list("name", flat=True))
    IndexCollection.objects.update(complete_at="2020-01-01T00:00:00Z")
    feed()
    assert before.isdisjoint(IndexCollection.objects.values_list("name", flat=True))
    assert not any(milvus.exists(name) for name in before)


class only_one_elsewhere:
    """The lock of feeding, held by another session."""

    def __enter__(self) -> None:
        self._other = connection.copy()
        with self._other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [int(Lock.INDEX)])

    def __exit__(self, *_: object) -> None:
        self._other.close()


@pytest.mark.slow
def test_the_command(images: list[int], capsys: Any) -> None:
    call_command("rebuild_index")
    assert "complete" in capsys.readouterr().out
    assert (proposed(0) or [])[0] == images[0]
    first = set(IndexCollection.objects.values_list("name", flat=True))
    index_feeding.rebuild()
    begun = set(IndexCollection.objects.values_list("name", flat=True)) - first
    call_command("rebuild_index", "--restart")
    assert begun.isdisjoint(IndexCollection.objects.values_list("name", flat=True))
    with override_settings(MILVUS_URL=""), pytest.raises(CommandError, match="MILVUS_URL"):
        call_command("rebuild_index")


@pytest.fixture
def _no_index_stays() -> Iterator[None]:
    yield
    with connection.cursor() as cursor:
        for version in ("clip/old", "clip/new"):
            cursor.execute(f"DROP INDEX IF EXISTS {versions.index_name(version)}")


@pytest.mark.slow
@pytest.mark.usefixtures("_no_index_stays")
def test_another_model(images: list[int]) -> None:
    """PostgreSQL answers for its vectors until its collection is complete."""
    feed()
    old = new_clip("clip/old", 8, images)
    assert index_feeding.lag().incomplete == [("clip", "clip/old")]
    assert clip_search("clip/old", old[3]) == images[3]
    feed()
    assert not index_feeding.lag().incomplete
    assert clip_search("clip/old", old[3]) == images[3]
    new = new_clip("clip/new", 16, images)
    feed()
    versions.activate("clip/new")
    assert clip_search("clip/new", new[3]) == images[3]
    feed()
    assert list(
        IndexCollection.objects.filter(match_type="clip").values_list("version", "dimensions")
    ) == [("clip/new", 16)]


def new_clip(version: str, size: int, images: list[int]) -> Floats:
    versions.register(version, size)
    vectors = unit(np.random.default_rng(size).normal(size=(len(images), size)))
    ImageFingerprint.objects.bulk_create(
        ImageFingerprint(item_id=pk, version=version, clip=vectors[row])
        for row, pk in enumerate(images)
    )
    return vectors


def clip_search(version: str, vector: Floats) -> int:
    (match,) = nearest_images("clip", version, {"clip": vector}, threshold=0.1, limit=1)
    return match.image.pk


def test_a_backlog_grows_and_is_worked_off(images: list[int], monkeypatch: Any) -> None:
    """Only the last changes are looked at before Milvus knows them; what is older waits."""
    feed()
    monkeypatch.setattr(index_feeding, "ROWS", 4)
    monkeypatch.setattr(
        vector_index, "_LAST_CHANGED", "SELECT fingerprint FROM gallery_indexchange LIMIT 0"
    )
    new = add(range(50, 60))
    assert IndexChange.objects.count() == 10
    assert found(50) is None
    assert feed() == 10
    assert (proposed(55) or [])[0] == new[5]


def test_graphs_keep_no_more_than_the_rows_do() -> None:
    """milvus-lite does not say as what they keep numbers: a byte, whatever it is told."""
    feed()
    kinds = {}
    for one in IndexCollection.objects.all():
        with milvus._asked() as client:
            (index,) = client.list_indexes(one.name)
            kinds[one.match_type] = client.describe_index(one.name, index)["index_type"]
    assert kinds == {"imgsmlr": "HNSW", "pdq": "HNSW_SQ", "copy": "HNSW_SQ"}


def test_bits(images: list[int]) -> None:
    rng = np.random.default_rng(7)
    bits = (rng.random((COUNT, 256)) > 0.5).astype(np.float64)
    ImageFingerprint.objects.bulk_create(
        ImageFingerprint(item_id=pk, version=PIXELS_VERSION, pdq=bit_text(bits[row]))
        for row, pk in enumerate(images)
    )
    feed()
    near = bits[4].copy()
    near[:20] = 1 - near[:20]
    question = Question("pdq", PIXELS_VERSION, bit_text(near), 3)
    (proposal,) = milvus_index.MILVUS.propose([question])
    assert proposal.rows is not None
    ranked = np.argsort(np.abs(bits - near).sum(axis=1), kind="stable")[:6]
    stored = ImageFingerprint.objects.in_bulk(proposal.rows)
    assert stored[proposal.rows[0]].item_id == images[int(ranked[0])]
