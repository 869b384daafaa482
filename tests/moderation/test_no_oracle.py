"""A check tells those who may not see the lists a verdict, and no way towards another one."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from imgsmlr_site.env import LOOPBACK
from imgsmlr_site.models import ApiKey
from moderation.models import AuditEvent, Delivery, NearCheck, ReviewCase, Webhook
from moderation.permissions import Actor, Role
from moderation.services import checking, near_checks
from moderation.services.checking import Asked
from tests.moderation.factories import make_item, make_list, make_person
from tests.moderation.test_gate import flipped
from tests.moderation.test_locking import Beside

PATH = "/api/v1/moderation/check/"
pytestmark = pytest.mark.django_db


def client_of(*scopes: str, user: User | None = None) -> Client:
    _, text = ApiKey.issue(name=secrets.token_hex(4), scopes=list(scopes), user=user)
    return Client(headers={"x-api-key": text})


def ask(client: Client, value: str) -> dict[str, Any]:
    body = {"hash": value, "hash_type": "pdq", "quality": 90}
    answer = client.post(PATH, body, content_type="application/json")
    assert answer.status_code == 200, answer.content
    told: dict[str, Any] = answer.json()
    return told


def logged_in(role: Role) -> Client:
    client = Client()
    client.force_login(make_person(role))
    return client


@pytest.mark.parametrize(
    ("who", "sees"),
    [
        ("open", False),
        ("check", False),
        ("check lists", True),
        ("viewer", False),
        ("moderator", True),
        ("key of viewer", False),
        ("key of moderator", True),
        ("check key of admin", False),
    ],
)
def test_who_is_told_more_than_the_verdict(settings: Any, who: str, sees: bool) -> None:
    settings.OPEN_API = LOOPBACK if who == "open" else ()
    value = secrets.token_hex(32)
    make_item(make_list("secret"), ("pdq", value, 90))
    clients = {
        "open": Client,
        "check": lambda: client_of("check"),
        "check lists": lambda: client_of("check", "lists"),
        "viewer": lambda: logged_in(Role.VIEWER),
        "moderator": lambda: logged_in(Role.MODERATOR),
        "key of viewer": lambda: client_of("check", "lists", user=make_person(Role.VIEWER)),
        "key of moderator": lambda: client_of("check", "lists", user=make_person(Role.MODERATOR)),
        "check key of admin": lambda: client_of("check", user=make_person(Role.ADMIN)),
    }
    told = ask(clients[who](), value)
    assert told["verdict"] == "block"
    assert (set(told) == {"verdict"}) != sees
    assert ("secret" in str(told)) == sees


def test_feeling_the_way_to_a_variant_that_passes_ends_in_one_answer(settings: Any) -> None:
    settings.NEAR_CHECKS = 5
    value = secrets.token_hex(32)
    item = make_item(make_list(), ("pdq", value, 90))
    Webhook.objects.create(name="h", url="https://h.example/", secret="x", events=["check.probing"])
    client, other = client_of("check"), client_of("check")
    steps = [20, 28, 30, 32, 34, 33, 31, 36, 40, 45]
    verdicts = [ask(client, flipped(value, bits))["verdict"] for bits in steps]
    assert verdicts[:5] == ["block", "block", "block", "allow", "allow"]
    assert set(verdicts[5:]) == {"block"}
    assert [ask(client, flipped(value, 32))["verdict"]] == ["block"]
    # Others, what is near to nothing, and who sees distances anyway are answered as ever.
    assert ask(other, flipped(value, 32))["verdict"] == "allow"
    assert ask(client, secrets.token_hex(32))["verdict"] == "allow"
    assert ask(client_of("check", "lists"), flipped(value, 32))["verdict"] == "allow"
    event = AuditEvent.objects.get(verb="check.probing")
    assert event.subject_id == item.pk
    assert Delivery.objects.filter(event="check.probing").count() == 1
    (alarm,) = near_checks.alarms()
    assert (alarm["item"], alarm["variants"]) == (item.pk, len(steps))


def test_the_same_content_again_is_no_variant(settings: Any) -> None:
    settings.NEAR_CHECKS = 2
    value = secrets.token_hex(32)
    make_item(make_list(), ("pdq", value, 90))
    client = client_of("check")
    for _ in range(5):
        assert ask(client, flipped(value, 40))["verdict"] == "allow"
    assert NearCheck.objects.count() == 1
    assert not AuditEvent.objects.filter(verb="check.probing").exists()


@pytest.mark.parametrize("kind", ["md5", "pdq"])
def test_a_hash_that_is_asked_about_again_opens_no_second_case(kind: str) -> None:
    value = secrets.token_hex(16 if kind == "md5" else 32)
    make_item(make_list(), (kind, value))
    by = Actor("key:x", Role.LEAD)
    asked = Asked(hash=value, hash_type=kind, quality=90 if kind == "pdq" else None)
    cases = {checking.check(by=by, asked=asked)["case"] for _ in range(3)}
    assert len(cases) == 1 == ReviewCase.objects.count()


@pytest.mark.django_db(transaction=True)
def test_checks_at_once_open_one_case() -> None:
    value = secrets.token_hex(16)
    make_item(make_list(), ("md5", value))

    def work() -> Any:
        by = Actor("key:x", Role.LEAD, client="key:1")
        return checking.check(by=by, asked=Asked(hash=value, hash_type="md5"))["case"]

    beside = [Beside(work) for _ in range(4)]
    assert len({one.done() for one in beside}) == 1 == ReviewCase.objects.count()
    connection.close()
