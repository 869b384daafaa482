"""Feedback: what is decided here reaches the exchange, once, and is taken back when undone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from moderation.access.permissions import Actor, Role
from moderation.audit.models import AuditEvent
from moderation.cases import deciding, undoing
from moderation.cases.models import Decision, ReviewCase
from moderation.exchanges import editing, feedback
from moderation.exchanges.models import Exchange, ExchangeFeedback
from moderation.lists.models import BannedItem
from tests.moderation.exchanges.conftest import MakeExchange
from tests.moderation.exchanges.servers import Ncmec, StopNCII, ThreatExchange, pdq
from tests.moderation.factories import ADMIN, make_case, make_item, make_list, make_person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Iterator[StopNCII]:
    with StopNCII() as running:
        yield running


@pytest.fixture
def lead() -> Actor:
    return Actor.person(make_person(Role.LEAD))


def decide(by: Actor, case: ReviewCase, verb: str, reason: str = "") -> int:
    return deciding.decide(by=by, case_ids=[case.pk], verb=verb, reason=reason).pk


def item_of(exchange: Exchange, number: int = 1) -> BannedItem:
    value = pdq(number)
    source_id = {"stopncii": f"ImagePDQ:{value}", "ncmec": f"7-img-{number}"}.get(
        exchange.service, str(number)
    )
    source = {"stopncii": "StopNCII", "ncmec": "NCMEC"}.get(exchange.service, "ThreatExchange")
    return make_item(
        exchange.list, ("pdq", value, 90), source=source, source_id=source_id, media="image"
    )


def send() -> int:
    Exchange.objects.update(feedback_at=timezone.now())
    return feedback.send_due()


def told(server: StopNCII) -> list[str]:
    return [one["feedbackValue"] for one in server.feedback]


def test_a_dismissal_is_told_once_and_an_undone_one_is_taken_back(
    server: StopNCII, make_exchange: MakeExchange, lead: Actor
) -> None:
    exchange = make_exchange("stopncii", server, feedback=True)
    item = item_of(exchange)
    case = make_case(item)
    batch = decide(lead, case, "dismiss")
    assert (send(), send()) == (1, 0)
    assert server.feedback == [{"hashValue": pdq(1), "feedbackValue": "NotBlocked", "tags": []}]
    # Another case with the same answer has nothing new to say.
    second = make_case(item)
    again = decide(lead, second, "dismiss")
    assert send() == 0
    # The other still stands when one is undone.
    undoing.undo_batch(by=lead, batch_id=batch, reason="mistaken")
    assert send() == 0
    undoing.undo_batch(by=lead, batch_id=again, reason="mistaken")
    assert (send(), send()) == (1, 0)
    decide(lead, case, "confirm")
    assert send() == 1
    assert told(server) == ["NotBlocked", "PendingReview", "Blocked"]
    # An appeal opens it again.
    decide(lead, case, "appeal")
    assert send() == 1
    assert told(server)[-1] == "PendingReview"
    events = AuditEvent.objects.filter(verb="exchange.feedback_sent")
    assert events.order_by("id")[0].after == {"NotBlocked": 1}


def test_what_is_undone_before_it_is_sent_is_never_sent(
    server: StopNCII, make_exchange: MakeExchange, lead: Actor
) -> None:
    exchange = make_exchange("stopncii", server, feedback=True)
    batch = decide(lead, make_case(item_of(exchange)), "dismiss")
    undoing.undo_batch(by=lead, batch_id=batch, reason="mistaken")
    assert send() == 0
    assert server.asked == []


def test_what_says_nothing_about_an_item_is_not_told(
    server: StopNCII, make_exchange: MakeExchange, lead: Actor, django_assert_num_queries: Any
) -> None:
    exchange = make_exchange("stopncii", server, feedback=True)
    item = item_of(exchange)
    decide(lead, make_case(item, distance=40.0), "dismiss")  # beyond the threshold
    decide(lead, make_case(item, origin="shadow"), "dismiss")
    decide(lead, make_case(item), "escalate")
    decide(lead, make_case(item), "confirm", "other")
    own = make_item(exchange.list, ("pdq", pdq(2), 90), source="ours", source_id="7")
    decide(lead, make_case(own), "dismiss")
    # A first vote of two.
    other = make_case(item, two_person=True)
    decide(lead, other, "dismiss")
    assert (send(), ExchangeFeedback.objects.count()) == (0, 0)
    decide(Actor.person(make_person(Role.LEAD)), other, "dismiss")
    assert send() == 1
    # Without opting in nothing is written.
    editing.change_exchange(by=ADMIN, exchange_id=exchange.pk, credentials={}, feedback=False)
    decide(lead, make_case(item_of(exchange, 3)), "dismiss")
    assert ExchangeFeedback.objects.count() == 1
    assert Decision.objects.count() == 8


def test_an_outage_is_waited_for_and_one_refusal_stops_no_other(
    server: StopNCII, make_exchange: MakeExchange, lead: Actor
) -> None:
    exchange = make_exchange("stopncii", server, feedback=True)
    for number in (1, 2, 3):
        decide(lead, make_case(item_of(exchange, number)), "dismiss")
    server.faults = [503]
    assert send() == 0
    exchange.refresh_from_db()
    assert (exchange.feedback_failures, exchange.failure) == (1, "127.0.0.1 answered 503.")
    assert exchange.feedback_at > timezone.now()
    assert feedback.send_due() == 0
    server.refuses = pdq(2)
    assert send() == 2
    assert sorted(one["hashValue"] for one in server.feedback) == sorted([pdq(1), pdq(3)])
    assert feedback.numbers(exchange) == {"waiting": 0, "refused": 1, "told": 2}
    assert send() == 0
    server.refuses = ""
    assert feedback.try_again(by=lead, exchange_id=exchange.pk) == 1
    assert (send(), len(server.feedback)) == (1, 3)


def test_ncmec_is_told_by_fingerprint_what_is_wrong_alone(
    make_exchange: MakeExchange, lead: Actor
) -> None:
    with Ncmec() as server:
        exchange = make_exchange("ncmec", server, feedback=True, negative_reason="guid-1")
        case = make_case(item_of(exchange))
        # That our copy shows something else is not the fault of the entry.
        batch = decide(lead, case, "dismiss", "different")
        assert send() == 0
        undoing.undo_batch(by=lead, batch_id=batch, reason="mistaken")
        batch = decide(lead, case, "dismiss", "wrong_item")
        assert send() == 1
        undoing.undo_batch(by=lead, batch_id=batch, reason="mistaken")
        assert send() == 1
        decide(lead, case, "confirm")
        assert send() == 1
        methods = [method for method, _, _ in server.told]
        assert methods == ["PUT", "DELETE", "PUT"]
        assert {path for _, path, _ in server.told} == {
            "/hashsharing/v2/entries/7/img-1/PDQ/feedback"
        }
        bodies = [body for _, _, body in server.told]
        assert b"<negative><reasonIds><guid>guid-1</guid>" in bodies[0]
        assert b"<affirmative/>" in bodies[2]


def test_threatexchange_gets_reactions_and_loses_them(
    make_exchange: MakeExchange, lead: Actor
) -> None:
    with ThreatExchange() as server:
        exchange = make_exchange("threatexchange", server, feedback=True)
        batch = decide(lead, make_case(item_of(exchange)), "dismiss", "wrong_item")
        assert send() == 1
        undoing.undo_batch(by=lead, batch_id=batch, reason="mistaken")
        assert send() == 1
        assert server.reactions == [
            ("reactions_to_remove", "HELPFUL"),
            ("reactions", "DISAGREE_WITH_TAGS"),
            ("reactions_to_remove", "DISAGREE_WITH_TAGS,HELPFUL"),
        ]


def test_the_list_of_another_service_is_left_alone(
    server: StopNCII, make_exchange: MakeExchange, lead: Actor
) -> None:
    make_exchange("stopncii", server, feedback=True)
    decide(lead, make_case(make_item(make_list(), ("pdq", pdq(1), 90))), "dismiss")
    assert not ExchangeFeedback.objects.exists()
