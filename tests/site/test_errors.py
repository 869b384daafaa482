"""Every refusal has one shape and the right status; what cannot be stored is refused early."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from gallery.imaging.decoding.limits import TooLarge
from gallery.shared.errors import UserError
from imgsmlr_site.access import Forbidden, NotAuthenticated
from imgsmlr_site.env import LOOPBACK
from imgsmlr_site.errors import status_of
from imgsmlr_site.models import ApiKey

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("edge_urls")]

JSON = "application/json"


@pytest.fixture(autouse=True)
def _open(closed: None, settings: Any) -> None:
    settings.OPEN_API = LOOPBACK


def post(client: Client, body: str | bytes, path: str = "/api/echo/", kind: str = JSON) -> Any:
    return client.generic("POST", path, body, content_type=kind)


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        (
            "invalid",
            400,
            {
                "type": "validation_error",
                "code": "bad_threshold",
                "detail": "Send a number.",
                "field": "threshold",
            },
        ),
        (
            "missing",
            404,
            {"type": "client_error", "code": "not_found", "detail": "There is no image 5."},
        ),
        (
            "conflict",
            409,
            {
                "type": "client_error",
                "code": "conflict",
                "detail": "It is here already.",
                "existing_id": 7,
            },
        ),
        (
            "unavailable",
            503,
            {"type": "server_error", "code": "unavailable", "detail": "Set CLIP_PRETRAINED."},
        ),
        (
            "django_validation",
            400,
            {
                "type": "validation_error",
                "code": "invalid",
                "detail": "Is taken.",
                "field": "name",
            },
        ),
        (
            "parse",
            400,
            {"type": "validation_error", "code": "parse_error", "detail": "Bad JSON."},
        ),
    ],
)
def test_refusals_keep_their_words(
    client: Client, kind: str, status: int, body: dict[str, Any]
) -> None:
    answer = client.get(f"/api/failing/{kind}/")
    assert (answer.status_code, answer.json()) == (status, body)
    assert answer["Content-Type"] == JSON


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("http404", 404, "not_found"),
        ("denied", 403, "permission_denied"),
        ("body", 413, "too_large"),
        ("fields", 400, "parse_error"),
        ("files", 400, "parse_error"),
        ("suspicious", 400, "parse_error"),
        ("media", 415, "unsupported_media_type"),
    ],
)
def test_the_frameworks_refusals_have_the_same_shape_and_tell_nothing_of_the_inside(
    client: Client, kind: str, status: int, code: str
) -> None:
    answer = client.get(f"/api/failing/{kind}/")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"type", "code", "detail"}
    assert "inside" not in answer.content.decode()
    assert "Secret" not in answer.content.decode()


def test_an_unforeseen_error_is_a_500_that_says_nothing_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = Client(raise_request_exception=False)
    answer = client.get("/api/failing/bug/")
    assert (answer.status_code, answer.json()["type"]) == (500, "server_error")
    assert "secret" not in answer.content.decode()
    assert "a secret of the inside" in caplog.text


def test_subclasses_inherit_the_status() -> None:
    class Closer(NotAuthenticated):
        pass

    assert status_of(Closer("x")) == 401
    assert status_of(Forbidden("x")) == 403
    assert status_of(TooLarge("x")) == 413
    assert status_of(UserError("x")) == 400


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "points"),
        ({"points": [{"x": 1}, {"x": "abc"}]}, "points.1.x"),
        ({"points": [{"x": 1}, {"x": 11}]}, "points.1.x"),
        ({"points": "abc"}, "points"),
        ([{"points": []}, {"points": [{"x": None}]}], "1.points.0.x"),
        ([1], "0"),
    ],
)
def test_the_first_wrong_field_is_named(client: Client, body: Any, field: str) -> None:
    answer = post(client, json.dumps(body), "/api/failing/body/")
    assert answer.status_code == 400
    assert answer.json()["type"] == "validation_error"
    assert answer.json()["field"] == field
    assert answer.json()["detail"].endswith(".")


@pytest.mark.parametrize(
    "body",
    [
        b" ",
        b"{",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b'{"a": "\x00"}',
        b"[" * 100_000,
    ],
)
def test_a_broken_json_body_is_a_400(client: Client, body: bytes) -> None:
    answer = post(client, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"a": "x\\u0000"}', "a"),
        ('{"a": [{"b": "\\u0000"}]}', "a.b"),
        ('{"a\\u0000": 1}', None),
        ('"\\u0000"', None),
    ],
)
def test_a_nul_in_json_is_a_400_that_says_what_to_do(
    client: Client, body: str, field: str | None
) -> None:
    answer = post(client, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "nul_character")
    assert "NUL" in answer.json()["detail"]
    assert answer.json().get("field") == field


def test_a_written_out_nul_escape_is_only_text(client: Client) -> None:
    assert post(client, '{"a": "\\\\u0000"}').json() == {"a": "\\u0000"}


def test_a_nul_in_a_form_is_a_400(client: Client) -> None:
    for answer in (
        client.post("/api/echo/", {"remark": "a\x00b"}),
        post(client, "remark=a%00b", kind="application/x-www-form-urlencoded"),
    ):
        assert (answer.status_code, answer.json()["field"]) == (400, "remark")
    assert client.post("/api/echo/", {"remark": "ab"}).status_code == 200


@pytest.mark.parametrize("path", ["/api/echo/?a=%00", "/api/echo/?a%00=1", "/api/e%00/", "/x%00"])
def test_a_nul_in_the_address_is_a_400(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (400, "nul_character")


def test_a_long_json_body_is_a_413(client: Client, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert post(client, json.dumps("a" * 98)).status_code == 200
    answer = post(client, json.dumps("a" * 99))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_request_beyond_the_limit_is_refused_unread(client: Client, settings: Any) -> None:
    settings.MAX_REQUEST_BYTES = 2**20
    answer = client.post("/api/echo/", b"", content_type=JSON, CONTENT_LENGTH=str(2**20 + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert "1 MB" in answer.json()["detail"]


def test_too_many_fields_are_a_400(client: Client) -> None:
    fields = {f"f{number}": "x" for number in range(1001)}
    assert client.post("/api/echo/", fields).status_code == 400


def test_an_unknown_media_type_is_a_415(client: Client) -> None:
    answer = post(client, "a", kind="text/csv")
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_an_unknown_host_is_a_400_in_json(client: Client) -> None:
    answer = client.get("/api/echo/", headers={"host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_the_browsable_page_shows_an_error(client: Client) -> None:
    answer = client.get("/api/failing/invalid/", headers={"accept": "text/html"})
    assert answer.status_code == 400
    assert "Send a number." in answer.content.decode()


# --- Lists ------------------------------------------------------------------------------


@pytest.fixture
def ids(issue: Callable[..., str]) -> list[int]:
    for number in range(25):
        issue("search", name=f"n{number}")
    return list(ApiKey.objects.order_by("-id").values_list("id", flat=True))


def walk(client: Client, path: str, link: str = "next") -> tuple[list[int], str]:
    found: list[int] = []
    last = path
    while path:
        last, page = path, client.get(path).json()
        found += [row["id"] for row in page["results"]]
        path = page[link]
    return found, last


def test_pages_hold_every_row_once_newest_first(client: Client, ids: list[int]) -> None:
    found, last = walk(client, "/api/listed/?page_size=7")
    assert found == ids
    back, _ = walk(client, last, "previous")
    assert sorted(back, reverse=True) == ids


def test_a_row_added_meanwhile_shifts_nothing(
    client: Client, ids: list[int], issue: Callable[..., str]
) -> None:
    first = client.get("/api/listed/?page_size=10").json()
    issue("search", name="late")
    rest, _ = walk(client, first["next"])
    assert [row["id"] for row in first["results"]] + rest == ids


@pytest.mark.parametrize("size", ["0", "-1", "101", "1000000000", "abc", "", "1.5", "٣"])
def test_a_wrong_page_size_is_a_400(client: Client, size: str) -> None:
    answer = client.get("/api/listed/", {"page_size": size})
    assert (answer.status_code, answer.json()["field"]) == (400, "page_size")


@pytest.mark.parametrize(
    "cursor", ["x", "é", "cD1hYmM=", "cD0tMQ==", "cD0xLjU=", "bz05OTk5OTk5OTk5OTk5OTk=", "cj14"]
)
def test_a_forged_cursor_is_no_500(client: Client, ids: list[int], cursor: str) -> None:
    assert client.get("/api/listed/", {"cursor": cursor}).status_code in (200, 404)


@pytest.mark.parametrize("cursor", ["cD1hYmM=", "cD0tMQ==", "cD0xLjU="])
def test_a_cursor_that_is_no_id_is_a_404(client: Client, cursor: str) -> None:
    answer = client.get("/api/listed/", {"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
