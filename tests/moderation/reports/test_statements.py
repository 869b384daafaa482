"""Statements of reasons, and the appeals of uploaders, through the pages and the real decisions."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from gallery.items.item import Status
from gallery.shared.errors import Conflict
from imgsmlr_site.models import ApiKey
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.audit.models import AuditEvent
from moderation.cases import deciding, undoing
from moderation.cases.models import ReviewCase
from moderation.cases.states import CaseState
from moderation.lists.models import BannedItem
from moderation.pipeline import check
from moderation.reports import statements
from moderation.reports.models import Statement
from moderation.reports.statements import State
from moderation.webhooks.models import Delivery, Webhook
from tests import factories as pictures
from tests.moderation import factories as make

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]


def person(role: Role = Role.MODERATOR) -> Actor:
    return Actor.person(make.make_person(role))


@pytest.fixture
def item() -> BannedItem:
    return make.make_item(make.make_list("secret name", category="terrorism"))


@pytest.fixture
def case(item: BannedItem) -> ReviewCase:
    image = pictures.add_ready_image(data_id="post-1040", uploader="mallory")
    return make.make_case(item, image, evidence={"sha256": image.sha256, "data_id": "post-1040"})


def page(client: Client, case: ReviewCase) -> Any:
    return client.get(reverse("statement", args=[case.statement.token]))


def test_an_upload_that_is_withheld_gets_a_statement_before_anybody_decides(
    settings: Any,
) -> None:
    sunset = pictures.photo(4)
    on = make.make_list("pictures", category="terrorism")
    make.make_item(on, ("sha256", pictures.add_ready_image(sunset).sha256))
    other = pictures.png(sunset)
    checked = check.run(by=make.ADMIN, request=check.CheckRequest(data=other))
    assert checked.case is not None
    found = statements.of_case(by=make.ADMIN, case_id=checked.case.pk)
    assert found.state is State.WITHHELD
    assert not found.may_appeal
    text = " ".join(found.text)
    assert "found by automated means. No person has decided" in text
    assert "terrorism" in text
    assert "not accepted for now" in text
    with pytest.raises(Conflict):
        statements.appeal(token=found.statement.token, text="No!")


def test_an_appeal_goes_to_somebody_else_and_the_outcome_is_on_the_same_page(
    case: ReviewCase, client: Client
) -> None:
    Webhook.objects.create(
        name="h", url="https://h.example/", secret="whsec_eA==", events=["statement"]
    )
    ann, bob = person(), person()
    batch = deciding.decide(by=ann, case_ids=[case.pk], verb="confirm", reason="edited")
    shown = page(client, case)
    assert shown.status_code == 200
    assert shown["X-Robots-Tag"] == "noindex, nofollow"
    assert "no-store" in shown["Cache-Control"]
    text = shown.content.decode()
    for words in ("Your image was hidden", "post-1040", "terrorism", "an edited copy of it",
                  "made by a person", "found by automated means", "appeal once"):  # fmt: skip
        assert words in text, words
    for secret in ("secret name", ann.user.username, "pdq"):
        assert secret not in text, secret

    address = reverse("statement", args=[case.statement.token])
    empty = client.post(address, {"appeal": "  "})
    assert (empty.status_code, "Write why" in empty.content.decode()) == (400, True)
    assert client.post(address, {"appeal": "It is <b>my</b> film."}).status_code == 302
    case.refresh_from_db()
    assert (case.state, case.held) == (CaseState.APPEALED, True)
    event = AuditEvent.objects.get(verb="case.appealed")
    assert (event.actor, event.reason) == ("uploader", "It is <b>my</b> film.")
    shown = page(client, case).content.decode()
    assert "It is &lt;b&gt;my&lt;/b&gt; film." in shown
    assert "<textarea" not in shown
    assert client.post(address, {"appeal": "Again."}).status_code == 409

    with pytest.raises(NotAllowed, match="already voted"):
        deciding.decide(by=ann, case_ids=[case.pk], verb="dismiss")
    assert undoing.plan(by=ann, batch_ids=[batch.pk]).to_undo == []
    client.force_login(bob.user)
    looked = client.get(reverse("console:case", args=[case.pk])).content.decode()
    assert "It is &lt;b&gt;my&lt;/b&gt; film." in looked
    client.logout()

    second = deciding.decide(by=bob, case_ids=[case.pk], verb="dismiss")
    shown = page(client, case).content.decode()
    assert "the decision was withdrawn" in shown
    case.image.refresh_from_db()
    assert case.image.status == Status.READY
    undoing.undo_batch(by=bob, batch_id=second.pk, reason="a slip")
    assert statements.by_token(case.statement.token).state is State.APPEALED
    deciding.decide(by=bob, case_ids=[case.pk], verb="confirm")
    assert "the decision stands" in page(client, case).content.decode()
    sent = Delivery.objects.filter(event="statement").order_by("pk")
    states = [one.payload["state"] for one in sent]
    assert states == ["restricted", "appealed", "lifted", "appealed", "upheld"]
    assert sent[0].payload["uploader"] is None
    assert sent[0].payload["path"] == address


def test_what_nobody_may_learn_or_do(case: ReviewCase, client: Client) -> None:
    assert client.get(reverse("statement", args=["x" * 43])).status_code == 404
    assert client.post(reverse("statement", args=["x"]), {"appeal": "y"}).status_code == 404
    events = ["statement"]
    Webhook.objects.create(name="h", url="https://h.example/", secret="whsec_eA==", events=events)
    deciding.decide(by=person(), case_ids=[case.pk], verb="dismiss")
    assert not Statement.objects.exists(), "nothing is restricted"
    assert not Delivery.objects.exists()
    key = ApiKey.issue(name="k", scopes=["moderate"], user=make.make_person(Role.MODERATOR))[1]
    api = reverse("case-statement", args=[case.pk])
    assert client.get(api, headers={"x-api-key": key}).status_code == 404
    shadow = make.make_case(make.make_item(make.make_list()), origin=ReviewCase.Origin.SHADOW)
    deciding.decide(by=person(), case_ids=[shadow.pk], verb="confirm")
    assert not Statement.objects.exists(), "a decision without effect"


def test_the_api_gives_the_platform_text_and_address(case: ReviewCase, client: Client) -> None:
    deciding.decide(by=person(), case_ids=[case.pk], verb="confirm")
    key = ApiKey.issue(name="k", scopes=["moderate"], user=make.make_person(Role.VIEWER))[1]
    answer = client.get(reverse("case-statement", args=[case.pk]), headers={"x-api-key": key})
    assert answer.status_code == 403, "the scope needs a moderator"
    key = ApiKey.issue(name="l", scopes=["moderate"], user=make.make_person(Role.MODERATOR))[1]
    body = client.get(reverse("case-statement", args=[case.pk]), headers={"x-api-key": key}).json()
    assert body["address"].endswith(reverse("statement", args=[case.statement.token]))
    assert (body["state"], body["may_appeal"], body["appealed_at"]) == ("restricted", True, None)
    assert "\n\n" in body["text"]


def test_many_statements_ask_the_database_as_often_as_one(
    item: BannedItem, django_assert_num_queries: Any
) -> None:
    Webhook.objects.create(
        name="h", url="https://h.example/", secret="whsec_eA==", events=["statement"]
    )
    cases = [make.make_case(item).pk for _ in range(5)]
    deciding.decide(by=person(), case_ids=cases, verb="confirm")
    assert Delivery.objects.count() == 5
    with django_assert_num_queries(5):
        statements.enqueue(cases, "again")
