"""A remote service as a list: only hashes leave, and an answer that is missing is no answer."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from gallery.imaging.descriptors.pdq import to_hex
from gallery.shared.errors import Conflict
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.cases.models import ReviewCase
from moderation.exchanges import editing, matching
from moderation.exchanges.models import Exchange
from moderation.lists import item_changing
from moderation.lists.models import BannedItem, BannedList, RetroScan
from moderation.lists.verdicts import Action
from moderation.pipeline import asking, check, rescan
from tests.factories import add_ready_image, photo
from tests.moderation.exchanges.conftest import MakeExchange
from tests.moderation.exchanges.servers import CUT, STALL, Shield, pdq
from tests.moderation.factories import ADMIN
from tests.moderation.pipeline.test_gates import pdq_of
from tests.moderation.pipeline.test_rescan import status
from tests.videos.clips import encode, moving, timed
from tests.videos.library import add_ready

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shield() -> Iterator[Shield]:
    with Shield() as running:
        yield running


def ask(value: str) -> check.Checked:
    request = check.CheckRequest(hash=value, hash_type="pdq", quality=90)
    return check.run(by=ADMIN, request=request)


def test_hits_are_matches_of_the_list_and_a_test_is_none(
    shield: Shield, make_exchange: MakeExchange
) -> None:
    exchange = make_exchange("arachnid_shield", shield)
    shield.known = {
        pdq(1): ("csam", "exact"),
        pdq(2): ("harmful-abusive-material", "near"),
        pdq(3): ("test", "exact"),
    }
    found = {number: ask(pdq(number)) for number in (1, 2, 3, 4)}
    assert [one.verdict.value for one in found.values()] == ["block", "review", "allow", "allow"]
    assert "pdq" in found[4].screening.methods_run
    (match,) = found[1].screening.within
    item = BannedItem.objects.get(pk=match.item_id)
    assert (item.source, item.source_id, item.category, item.hashes.count()) == (
        "Arachnid Shield", pdq(1), "csam", 0,
    )  # fmt: skip
    assert ReviewCase.objects.count() == 2
    # The hash was sent, and nothing else.
    assert shield.asked[0].json == {"hashes": [base64.b64encode(bytes.fromhex(pdq(1))).decode()]}
    # What the service takes back no longer matches, nor does what is called a false positive here.
    shield.known.pop(pdq(2))
    assert ask(pdq(2)).verdict == "allow"
    item_changing.give_opinion(
        by=ADMIN, items=exchange.list.items.all(), opinion="false_positive", reason="ours"
    )
    assert ask(pdq(1)).verdict == "allow"


def test_no_answer_is_not_no_match(shield: Shield, make_exchange: MakeExchange) -> None:
    exchange = make_exchange("arachnid_shield", shield)
    for fault in (503, STALL, CUT):
        shield.faults = [fault]
        found = ask(pdq(1))
        assert (found.verdict, found.screening.withheld) == ("review", True)
        assert "arachnid_shield did not answer" in found.screening.missing["arachnid_shield"]
        assert "pdq" not in found.screening.methods_run
    # The third failure opens the breaker: it is not asked, and the upload does not wait.
    asked = len(shield.asked)
    found = ask(pdq(1))
    assert "not asked" in found.screening.missing["arachnid_shield"]
    assert (found.verdict, len(shield.asked)) == ("review", asked)
    exchange.refresh_from_db()
    assert (exchange.failures, exchange.is_failing) == (3, True)
    # After the pause it is asked again, and one answer closes the breaker.
    Exchange.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    assert ask(pdq(1)).verdict == "allow"
    exchange.refresh_from_db()
    assert (exchange.failures, exchange.failure, exchange.is_failing) == (0, "", False)


def test_an_answer_that_leaves_a_hash_out_is_no_answer(
    shield: Shield, make_exchange: MakeExchange
) -> None:
    make_exchange("arachnid_shield", shield)
    for change in (
        lambda answer: {"scanned_hashes": {}},
        lambda answer: {"scanned_hashes": {key: {"a": 1} for key in answer["scanned_hashes"]}},
        lambda answer: {"other": 1},
        lambda answer: [],
    ):
        Exchange.objects.update(failures=0)
        shield.change = change
        found = ask(pdq(1))
        assert (found.verdict, list(found.screening.missing)) == ("review", ["arachnid_shield"])


def test_the_list_says_whether_uploads_wait(
    shield: Shield, make_exchange: MakeExchange, settings: Any
) -> None:
    exchange = make_exchange("arachnid_shield", shield, hold_unanswered=False)
    shield.faults = [500]
    found = ask(pdq(1))
    assert (found.verdict, list(found.screening.missing)) == ("allow", ["arachnid_shield"])
    Exchange.objects.update(hold_unanswered=True)
    BannedList.objects.update(action=Action.SHADOW)
    shield.faults = [500]
    assert ask(pdq(1)).verdict == "allow"
    BannedList.objects.update(action=Action.BLOCK)
    settings.SECRET_KEY = "another"
    found = ask(pdq(1))
    assert "another SECRET_KEY" in found.screening.missing["arachnid_shield"]
    Exchange.objects.update(enabled=False)
    assert (ask(pdq(1)).verdict, exchange.list.items.count()) == ("allow", 0)


def test_many_hashes_are_asked_in_parts(shield: Shield, make_exchange: MakeExchange) -> None:
    exchange = make_exchange("arachnid_shield", shield)
    hashes = [bytes.fromhex(pdq(number)) for number in range(matching.AT_ONCE + 1)]
    shield.known = {pdq(matching.AT_ONCE): ("csam", "exact")}
    assert list(matching.ask(exchange, hashes)) == hashes[-1:]
    assert [len(asked.json["hashes"]) for asked in shield.asked] == [100, 1]


def scanned() -> RetroScan:
    """The scan after another minute."""
    RetroScan.objects.update(claimed_until=None)
    rescan.run_left_over()
    return RetroScan.objects.get()


def test_what_is_stored_is_asked_about_once_it_is_switched_on(
    shield: Shield, make_exchange: MakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [add_ready_image(photo(seed)) for seed in range(5)]
    banned, near = images[0], images[3]
    monkeypatch.setattr(matching, "AT_ONCE", 2)
    monkeypatch.setattr(asking, "QUESTIONS", 2)
    exchange = make_exchange("arachnid_shield", shield, enabled=False)
    assert not RetroScan.objects.exists()
    shield.known = {
        pdq_of(photo(0)): ("csam", "exact"),
        pdq_of(photo(3)): ("harmful-abusive-material", "near"),
    }
    editing.change_exchange(by=ADMIN, exchange_id=exchange.pk, credentials={}, enabled=True)
    assert shield.asked == []
    scan = scanned()
    # Four hashes a minute here, in two questions; what is known was then screened, which asks.
    assert (scan.state, scan.total, scan.done) == ("running", 5, 4)
    assert [len(one.json["hashes"]) for one in shield.asked] == [2, 1, 2, 1]
    assert (status(banned), status(near)) == ("quarantined", "ready")
    assert set(ReviewCase.objects.values_list("image", flat=True)) == {banned.pk, near.pk}
    # It does not answer: the scan waits, without asking again and again.
    shield.faults = [503, 503]
    scan = scanned()
    assert (scan.state, scan.done, len(shield.asked)) == ("running", 4, 5)
    assert "did not answer" in scan.failure and scan.claimed_until is not None
    assert rescan.run_left_over() == 0
    shield.faults = []
    # What is uploaded meanwhile was asked about when it came.
    add_ready_image(photo(7))
    scan = scanned()
    assert (scan.state, scan.done, scan.found, scan.cases) == ("done", 5, 2, 2)
    assert scan.failure == ""


def test_asking_again_and_switching_off(shield: Shield, make_exchange: MakeExchange) -> None:
    add_ready_image(photo(1))
    exchange = make_exchange("arachnid_shield", shield)
    first = RetroScan.objects.get()
    # Renaming asks nothing; a person can, and asks again from the beginning.
    editing.change_exchange(by=ADMIN, exchange_id=exchange.pk, credentials={}, name="other")
    assert scanned().state == "done"
    editing.ask_about_stored(by=ADMIN, exchange_id=exchange.pk)
    editing.ask_about_stored(by=ADMIN, exchange_id=exchange.pk)
    (second,) = RetroScan.objects.exclude(pk=first.pk)
    editing.change_exchange(by=ADMIN, exchange_id=exchange.pk, credentials={}, enabled=False)
    rescan.run(second.pk)
    second.refresh_from_db()
    assert (second.state, second.failure) == ("failed", asking.SWITCHED_OFF)
    assert len(shield.asked) == 1
    with pytest.raises(Conflict, match="switched off"):
        editing.ask_about_stored(by=ADMIN, exchange_id=exchange.pk)
    with pytest.raises(NotAllowed):
        editing.ask_about_stored(by=Actor("mod", Role.MODERATOR), exchange_id=exchange.pk)


def test_frames_of_videos_are_asked_about(shield: Shield, make_exchange: MakeExchange) -> None:
    video = add_ready(encode(timed(moving("astronaut", 1))))
    frame = video.frames.exclude(pdq=None).order_by("id").last()
    shield.known = {to_hex(frame.pdq): ("csam", "exact")}
    make_exchange("arachnid_shield", shield)
    scan = scanned()
    video.refresh_from_db()
    assert (scan.state, scan.cases, video.status) == ("done", 1, "quarantined")
