"""Golden cases: settled ones that come again in the queue, and that nothing else counts."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.audit.models import AuditEvent
from moderation.cases import deciding, golden, quality, statistics
from moderation.cases.models import Decision, DecisionBatch, GoldenAnswer, GoldenCase, ReviewCase
from moderation.lists.models import BannedItem
from moderation.webhooks.models import Delivery, Webhook, WebhookEvent
from tests import factories as pictures
from tests.moderation import factories as make

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]
GOLDEN = "console:golden"


@pytest.fixture
def item(db: None) -> BannedItem:
    return make.make_item(make.make_list("terror"))


@pytest.fixture
def lead(db: None) -> Actor:
    return Actor.person(make.make_person(Role.LEAD, "lee"))


@pytest.fixture
def settled(item: BannedItem, lead: Actor) -> ReviewCase:
    """A dismissed case that is golden."""
    case = make.make_case(item, pictures.add_ready_image(pictures.photo(1)))
    deciding.decide(by=lead, case_ids=[case.pk], verb="dismiss", note="a secret note")
    golden.add(by=lead, case_id=case.pk)
    return ReviewCase.objects.get(pk=case.pk)


def enter(name: str, role: Role = Role.MODERATOR) -> tuple[Client, Actor]:
    client, user = Client(), make.make_person(role, name)
    client.force_login(user)
    return client, Actor.person(user)


def decide(client: Client, case_id: int, verb: str) -> Any:
    answer = client.post(reverse("console:decide", args=[case_id]), {"verb": verb, "cluster": "1"})
    assert answer.status_code == 200, answer.content
    return answer.json()


def counted(by: Actor) -> Any:
    """All that decisions are counted in."""
    found = statistics.overview(by=by)
    return (
        found.days, found.delays, found.agreements, found.care, found.worst, found.queue,
        quality.sampled_for_review().count(), Decision.objects.count(),
        DecisionBatch.objects.count(), Delivery.objects.count(),
    )  # fmt: skip


@pytest.mark.slow
def test_a_golden_case_comes_answers_change_nothing_and_are_taken_back(
    item: BannedItem, lead: Actor, settled: ReviewCase
) -> None:
    Webhook.objects.create(
        name="h", url="https://h.example/", secret="x", events=WebhookEvent.values
    )
    real = [make.make_case(item) for _ in range(4)]
    ann, by = enter("ann")
    assert decide(ann, real[0].pk, "dismiss")["next"]["id"] == real[1].pk, "off at first"
    golden.set_share(by=lead, per_hundred=100)
    shown = decide(ann, real[1].pk, "dismiss")["next"]
    assert shown["id"] == settled.pk
    page = ann.get(shown["url"]).content.decode()
    for html in (shown["html"], page):
        assert 'data-open="1"' in html and 'class="chip state-open"' in html
        assert "dismissed</strong>" not in html and "a secret note" not in html
        assert "just now" in html or "minute" in html
    assert ReviewCase.objects.get(pk=settled.pk).state == "dismissed", "only the page says open"
    before, image = counted(lead), ReviewCase.objects.get(pk=settled.pk).image
    assert image is not None
    assert ann.post(reverse("console:next"))["Location"].endswith(f"/{settled.pk}/")
    after = decide(ann, settled.pk, "confirm")
    assert after["message"] == f"Case {settled.pk}: confirmed."
    assert after["next"]["id"] == real[2].pk, "once for each person"
    assert counted(lead) == before
    assert before[-1] == 2, "the real decisions were sent"
    assert ReviewCase.objects.get(pk=settled.pk).state == "dismissed"
    image.refresh_from_db()
    assert image.status == "ready"
    answer = GoldenAnswer.objects.get()
    assert (answer.by, answer.verb, answer.expected, answer.looked) == (
        by.user, "confirm", "dismiss", False,
    )  # fmt: skip
    back = ann.post(reverse("console:undo-last")).json()
    assert back["next"]["id"] == settled.pk and not GoldenAnswer.objects.exists()
    ann.get(reverse("console:subject", args=[settled.pk, "clear"]))
    decide(ann, settled.pk, "dismiss")
    assert GoldenAnswer.objects.get().looked
    # The real decisions before are undone after it.
    decide(ann, real[2].pk, "dismiss")
    assert ann.post(reverse("console:undo-last")).json()["next"]["id"] == real[2].pk
    verbs = AuditEvent.objects.filter(verb__startswith="golden.").order_by("id")
    assert list(verbs.values_list("verb", "actor")) == [
        ("golden.added", "user:lee"),
        ("golden.share_changed", "user:lee"),
        ("golden.answered", "user:ann"),
        ("golden.taken_back", "user:ann"),
        ("golden.answered", "user:ann"),
    ]


def test_who_is_shown_which(item: BannedItem, lead: Actor, settled: ReviewCase) -> None:
    golden.set_share(by=lead, per_hundred=100)
    (_, ann), (bob_client, bob) = enter("ann"), enter("bob")
    assert golden.draw(ann) == settled
    assert golden.draw(lead) is None, "who decided it"
    image = settled.image
    assert image is not None
    image.added_by = ann.name
    image.save()
    assert golden.draw(ann) is None, "who uploaded it"
    assert golden.draw(bob) == settled
    # It need not fit filters, so it does not come among what they ask for.
    real = [make.make_case(item) for _ in range(2)]
    address = f"{reverse('console:decide', args=[real[0].pk])}?status=open"
    assert bob_client.post(address, {"verb": "dismiss"}).json()["next"]["id"] == real[1].pk
    # Without a golden case in the session its page says what it is, and its decision stands.
    assert (
        "dismissed" in bob_client.get(reverse("console:case", args=[settled.pk])).content.decode()
    )
    with pytest.raises(Conflict):
        deciding.decide(by=bob, case_ids=[settled.pk], verb="confirm")
    deciding.decide(by=bob, case_ids=[settled.pk], verb="appeal", reason="mistake")
    _, carl = enter("carl")
    assert golden.draw(carl) is None, "it is not settled any more"
    with pytest.raises(Conflict, match="decided already"):
        golden.answer(by=carl, case_id=settled.pk, verb="confirm", looked=False)


def test_leads_choose_and_see_the_agreement(
    item: BannedItem, lead: Actor, settled: ReviewCase
) -> None:
    client = Client()
    client.force_login(lead.user)
    other = make.make_case(item)
    deciding.decide(by=lead, case_ids=[other.pk], verb="confirm")
    page = reverse(GOLDEN)
    case_page = client.get(reverse("console:case", args=[other.pk])).content.decode()
    assert "Make it a golden case" in case_page
    client.post(page, {"do": "add", "case": str(other.pk)})
    client.post(page, {"do": "share", "per_hundred": "5"})
    assert (golden.share(), GoldenCase.objects.count()) == (5, 2)
    assert (
        "Make it a golden case"
        not in client.get(reverse("console:case", args=[other.pk])).content.decode()
    )
    (ann_client, ann), (_, bob) = enter("ann"), enter("bob")
    for by, case, verb in (
        (ann, settled, "dismiss"), (ann, other, "dismiss"), (bob, settled, "escalate"),
    ):  # fmt: skip
        golden.answer(by=by, case_id=case.pk, verb=verb, looked=True)
    rows = golden.agreement(by=lead)
    assert [(row.name, row.answered, row.agreed) for row in rows] == [("ann", 2, 1), ("bob", 1, 0)]
    assert "<td>1, 50 %</td>" in client.get(page).content.decode()
    client.post(page, {"do": "remove", "case": str(other.pk)})
    assert GoldenCase.objects.count() == 1 and GoldenAnswer.objects.count() == 3
    for wrong in ({"do": "share", "per_hundred": "101"}, {"do": "share"}, {"do": "x"}):
        text = client.post(page, wrong, follow=True).content.decode()
        assert "Give 0 (never) to 100" in text or "Choose what to do." in text
    assert golden.share() == 5
    assert ann_client.get(page).status_code == 403
    assert ann_client.post(page, {"do": "share", "per_hundred": "0"}).status_code == 403
    with pytest.raises(NotAllowed):
        golden.agreement(by=ann)
    with pytest.raises(NotAllowed):
        golden.add(by=ann, case_id=other.pk)


def test_what_cannot_be_golden(item: BannedItem, lead: Actor, settled: ReviewCase) -> None:
    waiting = make.make_case(item)
    with pytest.raises(Conflict, match="is open: only settled"):
        golden.add(by=lead, case_id=waiting.pk)
    with pytest.raises(Conflict, match="already"):
        golden.add(by=lead, case_id=settled.pk)
    with pytest.raises(NotFound):
        golden.remove(by=lead, case_id=waiting.pk)
    with pytest.raises(UserError):
        golden.answer(by=lead, case_id=settled.pk, verb="appeal", looked=True)
    with pytest.raises(NotFound):
        golden.take_back(by=lead, answer_id=0)
