"""Webhooks against a real receiver that takes, fails, stalls, redirects, refuses and comes back."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django_q.models import OrmQ

from gallery.items import changing, signals
from gallery.items.item import Status
from gallery.items.models import Image
from gallery.items.publishing import publish
from gallery.shared.errors import Conflict
from imgsmlr_site.env import LOOPBACK
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.audit.models import AuditEvent
from moderation.webhooks import delivery, editing, outbox, signing
from moderation.webhooks.editing import InvalidWebhook
from moderation.webhooks.models import Delivery, Webhook, WebhookEvent
from tests.environment import DATA_DIR
from tests.moderation.factories import ADMIN


@dataclass(frozen=True)
class Message:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class Receiver:
    """Takes POSTs until the ``with`` block ends, and answers the next of ``answers``, else 204.

    An answer is a status, or seconds to wait before answering 204.
    """

    def __init__(self, port: int = 0) -> None:
        self.messages: list[Message] = []
        self.answers: list[int | float] = []
        self.release = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.messages.append(Message(self.path, headers, body))
                answer = receiver.answers.pop(0) if receiver.answers else 204
                if isinstance(answer, float):
                    receiver.release.wait(answer)
                    answer = 204
                self.send_response(answer)
                if 300 <= answer < 400:
                    self.send_header("Location", receiver.url + "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True

            def handle_error(self, request: object, client_address: object) -> None:
                """Senders that hang up early are what some tests are about."""

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> Iterator[None]:
    settings.WEBHOOK_ALLOW_PRIVATE, settings.WEBHOOK_TIMEOUT = LOOPBACK, 0.6
    delivery.policy.cache_clear()
    yield
    delivery.policy.cache_clear()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def make_webhook(url: str, *events: WebhookEvent, **fields: Any) -> Webhook:
    name = fields.pop("name", "shop")
    return editing.create_webhook(
        by=ADMIN, name=name, url=url, events=events or WebhookEvent.values, **fields
    )


def tell(number: int, event: WebhookEvent = WebhookEvent.DECISION) -> None:
    with transaction.atomic():
        outbox.enqueue(event, f"decision:{number}", {"case": number})


def due() -> None:
    """All that waits may be tried now."""
    Delivery.objects.update(next_at=timezone.now())
    Webhook.objects.update(paused_until=None)


def verify(secret: str, message: Message) -> bool:
    """As docs/webhooks.md tells a receiver to."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    stamp = message.headers["webhook-timestamp"]
    if abs(time.time() - int(stamp)) > 300:
        return False
    signed = f"{message.id}.{stamp}.".encode() + message.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = message.headers["webhook-signature"].split(" ")
    return any(hmac.compare_digest(f"v1,{expected}", one) for one in given)


@pytest.mark.django_db
def test_a_message_arrives_signed(receiver: Receiver) -> None:
    webhook = make_webhook(receiver.url + "/hook?a=1")
    tell(7)
    assert delivery.send_due() == 1
    (message,) = receiver.messages
    assert message.path == "/hook?a=1"
    assert message.headers["content-type"] == "application/json"
    row = Delivery.objects.get()
    assert message.id == f"msg_{row.pk}"
    assert message.content == {
        "type": "decision",
        "timestamp": row.created_at.isoformat(),
        "key": "decision:7",
        "data": {"case": 7},
    }
    assert verify(webhook.secret, message)
    assert not verify(signing.new_secret(), message)
    assert not verify(webhook.secret, Message(message.path, message.headers, message.body + b" "))
    assert row.delivered_at is not None
    assert (row.attempts, row.failure) == (1, "")
    assert delivery.send_due() == 0


@pytest.mark.django_db
def test_the_signature_is_that_of_the_published_example() -> None:
    """The test vector of the Standard Webhooks libraries."""
    signed = signing.signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.django_db
def test_the_same_news_is_told_once_and_only_to_those_who_asked(receiver: Receiver) -> None:
    asked = make_webhook(receiver.url)
    make_webhook(receiver.url, WebhookEvent.READY, name="other")
    make_webhook(receiver.url, name="off", enabled=False)
    tell(1)
    tell(1)
    tell(2)
    assert [one.webhook_id for one in Delivery.objects.all()] == [asked.pk] * 2
    assert delivery.send_due() == 2
    assert [message.content["key"] for message in receiver.messages] == ["decision:1", "decision:2"]


@pytest.mark.django_db(transaction=True)
def test_news_of_a_transaction_that_is_rolled_back_is_not_told(receiver: Receiver) -> None:
    make_webhook(receiver.url)
    with pytest.raises(RuntimeError), transaction.atomic():
        outbox.enqueue(WebhookEvent.DECISION, "decision:1", {})
        raise RuntimeError
    assert not Delivery.objects.exists()
    with pytest.raises(transaction.TransactionManagementError):
        outbox.enqueue(WebhookEvent.DECISION, "decision:1", {})


@pytest.mark.django_db(transaction=True)
def test_a_transaction_wakes_the_workers_once_however_much_it_tells(receiver: Receiver) -> None:
    make_webhook(receiver.url)
    OrmQ.objects.all().delete()
    with transaction.atomic():
        for number in range(5):
            tell(number)
    (queued,) = OrmQ.objects.all()
    assert queued.key == "lists"
    assert queued.task["func"] == "moderation.tasks.send_webhooks"
    tell(4)
    assert OrmQ.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("status", [500, 503, 429, 302])
def test_a_receiver_that_is_ill_is_left_alone_and_gets_all_in_order_when_it_is_well(
    receiver: Receiver, status: int
) -> None:
    webhook = make_webhook(receiver.url)
    for number in range(4):
        tell(number)
    receiver.answers = [status]
    assert delivery.send_due() == 0
    assert len(receiver.messages) == 1
    first = Delivery.objects.earliest("id")
    assert str(status) in first.failure
    webhook.refresh_from_db()
    assert webhook.failures == 1
    assert webhook.paused_until is not None
    due()
    assert delivery.send_due() == 4
    webhook.refresh_from_db()
    assert (webhook.failures, webhook.paused_until) == (0, None)
    told = [message.content["data"]["case"] for message in receiver.messages]
    assert told == [0, 0, 1, 2, 3]
    assert receiver.messages[0].id == receiver.messages[1].id
    assert all(message.path == "/" for message in receiver.messages)


@pytest.mark.django_db
def test_a_receiver_that_stalls_costs_one_timeout(receiver: Receiver) -> None:
    make_webhook(receiver.url)
    with Receiver() as well:
        make_webhook(well.url, name="well")
        for number in range(3):
            tell(number)
        receiver.answers = [30.0]
        start = time.monotonic()
        assert delivery.send_due() == 3
        assert time.monotonic() - start < 5
        assert len(well.messages) == 3
    failed = Delivery.objects.exclude(failure="").get()
    assert "did not answer within 0.6 seconds" in failed.failure


@pytest.mark.django_db
def test_a_message_that_is_refused_keeps_no_other_waiting(receiver: Receiver) -> None:
    webhook = make_webhook(receiver.url)
    for number in range(3):
        tell(number)
    receiver.answers = [400]
    assert delivery.send_due() == 2
    webhook.refresh_from_db()
    assert webhook.paused_until is None
    refused = Delivery.objects.get(delivered_at=None)
    assert refused.failure == "The receiver answered 400."
    assert refused.next_at > timezone.now()


@pytest.mark.django_db
def test_a_receiver_that_is_not_there_is_found_again_when_it_is() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    make_webhook(f"http://127.0.0.1:{port}/")
    tell(1)
    assert delivery.send_due() == 0
    assert "could not be reached" in Delivery.objects.get().failure
    due()
    with Receiver(port) as back:
        assert delivery.send_due() == 1
        assert len(back.messages) == 1


@pytest.mark.django_db
def test_inner_addresses_are_refused_unless_the_operator_allows_them(
    receiver: Receiver, settings: Any
) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = ()
    delivery.policy.cache_clear()
    make_webhook(receiver.url)
    tell(1)
    assert delivery.send_due() == 0
    assert receiver.messages == []
    assert "WEBHOOK_ALLOW_PRIVATE" in Delivery.objects.get().failure


@pytest.mark.django_db
def test_a_message_is_given_up_after_a_day_and_can_be_tried_again(receiver: Receiver) -> None:
    make_webhook(receiver.url)
    tell(1)
    tell(2)
    Delivery.objects.update(give_up_at=timezone.now() - timedelta(seconds=1))
    receiver.answers = [500]
    assert delivery.send_due() == 0
    given_up = list(Delivery.objects.all())
    assert all(one.given_up_at for one in given_up)
    assert all(one.failure == "The receiver answered 500." for one in given_up)
    due()
    assert delivery.send_due() == 0
    assert len(receiver.messages) == 1
    ids = [one.pk for one in given_up]
    assert editing.try_again(by=ADMIN, ids=ids) == 2
    assert delivery.send_due() == 2
    assert editing.try_again(by=ADMIN, ids=ids) == 0


def test_pauses_grow_to_six_hours_and_a_day_has_about_ten_of_them() -> None:
    for failures, seconds in ((1, 10), (2, 30), (4, 270), (9, 21_600), (1_000, 21_600)):
        for _ in range(50):
            assert 0.8 * seconds <= delivery.pause(failures).total_seconds() <= 1.2 * seconds
    assert len({delivery.pause(3) for _ in range(20)}) > 10


@pytest.mark.django_db
def test_a_sender_that_dies_mid_way_costs_a_lease_and_no_message(receiver: Receiver) -> None:
    make_webhook(receiver.url)
    tell(1)
    dead = delivery._claim(Webhook.objects.get().pk)
    assert dead is not None
    assert delivery.send_due() == 0  # leased
    Delivery.objects.update(next_at=timezone.now())  # the lease ran out
    assert delivery.send_due() == 1
    assert Delivery.objects.get().attempts == 2
    assert [message.id for message in receiver.messages] == [f"msg_{dead.pk}"]


KILLED = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "imgsmlr_site.settings"
import django
django.setup()
from django.conf import settings
from django.db import connection
connection.settings_dict["NAME"] = sys.argv[1]
settings.WEBHOOK_TIMEOUT = 30
from moderation.webhooks import delivery
delivery.send_due()
"""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_sender_that_is_killed_while_it_delivers_is_made_up_for(receiver: Receiver) -> None:
    webhook = make_webhook(receiver.url)
    receiver.answers = [30.0]
    tell(1)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(connection.settings_dict["NAME"])],
        env={
            **os.environ,
            "DATA_DIR": str(DATA_DIR),
            "PYTHONPATH": str(settings.BASE_DIR),
            "WEBHOOK_ALLOW_PRIVATE": "1",
        },
    )
    while not receiver.messages:
        assert process.poll() is None
        time.sleep(0.02)
    # The receiver has the message, and the sender will never know.
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    row = Delivery.objects.get()
    assert (row.delivered_at, row.attempts) == (None, 1)
    assert timedelta(seconds=60) < row.next_at - timezone.now() < timedelta(seconds=91)
    assert delivery.send_due() == 0
    Delivery.objects.update(next_at=timezone.now())  # the lease ran out
    assert delivery.send_due() == 1
    first, second = receiver.messages
    assert first.id == second.id == f"msg_{row.pk}"
    assert first.content["key"] == second.content["key"] == "decision:1"
    assert verify(webhook.secret, first) and verify(webhook.secret, second)
    # A receiver that keeps the ids acts once.
    assert len({message.id: message.content for message in receiver.messages}) == 1
    assert delivery.send_due() == 0


@pytest.mark.django_db(transaction=True)
def test_senders_side_by_side_send_each_message_once(receiver: Receiver) -> None:
    make_webhook(receiver.url)
    with transaction.atomic():
        for number in range(40):
            outbox.enqueue(WebhookEvent.DECISION, f"decision:{number}", {})
    sent: list[int] = []

    def send() -> None:
        try:
            sent.append(delivery.send_due())
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(sent) == 40
    assert len({message.id for message in receiver.messages}) == len(receiver.messages) == 40


@pytest.mark.django_db(transaction=True)
def test_senders_side_by_side_keep_the_order_of_each_webhook(receiver: Receiver) -> None:
    with Receiver() as other:
        make_webhook(receiver.url)
        make_webhook(other.url, name="other")
        for number in range(12):
            tell(number)

        def send() -> None:
            try:
                delivery.send_due()
            finally:
                connection.close()

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in (receiver, other):
            told = [message.content["data"]["case"] for message in one.messages]
            assert told == list(range(12))


@pytest.mark.django_db
def test_a_slow_receiver_with_many_messages_delays_no_other(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "SLICE", 0.1)
    make_webhook(receiver.url)
    for number in range(12):
        tell(number)
    receiver.answers = [0.2] * 12
    with Receiver() as quick:
        make_webhook(quick.url, name="quick")
        for number in range(12, 17):
            tell(number)
        monkeypatch.setattr(delivery, "BUDGET", 0.7)
        delivery.send_due()
        assert len(quick.messages) == 5
        assert 1 <= len(receiver.messages) <= 4


@pytest.mark.django_db
def test_an_outage_is_one_failure_however_often_it_is_noticed(receiver: Receiver) -> None:
    webhook = make_webhook(receiver.url)
    receiver.answers = [503] * 3
    tell(0)
    assert delivery.send_due() == 0
    webhook.refresh_from_db()
    paused = webhook.paused_until
    assert not delivery.send(editing.write_test(by=ADMIN, webhook_id=webhook.pk))
    webhook.refresh_from_db()
    assert (webhook.failures, webhook.paused_until) == (1, paused)
    due()
    assert delivery.send_due() == 0
    webhook.refresh_from_db()
    assert webhook.failures == 2


@pytest.mark.django_db
def test_a_webhook_that_is_switched_off_keeps_what_it_has_until_it_is_on(
    receiver: Receiver,
) -> None:
    webhook = make_webhook(receiver.url)
    tell(1)
    editing.change_webhook(by=ADMIN, webhook_id=webhook.pk, enabled=False)
    tell(2)
    assert delivery.send_due() == 0
    editing.change_webhook(by=ADMIN, webhook_id=webhook.pk, enabled=True)
    assert delivery.send_due() == 1


@pytest.mark.django_db
def test_a_test_message_arrives_also_where_nothing_is_told(receiver: Receiver) -> None:
    webhook = make_webhook(receiver.url, WebhookEvent.READY, enabled=False)
    row = editing.write_test(by=ADMIN, webhook_id=webhook.pk)
    assert delivery.send(row)
    (message,) = receiver.messages
    assert message.content["type"] == "test"
    assert verify(webhook.secret, message)


@pytest.mark.django_db
def test_another_secret_signs_what_follows(receiver: Receiver) -> None:
    webhook = make_webhook(receiver.url)
    old = webhook.secret
    new = editing.renew_secret(by=ADMIN, webhook_id=webhook.pk).secret
    assert new != old
    tell(1)
    delivery.send_due()
    assert verify(new, receiver.messages[0])
    assert not verify(old, receiver.messages[0])


@pytest.mark.django_db
def test_commands_leave_events_that_hold_no_secret() -> None:
    webhook = make_webhook("http://a.example/")
    editing.change_webhook(by=ADMIN, webhook_id=webhook.pk, url="https://b.example/x")
    editing.change_webhook(by=ADMIN, webhook_id=webhook.pk, url="https://b.example/x")
    editing.renew_secret(by=ADMIN, webhook_id=webhook.pk)
    editing.delete_webhook(by=ADMIN, webhook_id=webhook.pk)
    events = AuditEvent.objects.filter(verb__startswith="webhook.").order_by("id")
    assert [event.verb for event in events] == [
        "webhook.created", "webhook.changed", "webhook.secret_renewed", "webhook.deleted",
    ]  # fmt: skip
    assert not any("whsec" in str([event.before, event.after]) for event in events)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields",
    [
        {"name": " "},
        {"name": "x" * 101},
        {"url": "ftp://a.example/"},
        {"url": "https://user:word@a.example/"},
        {"url": "nonsense"},
        {"events": []},
        {"events": ["item.ready", "item.eaten"]},
    ],
)
def test_what_cannot_be_a_webhook_is_refused(fields: dict[str, Any]) -> None:
    good = {"name": "shop", "url": "https://a.example/", "events": ["verdict"]}
    with pytest.raises(InvalidWebhook):
        editing.create_webhook(by=ADMIN, **{**good, **fields})
    assert not Webhook.objects.exists()


@pytest.mark.django_db
def test_a_name_is_taken_once_and_only_an_admin_edits() -> None:
    make_webhook("https://a.example/")
    with pytest.raises(Conflict):
        make_webhook("https://b.example/")
    with pytest.raises(NotAllowed):
        editing.create_webhook(
            by=Actor("user:l", Role.LEAD), name="x", url="https://a.example/", events=["verdict"]
        )


@pytest.mark.django_db
def test_the_database_knows_the_events() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Webhook.objects.create(name="x", url="https://a.example/", events=["eaten"], secret="x")


@pytest.mark.django_db
def test_settled_messages_go_after_a_month(receiver: Receiver) -> None:
    make_webhook(receiver.url)
    tell(1)
    tell(2)
    delivery.send_due()
    Delivery.objects.filter(key="decision:1").update(
        delivered_at=timezone.now() - timedelta(days=31)
    )
    assert delivery.clean_up() == 1
    assert Delivery.objects.get().key == "decision:2"


def image(number: int, **fields: Any) -> Image:
    return Image.objects.create(
        md5=f"{number:032x}", sha1=f"{number:040x}", sha256=f"{number:064x}", format="jpeg",
        width=8, height=8, bytes=10, added_by="test", data_id=f"d{number}", **fields,
    )  # fmt: skip


@pytest.mark.django_db
def test_images_that_become_ready_or_fail_are_told_of() -> None:
    make_webhook("https://a.example/", WebhookEvent.READY, WebhookEvent.FAILED)
    with transaction.atomic():
        row = image(1)
        publish(row, by="worker")
        failed = image(2, status=Status.FAILED, failure="not a picture")
        signals.notify_changed(
            by="worker", verb="failed", row=failed, before="pending", after="failed"
        )
        signals.notify_changed(by="worker", verb="updated", row=failed, before={}, after={})
    ready, lost = Delivery.objects.order_by("id")
    assert (ready.event, lost.event) == ("item.ready", "item.failed")
    assert ready.payload == {
        "kind": "image", "id": row.pk, "url": None, "data_id": "d1", "md5": row.md5,
        "sha256": row.sha256, "status": "ready", "failure": "",
    }  # fmt: skip
    assert lost.payload["failure"] == "not a picture"


@pytest.mark.django_db
def test_what_is_held_back_is_told_of_when_it_is_released() -> None:
    make_webhook("https://a.example/", WebhookEvent.READY)
    for number in (1, 2, 3):
        image(number, status=Status.READY)
    changing.quarantine_items(items=Image.objects.all(), by="user:m")
    assert not Delivery.objects.exists()
    changing.release_items(items=Image.objects.all(), by="user:m")
    assert Delivery.objects.count() == 3
