"""A check tells those who may not see the lists a verdict, and no way towards another one."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from gallery.items.models import Image
from gallery.items.preprocessing import Hashes
from gallery.tasks import describe_images
from imgsmlr_site.env import LOOPBACK
from imgsmlr_site.models import ApiKey
from moderation.access.permissions import Actor, Role
from moderation.audit.models import AuditEvent
from moderation.cases.models import ReviewCase
from moderation.lists.verdicts import Action
from moderation.pipeline import check, near_checks
from moderation.pipeline.check import CheckRequest
from moderation.pipeline.models import NearCheck
from moderation.webhooks.models import Delivery, Webhook
from tests.factories import add_ready_image, photo, png
from tests.moderation.cases.test_locking import Beside
from tests.moderation.factories import make_item, make_list, make_person
from tests.moderation.pipeline.test_gates import flipped, pdq_of

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


VIEW = photo(1)
IMAGES = "/api/v1/images/"


def variants() -> Iterator[bytes]:
    """Pictures that look alike to a PDQ hash, of which no two are the same file."""
    for shade in range(256):
        picture = VIEW.copy()
        picture.putpixel((0, 0), (shade, shade, shade))
        yield png(picture)


def beyond(bits: int = 34) -> str:
    """A hash so far from theirs that a check answers ``allow``, and near enough to be recorded."""
    return flipped(pdq_of(VIEW), bits)


def file_of(data: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile("a.png", data, "image/png")


def add(client: Client, data: bytes, query: str = "?wait=1") -> Image:
    answer = client.post(IMAGES + query, {"file": file_of(data)})
    assert answer.status_code in (201, 202), answer.content
    return Image.objects.get(pk=answer.json()["id"])


def search(client: Client, data: bytes) -> int:
    asked = {"file": file_of(data), "match_type": "pdq"}
    return client.post(IMAGES + "search/", asked).status_code


@pytest.mark.slow
@pytest.mark.parametrize("way", ["at once", "by a worker"])
def test_checks_and_uploads_of_a_client_have_one_budget(settings: Any, way: str) -> None:
    settings.NEAR_CHECKS = 4
    value, some = beyond(), variants()
    item = make_item(make_list(), ("pdq", value, 90))
    client, other = client_of("check", "add", "search"), client_of("add", "search")

    def status(who: Client) -> str:
        image = add(who, next(some), "?wait=1" if way == "at once" else "")
        if way != "at once":
            assert image.client.startswith("key:") and describe_images([image.pk]) in (0, 1)
            image.refresh_from_db()
        assert image.client == ""
        return image.status

    assert [ask(client, flipped(value, bits))["verdict"] for bits in (32, 40)] == ["allow"] * 2
    assert [status(client) for _ in range(3)] == ["ready", "ready", "quarantined"]
    assert ask(client, flipped(value, 36))["verdict"] == "review"
    assert status(client) == "quarantined"
    assert status(other) == "ready"
    assert add(client, png(photo(2))).status == "ready"
    case = ReviewCase.objects.filter(origin="upload").order_by("pk")[0]
    assert (case.verdict, case.held) == ("review", True)
    assert "many variants" in case.evidence["missing"]["variants"]
    assert AuditEvent.objects.get(verb="check.probing").subject_id == item.pk
    (alarm,) = near_checks.alarms()
    assert (alarm["item"], alarm["variants"]) == (item.pk, 7)


def test_beyond_the_budget_an_upload_is_banned_if_anything_near_was(settings: Any) -> None:
    settings.NEAR_CHECKS = 1
    make_item(make_list(), ("pdq", beyond(), 90))
    client, some = client_of("check"), variants()
    assert ask(client, flipped(beyond(), 20))["verdict"] == "block"
    sender = NearCheck.objects.get().client
    image = add_ready_image(data=next(some), client=sender)
    assert (image.status, image.banned) == ("quarantined", True)
    assert ReviewCase.objects.filter(image=image, held=True).exists()
    image = add_ready_image(data=next(some), client="key:0")
    assert (image.status, image.banned) == ("ready", False)


@pytest.mark.parametrize("bits", [20, 34])
def test_beyond_the_budget_a_match_that_only_asks_is_held_like_what_is_none(
    settings: Any, bits: int
) -> None:
    settings.NEAR_CHECKS = 2
    make_item(make_list(action=Action.REVIEW, hold_on_review=False), ("pdq", beyond(bits), 90))
    client, some = client_of("add", "search"), variants()
    found = [add(client, next(some)).status for _ in range(4)]
    assert found == ["ready", "ready", "quarantined", "quarantined"]


def test_searches_count_where_they_are_screened(settings: Any) -> None:
    settings.NEAR_CHECKS = 3
    settings.QUERY_GATES = ["moderation.pipeline.gates.refuse_banned_query"]
    make_item(make_list(), ("pdq", beyond(), 90))
    client, some = client_of("check", "add", "search"), variants()
    assert ask(client, flipped(beyond(), 20))["verdict"] == "block"
    assert [search(client, next(some)) for _ in range(4)] == [200, 200, 451, 451]
    assert add(client, next(some)).status == "quarantined"
    assert search(client, png(photo(2))) == 200
    assert search(client_of("search"), next(some)) == 200
    assert AuditEvent.objects.filter(verb="check.probing").count() == 1


def test_a_search_that_is_not_screened_counts_nothing(settings: Any) -> None:
    settings.QUERY_GATES = []
    make_item(make_list(), ("pdq", pdq_of(VIEW), 90))
    assert search(client_of("search"), next(variants())) == 200
    assert not NearCheck.objects.exists()


@pytest.mark.parametrize("who", ["check add lists key", "moderator", "command"])
def test_uploads_of_those_who_see_distances_are_not_counted(settings: Any, who: str) -> None:
    settings.NEAR_CHECKS = 1
    make_item(make_list(), ("pdq", beyond(), 90))
    some = variants()
    for _ in range(3):
        if who == "command":
            image = add_ready_image(data=next(some))
        else:
            key = client_of("check", "add", "lists", "search")
            image = add(logged_in(Role.MODERATOR) if who == "moderator" else key, next(some))
        assert image.status == "ready"
    assert not NearCheck.objects.exists()


def test_neither_shadow_lists_nor_allowed_files_count(settings: Any) -> None:
    settings.NEAR_CHECKS = 1
    some = list(itertools.islice(variants(), 6))
    client = client_of("check", "add", "search")
    make_item(make_list(action=Action.SHADOW), ("pdq", pdq_of(VIEW), 90))
    assert [add(client, data).status for data in some[:3]] == ["ready"] * 3
    assert not NearCheck.objects.exists()
    make_item(make_list(), ("pdq", beyond(), 90))
    allowed = make_list(kind="allow")
    for data in some[3:]:
        make_item(allowed, ("sha256", Hashes.of(data).sha256))
    assert [add(client, data).status for data in some[3:]] == ["ready"] * 3
    assert not NearCheck.objects.exists()


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
    asked = CheckRequest(hash=value, hash_type=kind, quality=90 if kind == "pdq" else None)
    cases = {check.check(by=by, request=asked)["case"] for _ in range(3)}
    assert len(cases) == 1 == ReviewCase.objects.count()


@pytest.mark.django_db(transaction=True)
def test_checks_at_once_open_one_case() -> None:
    value = secrets.token_hex(16)
    make_item(make_list(), ("md5", value))

    def work() -> Any:
        by = Actor("key:x", Role.LEAD, client="key:1")
        return check.check(by=by, request=CheckRequest(hash=value, hash_type="md5"))["case"]

    beside = [Beside(work) for _ in range(4)]
    assert len({one.done() for one in beside}) == 1 == ReviewCase.objects.count()
    connection.close()
