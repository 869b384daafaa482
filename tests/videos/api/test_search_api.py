"""videos/search/ and videos/{id}/similar/ over HTTP: shapes, refusals, rights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from imgsmlr_site.models import ApiKey
from tests.httpserver import HttpServer
from tests.videos import clips, library
from tests.videos.library import clip_of, file_of, frame_at
from videos.models import Video

pytestmark = pytest.mark.django_db

SEARCH = "/api/v1/videos/search/"


@pytest.fixture(scope="module")
def stored(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, dict[str, Video]]]:
    media = tmp_path_factory.mktemp("media")
    with library.library(media, django_db_blocker) as videos:
        yield media, videos


@pytest.fixture
def videos(stored: Any, settings: Any, open_api: None) -> dict[str, Video]:
    settings.MEDIA_ROOT, every = stored
    settings.THROTTLE_POINTS = 0
    return every


@pytest.fixture
def web() -> Iterator[HttpServer]:
    with HttpServer() as server:
        yield server


def post(client: Client, data: bytes, name: str = "query.png", **fields: Any) -> Any:
    return client.post(SEARCH, {"file": SimpleUploadedFile(name, data), **fields})


def museum_clip() -> bytes:
    return clips.encode(clips.timed(clip_of("museum", 1, 6)))


@pytest.mark.slow
def test_a_clip(client: Client, videos: dict[str, Video]) -> None:
    response = post(client, museum_clip(), "query.mp4")
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"results", "low_information", "ambiguous"}
    assert (body["low_information"], body["ambiguous"]) == (False, [])
    (hit,) = body["results"]
    assert hit["video"]["id"] == videos["museum"].pk
    assert hit["video"]["duration"] == pytest.approx(12, abs=0.1)
    assert 0.5 < hit["confidence"] <= 1
    assert (hit["start"], hit["end"]) == pytest.approx((1, 6), abs=0.4)
    assert hit["offset"] == pytest.approx(1, abs=0.2)
    assert (hit["speed"], hit["mirrored"]) == (1, False)
    for match in hit["matches"]:
        assert match["time"] == pytest.approx(match["query_time"] + 1, abs=0.2)
        assert 0.3 < match["similarity"] <= 1
        assert f"/videos/{videos['museum'].pk}/frame/?t=" in match["frame"]


@pytest.mark.slow
def test_the_frames_of_an_answer_can_be_looked_at(client: Client, videos: dict[str, Video]) -> None:
    body = post(client, file_of(frame_at("museum", 2.2))).json()
    (match,) = body["results"][0]["matches"]
    frame = client.get(match["frame"])
    assert (frame.status_code, frame["Content-Type"]) == (200, "image/jpeg")


def test_a_link(client: Client, videos: dict[str, Video], web: HttpServer) -> None:
    web.routes["/still.png"] = file_of(frame_at("museum", 2.2))
    response = client.post(SEARCH, {"url": f"{web.url}/still.png"}, "application/json")
    (hit,) = response.json()["results"]
    assert hit["video"]["id"] == videos["museum"].pk
    assert hit["offset"] == pytest.approx(2.2, abs=0.2)


def test_ambiguous_places(client: Client, videos: dict[str, Video]) -> None:
    (place,) = post(client, file_of(frame_at("again", 2))).json()["ambiguous"]
    assert place["video"] == videos["again"].pk
    assert place["start"] <= place["end"]


def test_low_information(client: Client, videos: dict[str, Video]) -> None:
    body = post(client, file_of(np.zeros((90, 160, 3), np.uint8))).json()
    assert body == {"results": [], "low_information": True, "ambiguous": []}


@pytest.mark.slow
def test_limit_and_least_confidence(client: Client, videos: dict[str, Video]) -> None:
    data = clips.encode(clips.timed(clip_of("travel", 5, 11)))
    assert len(post(client, data, limit=1).json()["results"]) == 1
    assert post(client, data, min_confidence=1).json()["results"] == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"min_confidence": "2"}, "min_confidence"),
        ({"min_confidence": "nan"}, "min_confidence"),
    ],
)
def test_refused_fields(
    client: Client, videos: dict[str, Video], fields: dict[str, str], field: str
) -> None:
    response = post(client, file_of(frame_at("museum", 2)), **fields)
    assert (response.status_code, response.json()["field"]) == (400, field)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_a_video"),
        (b"#EXTM3U\nhttp://127.0.0.1/a.ts", "not_a_video"),
        (clips.sound_only(), "not_a_video"),
        (clips.encode(clips.timed(clips.plain(99, 1)))[:500], "not_a_video"),
    ],
    ids=["empty", "playlist", "sound", "truncated"],
)
def test_refused_files(client: Client, videos: dict[str, Video], data: bytes, code: str) -> None:
    response = post(client, data)
    assert (response.status_code, response.json()["code"]) == (400, code)


def test_nothing_or_two_things_to_look_for(client: Client, videos: dict[str, Video]) -> None:
    for body in ({}, {"url": None}):
        assert client.post(SEARCH, body, "application/json").status_code == 400
    assert post(client, file_of(frame_at("museum", 2)), url="http://127.0.0.1/").status_code == 400


def test_files_beyond_the_limit(client: Client, videos: dict[str, Video], settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 1000
    assert post(client, museum_clip()).status_code == 413


def test_similar(client: Client, videos: dict[str, Video]) -> None:
    body = client.get(f"/api/v1/videos/{videos['travel'].pk}/similar/").json()
    assert body["low_information"] is False
    (shared,) = body["results"]
    assert shared["video"]["id"] == videos["remix"].pk
    assert 0.4 <= shared["share"] <= 0.6
    (part,) = shared["segments"]
    assert (part["own_start"], part["own_end"]) == pytest.approx((4, 12), abs=1)
    assert (part["start"], part["end"]) == pytest.approx((4, 12), abs=1)
    assert part["speed"] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("status", ["pending", "quarantined"])
def test_hidden_videos(client: Client, videos: dict[str, Video], status: str) -> None:
    Video.objects.filter(pk=videos["museum"].pk).update(status=status)
    assert post(client, museum_clip()).json()["results"] == []
    url = f"/api/v1/videos/{videos['museum'].pk}/similar/"
    assert client.get(url).status_code == 404


def test_similar_to_none(client: Client, videos: dict[str, Video]) -> None:
    assert client.get("/api/v1/videos/999999999/similar/").status_code == 404
    url = f"/api/v1/videos/{videos['travel'].pk}/similar/"
    assert client.get(url, {"limit": "x"}).json()["field"] == "limit"


def test_strangers_need_a_key(client: Client, videos: dict[str, Video], settings: Any) -> None:
    settings.OPEN_API = []
    assert post(client, b"").status_code == 401
    assert client.get(f"/api/v1/videos/{videos['travel'].pk}/similar/").status_code == 401


def test_searches_are_charged(client: Client, videos: dict[str, Video], settings: Any) -> None:
    settings.THROTTLE_POINTS = 25
    data = file_of(np.zeros((90, 160, 3), np.uint8))
    answers = [post(client, data).status_code for _ in range(4)]
    assert answers == [200, 200, 429, 429]


def test_a_client_of_trace_moe(
    client: Client, videos: dict[str, Video], web: HttpServer, settings: Any
) -> None:
    settings.ROOT_URLCONF = "tests.site.facade_urls"
    museum = videos["museum"]
    Video.objects.filter(pk=museum.pk).update(
        meta={"anilist": 21034, "episode": 3}, data_id="museum.mp4"
    )
    still = file_of(frame_at("museum", 3.0))
    path = "/trace.moe/search"
    by_body = client.post(path, still, content_type="image/png").json()
    assert (by_body["error"], by_body["quota"]) == ("", 0)
    best = by_body["result"][0]
    assert (best["anilist"], best["episode"], best["filename"]) == (21034, 3, "museum.mp4")
    assert best["from"] <= best["at"] <= best["to"] <= best["duration"]
    assert abs(best["at"] - 3) < 1
    assert best["similarity"] > 0.9
    assert client.get(best["image"].removeprefix("http://testserver")).status_code == 200
    assert client.get(best["video"].removeprefix("http://testserver")).status_code == 200
    by_form = client.post(path, {"image": SimpleUploadedFile("x.png", still)}).json()
    web.routes["/x.png"] = still
    by_link = client.get(path, {"url": f"{web.url}/x.png"}).json()
    assert by_form["result"] == by_link["result"] == by_body["result"]
    assert client.get(path, {"url": f"{web.url}/x.png", "anilistID": "5"}).json()["result"] == []
    assert client.get("/trace.moe/me").json()["id"] == "open"
    for answer in (
        client.get(path),
        client.post(path),
        client.post(path, b"no picture", content_type="image/png"),
        client.post(path, {"file": SimpleUploadedFile("x.png", still)}),
        client.post(path, b"a=1", content_type="application/x-www-form-urlencoded"),
    ):
        assert answer.status_code == 400
        assert list(answer.json()) == ["error"] and answer.json()["error"]
    settings.OPEN_API = ()
    assert client.get("/trace.moe/me").status_code == 401
    _, key = ApiKey.issue(name="bot", scopes=["search"])
    assert client.get("/trace.moe/me", headers={"x-trace-key": key}).json()["id"] == "key:bot"
