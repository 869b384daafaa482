"""Cases through v1: the same services, the same refusals, the role of the key's user."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from moderation.access.permissions import Role
from moderation.cases.models import DecisionBatch, ReviewCase
from moderation.lists.models import BannedItem, BannedList
from tests.moderation.factories import make_case, make_item, make_list
from tests.moderation.lists.test_lists_api import Call, caller

pytestmark = pytest.mark.django_db
BASE = "/api/v1/moderation/"
CASES = f"{BASE}cases/"


@pytest.fixture
def item(db: None) -> BannedItem:
    return make_item(make_list("terror"), source="a source")


@pytest.fixture
def call(db: None) -> Call:
    return caller(("moderate",), Role.MODERATOR)


def test_a_case_from_the_queue_to_undoing(call: Call, item: BannedItem) -> None:
    case = make_case(item, confidence=0.8)
    listed = call("GET", CASES).json()
    assert [one["id"] for one in listed["results"]] == [case.pk]
    claimed = call("POST", f"{CASES}next/", {}).json()
    assert (claimed["id"], claimed["claimed_until"] is not None) == (case.pk, True)
    assert claimed["matches"][0]["list_name"] == "terror"
    assert (claimed["severity"], claimed["state"]) == ("medium", "open")
    body = {"verb": "confirm", "reason": "edited", "note": "cropped", "looked": False}
    answer = call("POST", f"{CASES}{case.pk}/decide/", body)
    assert answer.status_code == 201
    batch = answer.json()
    assert (batch["cases"], batch["reason"], batch["note"]) == ([case.pk], "edited", "cropped")
    shown = call("GET", f"{CASES}{case.pk}/").json()
    assert shown["state"] == "confirmed"
    assert [(one["verb"], one["looked"]) for one in shown["decisions"]] == [("confirm", False)]
    assert call("GET", CASES).json()["results"] == []
    assert len(call("GET", f"{CASES}?status=decided").json()["results"]) == 1
    undone = call("POST", f"{BASE}batches/{batch['id']}/undo/", {"reason": "a slip"})
    assert undone.json() == {"batch": batch["id"], "undone": [case.pk], "left": []}
    assert call("GET", f"{CASES}{case.pk}/").json()["state"] == "open"
    assert call("GET", f"{BASE}batches/{batch['id']}/").json()["undone_at"] is not None


def test_a_request_reads_the_role_once(call: Call) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert call("GET", CASES).status_code == 200
    assert sum("auth_group" in query["sql"] for query in asked.captured_queries) == 1


def test_claims(call: Call, item: BannedItem) -> None:
    other, case = caller(("moderate",), Role.MODERATOR), make_case(item)
    path = f"{CASES}{case.pk}/"
    assert call("POST", f"{path}claim/", {}).status_code == 200
    refused = other("POST", f"{path}claim/", {})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert other("POST", f"{path}decide/", {"verb": "confirm"}).status_code == 409
    assert other("POST", f"{CASES}next/", {}).status_code == 204
    assert other("POST", f"{path}claim/", {"take_over": True}).status_code == 200
    assert other("POST", f"{path}release/").status_code == 204
    assert call("POST", f"{path}claim/", {}).status_code == 200


def test_many_at_once_with_an_allow_entry(call: Call, item: BannedItem) -> None:
    ids = [make_case(item).pk for _ in range(3)]
    body = {"cases": ids, "verb": "dismiss", "allow": True}
    assert call("POST", f"{CASES}decide/", body).status_code == 201
    assert BannedItem.objects.filter(list__kind=BannedList.Kind.ALLOW).count() == 3
    again = call("POST", f"{CASES}decide/", body)
    assert (again.status_code, again.json()["type"]) == (409, "client_error")


def test_an_appeal_goes_to_somebody_else(call: Call, item: BannedItem) -> None:
    case = make_case(item)
    path = f"{CASES}{case.pk}/"
    assert call("POST", f"{path}appeal/", {}).status_code == 409
    call("POST", f"{path}decide/", {"verb": "confirm"})
    assert call("POST", f"{path}appeal/", {"note": "it is mine"}).status_code == 201
    refused = call("POST", f"{path}decide/", {"verb": "dismiss"})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    other = caller(("moderate",), Role.MODERATOR)
    assert other("POST", f"{path}decide/", {"verb": "dismiss"}).status_code == 201
    assert ReviewCase.objects.get().state == "dismissed"


def test_a_first_vote_is_not_told(call: Call, item: BannedItem) -> None:
    case = make_case(item, two_person=True)
    batch = call(
        "POST", f"{CASES}{case.pk}/decide/", {"verb": "confirm", "reason": "edited"}
    ).json()
    assert len(batch["decisions"]) == 1, "one's own is shown to oneself"
    other = caller(("moderate",), Role.MODERATOR)
    shown = other("GET", f"{CASES}{case.pk}/").json()
    assert (shown["state"], shown["decisions"]) == ("voted", [])
    blinded = other("GET", f"{BASE}batches/{batch['id']}/").json()
    assert (blinded["decisions"], blinded["reason"]) == ([], "")
    other("POST", f"{CASES}{case.pk}/decide/", {"verb": "dismiss"})
    assert len(other("GET", f"{CASES}{case.pk}/").json()["decisions"]) == 2


def test_who_may(item: BannedItem) -> None:
    case = make_case(item)
    path, body = f"{CASES}{case.pk}/", {"verb": "confirm"}
    viewer = caller(("moderate",), Role.VIEWER)
    assert viewer("GET", path).status_code == 403, "the scope shows what is quarantined"
    nobody = caller(("moderate",), Role.NOBODY)
    without = caller(("lists", "check"), Role.ADMIN)
    for call in (viewer, nobody, without):
        assert call("GET", CASES).status_code == 403
        assert call("POST", f"{path}decide/", body).status_code == 403
        assert call("POST", f"{CASES}next/", {}).status_code == 403
        assert call("POST", f"{path}claim/", {}).status_code == 403
        assert call("POST", f"{path}release/").status_code == 403
    assert not DecisionBatch.objects.exists()


def test_only_a_lead_undoes_the_decisions_of_others(call: Call, item: BannedItem) -> None:
    case = make_case(item)
    batch = call("POST", f"{CASES}{case.pk}/decide/", {"verb": "confirm"}).json()["id"]
    path = f"{BASE}batches/{batch}/undo/"
    why = {"reason": "a slip"}
    assert caller(("moderate",), Role.MODERATOR)("POST", path, why).status_code == 403
    lead = caller(("moderate",), Role.LEAD)
    for none in ({}, {"reason": " "}):
        assert lead("POST", path, none).json()["field"] == "reason"
    assert lead("POST", path, why).status_code == 200
    assert call("POST", path, why).status_code == 409


def test_bad_input(call: Call, item: BannedItem) -> None:
    case = make_case(item)
    path = f"{CASES}{case.pk}/"
    for body, field in (
        ({"verb": "skip"}, "verb"),
        ({}, "verb"),
        ({"verb": "confirm", "reason": "different"}, "reason"),
        ({"verb": "confirm", "reason": "no such"}, "reason"),
        ({"verb": "confirm", "allow": True}, "allow"),
    ):
        answer = call("POST", f"{path}decide/", body)
        assert (answer.status_code, answer.json()["field"]) == (400, field), body
    for query, field in (
        ("status=9", "status"), ("list=x", "list"), ("band=far", "band"), ("item=x", "item"),
    ):  # fmt: skip
        answer = call("GET", f"{CASES}?{query}")
        assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert call("POST", f"{CASES}decide/", {"cases": [], "verb": "confirm"}).status_code == 400
    for method, rest in (
        ("GET", "cases/999999/"),
        ("POST", "cases/999999/claim/"),
        ("GET", "batches/999999/"),
        ("POST", "batches/999999/undo/"),
    ):
        body = {"reason": "x"} if method == "POST" else None
        assert call(method, BASE + rest, body).status_code == 404
