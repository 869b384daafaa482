"""The gate of Mastodon: signed messages, attachments from a web server, reports to another."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from PIL import ImageOps

from moderation.audit.models import AuditEvent
from moderation.cases.models import ReviewCase
from moderation.lists import item_adding
from tests.factories import jpeg, wheel_photo
from tests.httpserver import HttpServer, Reply, RequestHandler
from tests.moderation.factories import ADMIN, make_list

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("open_api")]
PATH = "/gate/mastodon"
REPORTS = "/api/v1/reports"


class Server(HttpServer):
    """A Mastodon server with its media, which writes down what is reported."""

    status = 200

    def __init__(self) -> None:
        super().__init__({REPORTS: self._report})
        self.reports: list[Any] = []

    def _report(self, handler: RequestHandler) -> None:
        sent = handler.body if self.status == 200 else None
        if sent is not None:
            self.reports.append((handler.headers["Authorization"], json.loads(sent)))
        handler.reply(Reply(b"{}", self.status))


@pytest.fixture
def mastodon(settings: Any) -> Iterator[Server]:
    with Server() as server:
        settings.MASTODON_GATE, settings.MASTODON_SECRET = "block", "their secret"
        settings.MASTODON_URL, settings.MASTODON_TOKEN = server.url, "token"
        yield server


def told(status: Any, event: str = "status.created") -> bytes:
    return json.dumps({"event": event, "created_at": "2026-11-01", "object": status}).encode()


def send(client: Client, body: bytes, secret: str = "their secret") -> Any:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"x-hub-signature": f"sha256={signature}"}
    return client.post(PATH, body, content_type="application/json", headers=headers)


def status(*links: str, number: str = "115", kind: str = "image") -> dict[str, Any]:
    return {
        "id": number,
        "account": {"id": "7", "acct": "ana"},
        "edited_at": None,
        "media_attachments": [{"type": kind, "url": link, "preview_url": None} for link in links],
    }


def test_a_post_is_reported_once(mastodon: Server, client: Client, settings: Any) -> None:
    row = make_list("cats")
    picture = wheel_photo("chelsea.png")
    item_adding.add_picture(by=ADMIN, list_id=row.pk, data=jpeg(picture))
    mastodon.routes["/cat.jpg"] = jpeg(ImageOps.mirror(picture))
    mastodon.routes["/mug.jpg"] = jpeg(wheel_photo("coffee.png"))
    cat, mug = f"{mastodon.url}/cat.jpg", f"{mastodon.url}/mug.jpg"

    assert send(client, told(status(mug, number="1"))).json() == {"outcome": "accepted"}
    answer = send(client, told(status(mug, cat)))
    assert answer.json() == {"outcome": "refused", "reported": True}
    case = ReviewCase.objects.get()
    assert case.evidence["url"] == cat
    assert mastodon.reports == [
        (
            "Bearer token",
            {
                "account_id": "7",
                "status_ids": ["115"],
                "comment": "1 of 2 attachments are on a list of banned content. "
                f"Case {case.pk} of imgsmlr-server.",
                "category": "other",
            },
        )
    ]
    done = AuditEvent.objects.get(verb="gate.post_reported")
    assert (done.actor, done.subject_id) == ("gate:mastodon", case.pk)
    # Mastodon sends a message again if its answer was late.
    assert send(client, told(status(mug, cat))).json()["reported"]
    assert len(mastodon.reports) == ReviewCase.objects.count() == 1

    missing = f"{mastodon.url}/none.jpg"
    answer = send(client, told(status(missing, number="2"), "status.updated"))
    assert answer.json() == {"outcome": "refused", "reported": True}
    assert mastodon.reports[1][1]["comment"] == "1 of 1 attachments could not be compared."
    settings.MASTODON_FAILURE = "open"
    assert send(client, told(status(missing, number="3"))).json() == {"outcome": "accepted"}

    mastodon.status = 403
    answer = send(client, told(status(cat, number="4")))
    assert answer.status_code == 503, "Mastodon tries again"
    assert "answered 403" in answer.json()["detail"]
    mastodon.status = 404
    assert send(client, told(status(cat, number="4"))).status_code == 200, "deleted meanwhile"
    settings.MASTODON_TOKEN = ""
    answer = send(client, told(status(cat, number="5")))
    assert answer.json() == {"outcome": "refused", "reported": False}


def test_what_is_not_checked(mastodon: Server, client: Client, settings: Any) -> None:
    body = told(status("http://10.0.0.1/a.jpg", kind="audio"))
    assert client.post(PATH, body, content_type="application/json").status_code == 401
    answer = send(client, body, secret="guessed")
    assert (answer.status_code, answer.json()["code"]) == (401, "authentication_failed")
    assert "MASTODON_SECRET" in answer.json()["detail"]
    assert send(client, body).json() == {"outcome": "accepted"}, "audio is not compared"
    assert send(client, told({}, "account.created")).json() == {"outcome": "ignored"}
    private = told(status("http://10.0.0.1/a.jpg", number="6"))
    assert send(client, private).json()["outcome"] == "refused", "not fetched, so not compared"
    for wrong in (b"", b"{", b"[]", told(7), told({"id": 1}), told(status(*"x" * 17))):
        assert send(client, wrong).status_code == 400
    settings.MASTODON_GATE = "off"
    assert send(client, body).status_code == 404
