"""Adding videos: what is stored, what is refused at the door, and what is left behind."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django_q.models import OrmQ

from gallery.items.inserting import AlreadyStored
from gallery.items.signals import changed
from gallery.net.transport import FetchFailed
from gallery.shared.errors import UserError
from tests.factories import stored_files
from tests.httpserver import HttpServer, slow_body
from tests.videos.clips import animation, encode, moving, timed
from videos.decode.errors import NotAVideo, VideoTooLarge
from videos.index import indexing
from videos.items import adding
from videos.models import Status, Video

pytestmark = pytest.mark.django_db

BY = "tests"
CLIP = encode(timed(moving("astronaut", 2)))
SHORT = encode(timed(moving("coffee", 1)))


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Any:
    """Temporary files have a directory of their own, which is empty in the end."""
    directory = tmp_path / "scratch"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    settings.FILE_UPLOAD_TEMP_DIR = str(directory)
    yield directory
    assert list(directory.iterdir()) == []


def add(data: bytes = CLIP, **fields: Any) -> Video:
    return adding.add_video(file=ContentFile(data), by=BY, **fields)


def test_row_file_task_and_news_come_together(settings: Any) -> None:
    news: list[Any] = []

    def note(**event: Any) -> None:
        news.append(event["verb"])

    changed.connect(note)
    try:
        video = add(data_id="", remark=None, meta={"a": 1}, uploader="app")
    finally:
        changed.disconnect(note)
    video.refresh_from_db()
    assert (video.md5, video.sha1, video.sha256) == tuple(
        hashlib.new(name, CLIP).hexdigest() for name in ("md5", "sha1", "sha256")
    )
    assert (video.format, video.width, video.height, video.bytes) == ("mp4", 320, 180, len(CLIP))
    assert (video.fps, video.duration_ms, video.progress) == (25.0, None, 0)
    assert (video.data_id, video.remark, video.meta, video.uploader) == ("", None, {"a": 1}, "app")
    assert (video.status, video.url, video.keep_original) == (Status.PENDING, None, True)
    assert stored_files(settings.MEDIA_ROOT) == [video.original.name]
    with default_storage.open(video.original.name) as stored:
        assert stored.read() == CLIP
    assert news == ["added"]
    task = OrmQ.objects.get()
    assert (task.key, task.task["func"], task.task["args"]) == (
        "video",
        "videos.tasks.index_videos",
        ([video.pk],),
    )


def test_a_link_is_fetched_and_its_file_not_kept_for_good(web: HttpServer, settings: Any) -> None:
    web.routes = {"/clip": CLIP}
    video = adding.add_video(url=f"{web.url}/clip", by=BY)
    assert (video.url, video.bytes, video.keep_original) == (f"{web.url}/clip", len(CLIP), False)
    assert stored_files(settings.MEDIA_ROOT) == [video.original.name]


def test_a_link_may_be_larger_than_a_picture(web: HttpServer, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 1000
    web.routes = {"/clip": CLIP}
    assert adding.add_video(url=f"{web.url}/clip", by=BY).bytes == len(CLIP) > 1000


def test_a_link_beyond_the_limit_is_refused_midway(web: HttpServer, settings: Any) -> None:
    settings.MAX_VIDEO_BYTES = 1000
    web.routes = {"/clip": CLIP}
    with pytest.raises(FetchFailed) as refused:
        adding.add_video(url=f"{web.url}/clip", by=BY)
    assert refused.value.code == "fetch_too_large"
    assert stored_files(settings.MEDIA_ROOT) == []


def test_a_link_that_is_too_slow_or_missing(web: HttpServer, settings: Any) -> None:
    settings.VIDEO_FETCH_TIMEOUT = 0.3
    web.routes = {"/slow": slow_body(0.05)}
    for path, code in (("/slow", "fetch_timeout"), ("/none", "fetch_status")):
        with pytest.raises(FetchFailed) as refused:
            adding.add_video(url=web.url + path, by=BY)
        assert refused.value.code == code
    assert not Video.objects.exists()


def test_a_link_into_a_private_network_is_refused() -> None:
    with pytest.raises(FetchFailed) as refused:
        adding.add_video(url="http://127.0.0.1:1/clip", by=BY)
    assert refused.value.code == "fetch_refused"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("policy", "upload", "link"),
    [("all", True, True), ("uploads", True, False), ("none", False, False)],
)
def test_which_files_are_kept(
    policy: str, upload: bool, link: bool, web: HttpServer, settings: Any
) -> None:
    settings.KEEP_VIDEOS = policy
    web.routes = {"/clip": SHORT}
    uploaded, fetched = add(), adding.add_video(url=f"{web.url}/clip", by=BY)
    indexing.index_videos([uploaded.pk, fetched.pk])
    for video, kept in ((uploaded, upload), (fetched, link)):
        video.refresh_from_db()
        assert video.status == Status.READY
        assert bool(video.original) == kept
    # Each has a small copy and a thumbnail beside what is kept.
    assert len(stored_files(settings.MEDIA_ROOT)) == 4 + upload + link


def test_the_same_bytes_are_refused_with_the_id_of_the_first(settings: Any) -> None:
    first = add()
    with pytest.raises(AlreadyStored, match=f"it is video {first.pk}") as refused:
        add(data_id="again")
    assert refused.value.existing_id == first.pk
    assert stored_files(settings.MEDIA_ROOT) == [first.original.name]


def test_two_adds_at_the_same_moment_make_one_row(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    first = add()
    # The second one has looked before the first was stored.
    monkeypatch.setattr(adding, "refuse_existing", lambda *_: None)
    with pytest.raises(AlreadyStored):
        add()
    assert Video.objects.get() == first
    assert stored_files(settings.MEDIA_ROOT) == [first.original.name]


def test_adding_a_failed_one_again_retries_it(settings: Any) -> None:
    first = add()
    Video.objects.update(status=Status.FAILED, failure="It failed.", attempts=4, progress=40)
    again = add(data_id="again")
    again.refresh_from_db()
    assert (again.pk, again.status, again.failure) == (first.pk, Status.PENDING, "")
    assert (again.attempts, again.progress, again.data_id) == (0, 0, "again")


@pytest.mark.django_db(transaction=True)
def test_the_files_of_a_failed_one_are_replaced(settings: Any) -> None:
    add()
    Video.objects.update(status=Status.FAILED, failure="It failed.")
    again = add()
    assert stored_files(settings.MEDIA_ROOT) == [again.original.name]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"hello " * 50, "text"),
        (b"<!DOCTYPE html><html></html>", "HTML page"),
        (animation([frame for _, frame in timed(moving("coffee", 0.04))], "PNG"), "image"),
        (encode(timed(moving("coffee", 0.04))), "single picture"),
        (CLIP[: len(CLIP) // 2], "damaged"),
    ],
)
def test_what_is_no_video_leaves_nothing_behind(data: bytes, says: str, settings: Any) -> None:
    with pytest.raises(NotAVideo) as refused:
        add(data)
    assert says in refused.value.message
    assert not Video.objects.exists()
    assert not OrmQ.objects.exists()
    assert stored_files(settings.MEDIA_ROOT) == []


def test_an_animation_is_a_video() -> None:
    frames = [frame for _, frame in timed(moving("coffee", 1, rate=10), 10)]
    video = add(animation(frames, "GIF"))
    assert (video.format, video.width, video.height) == ("gif", 320, 180)
    assert indexing.index_videos([video.pk]) == 1
    video.refresh_from_db()
    assert video.duration_ms == pytest.approx(1000, abs=130)


def test_an_upload_beyond_the_limit(settings: Any) -> None:
    settings.MAX_VIDEO_BYTES = len(CLIP) - 1
    with pytest.raises(VideoTooLarge, match="bytes"):
        add()


def test_neither_file_nor_link() -> None:
    with pytest.raises(UserError, match="url or as a file"):
        adding.add_video(by=BY)


def test_a_file_on_the_disk_is_copied_not_moved(tmp_path: Path) -> None:
    path = tmp_path / "own.mp4"
    path.write_bytes(CLIP)
    with path.open("rb") as stream:
        adding.add_video(file=File(stream), by=BY)
    assert path.read_bytes() == CLIP


def test_a_transaction_that_fails_takes_the_file_with_it(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    def break_off(ids: Any) -> None:
        raise RuntimeError("the queue is gone")

    monkeypatch.setattr(indexing, "enqueue", break_off)
    with pytest.raises(RuntimeError):
        add()
    assert not Video.objects.exists()
    assert stored_files(settings.MEDIA_ROOT) == []
