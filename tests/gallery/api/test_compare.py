"""v1: how alike two pictures are."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from gallery.items.models import Image
from gallery.search.match_types import MATCH_TYPES
from tests import factories as make
from tests.httpserver import HttpServer

COMPARE = "/api/v1/images/compare/"


def file(data: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile("x.bin", data)


def test_two_files(client: Client, settings: Any) -> None:
    a, b = make.png(make.photo(1)), make.jpeg(make.photo(1), 50)
    body = client.post(COMPARE, {"a": file(a), "b": file(b)}).json()
    assert body.keys() == {"imgsmlr", "pdq", "copy", "unavailable"}
    assert 0 < body["imgsmlr"]["distance"] < 1
    assert 0 < body["imgsmlr"]["signature_distance"] < 1
    assert body["pdq"]["distance"] <= 31
    assert all(50 <= quality <= 100 for quality in body["pdq"]["quality"])
    assert body["copy"]["confidence"] == pytest.approx(1 - body["copy"]["distance"])
    assert body["copy"]["confidence"] > 0.99
    assert body["copy"]["geometry"]["inliers"] > 20
    assert body["copy"]["methods"]["cnn"] < 0.2
    assert "CLIP_PRETRAINED" in body["unavailable"]["clip"]
    assert not Image.objects.exists()
    assert make.stored_files(settings.MEDIA_ROOT) == []


def test_a_picture_and_itself_by_link_and_file(client: Client, web: HttpServer) -> None:
    data = make.png(make.photo(1))
    web.routes["/a"] = data
    body = client.post(COMPARE, {"a_url": web.url + "/a", "b": file(data)}).json()
    assert body["imgsmlr"] == {"distance": 0, "signature_distance": 0}
    assert body["pdq"]["distance"] == 0
    links = {"a_url": web.url + "/a", "b_url": web.url + "/a"}
    again = client.post(COMPARE, links, content_type="application/json").json()
    assert again == body


def test_strangers(client: Client) -> None:
    body = client.post(
        COMPARE, {"a": file(make.png(make.photo(1))), "b": file(make.png(make.photo(2)))}
    ).json()
    assert body["copy"]["distance"] > MATCH_TYPES["copy"].recall
    assert body["imgsmlr"]["distance"] > 1
    assert body["pdq"]["distance"] > 52


def test_a_flat_picture_has_no_distance(client: Client) -> None:
    flat = make.png(make.flat())
    body = client.post(COMPARE, {"a": file(flat), "b": file(make.png(make.photo(1)))}).json()
    assert body["imgsmlr"] == {"distance": None}
    assert body["pdq"] == {"distance": None}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "a"),
        ({"a_url": "http://x/"}, "b"),
        ({"a_url": "http://x/", "b_url": "x"}, "b_url"),
        ({"a_url": "http://x/", "b": "text"}, "b"),
    ],
)
def test_refused(client: Client, body: Any, field: str) -> None:
    response = client.post(COMPARE, body, content_type="application/json")
    assert response.status_code == 400
    assert response.json()["field"] == field


def test_one_side_given_twice(client: Client, web: HttpServer) -> None:
    data = make.png(make.photo(1))
    twice = {"a": file(data), "a_url": web.url + "/a", "b": file(data)}
    response = client.post(COMPARE, twice)
    assert (response.status_code, response.json()["field"]) == (400, "a")


def test_bad_pictures(client: Client, web: HttpServer) -> None:
    good = make.png(make.photo(1))
    text = client.post(COMPARE, {"a": file(good), "b": file(b"hello")})
    assert (text.status_code, text.json()["code"]) == (400, "not_an_image")
    bomb = client.post(COMPARE, {"a": file(good), "b": file(make.png_bomb())})
    assert (bomb.status_code, bomb.json()["code"]) == (413, "image_too_large")
    lost = client.post(COMPARE, {"a": file(good), "b_url": web.url + "/none"})
    assert (lost.status_code, lost.json()["code"]) == (400, "fetch_status")
