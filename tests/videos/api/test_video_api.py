"""v1 of videos over HTTP: adding, listing, changing, deleting, playing."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import Any

import cv2
import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from gallery.items import changing
from imgsmlr_site.models import ApiKey
from tests.factories import stored_files
from tests.httpserver import HttpServer
from tests.processes import wait_until
from tests.videos.clips import Pixels, animation, encode, moving, sound_only, timed
from videos import tasks
from videos.items import waiting
from videos.models import Frame, Status, Video

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web", "clips_are_read_once")]

VIDEOS = "/api/v1/videos/"
CLIP = encode(timed([*moving("astronaut", 2), *moving("coffee", 2)]))
OTHER = encode(timed(moving("chelsea", 1)))


def send(
    client: Client, data: bytes = CLIP, name: str = "clip.mp4", query: str = "", **fields: Any
) -> Any:
    return client.post(VIDEOS + query, {"file": SimpleUploadedFile(name, data), **fields})


def ready(client: Client, data: bytes = CLIP, **fields: Any) -> dict[str, Any]:
    """Add a video and let the worker index it; its detail."""
    answer = send(client, data, **fields)
    assert answer.status_code == 202, answer.content
    assert tasks.index_videos([answer.json()["id"]]) == 1
    detail: dict[str, Any] = client.get(f"{VIDEOS}{answer.json()['id']}/").json()
    assert detail["status"] == "ready"
    return detail


def body_of(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


def error_of(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.content
    error: dict[str, Any] = response.json()
    assert error["detail"].endswith(".")
    return error


def picture_of(response: Any) -> Pixels:
    assert (response.status_code, response["Content-Type"]) == (200, "image/jpeg")
    bgr = cv2.imdecode(np.frombuffer(body_of(response), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


@pytest.fixture
def outsider(settings: Any) -> Client:
    """A client with a key that may search and nothing else, to a service that is not open."""
    settings.OPEN_API = ()
    _, text = ApiKey.issue(name="reader", scopes=["search"])
    return Client(headers={"X-API-Key": text})


# --- adding


@pytest.mark.django_db(transaction=True)
def test_wait_answers_once_it_is_indexed(client: Client) -> None:
    def work() -> None:
        try:
            wait_until(Video.objects.exists, 20)
            tasks.index_videos([Video.objects.get().pk])
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    answer = send(client, query="?wait=30")
    worker.join()
    assert (answer.status_code, answer.json()["status"]) == (201, "ready")


def test_wait_is_bounded(client: Client) -> None:
    started = time.monotonic()
    answer = send(client, query="?wait=0.4")
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert 0.4 <= time.monotonic() - started < 5
    error_of(send(client, OTHER, query="?wait=61"), 400)
    assert Video.objects.count() == 1
    # While as many wait as may, nobody else does.
    with ExitStack() as stack:
        while waiting._places.acquire(blocking=False):
            stack.callback(waiting._places.release)
        started = time.monotonic()
        assert send(client, OTHER, query="?wait=30").status_code == 202
        assert time.monotonic() - started < 10


def test_an_upload_is_accepted_then_indexed(client: Client) -> None:
    answer = send(client, data_id="a-1", remark="", meta='{"album": "x"}', uploader="me")
    assert answer.status_code == 202
    body = answer.json()
    assert (body["status"], body["progress"], body["duration"]) == ("pending", 0, None)
    assert (body["width"], body["height"], body["format"], body["fps"]) == (320, 180, "mp4", 25.0)
    assert (body["data_id"], body["remark"], body["meta"]) == ("a-1", "", {"album": "x"})
    assert body["thumbnail"] is None
    tasks.index_videos([body["id"]])
    body = client.get(f"{VIDEOS}{body['id']}/").json()
    assert (body["status"], body["progress"], body["duration"]) == ("ready", 100, 4.0)
    assert body["file"] == f"http://testserver{VIDEOS}{body['id']}/file/"
    assert body["url"] is None
    assert picture_of(client.get(body["thumbnail"])).shape == (180, 320, 3)


def test_a_link_is_fetched(client: Client, web: HttpServer) -> None:
    web.routes = {"/clip": CLIP}
    body = {"url": f"{web.url}/clip", "data_id": "b"}
    answer = client.post(VIDEOS, body, content_type="application/json")
    assert answer.status_code == 202
    assert answer.json()["url"] == f"{web.url}/clip"
    assert tasks.index_videos([answer.json()["id"]]) == 1


def test_a_file_may_name_the_url_it_came_from(client: Client, web: HttpServer) -> None:
    assert (
        send(client, url="https://example.org/a.mp4").json()["url"] == "https://example.org/a.mp4"
    )
    assert web.requests == []


def test_the_same_video_twice_is_a_conflict(client: Client) -> None:
    first = send(client).json()["id"]
    error = error_of(send(client), 409)
    assert (error["code"], error["existing_id"]) == ("exists", first)


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (b"", "not_a_video", "empty"),
        (b"plain text " * 9, "not_a_video", "text"),
        (b"#EXTM3U\n#EXTINF:1,\nsecret.mp4\n", "not_a_video", "playlist"),
        (sound_only(), "not_a_video", "no moving picture"),
        (animation(list(moving("coffee", 0.04)), "GIF"), "not_a_video", "image"),
    ],
)
def test_what_is_no_video_is_a_400(client: Client, data: bytes, code: str, says: str) -> None:
    error = error_of(send(client, data), 400)
    assert error["code"] == code
    assert says in error["detail"]


def test_too_large_a_file_is_a_413(client: Client, settings: Any) -> None:
    settings.MAX_VIDEO_BYTES = 1000
    error = error_of(send(client), 413)
    assert (error["code"], error["field"]) == ("video_too_large", "file")


def test_a_body_larger_than_any_video_is_refused_before_it_is_read(
    client: Client, settings: Any
) -> None:
    settings.MAX_REQUEST_BYTES = settings.MAX_VIDEO_REQUEST_BYTES = 1000
    assert error_of(send(client), 413)["code"] == "too_large"


def test_a_video_may_be_larger_than_other_requests(client: Client, settings: Any) -> None:
    settings.MAX_REQUEST_BYTES = 1000
    assert send(client).status_code == 202


def test_an_upload_on_the_disk_is_taken_from_there(client: Client, settings: Any) -> None:
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 1000
    detail = ready(client)
    assert body_of(client.get(detail["file"])) == CLIP


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "ftp://example.org/a.mp4"},
        {"url": "not a url"},
        {"url": "http://x/" + "a" * 3000},
        {"url": 5.0, "meta": []},
        {"url": "http://127.0.0.1:1/", "meta": "x"},
        {"url": "http://a/\u0000"},
    ],
)
def test_bad_bodies_are_400s(client: Client, body: Any) -> None:
    error_of(client.post(VIDEOS, body, content_type="application/json"), 400)


# --- reading


def test_listing_and_filtering(client: Client) -> None:
    first = ready(client, data_id="a-1")
    second = send(client, OTHER, data_id="b-1").json()

    def ids(query: str) -> list[int]:
        return [row["id"] for row in client.get(VIDEOS + query).json()["results"]]

    assert ids("") == [second["id"], first["id"]]
    assert ids("?status=pending") == [second["id"]]
    assert ids("?data_id=a-1") == ids("?data_id_prefix=a") == [first["id"]]
    assert ids(f"?md5={first['md5']}") == [first["id"]]
    assert ids("?url=http://none") == []
    error_of(client.get(VIDEOS + "?status=lost"), 400)


def test_a_failed_video_says_why(client: Client) -> None:
    video = send(client).json()["id"]
    Video.objects.update(status=Status.FAILED, failure="It is damaged.")
    body = client.get(f"{VIDEOS}{video}/").json()
    assert (body["status"], body["failure"]) == ("failed", "It is damaged.")


def test_what_is_not_there_is_a_404(client: Client) -> None:
    for path in ("", "file/", "frame/", "thumbnail/"):
        error_of(client.get(f"{VIDEOS}999/{path}"), 404)
    error_of(client.delete(f"{VIDEOS}999/"), 404)
    error_of(client.patch(f"{VIDEOS}999/", {}, content_type="application/json"), 404)


# --- changing and deleting


def test_patching(client: Client) -> None:
    detail = ready(client, data_id="a", remark="old")
    answer = client.patch(
        f"{VIDEOS}{detail['id']}/", {"remark": None, "data_id": ""}, content_type="application/json"
    )
    assert answer.status_code == 200
    assert (answer.json()["remark"], answer.json()["data_id"]) == (None, "")
    assert client.get(f"{VIDEOS}{detail['id']}/").json()["data_id"] == ""


@pytest.mark.django_db(transaction=True)
def test_deleting_one_takes_frames_and_files(client: Client, settings: Any) -> None:
    detail = ready(client)
    assert client.delete(f"{VIDEOS}{detail['id']}/").status_code == 204
    assert not Video.objects.exists()
    assert not Frame.objects.exists()
    assert stored_files(settings.MEDIA_ROOT) == []
    assert send(client).status_code == 202


def test_deleting_by_what_they_have_in_common(client: Client) -> None:
    send(client, data_id="x")
    send(client, OTHER, data_id="x")
    for query in ("", "?", "?data_id=", "?status=pending", "?data_id=x&status=pending"):
        error_of(client.delete(VIDEOS + query), 400)
    assert client.delete(f"{VIDEOS}?data_id=x").json() == {"deleted": 2}
    assert not Video.objects.exists()


# --- playing


def test_the_file_is_played_in_parts(client: Client) -> None:
    link = ready(client)["file"]
    size = len(CLIP)
    whole = client.get(link)
    assert (whole.status_code, whole["Content-Type"]) == (200, "video/mp4")
    assert (whole["Accept-Ranges"], whole["Content-Length"]) == ("bytes", str(size))
    assert body_of(whole) == CLIP
    for text, start, stop in (
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=100-", 100, size),
        ("bytes=-50", size - 50, size),
        (f"bytes=0-{size * 2}", 0, size),
        (f"bytes=-{size * 2}", 0, size),
    ):
        part = client.get(link, headers={"Range": text})
        assert part.status_code == 206
        assert part["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"
        assert part["Content-Length"] == str(stop - start)
        assert body_of(part) == CLIP[start:stop]


@pytest.mark.parametrize("text", ["bytes=9-5", "bytes=-", "bytes=1-2,5-6", "lines=1-2", "bytes=a-"])
def test_a_range_that_is_none_gives_the_whole_file(client: Client, text: str) -> None:
    answer = client.get(ready(client, OTHER)["file"], headers={"Range": text})
    assert (answer.status_code, body_of(answer)) == (200, OTHER)


def test_a_range_beyond_the_end_cannot_be_had(client: Client) -> None:
    link = ready(client, OTHER)["file"]
    for text in (f"bytes={len(OTHER)}-", "bytes=-0"):
        answer = client.get(link, headers={"Range": text})
        assert (answer.status_code, answer["Content-Range"]) == (416, f"bytes */{len(OTHER)}")


def test_a_condition_that_cannot_hold_gives_the_whole_file(client: Client) -> None:
    link = ready(client, OTHER)["file"]
    answer = client.get(link, headers={"Range": "bytes=0-1", "If-Range": '"etag"'})
    assert answer.status_code == 200


def test_head_says_how_large_the_file_is(client: Client) -> None:
    answer = client.head(ready(client, OTHER)["file"])
    assert (answer.status_code, answer["Content-Length"]) == (200, str(len(OTHER)))
    assert answer["Cache-Control"] == "private, no-store"
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_the_small_copy_is_played_where_the_original_is_not_kept(
    client: Client, web: HttpServer
) -> None:
    web.routes = {"/clip": CLIP}
    answer = client.post(VIDEOS, {"url": f"{web.url}/clip"}, content_type="application/json")
    tasks.index_videos([answer.json()["id"]])
    detail = client.get(f"{VIDEOS}{answer.json()['id']}/").json()
    played = client.get(detail["file"])
    assert played["Content-Type"] == "video/mp4"
    assert b"ftyp" in body_of(played)[:16]


def test_the_small_copy_can_be_asked_for(client: Client) -> None:
    detail = ready(client, encode(timed(moving("coffee", 1)), "mkv"))
    assert client.get(detail["file"])["Content-Type"] == "video/x-matroska"
    small = client.get(detail["file"] + "?small=1")
    assert small["Content-Type"] == "video/mp4"
    assert b"ftyp" in body_of(small)[:16]


def test_the_picture_at_a_moment(client: Client) -> None:
    link = f"{VIDEOS}{ready(client)['id']}/frame/"
    first, later = picture_of(client.get(link)), picture_of(client.get(link + "?t=2.5"))
    assert first.shape == (160, 284, 3)
    assert np.abs(first.astype(int) - later).mean() > 20
    for end in ("3.99", "4", "500000"):
        last = picture_of(client.get(f"{link}?t={end}"))
        assert np.abs(last.astype(int) - picture_of(client.get(link + "?t=3.96"))).mean() < 5


@pytest.mark.parametrize("t", ["-1", "nan", "inf", "1e9", "x", ""])
def test_a_moment_that_is_none(client: Client, t: str) -> None:
    error = error_of(client.get(f"{VIDEOS}{ready(client, OTHER)['id']}/frame/?t={t}"), 400)
    assert error["field"] == "t"


def test_a_moment_before_the_video_is_indexed_is_a_404(admin_client: Client) -> None:
    video = send(admin_client).json()["id"]
    for path in ("frame/", "thumbnail/"):
        error_of(admin_client.get(f"{VIDEOS}{video}/{path}"), 404)


# --- who sees what


@pytest.mark.parametrize("path", ["file/", "frame/", "thumbnail/"])
def test_media_of_what_is_not_ready_is_for_moderators(
    client: Client, admin_client: Client, path: str
) -> None:
    video = ready(client)["id"]
    assert client.get(f"{VIDEOS}{video}/{path}").status_code == 200
    changing.quarantine_items(items=Video.objects.all(), by="tests")
    error_of(client.get(f"{VIDEOS}{video}/{path}"), 404)
    error_of(client.get(f"{VIDEOS}{video}/"), 404)
    assert client.get(VIDEOS).json()["results"] == []
    assert admin_client.get(f"{VIDEOS}{video}/{path}").status_code == 200
    assert admin_client.get(f"{VIDEOS}{video}/").status_code == 200
    changing.release_items(items=Video.objects.all(), by="tests")
    assert client.get(f"{VIDEOS}{video}/{path}").status_code == 200


def test_the_file_of_a_pending_video_is_for_moderators(client: Client) -> None:
    error_of(client.get(f"{VIDEOS}{send(client).json()['id']}/file/"), 404)


def test_scopes(client: Client, outsider: Client) -> None:
    video = added_with_a_key()
    for path in ("", f"{video}/", f"{video}/file/", f"{video}/frame/", f"{video}/thumbnail/"):
        assert client.get(VIDEOS + path).status_code == 401
        assert outsider.get(VIDEOS + path).status_code == 200
    error_of(send(outsider, OTHER), 403)
    error_of(outsider.delete(f"{VIDEOS}{video}/"), 403)
    error_of(outsider.delete(f"{VIDEOS}?data_id=x"), 403)
    error_of(outsider.patch(f"{VIDEOS}{video}/", {}, content_type="application/json"), 403)


def added_with_a_key() -> int:
    _, text = ApiKey.issue(name="loader", scopes=["search", "add"])
    return int(ready(Client(headers={"X-API-Key": text}), OTHER)["id"])
