"""``add_images`` and ``add_videos`` with a bucket of a real server of S3."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import quote

import pytest
import requests
from django.core.management import CommandError, call_command

from gallery.items import import_sources, importing
from gallery.items.models import Image
from gallery.net import s3
from gallery.net.s3_signing import SigningKey, signed_link
from tests import factories as make
from tests.httpserver import HttpServer, Reply
from tests.storage import Storage
from tests.videos.clips import encode, moving, timed
from videos.models import Status, Video

pytestmark = pytest.mark.django_db
PICTURE = make.jpeg(make.photo(1))
NAMES = ("album/a.jpg", "album/deep/with space+plus, ü & <b>.jpg", "album/x\x01y.gif")


@pytest.fixture
def bucket(storage: Storage, settings: Any) -> str:
    settings.S3_ENDPOINT = storage.url
    settings.S3_ACCESS_KEY, settings.S3_SECRET_KEY = "any", "secret"
    assert requests.put(f"{storage.url}/old").status_code == 200
    return "old"


def run(target: str, command: str = "add_images", **options: Any) -> str:
    out = io.StringIO()
    workers = {"workers": 1} if command == "add_images" else {}
    call_command(command, target, stdout=out, stderr=out, **workers, **options)
    return out.getvalue()


def put_in_parts(storage: Storage, name: str, data: bytes) -> None:
    """Such an object has an ETag that is no MD5."""

    def link(method: str, **query: str) -> str:
        key = SigningKey("any", "secret", "us-east-1")
        return signed_link(method, f"{storage.url}/{name}", key, query=query)

    begun = requests.post(link("POST", uploads="")).text
    upload = begun.partition("<UploadId>")[2].partition("</UploadId>")[0]
    sent = requests.put(link("PUT", partNumber="1", uploadId=upload), data)
    tag = sent.headers["ETag"]
    body = f"<Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>"
    assert requests.post(link("POST", uploadId=upload), body).status_code == 200


@pytest.mark.slow
def test_pictures_of_a_prefix(
    storage: Storage, bucket: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, name in enumerate(NAMES, 1):
        storage.put(f"{bucket}/{quote(name)}", make.jpeg(make.photo(seed)))
    put_in_parts(storage, f"{bucket}/album/parts.png", make.png(make.photo(4)))
    storage.put(f"{bucket}/album/twin.jpg", PICTURE)
    storage.put(f"{bucket}/album/cut.jpg", PICTURE[:800])
    storage.put(f"{bucket}/album/notes.txt", b"no picture")
    storage.put(f"{bucket}/album/empty.jpg", b"")
    storage.put(f"{bucket}/album/deep/", b"")
    storage.put(f"{bucket}/album/{'n' * 260}.jpg", PICTURE)
    storage.put(f"{bucket}/else/b.jpg", make.jpeg(make.photo(5)))

    out = run(f"s3://{bucket}/album/", remark="moved")
    assert "4 added, 1 already there, 2 no pictures, 2 failed." in out
    assert f"s3://{bucket}/album/cut.jpg: The file is a JPEG that ends early" in out
    assert "data_id has 270 characters; at most 255 are stored." in out
    images = {image.data_id: image for image in Image.objects.all()}
    assert set(images) == {*NAMES, "album/parts.png"}
    first = images[NAMES[0]]
    assert (first.remark, first.url, first.status) == ("moved", None, "ready")
    with first.original.open() as stream:
        assert stream.read() == PICTURE

    # What the bucket says is enough to know what is here, except for what was sent in parts.
    todo = importing._skip_known(list(import_sources.read_sources(f"s3://{bucket}/album/")))[0]
    read = [source.name.rpartition("/")[2] for source in todo]
    assert sorted(read) == ["cut.jpg", "empty.jpg", "notes.txt", "parts.png"]
    assert "5 already there, 2 no pictures, 2 failed." in run(f"s3://{bucket}/album/")

    settings.MAX_UPLOAD_BYTES = 1000
    out = run(f"s3://{bucket}/else")
    assert f"s3://{bucket}/else/b.jpg: The file has more than the 1,000 bytes accepted." in out


def test_videos(storage: Storage, bucket: str, settings: Any) -> None:
    clip = encode(timed(moving("astronaut", 1)))
    storage.put(f"{bucket}/films/a.mp4", clip)
    storage.put(f"{bucket}/films/still.jpg", PICTURE)
    assert "1 added, 1 no videos." in run(f"s3://{bucket}/films/", "add_videos")
    video = Video.objects.get()
    assert (video.data_id, video.status, video.bytes) == ("films/a.mp4", Status.READY, len(clip))
    assert "1 already there, 1 no videos." in run(f"s3://{bucket}/films/", "add_videos")
    settings.MAX_VIDEO_BYTES = 100
    Video.objects.all().delete()
    assert "films/a.mp4: The file has more than the 100" in run(
        f"s3://{bucket}/films/", "add_videos"
    )


def test_more_than_one_page() -> None:
    """Of a server that does not encode keys."""
    first = page("<Contents><Key>a%20b.jpg</Key><Size>9</Size></Contents>", token="a+/=")
    second = page('<Contents><Key>c.jpg</Key><Size>9</Size><ETag>"0"</ETag></Contents>')
    with HttpServer({"/old": first}) as server:
        bucket = s3.Bucket(server.url, "old", SigningKey("any", "secret", "us-east-1"))
        listed = bucket.objects("", importing.conf.fetch_policy())
        assert next(listed).key == "a%20b.jpg"
        server.routes["/old"] = second
        assert [one.key for one in listed] == ["c.jpg"]
        assert "continuation-token=a%2B%2F%3D&" in server.requests[-1].path
        assert "secret" not in repr(bucket)


def page(contents: str, token: str = "") -> bytes:
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<ListBucketResult xmlns="{space}">{contents}{more}</ListBucketResult>'.encode()


def test_what_cannot_be_read(storage: Storage, bucket: str, settings: Any) -> None:
    with pytest.raises(
        CommandError, match=r"none cannot be listed\. The storage answered 404; che"
    ):
        run("s3://none/a")
    with pytest.raises(CommandError, match="s3:// names no bucket"):
        run("s3://")
    for reply, sentence in (
        (Reply(status=403), "answered 403; check what S3_ACCESS_KEY may do"),
        (Reply(status=301), "answered 301; the bucket may be in another region"),
        (Reply(status=307, headers={"Location": "/else"}), "names another address; the bucket may"),
        (Reply(status=500), "answered 500; try again later"),
        (Reply(b"<html>"), "did not answer as S3 does: check S3_ENDPOINT"),
        (Reply(b"<html/>"), "did not answer as S3 does: check S3_ENDPOINT"),
    ):
        with HttpServer({"/old": reply}) as server:
            settings.S3_ENDPOINT = server.url
            with pytest.raises(CommandError, match=sentence):
                run("s3://old")
    # An object that is gone, or whose name would lead elsewhere, is one line of the report.
    listed = page("<Contents><Key>../new/a.jpg</Key></Contents><Contents><Key>b</Key></Contents>")
    with HttpServer({"/old": listed}) as server:
        settings.S3_ENDPOINT = server.url
        out = run("s3://old")
        assert "s3://old/../new/a.jpg: A key with the parts . or .. leads to another object" in out
        assert "s3://old/b: The storage answered 404; check the name." in out
        assert "2 failed." in out
        assert "/new/a.jpg" not in {request.path for request in server.requests}
    settings.S3_SECRET_KEY = settings.S3_ENDPOINT = ""
    with pytest.raises(CommandError, match="To read s3://old, set S3_ENDPOINT, S3_SECRET_KEY"):
        run("s3://old")
