"""Pulls from real exchanges: pages, faults, kills, withdrawals, confirmation and undoing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from gallery.shared.errors import Conflict, UserError
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.audit.models import AuditEvent
from moderation.exchanges import editing, pulling
from moderation.exchanges.models import Exchange, Pull, PulledPage
from moderation.imports import start
from moderation.imports.models import ListImport
from moderation.lists.models import BannedItem, BannedList
from moderation.lists.verdicts import Severity
from moderation.pipeline import check
from moderation.tasks import pull_exchanges, run_import
from tests.environment import DATA_DIR
from tests.moderation.exchanges.conftest import MakeExchange
from tests.moderation.exchanges.servers import (
    CUT,
    STALL,
    Ncmec,
    StopNCII,
    ThreatExchange,
    pdq,
)
from tests.moderation.factories import ADMIN, make_item, make_list
from tests.moderation.lists.hashlist_files import md5

pytestmark = pytest.mark.django_db(transaction=True)
LEAD = Actor("user:lead", Role.LEAD)


@pytest.fixture
def te() -> Iterator[ThreatExchange]:
    with ThreatExchange() as running:
        yield running


def pull(exchange: Exchange) -> Exchange:
    """Let the exchange be due, and do what a worker does each minute."""
    Exchange.objects.filter(pk=exchange.pk).update(next_at=timezone.now())
    pull_exchanges()
    exchange.refresh_from_db()
    return exchange


def verdict(value: str, kind: str = "pdq") -> str:
    request = check.CheckRequest(hash=value, hash_type=kind, quality=90 if kind == "pdq" else None)
    return str(check.run(by=ADMIN, request=request).verdict)


def states(exchange: Exchange) -> dict[str, str]:
    rows = exchange.list.items.order_by("source_id")
    return dict(rows.values_list("source_id", "state"))


def test_pages_are_applied_and_what_is_withdrawn_stops_matching(
    te: ThreatExchange, make_exchange: MakeExchange
) -> None:
    for number in range(1, 6):
        te.list(number, pdq(number))
    exchange = pull(make_exchange("threatexchange", te))
    assert (exchange.failures, exchange.failure) == (0, "")
    assert states(exchange) == {str(number): "active" for number in range(1, 6)}
    item = exchange.list.items.get(source_id="1")
    assert (item.source, item.owner, item.tags) == ("ThreatExchange", "Harbour Photos", ["pilot"])
    assert item.added_by == "exchange:threatexchange"
    assert verdict(pdq(2)) == "block"
    pages = [asked for asked in te.asked if "threat_updates" in asked.path]
    assert [asked.query.get("after") for asked in pages] == [None, "2", "4"]
    assert len({asked.query["stop_time"] for asked in pages}) == 1
    # The token is in a header alone, and nothing of it is stored.
    assert not any("secret-token" in str(asked.query) for asked in te.asked)
    done = exchange.pulls.get()
    assert (done.state, done.records, done.run.state) == ("done", 5, "done")  # type: ignore[union-attr]
    assert not PulledPage.objects.exists()
    assert exchange.checkpoint["time"] == int(pages[0].query["stop_time"])

    te.withdraw(2, at=exchange.checkpoint["time"] + 60)
    exchange = pull(exchange)
    assert states(exchange)["2"] == "retired"
    assert verdict(pdq(2)) == "allow"
    assert verdict(pdq(3)) == "block"
    # It read only what came since.
    assert exchange.pulls.first().records == 1  # type: ignore[union-attr]
    # Nothing new leaves no pull behind.
    te.updates.clear()
    pull(exchange)
    assert exchange.pulls.count() == 2


def test_a_pull_that_asks_first_applies_withdrawals_and_shows_the_rest(
    te: ThreatExchange, make_exchange: MakeExchange
) -> None:
    for number in range(1, 4):
        te.list(number, pdq(number))
    exchange = pull(make_exchange("threatexchange", te, ask_first=True))
    waiting = exchange.pulls.get()
    assert waiting.state == "waiting"
    assert states(exchange) == {}
    assert waiting.run is not None
    assert (waiting.run.state, waiting.run.counts["added"]) == ("previewed", 3)
    assert exchange.checkpoint == {}
    # Nothing new: the same preview waits on. Something new: one preview of all of it.
    assert pull(exchange).pulls.get().run == waiting.run
    te.list(4, pdq(4), at=1_900_000_000)
    pull(exchange)
    waiting.refresh_from_db()
    assert waiting.run is not None
    assert (waiting.state, waiting.run.counts["added"]) == ("waiting", 4)
    assert ListImport.objects.filter(state="previewed").count() == 1
    start.confirm(by=LEAD, import_id=waiting.run.pk)
    assert run_import(waiting.run.pk) == "done"
    exchange.refresh_from_db()
    waiting.refresh_from_db()
    assert (waiting.state, len(states(exchange))) == ("done", 4)
    assert exchange.checkpoint["time"] > 0

    # A withdrawal needs no confirmation; what is new beside it does.
    te.withdraw(1, at=1_900_000_001)
    te.list(5, pdq(5), at=1_900_000_001)
    exchange = pull(exchange)
    assert states(exchange) == {"1": "retired", "2": "active", "3": "active", "4": "active"}
    assert verdict(pdq(1)) == "allow"
    late = exchange.pulls.first()
    assert late is not None and late.run is not None and late.withdrawals is not None
    assert (late.state, late.withdrawals.counts["retired"], late.run.counts["added"]) == (
        "waiting", 1, 1,
    )  # fmt: skip
    # A person who discards it sees it again with the next pull.
    start.discard(by=LEAD, import_id=late.run.pk)
    exchange = pull(exchange)
    assert [one.state for one in exchange.pulls.all()] == ["waiting", "failed", "done"]


def test_many_withdrawals_wait_for_a_person(
    te: ThreatExchange, make_exchange: MakeExchange
) -> None:
    for number in range(1, 51):
        te.list(number, pdq(number))
    te.page = 500
    exchange = pull(make_exchange("threatexchange", te))
    te.withdraw(*range(1, 21), at=1_900_000_000)
    exchange = pull(exchange)
    assert list(states(exchange).values()).count("retired") == 20
    te.withdraw(*range(21, 42), at=1_900_000_001)
    exchange = pull(exchange)
    assert list(states(exchange).values()).count("retired") == 20
    waiting = exchange.pulls.first()
    assert waiting is not None and waiting.withdrawals is not None and waiting.run is not None
    assert (waiting.withdrawals.state, waiting.run.state) == ("waiting", "waiting")
    start.confirm(by=LEAD, import_id=waiting.run.pk)
    run_import(waiting.run.pk)
    assert list(states(exchange).values()).count("retired") == 41
    assert not ListImport.objects.filter(state="waiting").exists()


KILLED = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "imgsmlr_site.settings"
import django
django.setup()
from django.db import connection
connection.settings_dict["NAME"] = sys.argv[1]
from moderation.exchanges import pulling
pulling.pull_due()
"""


@pytest.mark.slow
def test_a_pull_goes_on_where_it_was_stopped(
    te: ThreatExchange, make_exchange: MakeExchange
) -> None:
    for number in range(1, 10):
        te.list(number, pdq(number))
    exchange = make_exchange("threatexchange", te)
    for fault in (500, STALL, CUT):
        te.faults = [None, fault]
        exchange = pull(exchange)
    assert exchange.failures == 3
    assert exchange.next_at > timezone.now() + timedelta(minutes=3)
    assert states(exchange) == {}
    # A worker is killed while it waits for the last page.
    te.faults, asked = [None, STALL], len(te.asked)
    Exchange.objects.update(next_at=timezone.now())
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(connection.settings_dict["NAME"])],
        env={
            **os.environ,
            "DATA_DIR": str(DATA_DIR),
            "PYTHONPATH": str(settings.BASE_DIR),
            "EXCHANGE_ALLOW_PRIVATE": "1",
        },
    )
    while len(te.asked) < asked + 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    half = exchange.pulls.get()
    assert (half.state, half.pages) == ("fetching", 4)
    te.asked.clear()
    deadline = time.monotonic() + 30
    while not te.asked and time.monotonic() < deadline:
        exchange = pull(exchange)  # PostgreSQL may not have ended the killed one's lock yet
    assert (exchange.failures, len(states(exchange))) == (0, 9)
    assert [one.query.get("after") for one in te.asked] == ["8"]


def test_an_exchange_that_repeats_a_page_or_refuses_is_a_failure(
    te: ThreatExchange, make_exchange: MakeExchange
) -> None:
    for number in range(1, 6):
        te.list(number, pdq(number))
    te.repeats = True
    exchange = pull(make_exchange("threatexchange", te))
    assert exchange.failure == "The exchange repeats a page."
    te.repeats = False
    editing.change_exchange(by=ADMIN, exchange_id=exchange.pk, credentials={"token": "123|another"})
    exchange = pull(exchange)
    assert exchange.failure == "127.0.0.1 refused the credentials (401)."
    assert (states(exchange), exchange.is_failing) == ({}, False)
    exchange = pull(pull(exchange))
    assert exchange.is_failing
    te.faults = [302]
    assert pull(exchange).failure == "127.0.0.1 answered 302."
    assert te.asked[-1].path != "/elsewhere"
    te.answer = lambda asked: (200, b"[1]")  # type: ignore[method-assign]
    assert pull(exchange).failure == "The answer is not a JSON object."


def test_a_pull_is_undone_once_and_the_exchange_is_switched_off(
    te: ThreatExchange, make_exchange: MakeExchange
) -> None:
    te.page = 500
    for number in range(1, 31):
        te.list(number, pdq(number))
    exchange = pull(make_exchange("threatexchange", te))
    own = make_item(exchange.list, ("md5", md5(1)), source_id="own")
    te.withdraw(1, at=1_900_000_000)
    te.list(31, pdq(31), at=1_900_000_000)
    exchange = pull(exchange)
    te.list(1, pdq(1), at=1_900_000_001)
    assert (states(exchange)["1"], states(exchange)["31"]) == ("retired", "active")
    assert verdict(pdq(31)) == "block"
    with pytest.raises(UserError):
        pulling.undo(by=LEAD, exchange_id=exchange.pk, reason=" ")
    with pytest.raises(NotAllowed):
        moderator = Actor("user:m", Role.MODERATOR)
        pulling.undo(by=moderator, exchange_id=exchange.pk, reason="wrong")
    BannedList.objects.update(severity=Severity.CRITICAL)
    with pytest.raises(NotAllowed, match="critical"):
        pulling.undo(by=LEAD, exchange_id=exchange.pk, reason="wrong")
    pulling.undo(by=ADMIN, exchange_id=exchange.pk, reason="wrong list")
    exchange.refresh_from_db()
    assert (states(exchange)["1"], states(exchange)["31"]) == ("active", "retired")
    assert (verdict(pdq(1)), verdict(pdq(31))) == ("block", "allow")
    assert not exchange.enabled
    assert exchange.pulls.first().state == "undone"  # type: ignore[union-attr]
    own.refresh_from_db()
    assert own.state == "active"
    event = AuditEvent.objects.get(verb="exchange.pull_undone")
    assert (event.reason, event.after["enabled"]) == ("wrong list", False)
    # The one before it can be undone next, but not when it is old.
    ListImport.objects.update(applied_at=timezone.now() - timedelta(days=31))
    with pytest.raises(Conflict):
        pulling.undo(by=ADMIN, exchange_id=exchange.pk, reason="wrong list")


def test_what_an_exchange_forgot_is_found_by_pulling_all_of_it(
    te: ThreatExchange, make_exchange: MakeExchange
) -> None:
    te.page = 500
    for number in range(1, 31):
        te.list(number, pdq(number))
    exchange = pull(make_exchange("threatexchange", te))
    te.updates = te.updates[2:]
    Exchange.objects.update(succeeded_at=timezone.now() - pulling.FORGETS_AFTER)
    exchange.refresh_from_db()
    exchange = pull(exchange)
    assert [number for number, state in states(exchange).items() if state == "retired"] == [
        "1",
        "2",
    ]
    editing.pull_now(by=LEAD, exchange_id=exchange.pk, from_start=True)
    te.updates = te.updates[1:]
    exchange = pull(exchange)
    assert list(states(exchange).values()).count("retired") == 3


def test_an_exchange_that_is_off_or_changed_is_not_pulled_on(
    te: ThreatExchange, make_exchange: MakeExchange
) -> None:
    te.list(1, pdq(1))
    exchange = pull(make_exchange("threatexchange", te, enabled=False))
    assert te.asked == []
    with pytest.raises(Conflict):
        editing.pull_now(by=LEAD, exchange_id=exchange.pk)
    other = make_list("other")
    editing.change_exchange(by=ADMIN, exchange_id=exchange.pk, credentials={}, enabled=True)
    exchange = pull(exchange)
    assert len(states(exchange)) == 1
    # Another list begins at the beginning.
    editing.change_exchange(by=ADMIN, exchange_id=exchange.pk, credentials={}, list_id=other.pk)
    exchange.refresh_from_db()
    assert exchange.checkpoint == {}
    exchange = pull(exchange)
    assert BannedItem.objects.filter(list=other).count() == 1


def test_stopncii_by_token_and_its_own_checkpoint(make_exchange: MakeExchange) -> None:
    with StopNCII() as server:
        server.list(pdq(1))
        server.list(pdq(2), at=1_700_000_050)
        exchange = pull(make_exchange("stopncii", server))
        assert exchange.failure == ""
        assert (len(states(exchange)), exchange.checkpoint) == (2, {"time": 1_700_000_050})
        assert verdict(pdq(1)) == "block"
        server.list(pdq(1), at=1_700_000_060, status="Withdrawn")
        pull(exchange)
        assert (verdict(pdq(1)), verdict(pdq(2))) == ("allow", "block")
        assert [asked.query["startTimestamp"] for asked in server.asked] == [
            "10", "10", "1700000050", "1700000050",
        ]  # fmt: skip


def test_ncmec_follows_its_links_below_its_own_address(make_exchange: MakeExchange) -> None:
    with Ncmec() as server:
        server.list("img-1", md5(1), pdq(1))
        server.list("img-2", md5(2), pdq(2))
        exchange = pull(make_exchange("ncmec", server))
        assert exchange.failure == ""
        assert states(exchange) == {"7-img-1": "active", "7-img-2": "active"}
        assert (verdict(md5(1), "md5"), verdict(pdq(2))) == ("block", "block")
        assert server.asked[0].query["from"] == "1970-01-01T00:00:00Z"
        server.withdraw("img-1")
        pull(exchange)
        assert (verdict(md5(1), "md5"), verdict(pdq(2))) == ("allow", "block")
        server.answer = lambda asked: (200, b"<!DOCTYPE a [<!ENTITY b 'c'>]><queryResult/>")  # type: ignore[method-assign]
        exchange = pull(exchange)
        assert exchange.failure == "The answer is not XML that can be read."


def test_credentials_of_another_key_are_a_failure_that_is_told(
    te: ThreatExchange, make_exchange: MakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = make_exchange("threatexchange", te)
    monkeypatch.setattr(settings, "SECRET_KEY", "another")
    exchange = pull(exchange)
    assert "another SECRET_KEY" in exchange.failure
    assert te.asked == []
    assert not Pull.objects.exists()
