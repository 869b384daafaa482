"""v1: adding up to 100 pictures by URL in one request."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django_q.models import OrmQ

from gallery import tasks
from gallery.items import adding
from gallery.items.models import Image
from tests import factories as make
from tests.httpserver import HttpServer, hang

BATCH = "/api/v1/images/batch/"


def send(client: Client, images: Any) -> Any:
    return client.post(BATCH, {"images": images}, content_type="application/json")


def test_each_picture_succeeds_or_fails_alone(client: Client, web: HttpServer) -> None:
    old = make.add_ready_image(make.photo(9))
    web.routes = {
        "/new.png": make.png(make.photo(1)),
        "/old.png": make.png(make.photo(9)),
        "/new-again.png": make.png(make.photo(1)),
        "/text": b"hello hello",
        "/bomb.png": make.png_bomb(),
        "/last.jpg": make.jpeg(make.photo(2)),
    }
    names = ["new.png", "old.png", "new-again.png", "text", "none", "bomb.png", "last.jpg"]
    items = [{"url": f"{web.url}/{name}", "data_id": name} for name in names]
    response = send(client, items)
    assert response.status_code == 202
    new, known, twice, text, missing, bomb, last = response.json()["results"]
    assert new["image"]["data_id"] == "new.png"
    assert last["image"]["data_id"] == "last.jpg"
    assert new["image"]["status"] == last["image"]["status"] == "pending"
    for error, existing_id in ((known, old.pk), (twice, new["image"]["id"])):
        assert error["error"] == {
            "type": "client_error",
            "code": "exists",
            "detail": f"The same picture is already here: it is image {existing_id}.",
            "existing_id": existing_id,
        }
    assert (text["error"]["type"], text["error"]["code"]) == ("validation_error", "not_an_image")
    assert (missing["error"]["type"], missing["error"]["code"]) == (
        "validation_error",
        "fetch_status",
    )
    assert (bomb["error"]["type"], bomb["error"]["code"]) == ("client_error", "image_too_large")
    assert tasks.describe_images([]) == 2
    assert Image.objects.filter(status="ready").count() == 3


def test_slow_hosts_cannot_hold_a_batch(
    client: Client, web: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "MAX_BATCH_SECONDS", 0.2)
    web.routes = {"/slow": hang(0.5)} | {f"/{n}": make.png(make.photo(n)) for n in range(12)}
    items = [{"url": f"{web.url}/{name}"} for name in ("slow", *range(12))]
    results = send(client, items).json()["results"]
    assert ["image" in result for result in results] == [False] + [True] * 7 + [False] * 5
    assert {result["error"]["code"] for result in results[8:]} == {"batch_timeout"}
    assert "another batch" in results[-1]["error"]["detail"]
    assert Image.objects.count() == 7


@pytest.mark.slow
def test_100_pictures_in_order(client: Client, web: HttpServer) -> None:
    small = [make.png(make.photo(seed, (24, 24))) for seed in range(100)]
    web.routes = {f"/{seed}": data for seed, data in enumerate(small)}
    items = [{"url": f"{web.url}/{seed}", "data_id": seed} for seed in range(100)]
    results = send(client, items).json()["results"]
    assert [result["image"]["data_id"] for result in results] == [str(n) for n in range(100)]
    assert OrmQ.objects.count() == 100
    assert tasks.describe_images([]) == 100


@pytest.mark.parametrize(
    ("images", "field"),
    [
        (None, "images"),
        ([], "images"),
        ({}, "images"),
        ("x", "images"),
        ([5], "images.0"),
        ([{}], "images.0.url"),
        ([{"url": "http://x/"}, {"url": "x"}], "images.1.url"),
        ([{"url": "http://x/"}, {"url": "http://x/", "meta": []}], "images.1.meta"),
        ([{"url": "http://x/"}] * 101, "images"),
    ],
)
def test_malformed_batches(client: Client, images: Any, field: str) -> None:
    response = send(client, images)
    assert response.status_code == 400
    assert response.json()["field"] == field
    assert not Image.objects.exists()


def test_a_batch_is_charged_by_its_pictures(client: Client, web: HttpServer, settings: Any) -> None:
    settings.THROTTLE_POINTS = 20
    items = [{"url": f"{web.url}/{n}"} for n in range(6)]
    assert send(client, items).status_code == 202
    assert send(client, items[:1]).status_code == 429
