"""Media in a bucket of a real server of S3, and what happens while that does not answer."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client, RequestFactory

from gallery import tasks
from gallery.items import changing, describing, orphans
from gallery.items.item import Status
from gallery.items.models import Image
from gallery.shared import object_storage
from gallery.shared.errors import StorageAway
from imgsmlr_site.backup import making, restoring
from imgsmlr_site.backup.contents import BackupError
from imgsmlr_site.env import env_bucket
from tests import storage as object_server
from tests.factories import BY, add_pending_image, add_ready_image, photo, png
from tests.httpserver import HttpServer, Reply
from tests.service import free_port
from tests.storage import Storage
from tests.videos.index.test_indexing import SHORT
from tests.videos.index.test_indexing import ready as ready_video
from videos import tasks as video_tasks
from videos.items import adding as video_adding
from videos.items import range_responses

DIRECTORY = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("open_api")]
Use = Callable[..., None]


@pytest.fixture
def use(settings: Any) -> Use:
    """Choose where the media are."""

    def use(endpoint: str, bucket: str = "media", prefix: str = "") -> None:
        chosen = {
            "BACKEND": "gallery.shared.object_storage.ObjectStorage",
            "OPTIONS": object_server.options(endpoint, bucket, prefix),
        }
        settings.STORAGES = {**settings.STORAGES, "default": chosen}

    return use


@pytest.fixture
def bucket(storage: Storage, use: Use, request: pytest.FixtureRequest) -> Storage:
    """A prefix of each test's own in one bucket."""
    assert requests.put(f"{storage.url}/media").status_code == 200
    use(storage.url, prefix=request.node.name)
    return storage


def names(directory: str = "") -> list[str]:
    directories, files = default_storage.listdir(directory)
    within = f"{directory}/" if directory else ""
    inner = [name for each in directories for name in names(within + each)]
    return sorted([*(within + file for file in files), *inner])


def body(answer: Any) -> bytes:
    return b"".join(answer) if answer.streaming else bytes(answer.content)


@pytest.mark.slow
def test_a_picture_is_stored_read_and_deleted(
    bucket: Storage, client: Client, django_capture_on_commit_callbacks: Any
) -> None:
    data = png(photo(1))
    image = add_pending_image(data=data)
    assert tasks.describe_images([]) == 1
    image.refresh_from_db()
    for _ in range(2):  # what was read and closed is read again by the same row
        with image.original.open() as stream:
            assert stream.read() == data
    assert names() == sorted([image.original.name, image.thumbnail.name])
    path = f"/media/images/{image.pk}/original"
    answer = client.get(path)
    assert answer.status_code == 200 and body(answer) == data
    assert answer["Content-Length"] == str(len(data))
    assert answer["Cache-Control"] == "private, no-store"
    # Each read asks for the status: nobody has a link into the bucket.
    Image.objects.update(status=Status.QUARANTINED)
    assert client.get(path).status_code == 404
    Image.objects.update(status=Status.READY)
    with django_capture_on_commit_callbacks(execute=True):
        changing.delete_items(items=Image.objects.all(), by=BY)
    assert names() == []


@pytest.mark.slow
def test_a_file_is_read_block_by_block(bucket: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_storage, "FIRST_BLOCK", 1000)
    monkeypatch.setattr(object_storage, "LARGEST_BLOCK", 4000)
    data = random.Random(1).randbytes(20_000)
    name = default_storage.save("videos/aa/a", ContentFile(data))
    assert name != default_storage.save("videos/aa/a", ContentFile(b"another"))
    fetched: list[int] = []
    fetch = object_storage.ObjectFile._fetch

    def counted(self: object_storage.ObjectFile, start: int) -> bytes:
        fetched.append(start)
        return fetch(self, start)

    monkeypatch.setattr(object_storage.ObjectFile, "_fetch", counted)
    with default_storage.open(name) as file:
        assert file.read() == data and file.size == len(data)
        assert fetched == [0, 1000, 3000, 7000, 11_000, 15_000, 19_000]
        file.seek(9_990)
        assert file.read(5) == data[9_990:9_995] and file.seek(-5, io.SEEK_END)
        assert file.read() == data[-5:] and file.read(1) == b""
    with default_storage.open(default_storage.save("empty", ContentFile(b""))) as file:
        assert (file.read(), file.size) == (b"", 0)


def test_ranges_of_a_video(
    bucket: Storage, client: Client, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """A player asks for all to the end. It gets a part, and asks again while it plays."""
    video = ready_video(SHORT)
    path = f"/api/v1/videos/{video.pk}/file/"
    whole = client.get(path)
    assert whole.status_code == 200 and body(whole) == SHORT
    # The web server's main thread sends what can be sought, and must not wait for another host.
    sent = range_responses.ranged(RequestFactory().get(path), video.original.name, "video/mp4")
    assert not sent.file_to_stream.seekable()  # type: ignore[attr-defined]
    monkeypatch.setattr(range_responses, "MAX_PART", 1000)
    size = len(SHORT)
    for asked, start, stop in (
        ("bytes=0-", 0, 1000),
        ("bytes=500-599", 500, 600),
        (f"bytes={size - 300}-", size - 300, size),
        ("bytes=-200", size - 200, size),
    ):
        answer = client.get(path, headers={"Range": asked})
        assert answer.status_code == 206 and body(answer) == SHORT[start:stop]
        assert answer["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"
    assert client.get(path, headers={"Range": f"bytes={size}-"}).status_code == 416
    assert client.get(f"/api/v1/videos/{video.pk}/frame/?t=1").status_code == 200


@pytest.fixture(params=["server", "bucket", "files", "answers", "permission"])
def lack(request: pytest.FixtureRequest, bucket: Storage, use: Use) -> Iterator[Callable[[], None]]:
    """A function that makes the storage lack something."""
    prefix = request.node.name
    with HttpServer() as other:

        def lack() -> None:
            failure = Reply(status=503)
            if request.param == "permission":
                failure = Reply(b"<Error><Code>AccessDenied</Code></Error>", 403)
            other.routes |= {f"/media/{prefix}/{name}": failure for name in names()}
            match request.param:
                case "server":
                    use(f"http://127.0.0.1:{free_port()}", prefix=prefix)
                case "bucket":
                    use(bucket.url, "none", prefix=prefix)
                case "files":
                    use(bucket.url, prefix="another")
                case _:
                    use(other.url, prefix=prefix)

        yield lack


@pytest.mark.slow
def test_what_needs_files_waits_while_they_are_away(
    bucket: Storage,
    lack: Callable[[], None],
    settings: Any,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    django_capture_on_commit_callbacks: Any,
) -> None:
    """No verdict, no failed image, no lost row: a 503, and all goes on when they are back."""
    here = settings.STORAGES
    ready, waiting = add_ready_image(photo(1)), add_pending_image(photo(2))
    video = video_adding.add_video(file=ContentFile(SHORT), by=BY)
    kept = names()
    lack()
    for _ in range(describing.MAX_ATTEMPTS + 1):
        with pytest.raises(StorageAway):
            tasks.describe_images([])
    with pytest.raises(StorageAway):
        video_tasks.sweep()
    for row in (waiting, video):
        row.refresh_from_db()
        assert (row.status, row.attempts) == (Status.PENDING, 0)
    client.raise_request_exception = False
    answer = client.get(f"/media/images/{ready.pk}/original")
    assert answer.status_code == 503 and answer["Retry-After"]
    if "files" not in request.node.name:  # a new bucket takes new files
        form = {"file": ContentFile(png(photo(3)), "a.png")}
        assert client.post("/api/v1/images/", form).status_code == 503
        assert Image.objects.count() == 2
        with pytest.raises(StorageAway):
            orphans.remove()
    with django_capture_on_commit_callbacks(execute=True):
        changing.delete_items(items=Image.objects.filter(pk=ready.pk), by=BY)
    settings.STORAGES = here
    assert names() == kept and not Image.objects.filter(pk=ready.pk).exists()
    # What could not be deleted goes later; what a row names stays.
    monkeypatch.setattr(orphans, "GRACE", timedelta(seconds=-10))
    assert orphans.remove() == 2
    assert tasks.describe_images([]) == 1 and video_tasks.sweep() == 1


def test_one_lost_file_is_no_outage(bucket: Storage) -> None:
    kept, lost = add_pending_image(photo(1)), add_pending_image(photo(2))
    default_storage.delete(lost.original.name or "")
    assert tasks.describe_images([]) == 1
    lost.refresh_from_db()
    kept.refresh_from_db()
    assert (lost.status, kept.status) == (Status.FAILED, Status.READY)


@pytest.mark.django_db(transaction=True)
def test_a_backup_names_the_bucket(
    bucket: Storage, tmp_path: Path, settings: Any, request: pytest.FixtureRequest
) -> None:
    here = settings.STORAGES
    add_ready_image(photo(1))
    made = making.make_backup(tmp_path / "a", print)
    assert made.manifest.bucket == f"media/{request.node.name}" and made.files == 0
    assert not (tmp_path / "a" / "media").exists()
    settings.STORAGES = {**here, "default": DIRECTORY}
    with pytest.raises(BackupError, match=f"in the bucket media/{request.node.name}: set"):
        restoring.restore(tmp_path / "a", print)
    assert making.make_backup(tmp_path / "b", print).manifest.missing
    settings.STORAGES = here
    with pytest.raises(BackupError, match="restore it without that"):
        restoring.restore(tmp_path / "b", print)


@pytest.mark.parametrize(
    "value",
    ["s3://bucket", "https://key:secret@/bucket", "https://key:secret@host", "host/bucket"],
)
def test_a_bad_address_is_refused_without_its_secret(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIA_S3_URL", value)
    with pytest.raises(ImproperlyConfigured) as raised:
        env_bucket("MEDIA_S3_URL")
    assert "secret" not in str(raised.value).lower().replace("key:secret@host/bucket/prefix", "")


def test_the_address_of_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_S3_URL", "https://me:a%2Fb@s3.test:9000/pics/of/us?region=eu-1")
    assert env_bucket("MEDIA_S3_URL") == {
        **{"endpoint_url": "https://s3.test:9000", "bucket_name": "pics", "location": "of/us"},
        **{"region_name": "eu-1", "access_key": "me", "secret_key": "a/b"},
    }
    monkeypatch.setenv("MEDIA_S3_URL", "http://s3.test/pics")
    assert "access_key" not in env_bucket("MEDIA_S3_URL")
