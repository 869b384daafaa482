"""The OpenAPI document as something to try: what it says of each operation, and that its examples
do what they say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from gallery.api.fields import EXAMPLE_LINK
from gallery.items.item import Status
from gallery.items.models import Image, SharedSearch
from gallery.shared import encryption
from imgsmlr_site.api_schema import FORM, TAGS
from moderation.access.permissions import Actor, Role
from moderation.cases import deciding, retention
from moderation.cases.models import DecisionBatch, ReviewCase
from moderation.exchanges.editing import PURPOSE
from moderation.exchanges.models import Exchange, Pull
from moderation.imports import start
from moderation.imports.models import ListImport
from moderation.lists.models import BannedItem, BannedList, ListChange
from moderation.reports import receipts, statements
from moderation.reports.models import Notice
from moderation.webhooks.models import Delivery, Webhook
from tests import factories as make
from tests.httpserver import HttpServer
from tests.moderation.factories import make_case, make_item, make_list, make_person
from tests.videos.clips import encode, moving, timed
from videos.models import Video

HOST = EXAMPLE_LINK.rpartition("/")[0]
COUNTED = (
    Image, Video, BannedList, BannedItem, ReviewCase, DecisionBatch, ListImport, ListChange,
    Webhook, Delivery, Exchange, Notice,
)  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "/api/v1/moderation/imports/": b"md5 0123456789abcdef0123456789abcdef\n",
    "/api/v1/videos/": encode(timed(moving("astronaut", 1))),
}
"""What to send where; everywhere else a picture."""
PICTURE = make.png(make.photo(3))


@pytest.fixture(scope="module")
def operations() -> dict[str, dict[str, Any]]:
    """Method and path → operation."""
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    return {
        f"{method.upper()} {path}": operation
        for path, by_method in paths.items()
        for method, operation in by_method.items()
    }


def test_each_operation_explains_itself(operations: dict[str, Any]) -> None:
    assert len(operations) > 60
    names = {name for _, name, _ in TAGS}
    for label, operation in operations.items():
        assert operation["summary"], label
        assert "Needs the scope" in operation["description"], label
        assert set(operation["tags"]) <= names, label
        for one in operation.get("parameters", []):
            assert "example" in one or one["in"] != "path", f"{label}: {one['name']}"
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            assert content["examples"]["Example"].keys() == {"value"}, f"{label}: {media_type}"
        sent = [*operation.get("requestBody", {}).get("content", {})]
        assert FORM not in sent[1:], f"{label}: the form comes first"


@pytest.fixture
def server(open_api: None, settings: Any) -> Iterator[HttpServer]:
    settings.THROTTLE_POINTS = 0
    with HttpServer({"/hook": b""}, directory=ROOT / "docs/samples") as server:
        yield server


@pytest.fixture
def admin(server: HttpServer, db: None, client: Client) -> Client:
    """A row or two of each kind, with the first ids, as a service has that was used a little."""
    with connection.cursor() as cursor:
        for model in COUNTED:
            table = model._meta.db_table
            cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table])
            cursor.execute(f"ALTER SEQUENCE {cursor.fetchone()[0]} RESTART")
    lead, root = make_person(Role.LEAD), User.objects.create_superuser("root")
    make.add_ready_image(make.photo(1))
    upload = make.add_ready_image(make.photo(2))
    Image.objects.filter(pk=upload.pk).update(status=Status.QUARANTINED)
    Video.objects.create(
        md5="0" * 32, format="mp4", width=64, height=48, bytes=1, status="ready", added_by="tests"
    )
    on, _, partners = make_list("terror"), make_list("empty"), make_list("partners")
    item = make_item(on, ("sha256", "ab" * 32), ("pdq", "cd" * 32, 90))
    waiting, decided = make_case(item, Image.objects.get(pk=upload.pk)), make_case(item)
    retention.set_hold(by=Actor.person(lead), case_ids=[waiting.pk], reason="police")
    deciding.decide(by=Actor.person(lead), case_ids=[decided.pk], verb="dismiss")
    begun = start.begin(
        by=Actor.person(lead),
        list_id=on.pk,
        file=ContentFile(FILES["/api/v1/moderation/imports/"], "hashes.txt"),
        dry_run=True,
    )
    start.run_in_background(begun.pk)
    applied = start.begin(
        by=Actor.person(lead),
        list_id=partners.pk,
        file=ContentFile(FILES["/api/v1/moderation/imports/"], "hashes.txt"),
    )
    start.run_in_background(applied.pk)
    pulled = Exchange.objects.create(
        name="pulled", service="stopncii", list=partners, url="https://e.example", enabled=True,
        credentials=encryption.encrypt('{"subscription": "s", "fetch": "f"}', PURPOSE),
    )  # fmt: skip
    Pull.objects.create(exchange=pulled, state="done", run=applied, started_by="x")
    Exchange.objects.create(
        name="asked", service="arachnid_shield", list=partners, url="https://e.example",
        enabled=True, hold_unanswered=False,
    )  # fmt: skip
    change = {"list_id": on.pk, "enabled": False}
    asked = {"list": on, "list_name": on.name, "command": "change_list", "arguments": change}
    ListChange.objects.create(
        **asked, weakens=["x"], asked_by="key:other", expires_at="2100-01-01T00:00Z"
    )
    hook = Webhook.objects.create(name="h", url=f"{server.url}/hook", events=["verdict"])
    Delivery.objects.create(
        webhook=hook, event="verdict", payload={}, give_up_at="2100-01-01T00:00Z"
    )
    SharedSearch.objects.create(
        digest=hashlib.sha256(b"a-token").hexdigest(),
        picture=make.jpeg(make.photo(5)),
        ends_at="2100-01-01T00:00Z",
    )
    statements.make([waiting.pk])
    client.force_login(root)
    return client


@pytest.fixture
def receipt(db: None) -> str:
    now = timezone.now()
    return receipts.issue(Notice.objects.create(reason="other", created_at=now, due_at=now))


@pytest.mark.slow
def test_examples_do_what_they_say(
    admin: Client, server: HttpServer, receipt: str, operations: dict[str, Any]
) -> None:
    """Each as it is printed, by an administrator. Only the host of links is one that answers, and
    a receipt one that was signed here."""
    refused = {}
    for label, operation in operations.items():
        method, path = label.split(" ")
        query = {}
        for one in operation.get("parameters", []):
            if "example" in one and one["in"] == "path":
                path = path.replace(f"{{{one['name']}}}", str(one["example"]))
            elif "example" in one and one["in"] == "query":
                query[one["name"]] = one["example"]
        path = path.replace("a-receipt", receipt)
        address = f"{path}?{urlencode(query)}" if query else path
        bodies = operation.get("requestBody", {}).get("content", {"": None})
        for media_type, content in bodies.items():
            with transaction.atomic():
                if media_type == FORM:
                    answer = admin.post(address, form(path, content))
                else:
                    text = json.dumps(content["examples"]["Example"]["value"]) if content else ""
                    answer = admin.generic(
                        method,
                        address,
                        text.replace(HOST, server.url),
                        content_type=media_type or "application/json",
                    )
                transaction.set_rollback(True)
            if not 200 <= answer.status_code < 300:
                refused[f"{label} {media_type}"] = (answer.status_code, answer.content)
    assert refused == {}


def form(path: str, content: Any) -> dict[str, Any]:
    """What a page sends: the example's fields, and a file where one can be chosen."""
    fields = {
        name: json.dumps(value) if isinstance(value, dict) else value
        for name, value in content["examples"]["Example"]["value"].items()
    }
    chosen = ("a", "b") if path.endswith("/compare/") else ("file",)
    data = FILES.get(path, PICTURE)
    return fields | {name: SimpleUploadedFile("chosen", data) for name in chosen}
