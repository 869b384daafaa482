"""v1: finding images by link, upload, stored image and words."""

from __future__ import annotations

import io
from base64 import b64decode
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image as Pillow

from gallery.items.models import Image
from moderation.access.permissions import Role
from tests import factories as make
from tests.httpserver import HttpServer
from tests.moderation.factories import make_case, make_item, make_list, make_person

SEARCH = "/api/v1/images/search/"


def search(client: Client, **body: Any) -> Any:
    return client.post(SEARCH, body, content_type="application/json")


def ids(response: Any) -> list[int]:
    assert response.status_code == 200, response.json()
    return [match["image"]["id"] for match in response.json()["results"]]


def refusal(response: Any) -> tuple[int, str, str | None]:
    body = response.json()
    assert body["detail"].endswith(".")
    return response.status_code, body["code"], body.get("field")


@pytest.fixture
def pair() -> tuple[Image, Image]:
    """A picture and a coarse copy of it, beside a stranger."""
    make.add_ready_image(make.photo(50))
    exact = make.add_ready_image(make.photo(1))
    return exact, make.add_ready_image(data=make.jpeg(make.photo(1), 30))


# --- What to look for ---------------------------------------------------------------------


@pytest.mark.slow
def test_by_upload(client: Client, pair: Any) -> None:
    exact, coarse = pair
    file = SimpleUploadedFile("q", make.png(make.photo(1)))
    response = client.post(SEARCH, {"file": file, "match_type": "pdq", "threshold": "60"})
    body = response.json()
    assert ids(response) == [exact.pk, coarse.pk]
    assert (body["match_type"], body["threshold"], body["low_information"]) == ("pdq", 60.0, False)
    assert body["took_ms"] > 0
    assert body["unavailable"].keys() == {"clip"}
    assert "CLIP_PRETRAINED" in body["unavailable"]["clip"]
    first, second = body["results"]
    assert first == {
        "image": client.get(f"/api/v1/images/{exact.pk}/").json(),
        "distance": 0.0,
        "confidence": None,
        "certainty": None,
        "methods": {"pdq": 0.0},
        "geometry": None,
    }
    assert second["distance"] == second["methods"]["pdq"] > 0


@pytest.mark.slow
def test_by_link_by_upload_and_by_id_agree(client: Client, pair: Any, web: HttpServer) -> None:
    data = make.png(make.photo(1))
    web.routes["/q"] = data
    for match_type in ("imgsmlr", "pdq"):
        asked = {"match_type": match_type, "threshold": 90}
        by_link = search(client, url=web.url + "/q", **asked).json()["results"]
        by_id = search(client, id=pair[0].pk, **asked).json()["results"]
        upload = {"file": SimpleUploadedFile("q", data), **asked}
        by_upload = client.post(SEARCH, upload).json()["results"]
        assert by_link == by_upload
        # Between two stored patterns, which are rounded, distances are at most 0.0015 off.
        allowed = {"imgsmlr": 0.0015, "pdq": 0}[match_type]
        assert [match["image"] for match in by_id] == [match["image"] for match in by_link]
        for one, other in zip(by_id, by_link, strict=True):
            assert one["distance"] == pytest.approx(other["distance"], abs=allowed)
            assert one["methods"] == pytest.approx(other["methods"], abs=allowed)
        assert [match["image"]["id"] for match in by_link[:2]] == [image.pk for image in pair]


@pytest.mark.slow
def test_a_copy_of_the_query_comes_beside_what_looks_like_it(
    client: Client, pair: Any, web: HttpServer
) -> None:
    web.routes["/q"] = make.png(make.photo(1).resize((2000, 1500)))
    web.routes["/other"] = make.png(make.photo(9))

    def query(path: str, client: Client = client, **asked: Any) -> str | None:
        answer = search(client, url=web.url + path, **asked)
        assert ids(answer) or "query" not in answer.json()
        found: str | None = answer.json().get("query")
        return found

    for match_type in ("auto", "pdq"):
        asked = {"match_type": match_type, "explain": True}
        kind, _, data = (query("/q", **asked) or "").partition(",")
        assert kind == "data:image/jpeg;base64"
        picture = Pillow.open(io.BytesIO(b64decode(data)))
        assert picture.size == (1024, 768) and not picture.getexif()
        assert query("/q", match_type=match_type) is None, "only if it is asked for"
        # Whoever searches cannot have any picture of the web fetched and shown.
        assert query("/other", threshold=256 if match_type == "pdq" else 1, **asked) is None
    assert "query" not in search(client, id=pair[0].pk, explain=True).json()


def test_no_copy_of_the_query_comes_beside_what_is_blurred(
    client: Client, pair: Any, web: HttpServer
) -> None:
    """Under review, it is found but is not shown clearly; its copy would be."""
    web.routes["/q"] = make.png(make.photo(1))
    for image in pair:
        make_case(make_item(make_list()), image=image)
    client.force_login(make_person(Role.MODERATOR, "ann"))
    answer = search(client, url=web.url + "/q", match_type="pdq", explain=True)
    assert len(ids(answer)) == 2 and all(
        match["image"]["blurred"] for match in answer.json()["results"]
    )
    assert "query" not in answer.json()


def test_by_words_without_clip(client: Client) -> None:
    assert refusal(search(client, text="a cat", match_type="clip")) == (
        503,
        "unavailable",
        "match_type",
    )
    assert refusal(search(client, text="a cat", match_type="pdq")) == (
        400,
        "invalid",
        "match_type",
    )
    assert refusal(search(client, text="a cat"))[0] == 503


def test_by_picture_without_clip(client: Client, web: HttpServer) -> None:
    answer = search(client, url=web.url + "/q", match_type="clip")
    assert refusal(answer) == (503, "unavailable", "match_type")
    assert web.requests == []


@pytest.mark.parametrize(
    "body", [{}, {"url": "http://x/", "id": 1}, {"id": 1, "text": "cat"}, {"limit": 5}]
)
def test_exactly_one_question(client: Client, body: dict[str, Any]) -> None:
    assert refusal(search(client, **body))[0] == 400


@pytest.mark.parametrize("status", ["pending", "failed", "quarantined"])
def test_by_id_of_a_hidden_image(client: Client, status: str) -> None:
    image = make.add_ready_image()
    Image.objects.update(status=status, failure="why" if status == "failed" else "")
    assert refusal(search(client, id=image.pk)) == (404, "not_found", "id")


@pytest.mark.parametrize("pk", [999_999, 2**63 - 1])
def test_by_id_that_does_not_exist(client: Client, pk: int) -> None:
    assert refusal(search(client, id=pk)) == (404, "not_found", "id")


def test_a_flat_question(client: Client, pair: Any) -> None:
    flat = make.png(make.flat())
    stored = make.add_ready_image(data=flat)
    for question in ({"file": SimpleUploadedFile("q", flat)}, {"id": stored.pk}):
        body = client.post(SEARCH, {**question, "match_type": "imgsmlr", "threshold": 9}).json()
        assert (body["results"], body["low_information"]) == ([], True)


# --- How ----------------------------------------------------------------------------------


def test_defaults(client: Client, pair: Any, settings: Any) -> None:
    settings.SEARCH_LIMIT = 1
    body = search(client, id=pair[0].pk).json()
    assert (body["match_type"], body["threshold"]) == ("auto", 0.5)
    assert len(body["results"]) == 1
    body = search(client, id=pair[0].pk, match_type="pdq", threshold=None).json()
    assert body["threshold"] == 31


def test_a_setting_above_the_largest_limit(client: Client, pair: Any, settings: Any) -> None:
    settings.SEARCH_LIMIT = 500
    found = search(client, id=pair[0].pk, match_type="imgsmlr")
    assert ids(found) == [image.pk for image in pair]


def test_threshold_is_inclusive(client: Client, pair: Any) -> None:
    exact, coarse = pair
    for match_type in ("pdq", "imgsmlr"):
        asked = {"id": exact.pk, "match_type": match_type}
        distance = search(client, threshold=99, **asked).json()["results"][1]["distance"]
        assert ids(search(client, threshold=distance, **asked)) == [exact.pk, coarse.pk]
        assert ids(search(client, threshold=distance - 1e-6, **asked)) == [exact.pk]
        assert ids(search(client, threshold=0, **asked)) == [exact.pk]


def test_limit(client: Client) -> None:
    images = [
        make.add_ready_image(data=make.jpeg(make.photo(1), quality)).pk
        for quality in (95, 70, 40, 10)
    ]
    for limit in (1, 3, 4, 100):
        assert ids(search(client, id=images[0], limit=limit, threshold=1)) == images[:limit]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit", 0),
        ("limit", -1),
        ("limit", 101),
        ("limit", 10**9),
        ("limit", 10**30),
        ("limit", "ten"),
        ("limit", None),
        ("threshold", "abc"),
        ("threshold", "nan"),
        ("threshold", "inf"),
        ("threshold", -0.1),
        ("threshold", 1e7),
        ("threshold", []),
        ("match_type", "sift"),
        ("match_type", ""),
        ("match_type", None),
        ("id", 0),
        ("id", 2**63),
        ("id", "one"),
        ("text", ""),
        ("text", "a" * 501),
        ("url", "gopher://x/"),
        ("meta", []),
        ("meta", "{"),
        ("data_id_prefix", "a" * 256),
    ],
)
def test_refused_fields(client: Client, field: str, value: Any) -> None:
    question = {} if field in ("id", "text", "url") else {"id": 1}
    status, _, named = refusal(search(client, **question, **{field: value}))
    assert (status, named) == (400, field)


# --- Among which --------------------------------------------------------------------------


@pytest.fixture
def labelled() -> dict[str, int]:
    """The same picture many times, so that only the filters choose."""
    labels: list[tuple[str | None, Any]] = [
        ("a%b", {"k": 1, "n": {"m": [1, 2]}}),
        ("a_b", {"k": "1"}),
        ("axb", {"k": None}),
        ("a\\b", {}),
        (None, None),
        (" a", {"k": 1}),
    ]
    return {
        str(data_id): make.add_ready_image(
            data=make.png(make.photo(1), compress_level=level), data_id=data_id, meta=meta
        ).pk
        for level, (data_id, meta) in enumerate(labels)
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["a%b", "a_b", "axb", "a\\b", "None", " a"]),
        ({"data_id_prefix": ""}, ["a%b", "a_b", "axb", "a\\b", "None", " a"]),
        ({"data_id_prefix": None}, ["a%b", "a_b", "axb", "a\\b", "None", " a"]),
        ({"data_id_prefix": "a"}, ["a%b", "a_b", "axb", "a\\b"]),
        ({"data_id_prefix": "a%"}, ["a%b"]),
        ({"data_id_prefix": "a_"}, ["a_b"]),
        ({"data_id_prefix": "a\\"}, ["a\\b"]),
        ({"data_id_prefix": " "}, [" a"]),
        ({"data_id_prefix": "A"}, []),
        ({"data_id_prefix": "a' OR 1=1 --"}, []),
        ({"data_id_prefix": "%(version)s"}, []),
        ({"meta": {}}, ["a%b", "a_b", "axb", "a\\b", "None", " a"]),
        ({"meta": {"k": 1}}, ["a%b", " a"]),
        ({"meta": {"k": "1"}}, ["a_b"]),
        ({"meta": {"k": None}}, ["axb"]),
        ({"meta": {"n": {"m": [2]}}}, ["a%b"]),
        ({"meta": {"k": 1}, "data_id_prefix": "a"}, ["a%b"]),
        ({"meta": '{"k": 1}'}, ["a%b", " a"]),
        ({"meta": {"%(k)s": "' OR 1=1"}}, []),
    ],
)
def test_filters(
    client: Client, labelled: dict[str, int], filters: dict[str, Any], expected: list[str]
) -> None:
    for match_type in ("imgsmlr", "pdq"):
        response = search(client, id=labelled["axb"], match_type=match_type, **filters)
        assert ids(response) == [labelled[name] for name in expected], match_type


def test_deleted_and_quarantined_images_are_not_found(client: Client, pair: Any) -> None:
    exact, coarse = pair
    stranger = Image.objects.exclude(pk__in=[exact.pk, coarse.pk]).get()
    Image.objects.filter(pk=coarse.pk).update(status="quarantined")
    for match_type in ("imgsmlr", "pdq"):
        asked = {"match_type": match_type, "threshold": 999}
        assert ids(search(client, id=exact.pk, **asked)) == [exact.pk, stranger.pk]
    assert client.delete(f"/api/v1/images/{exact.pk}/").status_code == 204
    assert ids(search(client, id=stranger.pk, threshold=999)) == [stranger.pk]
