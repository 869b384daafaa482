"""The original's HTTP API, sentence by sentence as docs/legacy-api.md states it."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from PIL import Image as Pillow

from gallery.imaging import descriptors
from gallery.imaging.decoding import decode
from gallery.imaging.decoding.limits import PictureLimits
from gallery.imaging.descriptors.haar import Haar
from gallery.imaging.descriptors.stored_patterns import PatternQuery
from gallery.items import conf, versions
from gallery.items.models import Image, ImageDetail
from tests import factories as make
from tests import tiny_clip
from tests.environment import DATA_DIR
from tests.httpserver import HttpServer, Reply, hang, redirect

MODELS = DATA_DIR / "models"

ADD, SEARCH = "/imgsmlr/mgr/add", "/imgsmlr/search"
FORM = "application/x-www-form-urlencoded"


class Legacy:
    """A client of the original's API, and the site its pictures come from."""

    def __init__(self, client: Client, web: HttpServer) -> None:
        self.client, self.web = client, web

    def post(self, path: str, body: Any, content_type: str = "application/json") -> Any:
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        return self.client.post(path, data, content_type=content_type)

    def serve(self, name: str, data: Any) -> str:
        self.web.routes[f"/{name}"] = data
        return f"{self.web.url}/{name}"

    def add(self, name: str, data: bytes, **fields: Any) -> int:
        """Add a picture that must be taken; its id."""
        answer = self.post(ADD, {"url": self.serve(name, data), **fields}).json()
        assert answer["code"] == 200, answer
        return int(answer["data"]["id"])

    def images(self, data: bytes, **fields: Any) -> list[dict[str, Any]]:
        """The images of a search that must succeed."""
        answer = self.post(SEARCH, {"url": self.serve("query", data), **fields}).json()
        assert answer["code"] == 200, answer
        return list(answer["data"]["images"])


@pytest.fixture
def legacy(client: Client, web: HttpServer) -> Legacy:
    return Legacy(client, web)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip.make(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture
def clip(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """CLIP is available, with a model of random weights."""
    monkeypatch.setattr(versions, "_cached", (0.0, None))
    descriptors.configure(models=MODELS, clip_pretrained=str(tiny_model))
    assert descriptors.prepare(["clip"]) == {}
    yield
    descriptors.configure(models=MODELS)


def raw_distance(a: int, b: int, *, column: str, operator: str) -> float:
    """The unrounded distance of two stored images, from the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT a.v {operator} b.v FROM "
            f"(SELECT {column} v FROM gallery_imagefingerprint f "
            "LEFT JOIN gallery_imagedetail d ON d.fingerprint_id = f.id "
            f"WHERE item_id = %s AND {column} IS NOT NULL) a, "
            f"(SELECT {column} v FROM gallery_imagefingerprint f "
            "LEFT JOIN gallery_imagedetail d ON d.fingerprint_id = f.id "
            f"WHERE item_id = %s AND {column} IS NOT NULL) b",
            [a, b],
        )
        return float(cursor.fetchone()[0])


def pattern_distance(query: Pillow.Image, near: int) -> float:
    """The unrounded distance of a picture and a stored image."""
    (columns,) = Haar().describe([decode(make.png(query), PictureLimits())])
    assert columns is not None
    stored = ImageDetail.objects.exclude(pattern=None).get(fingerprint__item=near)
    return float(PatternQuery.of(columns["pattern"]).distances([bytes(stored.pattern)])[0])


# --- Adding -------------------------------------------------------------------------------


def test_add_answers_200_with_a_code_and_the_id(legacy: Legacy) -> None:
    url = legacy.serve("a.png", make.png(make.photo(1)))
    body = {"url": url, "dataId": "A-1", "remark": "holiday", "meta": {"album": "2024"}}
    response = legacy.post(ADD, body)
    image = Image.objects.get()
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert response.json() == {"code": 200, "msg": "OK", "data": {"id": image.pk}}
    assert (image.url, image.data_id, image.remark) == (url, "A-1", "holiday")
    assert (image.meta, image.status, image.added_by) == ({"album": "2024"}, "ready", "open")


def test_null_and_empty_texts_are_kept_apart(legacy: Legacy) -> None:
    absent = legacy.add("absent.png", make.png(make.photo(1)))
    null = legacy.add("null.png", make.png(make.photo(2)), dataId=None, remark=None, meta=None)
    empty = legacy.add("empty.png", make.png(make.photo(3)), dataId="", remark="", meta={})
    rows = {row.pk: (row.data_id, row.remark, row.meta) for row in Image.objects.all()}
    assert rows == {absent: (None,) * 3, null: (None,) * 3, empty: ("", "", {})}


def test_texts_are_stored_as_sent(legacy: Legacy) -> None:
    image = legacy.add("a.png", make.png(make.photo(1)), dataId="  é\n ", remark=" 小猫 ")
    row = Image.objects.get(pk=image)
    assert (row.data_id, row.remark) == ("  é\n ", " 小猫 ")


def test_numbers_are_taken_as_texts(legacy: Legacy) -> None:
    image = legacy.add("a.png", make.png(make.photo(1)), dataId=42, remark=1.5)
    row = Image.objects.get(pk=image)
    assert (row.data_id, row.remark) == ("42", "1.5")


def test_unknown_fields_are_ignored(legacy: Legacy) -> None:
    data = make.png(make.photo(1))
    image = legacy.add("a.png", data, id=5, status="quarantined", colour=["red"])
    found = legacy.images(data, colour="red", dataId={})
    assert [match["id"] for match in found] == [image]
    assert Image.objects.get().status == "ready"


@pytest.mark.parametrize("content_type", [FORM, "text/plain", "multipart/form-data", ""])
def test_body_is_json_whatever_the_content_type_says(legacy: Legacy, content_type: str) -> None:
    data = make.png(make.photo(1))
    added = legacy.post(ADD, {"url": legacy.serve("a.png", data)}, content_type).json()
    found = legacy.post(SEARCH, {"url": legacy.serve("a.png", data)}, content_type).json()
    assert [image["id"] for image in found["data"]["images"]] == [added["data"]["id"]]


def test_an_image_is_searchable_once_add_has_answered(legacy: Legacy) -> None:
    for seed in range(3):
        data = make.png(make.photo(seed))
        image = legacy.add(f"{seed}.png", data)
        assert [match["id"] for match in legacy.images(data)] == [image]
        assert [match["id"] for match in legacy.images(data, matchType="pdq")] == [image]


# --- Searching ----------------------------------------------------------------------------


def test_search_answer(legacy: Legacy) -> None:
    data = make.png(make.photo(1))
    url = legacy.serve("a.png", data)
    image = legacy.add("a.png", data, dataId="A-1", remark="x", meta={"k": [1, {"n": None}]})
    response = legacy.post(SEARCH, {"url": url, "matchType": "imgsmlr", "threshold": 0.5})
    assert response.status_code == 200
    match = {
        "id": image,
        "url": url,
        "dataId": "A-1",
        "md5": Image.objects.get().md5,
        "remark": "x",
        "meta": {"k": [1, {"n": None}]},
        "simr": 0.0,
    }
    data = {"images": [match], "threshold": 0.5}
    assert response.json() == {"code": 200, "msg": "OK", "data": data}


def test_nothing_found_is_an_empty_list(legacy: Legacy) -> None:
    answer = legacy.post(SEARCH, {"url": legacy.serve("q.png", make.png(make.photo(1)))}).json()
    assert answer == {"code": 200, "msg": "OK", "data": {"images": [], "threshold": 0.1}}


def test_match_type_defaults_to_imgsmlr_without_clip(legacy: Legacy) -> None:
    data = make.png(make.photo(1))
    near = legacy.add("near.jpg", make.jpeg(make.photo(1), 60))
    pattern = legacy.images(data, threshold=2)[0]["simr"]
    assert pattern == legacy.images(data, threshold=2, matchType="imgsmlr")[0]["simr"]
    assert pattern == legacy.images(data, threshold=2, matchType=None)[0]["simr"]
    assert pattern not in (0, legacy.images(data, threshold=20, matchType="pdq")[0]["simr"])
    assert near


@pytest.mark.slow
def test_match_type_defaults_to_clip_where_available(legacy: Legacy, clip: None) -> None:
    data = make.png(make.photo(1))
    legacy.add("near.jpg", make.jpeg(make.photo(1), 20))
    by_default = legacy.images(data, threshold=2)[0]["simr"]
    assert by_default == legacy.images(data, threshold=2, matchType="clip")[0]["simr"]
    assert by_default != legacy.images(data, threshold=2, matchType="imgsmlr")[0]["simr"]


@pytest.mark.parametrize("fields", [{}, {"limit": None}, {"limit": 0}, {"limit": "0"}])
def test_absent_null_and_zero_limit_mean_the_setting(
    legacy: Legacy, settings: Any, fields: dict[str, Any]
) -> None:
    settings.SEARCH_LIMIT = 2
    image = make.photo(1)
    for level in range(3):
        legacy.add(f"{level}.png", make.png(image, compress_level=level))
    assert len(legacy.images(make.png(image), **fields)) == 2


@pytest.mark.parametrize("fields", [{}, {"threshold": None}, {"threshold": 0}, {"threshold": "0"}])
def test_absent_null_and_zero_threshold_mean_the_setting(
    legacy: Legacy, settings: Any, fields: dict[str, Any]
) -> None:
    legacy.add("a.jpg", make.jpeg(make.photo(1), 40))
    query = make.png(make.photo(1))
    (near,) = legacy.images(query, threshold=2)
    for threshold, expected in ((near["simr"] + 0.01, 1), (near["simr"] - 0.01, 0)):
        settings.SEARCH_SIMR_THRESHOLD = threshold
        answer = legacy.post(SEARCH, {"url": legacy.serve("q", query), **fields}).json()
        assert answer["data"]["threshold"] == threshold
        assert len(answer["data"]["images"]) == expected


def test_numeric_strings_are_numbers(legacy: Legacy) -> None:
    image = make.photo(1)
    for level in range(3):
        legacy.add(f"{level}.png", make.png(image, compress_level=level))
    body = {"url": legacy.serve("q", make.png(image)), "limit": "2", "threshold": "0.25"}
    data = legacy.post(SEARCH, body).json()["data"]
    assert (len(data["images"]), data["threshold"]) == (2, 0.25)


def test_limits_up_to_500_are_taken(legacy: Legacy) -> None:
    image = legacy.add("a.png", make.png(make.photo(1)))
    found = legacy.images(make.png(make.photo(1)), limit=500)
    assert [match["id"] for match in found] == [image]


def test_threshold_is_exclusive(legacy: Legacy) -> None:
    legacy.add("a.jpg", make.jpeg(make.photo(1), 30))
    query = make.png(make.photo(1))
    (near,) = legacy.images(query, matchType="pdq", threshold=100)
    assert near["simr"] == int(near["simr"]) > 0
    assert legacy.images(query, matchType="pdq", threshold=near["simr"]) == []
    assert legacy.images(query, matchType="pdq", threshold=near["simr"] + 1e-6) == [near]


def test_a_negative_threshold_finds_nothing(legacy: Legacy) -> None:
    data = make.png(make.photo(1))
    legacy.add("a.png", data)
    assert legacy.images(data, threshold=-1) == []


def test_imgsmlr_compares_the_exact_distance_and_rounds_afterwards(legacy: Legacy) -> None:
    legacy.add("query.png", make.png(make.photo(0)))
    directions = set()
    for seed in range(6):
        near = legacy.add(f"{seed}.jpg", make.jpeg(make.photo(0), 90 - 10 * seed))
        raw = pattern_distance(make.photo(0), near)
        rounded = round(raw, 6)
        assert raw != rounded
        directions.add(raw < rounded)

        def simr(threshold: float, near: int = near) -> float | None:
            found = legacy.images(make.png(make.photo(0)), threshold=threshold)
            return next((match["simr"] for match in found if match["id"] == near), None)

        assert simr(raw) is None
        assert simr(math.nextafter(raw, math.inf)) == pytest.approx(rounded, abs=1e-12)
        assert (simr(rounded) is not None) == (raw < rounded)
    assert directions == {True, False}


def test_clip_rounds_to_4_places_before_it_compares(legacy: Legacy, clip: None) -> None:
    query = legacy.add("query.png", make.png(make.photo(0)))
    directions = set()
    for seed in range(1, 9):
        near = legacy.add(f"{seed}.png", make.png(make.photo(seed)))
        raw = raw_distance(query, near, column="clip", operator="<=>")
        rounded = round(raw, 4)
        directions.add(raw < rounded)

        def simr(threshold: float, near: int = near) -> float | None:
            data = make.png(make.photo(0))
            found = legacy.images(data, matchType="clip", threshold=threshold, limit=50)
            return next((match["simr"] for match in found if match["id"] == near), None)

        assert simr(rounded + 1e-9) == rounded
        assert simr(rounded) is None
    assert directions == {True, False}


def test_order_is_simr_then_id(legacy: Legacy) -> None:
    far = legacy.add("far.jpg", make.jpeg(make.photo(1), 20))
    same = [
        legacy.add(f"{level}.png", make.png(make.photo(1), compress_level=level))
        for level in (5, 1, 9)
    ]
    found = legacy.images(make.png(make.photo(1)), threshold=2)
    assert [match["id"] for match in found] == [*sorted(same), far]
    assert found[0]["simr"] == found[2]["simr"] == 0 < found[3]["simr"]


def test_url_of_an_upload_is_an_absolute_link_to_our_own_copy(legacy: Legacy) -> None:
    data = make.png(make.photo(1))
    image = make.add_ready_image(data=data)
    (match,) = legacy.images(data)
    assert match["url"] == f"http://testserver/media/images/{image.pk}/original"
    response = legacy.client.get(match["url"])
    assert b"".join(response.streaming_content) == data
    assert response["Content-Type"] == "image/png"


def test_pending_failed_and_quarantined_images_are_not_found(legacy: Legacy) -> None:
    data = make.png(make.photo(1))
    image = legacy.add("a.png", data)
    for status, failure in (("pending", ""), ("failed", "why"), ("quarantined", "")):
        Image.objects.filter(pk=image).update(status=status, failure=failure)
        for match_type in ("imgsmlr", "pdq"):
            assert legacy.images(data, matchType=match_type, threshold=5) == []


@pytest.mark.usefixtures("plain_static_files")
def test_page(client: Client) -> None:
    response = client.get("/imgsmlr/")
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/html")


# --- Refusals: HTTP 200, code 400 ---------------------------------------------------------


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def damaged(format: str) -> bytes:
    """The first half of a picture file."""
    data = make.encoded(make.photo(1), format)
    return data[: len(data) // 2]


REFUSED: dict[str, tuple[Callable[[HttpServer], Any], str]] = {
    "no such page": (lambda web: web.url + "/none", "fetch url failed, status: 404"),
    "forbidden": (lambda web: Reply(b"", 403), "fetch url failed, status: 403"),
    "server error": (lambda web: Reply(b"", 503), "fetch url failed, status: 503"),
    "unreachable": (
        lambda web: f"http://127.0.0.1:{closed_port()}/a.png",
        "fetch url failed, status: 500",
    ),
    "unknown host": (lambda web: "http://nowhere.invalid/a.png", "fetch url failed, status: 500"),
    "timeout": (lambda web: hang(3), "fetch url failed, status: 500"),
    "private address": (lambda web: "http://10.1.2.3/a.png", "fetch url failed, status: 500"),
    "metadata address": (
        lambda web: "http://169.254.169.254/latest/",
        "fetch url failed, status: 500",
    ),
    "redirect to a private address": (
        lambda web: redirect("http://10.1.2.3/a.png"),
        "fetch url failed, status: 500",
    ),
    "no url at all": (lambda web: "a.png", "fetch url failed, status: 500"),
    "empty url": (lambda web: "", "fetch url failed, status: 500"),
    "file url": (lambda web: "file:///etc/passwd", "fetch url failed, status: 500"),
    "empty file": (lambda web: b"", "not a valid file"),
    "text": (lambda web: b"hello " * 50, "not a valid file"),
    "html": (lambda web: b"<!doctype html><html></html>", "not a valid file"),
    "svg": (lambda web: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a valid file"),
    "half a jpeg": (lambda web: damaged("JPEG"), "not a valid jpeg file"),
    "half a png": (lambda web: damaged("PNG"), "not a valid png file"),
    "half a gif": (lambda web: damaged("GIF"), "not a valid gif file"),
    "half a webp": (lambda web: damaged("WEBP"), "not a valid webp file"),
    "half a bmp": (lambda web: damaged("BMP"), "not a valid file"),
    "half a tiff": (lambda web: damaged("TIFF"), "not a valid file"),
    "flat": (lambda web: make.png(make.flat()), "not supported solid color image"),
    "flat jpeg": (lambda web: make.jpeg(make.flat()), "not supported solid color image"),
}


@pytest.mark.slow
@pytest.mark.parametrize("path", [ADD, SEARCH])
@pytest.mark.parametrize("case", REFUSED)
def test_refusals(legacy: Legacy, settings: Any, path: str, case: str) -> None:
    settings.FETCH_TIMEOUT = 0.3
    conf.fetch_policy.cache_clear()
    source, message = REFUSED[case]
    bad = source(legacy.web)
    url = bad if isinstance(bad, str) else legacy.serve("bad", bad)
    response = legacy.post(path, {"url": url})
    assert response.status_code == 200
    assert response.json() == {"code": 400, "msg": message, "data": None}
    assert not Image.objects.exists()
    assert make.stored_files(settings.MEDIA_ROOT) == []


def test_adding_the_same_bytes_twice(legacy: Legacy, settings: Any) -> None:
    data = make.png(make.photo(1))
    legacy.add("a.png", data)
    files = make.stored_files(settings.MEDIA_ROOT)
    response = legacy.post(ADD, {"url": legacy.serve("other-name.png", data)})
    assert response.status_code == 200
    assert response.json() == {"code": 400, "msg": "image file already exists", "data": None}
    assert Image.objects.count() == 1
    assert make.stored_files(settings.MEDIA_ROOT) == files


def test_unknown_match_type(legacy: Legacy) -> None:
    url = legacy.serve("a.png", make.png(make.photo(1)))
    response = legacy.post(SEARCH, {"url": url, "matchType": "sift"})
    assert response.status_code == 200
    assert response.json() == {
        "code": 400,
        "msg": "Unknown match type 'sift': use one of auto, imgsmlr, pdq, copy, clip.",
        "data": None,
    }
    assert legacy.web.requests == []  # refused before anything is fetched


def test_clip_missing(legacy: Legacy) -> None:
    url = legacy.serve("a.png", make.png(make.photo(1)))
    answer = legacy.post(SEARCH, {"url": url, "matchType": "clip"}).json()
    assert (answer["code"], answer["data"]) == (400, None)
    assert "CLIP_PRETRAINED" in answer["msg"]


def test_a_picture_too_small_for_pdq(legacy: Legacy) -> None:
    url = legacy.serve("dot.png", make.png(make.photo(1).resize((4, 4))))
    answer = legacy.post(SEARCH, {"url": url, "matchType": "pdq"}).json()
    assert answer["code"] == 400
    assert "pdq" in answer["msg"]


# --- Malformed bodies: HTTP 422 -----------------------------------------------------------

MALFORMED: dict[str, tuple[str, Any, list[dict[str, Any]]]] = {
    "no url": (
        SEARCH,
        {},
        [{"loc": ["body", "url"], "msg": "field required", "type": "value_error.missing"}],
    ),
    "null url": (
        ADD,
        {"url": None},
        [
            {
                "loc": ["body", "url"],
                "msg": "none is not an allowed value",
                "type": "type_error.none.not_allowed",
            }
        ],
    ),
    "every field": (
        SEARCH,
        {"url": ["x"], "matchType": {}, "threshold": "abc", "limit": "ten"},
        [
            {"loc": ["body", "url"], "msg": "str type expected", "type": "type_error.str"},
            {"loc": ["body", "matchType"], "msg": "str type expected", "type": "type_error.str"},
            {
                "loc": ["body", "threshold"],
                "msg": "value is not a valid float",
                "type": "type_error.float",
            },
            {
                "loc": ["body", "limit"],
                "msg": "value is not a valid integer",
                "type": "type_error.integer",
            },
        ],
    ),
    "limit -1": (
        SEARCH,
        {"url": "http://x/", "limit": -1},
        [
            {
                "loc": ["body", "limit"],
                "msg": "ensure this value is greater than or equal to 0",
                "type": "value_error.number.not_ge",
                "ctx": {"limit_value": 0},
            }
        ],
    ),
    "limit 10⁹": (
        SEARCH,
        {"url": "http://x/", "limit": 10**9},
        [
            {
                "loc": ["body", "limit"],
                "msg": "ensure this value is less than or equal to 500",
                "type": "value_error.number.not_le",
                "ctx": {"limit_value": 500},
            }
        ],
    ),
    "meta a list": (
        ADD,
        {"url": "http://x/", "meta": [1]},
        [
            {
                "loc": ["body", "meta"],
                "msg": "value is not a valid dict",
                "type": "type_error.dict",
            }
        ],
    ),
    "not an object": (
        ADD,
        "[1]",
        [{"loc": ["body"], "msg": "value is not a valid dict", "type": "type_error.dict"}],
    ),
    "nothing": (
        ADD,
        "",
        [{"loc": ["body"], "msg": "field required", "type": "value_error.missing"}],
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_bodies(legacy: Legacy, case: str) -> None:
    path, body, problems = MALFORMED[case]
    response = legacy.post(path, body)
    assert response.status_code == 422
    assert response["Content-Type"] == "application/json"
    assert response.json() == {"detail": problems}


@pytest.mark.parametrize(
    ("body", "position"),
    [(b'{"url": nope}', 8), (b"url=http://x/a.png", 0), (b'{"url": "\xff"}', None), (b"\0", 0)],
)
def test_bodies_that_are_not_json(legacy: Legacy, body: bytes, position: int | None) -> None:
    response = legacy.post(ADD, body, FORM)
    (problem,) = response.json()["detail"]
    assert response.status_code == 422
    assert problem["type"] == "value_error.jsondecode"
    assert problem["loc"][0] == "body"
    assert position is None or problem["loc"] == ["body", position]


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(depth - 1):
        inner = {"a": inner}
    return inner


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("url", "http://x/" + "a" * 2048, "2048"),
        ("dataId", "a" * 256, "255"),
        ("remark", "a" * 10_001, "10000"),
        ("remark", "a\0b", "NUL"),
        ("meta", {"a": "b\0"}, "NUL"),
        ("meta", {"a\0": 1}, "NUL"),
        ("meta", {"a": [{"b": ["\0"]}]}, "NUL"),
        ("meta", {"a": "b" * 65_536}, "65536"),
        ("meta", nested(300), "deep"),
        ("meta", nested(900), "deep"),
    ],
)
def test_what_cannot_be_stored(legacy: Legacy, field: str, value: Any, word: str) -> None:
    body = {"url": legacy.serve("a.png", make.png(make.photo(1))), field: value}
    response = legacy.post(ADD, body)
    (problem,) = response.json()["detail"]
    assert response.status_code == 422
    assert problem["loc"] == ["body", field]
    assert word in problem["msg"]
    assert not Image.objects.exists()


def test_a_backslash_before_u0000_is_no_nul(legacy: Legacy) -> None:
    data, meta = make.png(make.photo(1)), {"path": r"C:\u0000"}
    legacy.add("a.png", data, meta=meta)
    assert legacy.images(data)[0]["meta"] == meta


def test_deep_and_long_meta_within_the_limits_comes_back(legacy: Legacy) -> None:
    data, meta = make.png(make.photo(1)), {"deep": nested(60), "long": "a" * 60_000, "n": 2**63}
    legacy.add("a.png", data, meta=meta)
    assert legacy.images(data)[0]["meta"] == meta


def test_a_body_that_is_too_large(legacy: Legacy) -> None:
    response = legacy.post(ADD, {"url": "http://x/", "remark": "a" * 3 * 2**20})
    assert response.status_code == 422
    assert "2 MB" in response.json()["detail"][0]["msg"]


@pytest.mark.parametrize("path", [ADD, SEARCH])
def test_only_post(client: Client, path: str) -> None:
    assert client.get(path).status_code == 405


# --- Who may ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [ADD, SEARCH])
def test_without_a_key(legacy: Legacy, settings: Any, path: str) -> None:
    settings.OPEN_API = ()
    response = legacy.post(path, {"url": legacy.serve("a.png", make.png(make.photo(1)))})
    assert response.status_code == 401
    assert response.json()["code"] == "not_authenticated"
    assert legacy.web.requests == []


def test_another_sites_page_may_not(legacy: Legacy) -> None:
    response = legacy.client.post(
        ADD,
        json.dumps({"url": legacy.serve("a.png", make.png(make.photo(1)))}),
        content_type="text/plain",
        headers={"Origin": "https://evil.example"},
    )
    assert response.status_code == 403
    assert response.json()["code"] == "cross_site"
    assert legacy.web.requests == []


def test_a_spent_budget(legacy: Legacy, settings: Any) -> None:
    settings.THROTTLE_POINTS = 3
    body = {"url": legacy.serve("a.png", make.png(make.photo(1)))}
    assert legacy.post(ADD, body).status_code == 200
    refused = legacy.post(SEARCH, body)
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) >= 1


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]
)
def test_bodies_in_other_encodings_are_read_as_the_original_reads_them(
    legacy: Legacy, encoding: str
) -> None:
    url = legacy.serve("a.png", make.png(make.photo(1)))
    body = json.dumps({"url": url, "remark": "Größe 🖼"}, ensure_ascii=False).encode(encoding)
    answer = legacy.post(ADD, body).json()
    assert answer["code"] == 200
    assert Image.objects.get().remark == "Größe 🖼"


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
def test_numbers_that_only_python_writes_stop_nothing_where_nobody_looks(
    legacy: Legacy, word: str
) -> None:
    url = legacy.serve("a.png", make.png(make.photo(1)))
    answer = legacy.post(ADD, f'{{"url": "{url}", "score": {word}}}').json()
    assert answer["code"] == 200
    for field in ("threshold", "limit"):
        answer = legacy.post(SEARCH, f'{{"url": "{url}", "{field}": {word}}}')
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", field]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (str(2**64), "has more than 64 bits"),
        (str(-(2**63) - 1), "has more than 64 bits"),
        ("9" * 300, "has more than 64 bits"),
        ("NaN", "NaN and Infinity cannot be stored"),
        ('[1, {"a": -Infinity}]', "NaN and Infinity cannot be stored"),
        ('"\\ud800"', "lone surrogate"),
        ('{"\\udfff": 1}', "lone surrogate"),
    ],
)
def test_meta_that_could_not_be_given_back_is_refused(legacy: Legacy, value: str, why: str) -> None:
    url = legacy.serve("a.png", make.png(make.photo(1)))
    answer = legacy.post(ADD, f'{{"url": "{url}", "meta": {{"n": {value}}}}}')
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert problem["loc"] == ["body", "meta"]
    assert why in problem["msg"]
    assert not Image.objects.exists()


@pytest.mark.parametrize("number", [2**64 - 1, 2**63, 2**53 + 1, -(2**63), 0])
def test_whole_numbers_of_64_bits_are_kept_exactly(legacy: Legacy, number: int) -> None:
    data = make.png(make.photo(1))
    legacy.add("a.png", data, meta={"n": number})
    (found,) = legacy.images(data, matchType="pdq")
    assert found["meta"] == {"n": number}


@pytest.mark.parametrize(
    "body", [b"\xff\xfe\x00", b"\xef\xbb\xbf", b"\xff\xff", b"[" * 100_000, b"9" * 10_000]
)
def test_bytes_that_are_no_json_in_any_encoding(legacy: Legacy, body: bytes) -> None:
    answer = legacy.post(ADD, body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "body"
