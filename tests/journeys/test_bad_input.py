"""Everything that must not work: a sentence for the client, nothing left behind, and no harm."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests import factories as make
from tests.httpserver import HttpServer, endless_body, hang, redirect, slow_body, slow_headers
from tests.journeys.conftest import Service

pytestmark = pytest.mark.slow

IMAGES, SEARCH, COMPARE = "/api/v1/images/", "/api/v1/images/search/", "/api/v1/images/compare/"
LEGACY_ADD, LEGACY_SEARCH = "/imgsmlr/mgr/add", "/imgsmlr/search"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def _unharmed(service: Service) -> Iterator[None]:
    """Whatever a test sends, no row and no file may be there afterwards that was not before."""
    service.wait_described()
    before = service.counts(), service.files()
    yield
    assert (service.counts(), service.files()) == before
    assert service.get("/healthz").status_code == 200
    assert service.get("/readyz").status_code == 200


def assert_refused(response: requests.Response, *statuses: int) -> dict[str, Any]:
    """A 4xx of v1, in the one shape, with a sentence."""
    body: dict[str, Any] = response.json()
    assert response.status_code in (statuses or range(400, 500)), response.text
    assert {"type", "code", "detail"} <= body.keys()
    assert body["detail"].endswith((".", "!"))
    assert len(body["detail"].split()) >= 3
    return body


# --- What a link or a file may turn out to be ---------------------------------------------


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def at(path: str, route: Any) -> Callable[[HttpServer], str]:
    """The address of a route that the picture server gets."""

    def serve(web: HttpServer) -> str:
        web.routes[path] = route(web) if path.startswith("/redirect") else route
        return web.url + path

    return serve


UNREACHED = "fetch url failed, status: 500"
LINKS: dict[str, tuple[Callable[[HttpServer], str], str, str]] = {
    # name: (address, code in v1, msg in legacy)
    "unreachable host": (lambda _: "http://nowhere.invalid/a.png", "fetch_unreachable", UNREACHED),
    "closed port": (
        lambda _: f"http://127.0.0.1:{closed_port()}/a.png",
        "fetch_unreachable",
        UNREACHED,
    ),
    "404": (lambda web: web.url + "/none", "fetch_status", "fetch url failed, status: 404"),
    "timeout": (at("/hang", hang(3)), "fetch_timeout", UNREACHED),
    "slow headers": (at("/slow-headers", slow_headers(0.1)), "fetch_timeout", UNREACHED),
    "slow drip": (at("/slow-body", slow_body(0.1)), "fetch_timeout", UNREACHED),
    "endless body": (at("/endless", endless_body), "fetch_too_large", UNREACHED),
    "private address": (lambda _: "http://10.0.0.1/a.png", "fetch_refused", UNREACHED),
    "loopback address": (lambda _: "http://127.0.0.2/a.png", "fetch_refused", UNREACHED),
    "loopback in IPv6": (lambda _: "http://[::1]/a.png", "fetch_refused", UNREACHED),
    "unspecified address": (lambda _: "http://0.0.0.0/a.png", "fetch_refused", UNREACHED),
    "metadata address": (lambda _: "http://169.254.169.254/", "fetch_refused", UNREACHED),
    "decimal address": (lambda _: "http://2130706434/a.png", "fetch_refused", UNREACHED),
    "redirect to loopback": (
        at("/redirect-1", lambda web: redirect(f"http://127.0.0.2:{web.port}/a.png")),
        "fetch_refused",
        UNREACHED,
    ),
    "redirect to metadata": (
        at("/redirect-2", lambda web: redirect("http://169.254.169.254/latest/")),
        "fetch_refused",
        UNREACHED,
    ),
    "redirect to a file": (
        at("/redirect-3", lambda web: redirect("file:///etc/passwd")),
        "fetch_refused",
        UNREACHED,
    ),
    "redirect to itself": (
        at("/redirect-4", lambda web: redirect(web.url + "/redirect-4")),
        "fetch_redirects",
        UNREACHED,
    ),
}


@pytest.mark.parametrize("case", LINKS)
def test_links(service: Service, web: HttpServer, case: str) -> None:
    address, code, message = LINKS[case]
    url = address(web)
    started = time.monotonic()
    with ThreadPoolExecutor(5) as pool:
        add = pool.submit(service.post, IMAGES, json={"url": url})
        wait = pool.submit(service.post, IMAGES + "?wait=5", json={"url": url})
        search = pool.submit(service.post, SEARCH, json={"url": url})
        old_add = pool.submit(service.post, LEGACY_ADD, json={"url": url})
        old_search = pool.submit(service.post, LEGACY_SEARCH, json={"url": url})
        for answer in (add, wait, search):
            assert assert_refused(answer.result(), 400)["code"] == code
        for answer in (old_add, old_search):
            assert answer.result().status_code == 200
            assert answer.result().json() == {"code": 400, "msg": message, "data": None}
    assert time.monotonic() - started < 4
    batch = service.post(IMAGES + "batch/", json={"images": [{"url": url}]})
    assert batch.status_code == 202
    assert batch.json()["results"][0]["error"]["code"] == code


def truncated(format: str) -> bytes:
    data = make.encoded(make.photo(1), format)
    return data[: len(data) // 2]


FILES: dict[str, tuple[bytes | Callable[[], bytes], int, str, str]] = {
    # name: (bytes or what makes them, status and code in v1, msg in legacy)
    "html": (b"<!doctype html><title>x</title>", 400, "not_an_image", "not a valid file"),
    "truncated jpeg": (truncated("JPEG"), 400, "not_an_image", "not a valid jpeg file"),
    "truncated png": (truncated("PNG"), 400, "not_an_image", "not a valid png file"),
    "0 bytes": (b"", 400, "not_an_image", "not a valid file"),
    "text": (b"I am no picture. " * 99, 400, "not_an_image", "not a valid file"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 400, "not_an_image", "not a valid file"),
    "noise": (bytes(range(256)) * 9, 400, "not_an_image", "not a valid file"),
    "jpeg of 3 bytes": (b"\xff\xd8\xff", 400, "not_an_image", "not a valid jpeg file"),
    "png bomb": (make.png_bomb, 413, "image_too_large", "The picture has 13,000 × 13,000"),
    "gif bomb": (make.gif_bomb, 413, "image_too_large", "The file has more than"),
}


@pytest.mark.parametrize("case", FILES)
def test_files(service: Service, web: HttpServer, case: str) -> None:
    source, status, code, message = FILES[case]
    data = source() if callable(source) else source
    web.routes["/a.jpg"] = data
    url = web.url + "/a.jpg"
    file = {"file": ("a.jpg", data, "image/jpeg")}
    answers = [
        service.post(IMAGES, json={"url": url}),
        service.post(IMAGES + "?wait=5", json={"url": url}),
        service.post(IMAGES, files=file),
        service.post(IMAGES + "?wait=5", files=file),
        service.post(SEARCH, json={"url": url}),
        service.post(SEARCH, files=file),
        service.post(COMPARE, files={"a": file["file"], "b": file["file"]}),
    ]
    for answer in answers:
        assert assert_refused(answer, status)["code"] == code
    for path in (LEGACY_ADD, LEGACY_SEARCH):
        answer = service.post(path, json={"url": url})
        body = answer.json()
        assert (answer.status_code, body["code"], body["data"]) == (200, 400, None)
        assert body["msg"].startswith(message)


def test_a_file_above_the_limit(service: Service, web: HttpServer) -> None:
    data = b"\xff\xd8\xff" + b"x" * 5 * 2**20
    body = assert_refused(service.post(IMAGES, files={"file": ("a.jpg", data)}), 413)
    assert body["field"] == "file"
    assert_refused(service.post(IMAGES, files={"file": ("a.jpg", data * 3)}), 413)
    web.routes["/a.jpg"] = data
    by_link = assert_refused(service.post(IMAGES, json={"url": web.url + "/a.jpg"}))
    assert by_link["code"] == "fetch_too_large"


# --- What a field may hold ----------------------------------------------------------------


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def in_v1(name: str, value: str) -> bytes:
    """A search or, for what only adding takes, an addition, as JSON text."""
    return b'{"url": "http://127.0.0.1:1/a", "%s": %s}' % (name.encode(), value.encode())


FIELDS: list[tuple[str, str, str]] = [
    # (path, field, its value as JSON)
    (SEARCH, "match_type", '"sift"'),
    (SEARCH, "threshold", '"abc"'),
    (SEARCH, "threshold", '"nan"'),
    (SEARCH, "threshold", "9" * 400),
    (SEARCH, "limit", "-1"),
    (SEARCH, "limit", "1000000000"),
    (SEARCH, "limit", "9" * 30),
    (SEARCH, "limit", "1e3"),
    (SEARCH, "id", "9" * 30),
    (SEARCH, "meta", "[]"),
    (SEARCH, "meta", nested(500)),
    (SEARCH, "data_id_prefix", r'"a\u0000"'),
    (IMAGES, "meta", '"x"'),
    (IMAGES, "meta", "[1]"),
    (IMAGES, "meta", nested(100)),
    (IMAGES, "meta", nested(1000)),
    (IMAGES, "meta", nested(100_000)),
    (IMAGES, "meta", r'{"a": {"b": ["\u0000"]}}'),
    (IMAGES, "meta", r'{"a\u0000": 1}'),
    (IMAGES, "meta", '{"a": NaN}'),
    (IMAGES, "meta", '{"a": 1e999}'),
    (IMAGES, "meta", '{"a": "\\ud800"}'),
    (IMAGES, "remark", r'"a\u0000b"'),
    (IMAGES, "remark", r'"\ud800"'),
    (IMAGES, "data_id", "[]"),
    (IMAGES, "data_id", nested(900).replace("1", r'"\u0000"')),
]


@pytest.mark.parametrize(("path", "name", "value"), FIELDS)
def test_v1_fields(service: Service, path: str, name: str, value: str) -> None:
    assert_refused(service.post(path, data=in_v1(name, value), headers=JSON), 400)


LEGACY_FIELDS: list[tuple[str, str, str]] = [
    (LEGACY_SEARCH, "threshold", '"abc"'),
    (LEGACY_SEARCH, "threshold", "9" * 400),
    (LEGACY_SEARCH, "limit", "-1"),
    (LEGACY_SEARCH, "limit", "1000000000"),
    (LEGACY_SEARCH, "limit", "9" * 30),
    (LEGACY_SEARCH, "matchType", "[]"),
    (LEGACY_ADD, "meta", '"x"'),
    (LEGACY_ADD, "meta", "[1]"),
    (LEGACY_ADD, "meta", nested(100)),
    (LEGACY_ADD, "meta", nested(1000)),
    (LEGACY_ADD, "meta", nested(100_000)),
    (LEGACY_ADD, "meta", r'{"a": {"b": ["\u0000"]}}'),
    (LEGACY_ADD, "meta", '{"a": NaN}'),
    (LEGACY_ADD, "remark", r'"a\u0000b"'),
    (LEGACY_ADD, "remark", r'"\ud800"'),
    (LEGACY_ADD, "dataId", "[]"),
]


@pytest.mark.parametrize(("path", "name", "value"), LEGACY_FIELDS)
def test_legacy_fields(service: Service, path: str, name: str, value: str) -> None:
    response = service.post(path, data=in_v1(name, value))
    assert response.status_code == 422, response.text
    (problem,) = response.json()["detail"]
    assert problem.keys() - {"ctx"} == {"loc", "msg", "type"}
    assert problem["loc"][0] == "body"


def test_unknown_match_type_in_legacy(service: Service) -> None:
    body = service.post(LEGACY_SEARCH, json={"url": "http://x/", "matchType": "sift"}).json()
    assert (body["code"], body["data"]) == (400, None)
    assert body["msg"].startswith("Unknown match type 'sift': use one of auto, imgsmlr")


BODIES = [b"", b"{", b"[]", b"null", b'"x"', b"5", b'{"url": "\xff\xfe"}', b"\x00", b"\xff" * 99]


@pytest.mark.parametrize("body", BODIES)
def test_bodies(service: Service, body: bytes) -> None:
    for path in (IMAGES, IMAGES + "batch/", SEARCH, COMPARE):
        assert_refused(service.post(path, data=body, headers=JSON), 400)
    for path in (LEGACY_ADD, LEGACY_SEARCH):
        assert service.post(path, data=body).status_code == 422


def test_a_nul_in_forms_and_addresses(service: Service) -> None:
    file = {"file": ("a.png", make.png(make.photo(1)))}
    assert_refused(service.post(IMAGES, files=file, data={"remark": "a\0b"}), 400)
    assert_refused(service.post(IMAGES, files=file, data={"meta": '{"a": "\\u0000"}'}), 400)
    assert_refused(service.post(SEARCH, files=file, data={"data_id_prefix": "\0"}), 400)
    assert_refused(service.post(IMAGES, data={"remark": "\0", "url": "http://x/"}), 400)
    assert_refused(service.get(IMAGES + "?data_id=a%00b"), 400)
    assert_refused(service.get(IMAGES + "?data_id_prefix=%00"), 400)
    assert_refused(service.request("DELETE", IMAGES + "?url=%00"), 400)
    assert_refused(service.get(IMAGES + "%00/"), 400, 404)


def test_invalid_utf8_in_forms_and_addresses(service: Service) -> None:
    """Bytes that are no UTF-8 are replaced, as everywhere on the web, and match nothing."""
    listed = service.get(IMAGES + "?data_id=%ff%fe")
    assert (listed.status_code, listed.json()["results"]) == (200, [])
    assert service.get(IMAGES + "%ff/").status_code == 404
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    form = b'--x\r\nContent-Disposition: form-data; name="url"\r\n\r\n\xff\xfe\r\n--x--\r\n'
    assert_refused(service.post(IMAGES, data=form, headers=boundary), 400)


@pytest.mark.parametrize("body", [b"", b"--x", b"--x\r\n", b"\xff" * 50])
def test_broken_multipart(service: Service, body: bytes) -> None:
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=x"):
        headers = {"Content-Type": content_type}
        assert_refused(service.post(IMAGES, data=body, headers=headers), 400)


def test_a_body_that_is_too_large(service: Service) -> None:
    text = json.dumps({"url": "http://x/", "remark": "a" * 3 * 2**20})
    assert_refused(service.post(IMAGES, data=text, headers=JSON), 413)
    assert service.post(LEGACY_ADD, data=text).status_code == 422
    everything = b"x" * 12 * 2**20
    assert_refused(service.post(IMAGES, data=everything, headers=JSON), 413)


@pytest.mark.parametrize("pk", ["0", "-1", "9" * 25, "x", "1.5", "١"])
def test_ids_in_addresses(service: Service, pk: str) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        assert_refused(service.request(method, f"{IMAGES}{pk}/"), 404)
    for kind in ("original", "thumbnail"):
        assert service.get(f"/media/images/{pk}/{kind}").status_code == 404


def test_methods(service: Service) -> None:
    assert_refused(service.request("PUT", IMAGES, json={}), 405)
    assert_refused(service.get(SEARCH), 405)
    assert_refused(service.request("DELETE", "/api/v1/status/"), 405)
    for path in (LEGACY_ADD, LEGACY_SEARCH):
        assert service.get(path).status_code == 405


def test_afterwards_the_worker_still_works(service: Service) -> None:
    data = make.png(make.photo(77))
    image = service.post(IMAGES, files={"file": ("a.png", data)}).json()["id"]
    service.wait_described()
    assert service.get(f"{IMAGES}{image}/").json()["status"] == "ready"
    assert service.request("DELETE", f"{IMAGES}{image}/").status_code == 204
