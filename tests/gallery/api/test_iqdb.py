"""IQDB's API as a booru uses it: add by number, ask, replace, delete."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import ImageOps

from gallery.items.models import Image
from imgsmlr_site.models import ApiKey
from tests.factories import jpeg, wheel_photo

pytestmark = pytest.mark.django_db


@pytest.fixture
def booru(settings: Any) -> Client:
    settings.ROOT_URLCONF = "tests.site.facade_urls"
    _, key = ApiKey.issue(name="booru", scopes=["add", "search"])
    return Client(headers={"x-api-key": key})


def send(client: Client, path: str, data: bytes) -> Any:
    return client.post(path, {"file": SimpleUploadedFile("x.jpg", data)})


def test_a_booru_adds_asks_replaces_and_deletes(booru: Client) -> None:
    cat, coffee = wheel_photo("chelsea.png"), wheel_photo("coffee.png")
    added = send(booru, "/iqdb/images/41", jpeg(cat))
    assert added.status_code == 200
    assert added.json() == {
        "post_id": 41,
        "hash": Image.objects.get().sha256,
        "signature": {},
    }
    assert send(booru, "/iqdb/images/41", jpeg(cat)).json() == added.json(), "sent again"
    send(booru, "/iqdb/images/42", jpeg(coffee))
    assert booru.get("/iqdb/status").json() == {"images": 2}
    copy = jpeg(ImageOps.mirror(cat).crop((40, 30, cat.width - 20, cat.height - 20)))
    best, *others = send(booru, "/iqdb/query?limit=5", copy).json()
    assert best["post_id"] == 41
    assert best["score"] > 90
    assert all(row["score"] < 50 for row in others)
    by_hash = booru.post("/iqdb/query", {"hash": best["hash"]}).json()
    assert 41 not in [row["post_id"] for row in by_hash if row["score"] < 50]
    # Another picture under the same number takes its place.
    send(booru, "/iqdb/images/41", jpeg(wheel_photo("astronaut.png")))
    assert [row["post_id"] for row in send(booru, "/iqdb/query", copy).json()][:1] != [41]
    assert booru.get("/iqdb/status").json() == {"images": 2}
    assert booru.delete("/iqdb/images/42").json() == {"post_id": 42}
    assert booru.get("/iqdb/images/42").status_code == 404
    assert booru.get("/iqdb/images/41").json()["post_id"] == 41


def test_errors_have_its_shape(booru: Client) -> None:
    data = jpeg(wheel_photo("chelsea.png"))
    send(booru, "/iqdb/images/1", data)
    for answer, status in (
        (send(booru, "/iqdb/images/2", data), 409),
        (send(booru, "/iqdb/images/3", b"no picture"), 400),
        (booru.post("/iqdb/images/3"), 400),
        (booru.post("/iqdb/query"), 400),
        (booru.post("/iqdb/query", {"hash": "00"}), 400),
        (send(booru, "/iqdb/query?limit=0", data), 400),
        (booru.get("/iqdb/images/9"), 404),
        (Client(REMOTE_ADDR="192.0.2.7").get("/iqdb/status"), 401),
    ):
        assert answer.status_code == status, answer.content
        assert list(answer.json()) == ["exception", "message", "backtrace"]
        assert answer.json()["message"]


def test_a_key_deletes_only_its_own(booru: Client) -> None:
    send(booru, "/iqdb/images/1", jpeg(wheel_photo("chelsea.png")))
    _, key = ApiKey.issue(name="other", scopes=["add", "search"])
    other = Client(headers={"x-api-key": key})
    assert other.delete("/iqdb/images/1").status_code == 403
    assert Image.objects.count() == 1
