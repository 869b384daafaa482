"""v1 of exchanges: set up, pulled, undone; and no credential in any answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from imgsmlr_site.models import ApiKey
from moderation.access.permissions import Role
from moderation.exchanges import editing, pulling
from moderation.exchanges.models import Exchange
from moderation.lists.models import RetroScan
from moderation.tasks import run_import
from tests.moderation.exchanges.servers import Shield, ThreatExchange, pdq
from tests.moderation.factories import make_list, make_person

pytestmark = pytest.mark.django_db
PATH = "/api/v1/moderation/exchanges/"
IMPORTS = "/api/v1/moderation/imports/"
SECRET = "123|secret-token"


@pytest.fixture
def te() -> Iterator[ThreatExchange]:
    with ThreatExchange() as running:
        yield running


def api(role: Role, scope: str = "lists") -> Client:
    person = make_person(role)
    key = ApiKey.issue(name=f"of {person}", scopes=[scope], user=person)[1]
    return Client(headers={"x-api-key": key})


def send(client: Client, path: str, body: Any = None, method: str = "post") -> Any:
    sent = getattr(client, method)(path, body or {}, content_type="application/json")
    assert "secret-token" not in sent.content.decode()
    return sent


def test_an_exchange_is_set_up_pulled_confirmed_and_undone(te: ThreatExchange) -> None:
    admin, lead, on = api(Role.ADMIN), api(Role.LEAD), make_list("partner")
    te.list(1, pdq(1))
    body = {
        "name": "GIFCT", "service": "threatexchange", "list": on.pk, "url": te.url, "group": "42",
        "credentials": {"token": SECRET},
    }  # fmt: skip
    assert send(lead, PATH, body).status_code == 403
    for wrong, field in (
        ({"group": "x"}, "group"),
        ({"credentials": {}}, "token"),
        ({"list": 10**6}, "list"),
        ({"minutes": 1}, "minutes"),
        ({"url": "https://a:b@c.example"}, "url"),
        ({"service": "other"}, "service"),
    ):
        answer = send(admin, PATH, {**body, **wrong})
        assert (answer.status_code // 100, answer.json()["field"]) == (4, field), wrong
    made = send(admin, PATH, body)
    assert made.status_code == 201, made.content
    row = Exchange.objects.get()
    assert editing.credentials_of(row) == {"token": SECRET}
    assert (made.json()["credentials"], made.json()["enabled"]) == (["token"], False)
    assert send(admin, PATH, {**body, "list": make_list().pk}).status_code == 409, "its name"

    item = f"{PATH}{row.pk}/"
    assert send(lead, f"{item}pull/").status_code == 409, "it is switched off"
    assert send(lead, item, {"enabled": True}, "patch").status_code == 403
    assert send(admin, item, {"enabled": True}, "patch").json()["enabled"]
    assert editing.credentials_of(Exchange.objects.get()) == {"token": SECRET}
    assert send(lead, f"{item}pull/", {"from_start": True}).status_code == 202
    pulling.pull_due()
    (pull,) = lead.get(f"{item}pulls/").json()["results"]
    assert (pull["state"], pull["changes"]["added"], pull["withdrawn"]) == ("waiting", 1, None)
    assert lead.get(f"{IMPORTS}{pull['imported']}/").json()["samples"]
    assert send(lead, f"{IMPORTS}{pull['imported']}/confirm/").status_code == 202
    run_import(pull["imported"])
    assert on.items.get().state == "active"
    seen = lead.get(item).json()
    assert (seen["is_failing"], seen["failures"], seen["succeeded_at"] is None) == (False, 0, False)
    assert [one["id"] for one in lead.get(PATH).json()["results"]] == [row.pk]

    assert send(lead, f"{item}undo/", {"reason": ""}).status_code == 400
    undone = send(lead, f"{item}undo/", {"reason": "the wrong group"})
    assert (undone.status_code, undone.json()["state"]) == (200, "undone")
    assert on.items.get().state == "retired"
    assert send(lead, f"{item}undo/", {"reason": "again"}).status_code == 409
    assert lead.delete(item).status_code == 403
    assert admin.delete(item).status_code == 204
    assert admin.get(item).status_code == 404


def test_health_and_who_may_ask(te: ThreatExchange) -> None:
    admin, on = api(Role.ADMIN), make_list()
    body = {
        "name": "a", "service": "threatexchange", "list": on.pk, "url": te.url, "group": "42",
        "enabled": True, "credentials": {"token": SECRET},
    }  # fmt: skip
    pk = send(admin, PATH, body).json()["id"]
    te.faults = [503]
    pulling.pull_due()
    seen = admin.get(f"{PATH}{pk}/").json()
    assert (seen["failures"], seen["succeeded_at"]) == (1, None)
    assert "503" in seen["failure"]
    Exchange.objects.update(failures=3)
    assert admin.get(f"{PATH}{pk}/").json()["is_failing"]
    for client in (api(Role.MODERATOR), api(Role.LEAD, "moderate"), Client()):
        for path in (PATH, f"{PATH}{pk}/", f"{PATH}{pk}/pulls/"):
            assert client.get(path).status_code in (401, 403)
        for name in ("pull", "ask", "undo"):
            assert send(client, f"{PATH}{pk}/{name}/", {"reason": "x"}).status_code in (401, 403)
    # Another host needs them again; a form may send them.
    moved = send(admin, f"{PATH}{pk}/", {"url": "https://evil.example"}, "patch")
    assert (moved.status_code, moved.json()["field"]) == (400, "token")
    form = {**body, "name": "b", "list": make_list().pk, "credentials.token": SECRET}
    del form["credentials"]
    assert admin.post(PATH, form).status_code == 201
    assert editing.credentials_of(Exchange.objects.get(name="b")) == {"token": SECRET}
    assert send(admin, f"{PATH}{pk}/ask/").status_code == 409, "it is pulled from"


def test_a_service_is_asked_about_what_is_stored() -> None:
    admin, on = api(Role.ADMIN), make_list()
    with Shield() as shield:
        body = {
            "name": "shield", "service": "arachnid_shield", "list": on.pk, "url": shield.url,
            "enabled": True, "credentials": {"user": "us", "password": "pw"},
        }  # fmt: skip
        pk = send(admin, PATH, body).json()["id"]
        RetroScan.objects.all().delete()
        asked = send(admin, f"{PATH}{pk}/ask/")
    assert (asked.status_code, asked.json()) == (202, {"scan": RetroScan.objects.get().pk})
    assert send(admin, f"{PATH}{pk}/pull/").status_code == 409
    assert send(admin, f"{PATH}{pk}/undo/", {"reason": "x"}).status_code == 409
