"""Undoing batches of decisions: what the page says before, and what a click on it does."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from gallery.items import changing
from gallery.items.models import Image
from moderation.access.permissions import Actor, Role
from moderation.audit.models import AuditEvent
from moderation.cases import deciding
from moderation.cases.models import DecisionBatch, ReviewCase
from moderation.lists.models import BannedItem
from tests import factories as pictures
from tests import pages
from tests.moderation import factories as make

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]


@pytest.fixture
def item(db: None) -> BannedItem:
    return make.make_item(make.make_list("terror"))


@pytest.fixture
def ann(db: None) -> User:
    return make.make_person(Role.MODERATOR, "ann")


def enter(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def decide(user: User, *cases: ReviewCase, verb: str = "confirm") -> DecisionBatch:
    ids = [case.pk for case in cases]
    return deciding.decide(by=Actor.person(user), case_ids=ids, verb=verb)


def address(*batches: DecisionBatch) -> str:
    ids = ",".join(str(batch.pk) for batch in batches)
    return f"{reverse('console:undo')}?batches={ids}"


def states(*cases: ReviewCase) -> list[str]:
    found = dict(ReviewCase.objects.values_list("pk", "state"))
    return [found[case.pk] for case in cases]


def told(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def test_the_page_says_what_a_click_would_do(item: BannedItem, ann: User) -> None:
    images = [pictures.add_ready_image(pictures.photo(seed)) for seed in range(3)]
    cases = [make.make_case(item, image) for image in images]
    batch, client = decide(ann, *cases), enter(ann)
    before = client.get(address(batch))
    assert "3 from confirmed back to open" in before.content.decode()
    decide(make.make_person(Role.MODERATOR), cases[1], verb="appeal")
    changing.release_items(
        items=Image.objects.filter(pk=images[2].pk), by="user:root", reason="x", override=True
    )
    events = AuditEvent.objects.count()
    shown = client.get(address(batch))
    page = shown.content.decode()
    for words in (
        "Undo 2 decisions",
        "2 from confirmed back to open",
        "1 left out, changed since",
        f"Case {cases[1].pk}</a>: it was decided again since",
        f"1 upload stays as it is, changed or deleted since: image {images[2].pk}",
    ):
        assert words in page
    assert AuditEvent.objects.count() == events, "looking changes nothing"
    assert "has changed" in told(pages.undo(client, address(batch), before))[0]
    assert "Give a reason" in told(pages.undo(client, address(batch), shown, reason=" "))[0]
    assert states(*cases) == ["confirmed", "appealed", "confirmed"]
    answer = pages.undo(client, address(batch), shown, reason="a slip")
    assert "2 cases. 1 left, as changed since" in told(answer)[0]
    assert states(*cases) == ["open", "appealed", "open"]
    statuses = [Image.objects.get(pk=image.pk).status for image in images]
    assert statuses == ["ready", "quarantined", "ready"]
    event = AuditEvent.objects.get(verb="case.undone")
    assert (event.reason, event.count, event.after["left"]) == ("a slip", 2, [cases[1].pk])
    assert "Nothing to undo" in client.get(address(batch)).content.decode()


def test_several_batches_are_undone_together_or_not_at_all(item: BannedItem, ann: User) -> None:
    cases = [make.make_case(item) for _ in range(2)]
    first = decide(ann, *cases, verb="escalate")
    lead = make.make_person(Role.LEAD)
    second = decide(lead, cases[0])
    client = enter(lead)
    # Alone, the first is in part decided again; with the second, all of it goes back.
    assert "1 left out, changed since" in client.get(address(first)).content.decode()
    shown = client.get(address(first, second))
    assert "Undo 3 decisions of 2 batches" in shown.content.decode()
    assert "left out" not in shown.content.decode()
    answer = pages.undo(client, address(first, second), shown)
    assert len(told(answer)) == 2 and states(*cases) == ["open", "open"]
    assert AuditEvent.objects.filter(verb="case.undone").count() == 2


def test_what_one_may_not_undo_is_left_out_with_why(item: BannedItem, ann: User) -> None:
    case, other = make.make_case(item), make.make_case(item)
    mine, of_bob = decide(ann, case), decide(make.make_person(Role.MODERATOR, "bob"), other)
    client = enter(ann)
    asked = client.get(address(mine, of_bob))
    assert asked.context["refused"][0][0] == of_bob.pk
    pages.undo(client, address(mine, of_bob), asked)
    assert states(case, other) == ["open", "confirmed"]
    assert enter(make.make_person(Role.VIEWER)).get(address(of_bob)).status_code == 403


def test_a_click_without_a_page_does_nothing(item: BannedItem, ann: User) -> None:
    case = make.make_case(item)
    batch = decide(ann, case)
    for fields in ({"reason": "x"}, {"reason": "x", "confirmed": "x:y:z"}):
        enter(ann).post(address(batch), fields)
    shown = enter(ann).get(address(batch))
    lead = enter(make.make_person(Role.LEAD))
    assert "has changed" in told(pages.undo(lead, address(batch), shown))[0], "not their page"
    assert states(case) == ["confirmed"]


def test_a_key_undoes_at_once_what_a_key_did_and_asks_about_more(
    item: BannedItem, ann: User
) -> None:
    twins = [make.make_case(item, cluster="ab" * 32) for _ in range(2)]
    others = [make.make_case(item) for _ in range(2)]
    many = decide(ann, *others)
    client, undo = enter(ann), reverse("console:undo-last")
    assert client.post(undo).json() == {"ask": address(many)}
    assert states(*others) == ["confirmed", "confirmed"]
    decide(ann, *twins)
    assert client.post(undo).json()["next"]["id"] in {case.pk for case in twins}
    assert states(*twins) == ["open", "open"]
    assert AuditEvent.objects.get(verb="case.undone").reason == "taken back at once"


@pytest.mark.django_db(transaction=True)
def test_two_people_undo_the_same_batch_at_once() -> None:
    on = make.make_item(make.make_list())
    cases = [make.make_case(on) for _ in range(3)]
    ann, lead = make.make_person(Role.MODERATOR), make.make_person(Role.LEAD)
    batch = decide(ann, *cases)
    asked = [(client, client.get(address(batch))) for client in (enter(ann), enter(lead))]
    barrier, answers = threading.Barrier(2), []

    def click(client: Client, shown: Any) -> None:
        try:
            barrier.wait()
            answers.append(pages.undo(client, address(batch), shown).content.decode())
        finally:
            connection.close()

    threads = [threading.Thread(target=click, args=one) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = f"Batch {batch.pk} undone: 3 cases."
    assert [done in answer for answer in answers].count(True) == 1
    assert ["undone already" in answer for answer in answers].count(True) == 1
    assert AuditEvent.objects.filter(verb="case.undone").count() == 1
    assert states(*cases) == ["open"] * 3
