"""A request that changes something is never answered by a redirect: its body would be lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import get_resolver

from gallery.items.models import Image
from tests.factories import add_ready_image, photo, png
from tests.httpserver import HttpServer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("open_api")]


@pytest.fixture
def web() -> Iterator[HttpServer]:
    with HttpServer({"/a.png": png(photo(1))}) as server:
        yield server


def upload() -> SimpleUploadedFile:
    return SimpleUploadedFile("a.png", png(photo(1)), "image/png")


@pytest.mark.parametrize("debug", [False, True])
def test_an_upload_without_the_slash_is_taken(client: Client, settings: Any, debug: bool) -> None:
    settings.DEBUG = debug
    answer = client.post("/api/v1/images", {"file": upload()})
    assert answer.status_code == 202
    assert Image.objects.get().pk == answer.json()["id"]
    found = client.post("/api/v1/images/search?match_type=pdq", {"file": upload()})
    assert found.status_code == 200


def test_change_and_deletion_without_the_slash(client: Client) -> None:
    image = add_ready_image(photo(1))
    path = f"/api/v1/images/{image.pk}"
    changed = client.patch(path, {"remark": "new"}, content_type="application/json")
    assert (changed.status_code, Image.objects.get().remark) == (200, "new")
    assert client.delete(path).status_code == 204
    assert not Image.objects.exists()


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_original_api_with_and_without_one(client: Client, web: HttpServer, slash: str) -> None:
    body = {"url": f"{web.url}/a.png"}
    for path in ("/imgsmlr/mgr/add", "/imgsmlr/search"):
        answer = client.post(path + slash, body, content_type="application/json")
        assert answer.json()["code"] == 200, answer.content


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/images/x", "/api/v1/nothing/"])
def test_what_is_nowhere_is_said_to_be_so(client: Client, method: str, path: str) -> None:
    answer = getattr(client, method)(path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_pages_are_still_led_to_their_address(client: Client) -> None:
    answer = client.get("/api/v1/images")
    assert (answer.status_code, answer["Location"]) == (301, "/api/v1/images/")


def api_paths() -> list[str]:
    found = []
    for pattern in get_resolver().url_patterns:
        if str(pattern.pattern).startswith(("api/", "imgsmlr/")):
            inner = getattr(pattern, "url_patterns", None)
            for one in inner or [None]:
                path = str(pattern.pattern) + (str(one.pattern) if one else "")
                found.append("/" + path.replace("<int:pk>", "1").replace("<int:case>", "1"))
    return sorted(path for path in found if "<" not in path)


@pytest.mark.slow
@pytest.mark.parametrize("path", api_paths())
def test_no_address_of_the_api_answers_a_redirect(client: Client, path: str) -> None:
    for method in ("post", "put", "patch", "delete"):
        for form in (path.rstrip("/"), path.rstrip("/") + "/"):
            assert getattr(client, method)(form).status_code not in (301, 302, 303)
