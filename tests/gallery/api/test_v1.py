"""v1: adding, listing, changing and deleting images, and the media views."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django_q.models import OrmQ

from gallery import tasks
from gallery.imaging.descriptors.base import COPY_VERSION, PIXELS_VERSION
from gallery.items.models import Image, ImageDetail, ImageFingerprint
from imgsmlr_site.models import ApiKey
from tests import factories as make
from tests.httpserver import HttpServer

IMAGES = "/api/v1/images/"
JSON = "application/json"


def post(client: Client, body: Any, query: str = "") -> Any:
    return client.post(IMAGES + query, body, content_type=JSON)


def upload(client: Client, data: bytes, query: str = "", **fields: Any) -> Any:
    return client.post(IMAGES + query, {"file": SimpleUploadedFile("a.bin", data), **fields})


def serve(web: HttpServer, data: bytes, name: str = "a.png") -> str:
    web.routes[f"/{name}"] = data
    return f"{web.url}/{name}"


def problem(response: Any) -> tuple[int, str, str | None]:
    """Status, code and field of a refusal, which must have the one shape and a sentence."""
    body = response.json()
    assert {"type", "code", "detail"} <= body.keys() <= {
        "type", "code", "detail", "field", "existing_id"
    }  # fmt: skip
    assert body["detail"].endswith((".", "!")) and " " in body["detail"]
    return response.status_code, body["code"], body.get("field")


# --- Adding -------------------------------------------------------------------------------


def test_add_by_url_is_accepted_and_described_by_the_worker(client: Client, web: Any) -> None:
    data = make.png(make.photo(1))
    url = serve(web, data)
    fields = {"data_id": " a ", "remark": "r", "meta": {"k": 1}, "uploader": "ann"}
    response = post(client, {"url": url, **fields})
    assert response.status_code == 202
    image = Image.objects.get()
    body = response.json()
    assert {**body, "created_at": ""} == {
        "id": image.pk,
        "url": url,
        "data_id": " a ",
        "md5": image.md5,
        "sha1": image.sha1,
        "sha256": image.sha256,
        "remark": "r",
        "meta": {"k": 1},
        "format": "png",
        "width": 160,
        "height": 120,
        "bytes": len(data),
        "status": "pending",
        "failure": "",
        "thumbnail": None,
        "file": f"http://testserver/media/images/{image.pk}/original",
        "kept": True,
        "blurred": False,
        "clearable": False,
        "created_at": "",
    }
    assert (image.uploader, image.added_by) == ("ann", "open")
    (task,) = OrmQ.objects.all()
    assert task.task["func"] == "gallery.tasks.describe_images"
    assert task.task["args"] == ([image.pk],)

    assert tasks.describe_images([image.pk]) == 1
    polled = client.get(f"{IMAGES}{image.pk}/").json()
    assert polled["status"] == "ready"
    assert polled["thumbnail"] == f"http://testserver/media/images/{image.pk}/thumbnail"


def test_add_and_wait(client: Client, web: Any) -> None:
    response = post(client, {"url": serve(web, make.png(make.photo(1)))}, "?wait=10")
    assert response.status_code == 201
    body = response.json()
    assert body["status"] == "ready"
    assert body["thumbnail"] == f"http://testserver/media/images/{body['id']}/thumbnail"
    assert not OrmQ.objects.exists()
    versions = ImageFingerprint.objects.values_list("version", flat=True)
    assert sorted(versions) == [COPY_VERSION, PIXELS_VERSION]
    assert ImageDetail.objects.exclude(pattern=None).count() == 1
    assert ImageDetail.objects.exclude(local_features=None).count() == 1


def test_upload(client: Client) -> None:
    data = make.jpeg(make.photo(1))
    response = upload(client, data, "?wait=1", data_id="7", meta='{"k": [1]}')
    body = response.json()
    assert response.status_code == 201
    assert body["file"] == f"http://testserver/media/images/{body['id']}/original"
    assert (body["url"], body["kept"]) == (None, True)
    assert (body["data_id"], body["meta"], body["remark"]) == ("7", {"k": [1]}, None)
    served = client.get(body["file"])
    assert b"".join(served.streaming_content) == data


def test_upload_with_the_url_it_came_from(client: Client, web: Any) -> None:
    response = upload(client, make.png(make.photo(1)), url=web.url + "/notes")
    assert response.status_code == 202
    assert response.json()["url"] == web.url + "/notes"
    assert web.requests == []


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "soon", ""])
def test_wait_out_of_range(client: Client, wait: str) -> None:
    response = upload(client, make.png(make.photo(1)), f"?wait={wait}")
    assert problem(response) == (400, "invalid", "wait")
    assert not Image.objects.exists()


@pytest.mark.parametrize("query", ["", "?wait=1"])
def test_the_same_bytes_again(client: Client, settings: Any, query: str) -> None:
    image = make.add_ready_image(make.photo(1))
    files = make.stored_files(settings.MEDIA_ROOT)
    response = upload(client, make.png(make.photo(1)), query)
    assert problem(response) == (409, "exists", None)
    assert response.json()["existing_id"] == image.pk
    assert Image.objects.count() == 1
    assert make.stored_files(settings.MEDIA_ROOT) == files


def test_a_flat_picture_is_stored_without_vectors(client: Client) -> None:
    response = upload(client, make.png(make.flat()), "?wait=1")
    assert (response.status_code, response.json()["status"]) == (201, "ready")
    rows = ImageFingerprint.objects.values_list("haar", "pdq", "cnn")
    assert list(rows) == [(None, None, None)] * 2
    assert not ImageDetail.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": None}, "url"),
        ({"url": ""}, "url"),
        ({"url": "a.png"}, "url"),
        ({"url": "ftp://x/a.png"}, "url"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"url": ["http://x/"]}, "url"),
        ({"url": "http://x/" + "a" * 2048}, "url"),
        ({"url": "http://x/", "file": "a.png"}, "file"),
        ({"url": "http://x/", "data_id": "a" * 256}, "data_id"),
        ({"url": "http://x/", "data_id": {}}, "data_id"),
        ({"url": "http://x/", "remark": "a" * 10_001}, "remark"),
        ({"url": "http://x/", "uploader": "a" * 256}, "uploader"),
        ({"url": "http://x/", "meta": [1]}, "meta"),
        ({"url": "http://x/", "meta": "{"}, "meta"),
        ({"url": "http://x/", "meta": "[1]"}, "meta"),
        ({"url": "http://x/", "meta": 5}, "meta"),
        ({"url": "http://x/", "meta": {"a": "b" * 65_536}}, "meta"),
    ],
)
def test_refused_fields(client: Client, body: dict[str, Any], field: str) -> None:
    status, _, named = problem(post(client, body))
    assert (status, named) == (400, field)
    assert not Image.objects.exists()


@pytest.mark.parametrize("body", [[], "x", None, 5])
def test_bodies_that_are_no_object(client: Client, body: Any) -> None:
    response = client.post(IMAGES, json.dumps(body), content_type=JSON)
    assert problem(response)[0] == 400


def test_upload_that_is_too_large(client: Client, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 1000
    assert problem(upload(client, b"x" * 1001)) == (413, "image_too_large", "file")


def test_unsupported_media_type(client: Client) -> None:
    response = client.post(IMAGES, b"<a/>", content_type="text/xml")
    assert problem(response)[0] == 415


def test_texts_are_kept_as_sent(client: Client) -> None:
    first = upload(client, make.png(make.photo(1)), data_id="", remark="  x\n")
    second = post(client, {"url": "http://127.0.0.1:1/"})
    assert (first.json()["data_id"], first.json()["remark"]) == ("", "  x\n")
    assert problem(second) == (400, "fetch_unreachable", None)


def test_a_failed_image_is_tried_again(client: Client, settings: Any) -> None:
    data = make.png(make.photo(1))
    first = upload(client, data, data_id="old").json()["id"]
    image = Image.objects.get()
    (settings.MEDIA_ROOT / image.original.name).unlink()
    tasks.describe_images([first])
    failed = client.get(f"{IMAGES}{first}/").json()
    assert failed["status"] == "failed"
    assert failed["failure"].startswith("The original is gone")

    again = upload(client, data, data_id="new")
    assert again.status_code == 202
    body = again.json()
    assert (body["id"], body["status"], body["failure"]) == (first, "pending", "")
    assert tasks.describe_images([first]) == 1
    body = client.get(f"{IMAGES}{first}/").json()
    assert (body["status"], body["data_id"]) == ("ready", "new")
    assert len(make.stored_files(settings.MEDIA_ROOT)) == 2


@pytest.mark.parametrize("query", ["", "?wait=5"])
def test_sent_20_times_at_once_it_is_stored_once(
    transactional_db: None, live_server: Any, settings: Any, query: str
) -> None:
    data = make.png(make.photo(1))

    def send(_: int) -> requests.Response:
        files = {"file": ("a.png", data)}
        return requests.post(live_server.url + IMAGES + query, files=files, timeout=30)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(send, range(20)))
    image = Image.objects.get()
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [201 if query else 202] + [409] * 19
    assert {a.json()["existing_id"] for a in answers if a.status_code == 409} == {image.pk}
    if not query:
        assert OrmQ.objects.count() == 1
        tasks.describe_images([image.pk])
    assert make.stored_files(settings.MEDIA_ROOT) == make.owned_files(image)


def test_a_failed_image_re_added_20_times_at_once(
    transactional_db: None, live_server: Any, settings: Any
) -> None:
    data = make.png(make.photo(1))
    image = make.add_pending_image(data=data)
    Image.objects.update(status="failed", failure="Try again.")

    def send(_: int) -> int:
        url = live_server.url + IMAGES + "?wait=5"
        return requests.post(url, files={"file": ("a.png", data)}, timeout=30).status_code

    with ThreadPoolExecutor(20) as pool:
        statuses = sorted(pool.map(send, range(20)))
    assert statuses == [201] + [409] * 19
    again = Image.objects.get()
    assert (again.pk, again.status) == (image.pk, "ready")
    assert make.stored_files(settings.MEDIA_ROOT) == make.owned_files(again)


# --- Listing ------------------------------------------------------------------------------


def listed(client: Client, **query: Any) -> list[int]:
    response = client.get(IMAGES, query)
    assert response.status_code == 200, response.json()
    return [image["id"] for image in response.json()["results"]]


@pytest.fixture
def five() -> list[int]:
    names = ["a", "a%b", "a_b", "axb", ""]
    return [make.add_ready_image(make.photo(i), data_id=name).pk for i, name in enumerate(names)]


def test_pages_are_newest_first(client: Client, five: list[int]) -> None:
    seen = []
    page = client.get(IMAGES, {"page_size": 2}).json()
    while True:
        assert len(page["results"]) <= 2
        seen += [image["id"] for image in page["results"]]
        if page["next"] is None:
            break
        page = client.get(page["next"]).json()
    assert seen == five[::-1]


def test_filters_of_the_list(client: Client, five: list[int]) -> None:
    plain, percent, underscore, other, empty = five
    assert listed(client, data_id="a%b") == [percent]
    assert listed(client, data_id_prefix="a%") == [percent]
    assert listed(client, data_id_prefix="a_") == [underscore]
    assert listed(client, data_id_prefix="a") == [other, underscore, percent, plain]
    assert listed(client, data_id_prefix="A") == []
    assert listed(client, data_id=" a") == []
    md5 = Image.objects.get(pk=other).md5
    assert listed(client, md5=md5) == [other]
    assert listed(client, status="ready") == five[::-1]
    assert listed(client, status="failed") == []
    assert empty in listed(client)


def test_filter_by_url(client: Client, web: Any) -> None:
    url = serve(web, make.png(make.photo(1)))
    image = post(client, {"url": url}).json()["id"]
    make.add_ready_image(make.photo(2))
    assert listed(client, url=url) == [image]


@pytest.mark.parametrize(
    "query", ["status=happy", "page_size=0", "page_size=101", "data_id=" + "a" * 256, "md5=%00"]
)
def test_bad_list_queries(client: Client, query: str) -> None:
    assert problem(client.get(f"{IMAGES}?{query}"))[0] == 400


@pytest.mark.parametrize("pk", ["9999999", "99999999999999999999999999", "0"])
@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_no_such_image(client: Client, pk: str, method: str) -> None:
    response = getattr(client, method)(f"{IMAGES}{pk}/", content_type=JSON)
    assert problem(response) == (404, "not_found", None)


# --- Changing -----------------------------------------------------------------------------


def test_patch_changes_what_it_names(client: Client) -> None:
    image = make.add_ready_image(data_id="a", remark="r", meta={"k": 1})
    url = f"{IMAGES}{image.pk}/"
    patched = client.patch(url, {"remark": None, "md5": "x", "status": "failed"}, content_type=JSON)
    assert patched.status_code == 200
    assert (patched.json()["data_id"], patched.json()["remark"]) == ("a", None)
    patched = client.patch(url, {"data_id": " ", "meta": {"n": {"m": 2}}}, content_type=JSON)
    row = Image.objects.get()
    assert (row.data_id, row.remark, row.meta) == (" ", None, {"n": {"m": 2}})
    assert (row.md5, row.status) == (image.md5, "ready")
    assert client.patch(url, {}, content_type=JSON).status_code == 200
    assert client.patch(url, {"meta": None}, content_type=JSON).json()["meta"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"data_id": "a" * 256},
        {"remark": "a" * 10_001},
        {"meta": []},
        {"meta": "x"},
        {"remark": {}},
        {"remark": "a\0"},
    ],
)
def test_bad_patches(client: Client, body: Any) -> None:
    image = make.add_ready_image(data_id="a", remark="r", meta={"k": 1})
    response = client.patch(f"{IMAGES}{image.pk}/", body, content_type=JSON)
    assert problem(response)[0] == 400
    row = Image.objects.get()
    assert (row.data_id, row.remark, row.meta) == ("a", "r", {"k": 1})


# --- Deleting -----------------------------------------------------------------------------


def test_delete_leaves_nothing(
    client: Client, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    data = make.png(make.photo(1))
    image = make.add_ready_image(data=data)
    with django_capture_on_commit_callbacks(execute=True):
        response = client.delete(f"{IMAGES}{image.pk}/")
    assert (response.status_code, response.content) == (204, b"")
    for model in (Image, ImageFingerprint, ImageDetail):
        assert not model.objects.exists()
    assert make.stored_files(settings.MEDIA_ROOT) == []
    again = upload(client, data, "?wait=1")
    assert again.status_code == 201
    assert again.json()["id"] > image.pk


@pytest.mark.parametrize("field", ["data_id", "md5", "url"])
def test_bulk_delete(
    client: Client, field: str, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    for seed in range(4):
        make.add_ready_image(
            make.photo(seed), data_id="ab"[seed % 2], url=f"http://x/{'ab'[seed % 2]}"
        )
    doomed = Image.objects.filter(data_id="a")
    count = 1 if field == "md5" else 2
    with django_capture_on_commit_callbacks(execute=True):
        response = client.delete(f"{IMAGES}?{field}={getattr(doomed[0], field)}")
    assert (response.status_code, response.json()) == (200, {"deleted": count})
    assert Image.objects.count() == ImageFingerprint.objects.count() == 4 - count
    assert len(make.stored_files(settings.MEDIA_ROOT)) == 2 * (4 - count)


@pytest.mark.parametrize(
    "query", ["", "?data_id=", "?data_id=a&url=", "?data_id_prefix=a", "?data_id=a&status=failed"]
)
def test_a_vague_bulk_delete_deletes_nothing(client: Client, query: str) -> None:
    make.add_ready_image(data_id="a")
    assert problem(client.delete(IMAGES + query)) == (400, "invalid", None)
    assert Image.objects.count() == 1


# --- Media --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["original", "thumbnail"])
def test_media_headers(client: Client, kind: str) -> None:
    image = make.add_ready_image(data=make.jpeg(make.photo(1)))
    response = client.get(f"/media/images/{image.pk}/{kind}")
    assert response.status_code == 200
    assert response["Content-Type"] == "image/jpeg"
    assert response["Cache-Control"] == "private, no-store"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in response["Content-Security-Policy"]
    assert b"".join(response.streaming_content).startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("status", ["pending", "quarantined", "failed"])
def test_media_of_hidden_images(
    client: Client, admin_client: Client, settings: Any, status: str
) -> None:
    image = make.add_ready_image()
    paths = [f"/media/images/{image.pk}/{kind}" for kind in ("original", "thumbnail")]
    assert [client.get(path).status_code for path in paths] == [200, 200]
    Image.objects.update(status=status, failure="why" if status == "failed" else "")
    assert [client.get(path).status_code for path in paths] == [404, 404]
    assert [admin_client.get(path).status_code for path in paths] == [200, 200]
    settings.OPEN_API = ()
    assert [client.get(path).status_code for path in paths] == [401, 401]


def test_media_that_is_not_there(client: Client, settings: Any) -> None:
    image = make.add_ready_image()
    assert problem(client.get("/media/images/999999/original"))[0] == 404
    for name in make.stored_files(settings.MEDIA_ROOT):
        (settings.MEDIA_ROOT / name).unlink()
    for kind in ("original", "thumbnail"):
        assert problem(client.get(f"/media/images/{image.pk}/{kind}"))[0] == 404
    assert client.post(f"/media/images/{image.pk}/original").status_code == 405


def test_original_that_is_not_kept_shows_the_thumbnail(client: Client, settings: Any) -> None:
    settings.KEEP_ORIGINALS = "none"
    body = upload(client, make.png(make.photo(1)), "?wait=1").json()
    assert body["kept"] is False
    response = client.get(body["file"])
    assert response["Content-Type"] == "image/jpeg"
    assert response.status_code == 200


def test_quarantined_images_are_for_moderators(client: Client, admin_client: Client) -> None:
    image = make.add_ready_image(data_id="a")
    Image.objects.update(status="quarantined")
    url = f"{IMAGES}{image.pk}/"
    assert listed(client) == []
    assert listed(client, status="quarantined") == []
    assert client.get(url).status_code == 404
    assert client.patch(url, {"remark": "x"}, content_type=JSON).status_code == 404
    assert client.delete(url).status_code == 404
    assert client.delete(f"{IMAGES}?data_id=a").json() == {"deleted": 0}
    assert listed(admin_client) == [image.pk]
    assert admin_client.get(url).json()["status"] == "quarantined"


# --- Who may ------------------------------------------------------------------------------


def test_scopes(client: Client, settings: Any) -> None:
    settings.OPEN_API = ()
    image = make.add_ready_image(make.photo(0))
    item = f"{IMAGES}{image.pk}/"

    def statuses(**headers: str) -> list[int]:
        file = SimpleUploadedFile("a.png", make.png(make.photo(1)))
        calls = [
            client.get(IMAGES, headers=headers),
            client.get(item, headers=headers),
            client.post(f"{IMAGES}search/", {"id": image.pk}, content_type=JSON, headers=headers),
            client.post(f"{IMAGES}compare/", {}, content_type=JSON, headers=headers),
            client.post(IMAGES, {"file": file}, headers=headers),
            client.post(f"{IMAGES}batch/", {}, content_type=JSON, headers=headers),
            client.patch(item, {}, content_type=JSON, headers=headers),
            client.delete(IMAGES, headers=headers),
        ]
        return [call.status_code for call in calls]

    def key(name: str, scope: str = "") -> dict[str, str]:
        return {"X-API-Key": ApiKey.issue(name=name, scopes=[scope or name])[1]}

    assert statuses() == [401] * 8
    assert statuses(**key("search")) == [200, 200, 200, 400, 403, 403, 403, 403]
    # What others have added is not this key's to change.
    assert statuses(**key("add")) == [403, 403, 403, 403, 202, 400, 403, 400]
    Image.objects.filter(pk=image.pk).update(added_by="key:adds")
    assert client.patch(item, {}, content_type=JSON, headers=key("adds", "add")).status_code == 200
    assert statuses(**key("check")) == [403] * 8
    assert Image.objects.get(url=None, status="pending").added_by == "key:add"


def test_status(client: Client) -> None:
    make.add_ready_image(make.photo(0))
    make.add_pending_image(make.photo(1))
    body = client.get("/api/v1/status/").json()
    assert body["images"] == {"pending": 1, "ready": 1, "failed": 0, "quarantined": 0}
    kinds = body["match_types"]
    assert {name: kind["available"] for name, kind in kinds.items()} == {
        "auto": True, "imgsmlr": True, "pdq": True, "copy": True, "clip": False
    }  # fmt: skip
    assert "CLIP_PRETRAINED" in kinds["clip"]["why"]
    assert kinds["pdq"]["default_threshold"] == 31
    light = body["queues"]["light"]
    assert light["due"] + light["working"] == 2


LONG = ["18446744073709551616", "-9223372036854775809", "1" + "0" * 300]


@pytest.mark.parametrize("number", LONG)
def test_whole_numbers_beyond_64_bits_are_refused_and_never_rounded(
    client: Client, number: str
) -> None:
    meta = f'{{"a": [{{"n": {number}}}]}}'
    file = SimpleUploadedFile("a.png", make.png(make.photo(1)), "image/png")
    in_form = client.post("/api/v1/images/", {"file": file, "meta": meta})
    body = f'{{"url": "http://x/a.png", "meta": {meta}}}'
    in_json = client.post("/api/v1/images/", body, content_type="application/json")
    image = make.add_ready_image(make.photo(2))
    path = f"/api/v1/images/{image.pk}/"
    changed = client.patch(path, f'{{"meta": {meta}}}', content_type="application/json")
    for answer in (in_form, in_json, changed):
        assert answer.status_code == 400
        assert "has more than 64 bits" in answer.json()["detail"]
    assert Image.objects.get().meta is None


@pytest.mark.parametrize("number", [2**64 - 1, 2**53 + 1, -(2**63)])
def test_whole_numbers_of_64_bits_come_back_as_they_were(client: Client, number: int) -> None:
    image = make.add_ready_image(make.photo(1))
    path = f"/api/v1/images/{image.pk}/"
    body = f'{{"meta": {{"n": {number}, "text": "{"9" * 30}", "pi": 3.14159265358979312}}}}'
    client.patch(path, body, content_type="application/json")
    assert client.get(path).json()["meta"] == {
        "n": number,
        "text": "9" * 30,
        "pi": 3.14159265358979312,
    }
