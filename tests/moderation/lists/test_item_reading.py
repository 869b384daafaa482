"""Items of videos, files and links; and of pictures that a model describes later."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command

from gallery.imaging import descriptors
from gallery.imaging.decoding.limits import NotAnImage
from gallery.imaging.descriptors.base import COPY_VERSION, PIXELS_VERSION
from gallery.shared.errors import Conflict, Unavailable
from moderation.audit.models import AuditEvent
from moderation.lists import item_adding, list_writes
from moderation.lists.models import BannedFingerprint, BannedItem, RetroScan
from tests import factories as make
from tests.httpserver import HttpServer
from tests.moderation.factories import ADMIN, make_list
from tests.videos.clips import encode, moving, plain, timed
from videos import conf
from videos.decode.errors import NotAVideo
from videos.index import indexing
from videos.items import adding
from videos.models import Video

pytestmark = pytest.mark.django_db

CLIP = encode(timed([*moving("astronaut", 2), *plain(0, 1), *moving("coffee", 2)]))


@pytest.fixture(autouse=True)
def _settings_are_read_anew() -> None:
    conf.forget()


@pytest.fixture
def without_model(settings: Any, tmp_path: Path) -> Any:
    """The copy model is not on this machine; gives a function that puts it back."""

    def put(models: Path) -> None:
        descriptors.configure(models=models)

    put(tmp_path / "none")
    yield lambda: put(settings.DATA_DIR / "models")
    put(settings.DATA_DIR / "models")


def ready_video() -> Video:
    video = adding.add_video(file=ContentFile(CLIP), by="tests")
    indexing.index_videos([video.pk])
    video.refresh_from_db()
    return video


def told(item: BannedItem) -> tuple[set[str], list[int], list[int]]:
    """Exact hashes; times of the pdq hashes and of the vectors, in ms."""
    exact = set(item.hashes.exclude(kind="pdq").values_list("value", flat=True))
    hashes = item.hashes.filter(kind="pdq").order_by("time_ms")
    vectors = item.fingerprints.order_by("time_ms")
    return (
        exact,
        list(hashes.values_list("time_ms", flat=True)),
        list(vectors.values_list("time_ms", flat=True)),
    )


def test_a_video_that_is_indexed_here() -> None:
    video = ready_video()
    item = item_adding.add_stored(by=ADMIN, list_id=make_list().pk, kind="video", item_id=video.pk)
    exact, hashes, vectors = told(item)
    assert exact == {video.md5, video.sha1, video.sha256}
    assert item.media == "video"
    assert item.picture.name
    # Black says nothing about which video it is from.
    voting = video.frames.filter(weight__gt=0, pdq_quality__gte=50)
    assert set(hashes) == set(vectors) == set(voting.values_list("t0", flat=True))
    assert not any(2000 < time < 3000 for time in hashes)
    assert min(item.hashes.filter(kind="pdq").values_list("quality", flat=True)) >= 50
    assert {row.version for row in item.fingerprints.all()} == {COPY_VERSION}
    assert all(row.cnn is not None for row in item.fingerprints.all())


@pytest.mark.slow
def test_a_videos_file_is_read_as_indexing_reads_it() -> None:
    from_file = item_adding.add_file(
        by=ADMIN, list_id=make_list().pk, file=ContentFile(CLIP, "a.mp4")
    )
    indexed = item_adding.add_stored(
        by=ADMIN, list_id=make_list().pk, kind="video", item_id=ready_video().pk
    )
    assert told(from_file) == told(indexed)
    assert from_file.hashes.count() > 5


def test_a_videos_link(open_api: None) -> None:
    with HttpServer({"/a": CLIP}) as web:
        item = item_adding.add_link(by=ADMIN, list_id=make_list().pk, url=f"{web.url}/a")
    assert item.media == "video"


def test_a_hash_only_list_keeps_nothing_of_a_video(settings: Any) -> None:
    row = make_list(hash_only=True)
    item = item_adding.add_file(by=ADMIN, list_id=row.pk, file=ContentFile(CLIP, "a.mp4"))
    assert item.hashes.filter(kind="pdq").exists()
    assert not BannedFingerprint.objects.exists()
    assert make.stored_files(settings.MEDIA_ROOT) == []


def test_a_video_that_is_not_indexed() -> None:
    video = adding.add_video(file=ContentFile(CLIP), by="tests")
    with pytest.raises(Conflict, match="not indexed"):
        item_adding.add_stored(by=ADMIN, list_id=make_list().pk, kind="video", item_id=video.pk)


def test_several_videos_are_one_command() -> None:
    row = make_list()
    ready_video()
    adding.add_video(file=ContentFile(encode(timed(moving("moon", 1)))), by="tests")
    before = AuditEvent.objects.count()
    added = item_adding.add_all_stored(by=ADMIN, list_id=row.pk, items=Video.objects.order_by("id"))
    assert (len(added.items), list(added.refused)) == (1, [1])
    assert AuditEvent.objects.count() == before + 1


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"", NotAVideo), (b"words", NotAVideo), (make.png(make.photo(1))[:300], NotAnImage)],
)
def test_files_that_are_neither(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        item_adding.add_file(by=ADMIN, list_id=make_list().pk, file=ContentFile(data, "x"))
    assert not BannedItem.objects.exists()


def describe(*args: str) -> str:
    out = io.StringIO()
    call_command("describe_items", *args, stdout=out, stderr=out)
    return out.getvalue()


def test_a_picture_without_the_model_is_described_later(without_model: Any) -> None:
    row, hash_only = make_list(), make_list(hash_only=True)
    data = make.png(make.photo(1))
    item = item_adding.add_picture(by=ADMIN, list_id=row.pk, data=data)
    item_adding.add_picture(by=ADMIN, list_id=hash_only.pk, data=data)
    assert {version.version for version in item.fingerprints.all()} == {PIXELS_VERSION}
    with pytest.raises(Unavailable):
        item_adding.add_file(by=ADMIN, list_id=row.pk, file=ContentFile(CLIP, "a.mp4"))
    assert "0 items" in describe("--dry-run")
    without_model()
    RetroScan.objects.all().delete()
    assert "1 items" in describe("--dry-run")
    assert "1 described, 0 failed" in describe()
    assert item.fingerprints.get(version=COPY_VERSION).cnn is not None
    assert RetroScan.objects.get().list == row
    row.refresh_from_db()
    assert row.version == 3
    assert AuditEvent.objects.latest("id").verb == "items.described"
    assert "0 described, 0 failed" in describe()


@pytest.mark.django_db(transaction=True)
def test_a_picture_that_is_gone_is_said(without_model: Any) -> None:
    row = make_list()
    item = item_adding.add_picture(by=ADMIN, list_id=row.pk, data=make.png(make.photo(1)))
    item.picture.storage.delete(item.picture.name)
    without_model()
    assert f"item {item.pk}: Its picture is missing" in describe()
    list_writes.change_list(by=ADMIN, list_id=row.pk, hash_only=True)
    assert "0 items" in describe("--dry-run")
