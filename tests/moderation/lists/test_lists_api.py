"""Lists and items through v1: who may, what goes in, what comes out."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from imgsmlr_site.models import ApiKey
from moderation.access.permissions import Role
from moderation.audit.models import AuditEvent
from moderation.lists.models import BannedItem, BannedList
from tests import factories as make
from tests.httpserver import HttpServer
from tests.moderation.factories import make_item, make_list, make_person

pytestmark = pytest.mark.django_db

LISTS = "/api/v1/moderation/lists/"
A, B = "a1" * 32, "b2" * 32

Call = Callable[..., Any]


def in_person(role: Role) -> Client:
    """A session of somebody with the role."""
    client = Client()
    client.force_login(make_person(role))
    return client


def caller(scopes: tuple[str, ...] = ("lists",), role: Role | None = None) -> Call:
    """What sends requests with a key of these scopes, of nobody or of a user with the role."""
    user = None if role is None else make_person(role)
    _, text = ApiKey.issue(name=secrets.token_hex(4), scopes=list(scopes), user=user)
    client = Client(headers={"authorization": f"Bearer {text}"})

    def call(method: str, path: str, body: Any = None, **extra: Any) -> Any:
        if "format" in extra:  # a form
            return client.post(path, body)
        return client.generic(method, path, data=dumps(body), content_type="application/json")

    return call


def dumps(body: Any) -> bytes:
    import orjson

    return b"" if body is None else orjson.dumps(body)


@pytest.fixture
def call(db: None) -> Call:
    return caller()


def path_of(row: BannedList, rest: str = "") -> str:
    return f"{LISTS}{row.pk}/{rest}"


def test_a_list_from_making_to_deleting(call: Call) -> None:
    answer = call("POST", LISTS, {"name": "terror", "severity": "critical", "reason": "asked"})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["action"], made["severity"], made["version"]) == ("shadow", "critical", 1)
    assert [method["match_type"] for method in made["methods"]] == [
        "pdq",
        "copy",
        "imgsmlr",
        "clip",
    ]
    assert made["methods"][0] == {
        "match_type": "pdq",
        "enabled": True,
        "threshold": None,
        "observe": None,
        "may_block": False,
        "effective": {"threshold": 31.0, "observe": 52.0},
    }
    path = f"{LISTS}{made['id']}/"
    changed = call("PATCH", path, {"action": "block", "owner": "ana"}).json()
    assert (changed["action"], changed["owner"], changed["version"]) == ("block", "ana", 2)
    method = call("PATCH", f"{path}methods/pdq/", {"threshold": 25, "reason": "fewer"}).json()
    assert method["effective"] == {"threshold": 25.0, "observe": 52.0}
    assert call("GET", f"{path}methods/pdq/").json() == method
    listed = call("GET", f"{LISTS}?action=block").json()["results"]
    assert [row["id"] for row in listed] == [made["id"]]
    assert call("GET", f"{LISTS}?action=review").json()["results"] == []
    assert call("GET", path).json()["version"] == 3
    assert call("DELETE", path).status_code == 403  # a key of nobody edits and deletes nothing
    waits = caller(role=Role.ADMIN)("DELETE", f"{path}?reason=done")
    assert (waits.status_code, waits.json()["code"]) == (409, "needs_second_person")
    assert in_person(Role.ADMIN).delete(f"{path}?reason=done").status_code == 204
    assert call("GET", path).status_code == 404
    verbs = [(event.verb, event.reason) for event in AuditEvent.objects.order_by("id")]
    assert verbs == [
        ("list.created", "asked"),
        ("list.changed", ""),
        ("list.method_changed", "fewer"),
        ("change.asked", "done"),
        ("list.deleted", "done"),
    ]


def test_a_list_with_items_is_not_deleted_by_accident() -> None:
    row = make_list()
    make_item(row, ("sha256", A))
    call = caller(role=Role.ADMIN)
    assert call("DELETE", path_of(row)).json()["code"] == "conflict"
    assert call("DELETE", path_of(row, "?with_items=maybe")).status_code == 400
    assert call("DELETE", path_of(row, "?with_items=true")).json()["code"] == "needs_second_person"
    assert BannedItem.objects.exists()
    admin = in_person(Role.ADMIN)
    assert admin.delete(path_of(row, "?with_items=true")).status_code == 204
    assert not BannedItem.objects.exists()


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "name"),
        ({"name": ""}, 400, "name"),
        ({"name": "x", "severity": "dire"}, 400, "severity"),
        ({"name": "x", "action": "explode"}, 400, "action"),
        ({"name": "x", "observe_share": 2}, 400, "observe_share"),
        ({"name": "x", "allows_for": [1]}, 400, "allows_for"),
        ({"name": "taken"}, 409, "name"),
    ],
)
def test_a_list_that_cannot_be(call: Call, body: Any, status: int, field: str) -> None:
    taken = make_list("taken")
    answer = call("POST", LISTS, body)
    assert (answer.status_code, answer.json()["field"]) == (status, field)
    if status == 409:
        assert answer.json()["existing_id"] == taken.pk
    assert BannedList.objects.count() == 1


def test_methods_that_cannot_be(call: Call) -> None:
    row = make_list()
    path = path_of(row, "methods/pdq/")
    for body in ({"threshold": -1}, {"threshold": 300}, {"observe": 3}, {"may_block": True}):
        answer = call("PATCH", path, body)
        assert (answer.status_code, answer.json()["field"]) == (400, next(iter(body)))
    assert call("PATCH", path_of(row, "methods/md5/"), {"enabled": False}).status_code == 404
    assert call("GET", path_of(row, "methods/md5/")).status_code == 404


def test_an_item_by_hashes(call: Call) -> None:
    row = make_list()
    body = {"sha256": A, "pdq": B, "pdq_quality": 77, "source": "us", "tags": ["x"], "note": "n"}
    answer = call("POST", path_of(row, "items/"), body)
    assert answer.status_code == 201
    item = answer.json()
    assert item["hashes"] == [
        {"kind": "sha256", "value": A, "quality": None},
        {"kind": "pdq", "value": B, "quality": 77},
    ]
    assert (item["source"], item["tags"], item["note"]) == ("us", ["x"], "n")
    assert (item["list"], item["frames"], item["picture"]) == (row.pk, 0, False)
    again = call("POST", path_of(row, "items/"), {"sha256": A.upper()})
    assert (again.status_code, again.json()["existing_id"]) == (409, item["id"])
    assert call("GET", path_of(row, f"items/{item['id']}/")).json() == item


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"sha256": "zz"},
        {"md5": A},
        {"pdq_quality": 5},
        {"sha256": A, "pdq_quality": 5},
        {"sha256": A, "image_id": 1},
        {"url": "ftp://x/y"},
        {"sha256": A, "tags": ["x" * 256]},
        {"sha256": A, "expires_at": "tomorrow"},
    ],
)
def test_an_item_that_cannot_be(call: Call, body: Any) -> None:
    answer = call("POST", path_of(make_list(), "items/"), body)
    assert answer.status_code == 400
    assert not BannedItem.objects.exists()


def test_an_item_by_file(call: Call) -> None:
    row = make_list()
    data = make.png(make.photo(1))
    form = {"file": SimpleUploadedFile("x.png", data), "note": "from a form"}
    answer = call("POST", path_of(row, "items/"), form, format="form")
    assert answer.status_code == 201
    item = answer.json()
    assert {"kind": "sha256", "value": hashlib.sha256(data).hexdigest(), "quality": None} in item[
        "hashes"
    ]
    assert (item["media"], item["picture"], item["note"]) == ("image", True, "from a form")


def test_an_item_by_link(open_api: None) -> None:
    call = caller()
    row = make_list()
    data = make.png(make.photo(1))
    with HttpServer({"/a.png": data}) as web:
        answer = call("POST", path_of(row, "items/"), {"url": f"{web.url}/a.png"})
        gone = call("POST", path_of(row, "items/"), {"url": f"{web.url}/b.png"})
    assert answer.status_code == 201
    assert answer.json()["media"] == "image"
    assert gone.status_code == 400


def test_an_item_from_the_gallery(call: Call) -> None:
    row = make_list()
    image = make.add_ready_image(make.photo(1))
    answer = call("POST", path_of(row, "items/"), {"image_id": image.pk})
    assert answer.status_code == 201
    for body in ({"image_id": 4711}, {"video_id": 4711}):
        assert call("POST", path_of(row, "items/"), body).status_code == 404


def test_a_batch(call: Call) -> None:
    row = make_list()
    rows = [{"sha256": A, "source": "us"}, {"sha256": "bad"}, {"md5": "c3" * 16}, {"sha256": A}]
    answer = call("POST", path_of(row, "items/batch/"), {"items": rows, "reason": "many"})
    assert answer.status_code == 200
    body = answer.json()
    assert len(body["added"]) == 2
    assert [(one["index"], one["error"]["code"]) for one in body["refused"]] == [
        (1, "invalid_hash"),
        (3, "conflict"),
    ]
    event = AuditEvent.objects.get()
    assert (event.verb, event.count, event.reason) == ("items.added", 2, "many")
    too_many = [{"sha256": f"{number:064x}"} for number in range(1001)]
    for rows in ([], too_many):
        refused = call("POST", path_of(row, "items/batch/"), {"items": rows})
        assert (refused.status_code, refused.json()["field"]) == (400, "items")


def test_finding_items(call: Call) -> None:
    row, other = make_list(), make_list()
    first = make_item(row, ("sha256", A), ("pdq", B, 90), source="us", tags=["x"])
    second = make_item(row, ("md5", "c3" * 16), opinion="disputed")
    make_item(other, ("sha256", A))

    def found(query: str) -> list[int]:
        answer = call("GET", path_of(row, f"items/?{query}"))
        assert answer.status_code == 200
        return [item["id"] for item in answer.json()["results"]]

    assert found("") == [second.pk, first.pk]
    assert found(f"hash={A.upper()}") == found(f"hash={B}") == found("tag=x") == [first.pk]
    assert found("source=us&state=active") == [first.pk]
    assert found("opinion=disputed") == [second.pk]
    assert found("state=retired") == found("hash=00") == found("suspended=true") == []
    assert found("suspended=false") == [second.pk, first.pk]
    assert call("GET", path_of(row, "items/?state=lost")).status_code == 400
    assert call("GET", f"{LISTS}4711/items/").status_code == 404
    assert call("GET", path_of(other, f"items/{first.pk}/")).status_code == 404


def test_the_number_of_queries_does_not_grow(
    call: Call, django_assert_max_num_queries: Any
) -> None:
    row = make_list()
    for number in range(40):
        make_item(row, ("sha256", f"{number:064x}"), ("md5", f"{number:032x}"))
        make_list()
    with django_assert_max_num_queries(9):
        call("GET", path_of(row, "items/?page_size=40"))
    with django_assert_max_num_queries(8):
        call("GET", f"{LISTS}?page_size=40")


def test_commands(call: Call) -> None:
    row, other = make_list(), make_list()
    mine, foreign = make_item(row, ("sha256", A)), make_item(other, ("sha256", B))
    both = {"ids": [mine.pk, foreign.pk], "reason": "withdrawn"}

    def post(command: str, **more: Any) -> Any:
        return call("POST", path_of(row, f"items/{command}/"), {**both, **more})

    # Items of other lists are left alone.
    assert post("retire").json() == {"changed": 1}
    assert post("retire").json() == {"changed": 0}
    assert BannedItem.objects.get(pk=mine.pk).retired_because == "withdrawn"
    assert BannedItem.objects.get(pk=foreign.pk).state == "active"
    assert post("activate").json() == {"changed": 1}
    assert post("opinion", opinion="false_positive").json() == {"changed": 1}
    assert post("opinion", opinion="fine").status_code == 400
    assert post("move", list=other.pk).json() == {"changed": 1}
    assert other.items.count() == 2
    assert post("move", list=4711).status_code == 404
    assert call("POST", path_of(row, "items/retire/"), {"ids": [1]}).json()["field"] == "reason"
    assert call("POST", f"{LISTS}4711/items/retire/", both).status_code == 404


def test_changing_an_item(call: Call) -> None:
    row = make_list()
    item = make_item(row, ("sha256", A))
    path = path_of(row, f"items/{item.pk}/")
    assert call("PATCH", path, {"note": "n", "tags": ["a"]}).json()["tags"] == ["a"]
    assert call("PATCH", path, {"expires_at": None}).status_code == 200
    assert (
        call("PATCH", path_of(make_list(), f"items/{item.pk}/"), {"note": "x"}).status_code == 404
    )


READS = ["", "{list}/", "{list}/methods/pdq/", "{list}/items/", "{list}/items/{item}/"]
WRITES = [
    ("POST", "", {"name": "new"}),
    ("PATCH", "{list}/", {"owner": "x"}),
    ("PATCH", "{list}/methods/pdq/", {"threshold": 3}),
    ("POST", "{list}/items/", {"sha256": B}),
    ("POST", "{list}/items/batch/", {"items": [{"sha256": B}]}),
    ("PATCH", "{list}/items/{item}/", {"note": "x"}),
    ("POST", "{list}/items/retire/", {"ids": [1], "reason": "x"}),
    ("POST", "{list}/items/activate/", {"ids": [1], "reason": "x"}),
    ("POST", "{list}/items/move/", {"ids": [1], "reason": "x", "list": 1}),
]


@pytest.mark.parametrize("scope", ["search", "add", "check", "moderate"])
def test_reading_needs_the_scope_too(scope: str) -> None:
    row = make_list()
    item = make_item(row, ("sha256", A))
    call = caller((scope,), Role.ADMIN)
    for path in READS:
        answer = call("GET", LISTS + path.format(list=row.pk, item=item.pk))
        assert answer.status_code == 403
        assert A not in answer.content.decode()
    assert Client().get(LISTS).status_code == 401


@pytest.mark.slow
@pytest.mark.parametrize("role", list(Role))
def test_the_role_counts_as_well_as_the_scope(role: Role) -> None:
    row = make_list()
    item = make_item(row, ("sha256", A))
    call = caller(role=role)
    for path in READS:
        answer = call("GET", LISTS + path.format(list=row.pk, item=item.pk))
        assert answer.status_code == (200 if role >= Role.VIEWER else 403), path
    for method, path, body in WRITES:
        answer = call(method, LISTS + path.format(list=row.pk, item=item.pk), body)
        allowed = answer.status_code != 403
        assert allowed == (role >= Role.LEAD), (path, answer.content)
        if not allowed:
            assert answer.json()["code"] == "forbidden"
    opinion = {"ids": [item.pk], "opinion": "disputed", "reason": "looked"}
    answer = call("POST", path_of(row, "items/opinion/"), opinion)
    assert (answer.status_code == 200) == (role >= Role.MODERATOR)
    if role < Role.MODERATOR:
        assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("role", list(Role))
def test_a_session_has_the_scope_of_its_role(role: Role) -> None:
    client = Client()
    client.force_login(make_person(role))
    assert client.get(LISTS).status_code == (200 if role >= Role.VIEWER else 403)
    answer = client.post(LISTS, {"name": "new"}, content_type="application/json")
    assert answer.status_code == (201 if role >= Role.LEAD else 403)


def test_an_open_network_reads_no_lists(open_api: None) -> None:
    row = make_list("secret")
    for path in (LISTS, path_of(row), path_of(row, "items/?hash=" + A)):
        answer = Client().get(path)
        assert answer.status_code == 403
        assert "secret" not in answer.content.decode()


@pytest.mark.usefixtures("plain_static_files")
def test_the_browsable_pages_have_forms() -> None:
    row = make_list()
    item = make_item(row, ("sha256", A))
    client = Client(headers={"accept": "text/html"})
    client.force_login(make_person(Role.ADMIN))
    for path, field in {
        LISTS: "name",
        path_of(row, "items/"): "sha256",
        path_of(row, "items/retire/"): "reason",
    }.items():
        page = client.get(path)
        assert page["Content-Type"].startswith("text/html")
        assert f'name="{field}"' in page.content.decode(), path
    for path in (path_of(row), path_of(row, "methods/pdq/"), path_of(row, f"items/{item.pk}/")):
        assert client.get(path).status_code == 200
