"""Imports, exports and webhooks in the admin and through v1."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from imgsmlr_site.models import ApiKey
from moderation.access.permissions import Role
from moderation.audit.models import AuditEvent
from moderation.imports import start
from moderation.imports.models import ListImport
from moderation.lists.models import BannedItem
from moderation.webhooks import delivery, editing, outbox
from moderation.webhooks.models import Delivery, Webhook, WebhookEvent
from tests import pages
from tests.moderation.factories import ADMIN, make_item, make_list, make_person
from tests.moderation.lists.hashlist_files import DATA, md5
from tests.moderation.webhooks.test_webhooks import Receiver, _loopback, receiver, verify

__all__ = ["_loopback", "receiver"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]


IMPORTS, WEBHOOKS = "/admin/moderation/listimport/", "/admin/moderation/webhook/"
API = "/api/v1/moderation/"


def logged_in(role: Role) -> Client:
    client = Client()
    client.force_login(make_person(role))
    return client


def with_key(role: Role | None = None, *scopes: str) -> Client:
    user = None if role is None else make_person(role)
    _, text = ApiKey.issue(name=secrets.token_hex(4), scopes=[*scopes] or ["lists"], user=user)
    return Client(headers={"authorization": f"Bearer {text}"})


def upload(name: str) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, (DATA / name).read_bytes())


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


# --- imports


def test_upload_look_confirm_done(django_capture_on_commit_callbacks: Any) -> None:
    lead, on = logged_in(Role.LEAD), make_list("partner")
    answer = lead.post(f"{IMPORTS}add/", {"list": on.pk, "file": upload("broken.csv")}, follow=True)
    row = ListImport.objects.get()
    assert answer.redirect_chain[-1][0] == f"{IMPORTS}{row.pk}/change/"
    assert 'data-import="going"' in text_of(answer)

    start.run_in_background(row.pk)
    page = text_of(lead.get(f"{IMPORTS}{row.pk}/change/"))
    assert "What it would change" in page
    assert "Import this" in page
    assert "Bad rows: 10" in page
    assert "line 3" in page
    assert 'data-import="over"' in page
    assert not BannedItem.objects.exists()

    lines = b"".join(lead.get(f"{IMPORTS}{row.pk}/bad_rows.csv")).decode().splitlines()  # type: ignore[arg-type]
    assert lines[0] == "place,reason,excerpt"
    assert len(lines) == 11

    answer = lead.post(f"{IMPORTS}{row.pk}/confirm/", follow=True)
    assert "The import was started." in text_of(answer)
    start.run_in_background(row.pk)
    page = text_of(lead.get(f"{IMPORTS}{row.pk}/change/"))
    assert "What it changed" in page
    assert "Import this" not in page
    assert on.items.count() == 3
    assert "3 added, 10 bad" in text_of(lead.get(IMPORTS))
    late = lead.post(f"{IMPORTS}{row.pk}/confirm/", follow=True)
    assert "cannot be done with it now" in text_of(late)


def test_an_import_can_be_discarded() -> None:
    lead, on = logged_in(Role.LEAD), make_list()
    lead.post(f"{IMPORTS}add/", {"list": on.pk, "file": upload("good.csv")})
    row = ListImport.objects.get()
    start.run_in_background(row.pk)
    page = text_of(lead.post(f"{IMPORTS}{row.pk}/discard/", follow=True))
    assert "Discarded by user:" in page
    assert not BannedItem.objects.exists()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"file": "not_a_list.html"}, "no hash list that can be read here"),
        ({"file": "good_project_vic.json"}, "name the categories to import"),
        ({"file": "good.csv", "full": "on"}, "name the source"),
        ({}, "This field is required"),
    ],
)
def test_what_cannot_be_read_is_said_beside_the_field(given: dict[str, str], sentence: str) -> None:
    on = make_list()
    body: dict[str, Any] = {"list": on.pk, **given}
    if "file" in given:
        body["file"] = upload(given["file"])
    assert sentence in text_of(logged_in(Role.LEAD).post(f"{IMPORTS}add/", body))
    assert not ListImport.objects.exists()


def test_an_upload_has_a_largest_size(settings: Any) -> None:
    settings.MAX_LIST_BYTES = 100
    on = make_list()
    body = {"list": on.pk, "file": upload("good.csv")}
    assert "manage.py import_hash_list has no limit" in text_of(
        logged_in(Role.LEAD).post(f"{IMPORTS}add/", body)
    )
    answer = with_key().post(f"{API}imports/", {"list": on.pk, "file": upload("good.csv")})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_only_a_lead_sees_imports_and_only_an_admin_webhooks() -> None:
    row = ListImport.objects.create(
        list=make_list(), file_name="x", sha256="", format="csv", size=1, added_by="x"
    )
    moderator, lead, admin = (logged_in(role) for role in (Role.MODERATOR, Role.LEAD, Role.ADMIN))
    for path in ("", "add/", f"{row.pk}/change/", "export/", f"{row.pk}/bad_rows.csv"):
        assert moderator.get(IMPORTS + path).status_code == 403, path
        assert lead.get(IMPORTS + path).status_code == 200, path
    assert lead.get(f"{IMPORTS}{row.pk}/confirm/").status_code == 403
    assert lead.get(f"{IMPORTS}999/change/").status_code == 404
    for path in (WEBHOOKS, "/admin/moderation/delivery/"):
        assert lead.get(path).status_code == 403
        assert admin.get(path).status_code == 200


def test_imports_are_retried_and_discarded_together() -> None:
    on, lead = make_list("partner"), logged_in(Role.LEAD)

    def make(state: str, **fields: Any) -> ListImport:
        finished = timezone.now() if state in ("failed", "done") else None
        return ListImport.objects.create(
            list=on, file_name=f"{state}.csv", sha256="", format="csv", size=1, added_by="x",
            state=state, finished_at=finished, **fields,
        )  # fmt: skip

    kept, gone = make("failed", file="imports/a", failure="The import failed."), make("failed")
    waits, done = make("previewed", file="imports/b"), make("done")
    chosen = [row.pk for row in (kept, gone, waits, done)]
    asked = pages.shown(lead, IMPORTS, {"action": "retry_imports", "_selected_action": chosen})
    assert "Try 1 import again" in text_of(asked)
    assert f"{kept.pk}: failed.csv into partner" in text_of(asked)
    assert f"{IMPORTS}{kept.pk}/retry/" in text_of(lead.get(f"{IMPORTS}{kept.pk}/change/"))
    assert "/retry/" not in text_of(lead.get(f"{IMPORTS}{gone.pk}/change/"))
    for action, state in (("retry_imports", kept), ("discard_imports", waits)):
        body = {"action": action, "_selected_action": chosen}
        assert "Done for 1 import." in text_of(pages.confirm(lead, IMPORTS, body))
        assert "Nothing to do" in text_of(pages.confirm(lead, IMPORTS, body)), state
    states = {row.pk: row.state for row in ListImport.objects.all()}
    assert states == {kept.pk: "pending", gone.pk: "failed", waits.pk: "failed", done.pk: "done"}
    ListImport.objects.update(state="failed", file="imports/a", finished_at=timezone.now())
    logged_in(Role.MODERATOR).post(f"{IMPORTS}{gone.pk}/retry/")
    assert not ListImport.objects.exclude(state="failed").exists()


def test_a_list_is_downloaded_and_that_is_noted() -> None:
    on = make_list("partner")
    make_item(on, ("md5", md5(1)))
    answer = logged_in(Role.LEAD).post(f"{IMPORTS}export/", {"list": on.pk, "format": "plain"})
    assert b"".join(answer) == f"md5 {md5(1)}\n".encode()  # type: ignore[arg-type]
    assert answer["Content-Disposition"] == 'attachment; filename="partner-version-1.txt"'
    assert AuditEvent.objects.get().verb == "list.exported"


def test_import_and_export_through_v1() -> None:
    on, caller = make_list(), with_key()
    body = {"list": on.pk, "file": upload("broken.csv"), "dry_run": "true"}
    answer = caller.post(f"{API}imports/", body)
    assert answer.status_code == 202
    path = f"{API}imports/{answer.json()['id']}/"
    assert answer.json()["state"] == "pending"
    assert caller.post(f"{path}confirm/").status_code == 409
    start.run_in_background(answer.json()["id"])
    seen = caller.get(path).json()
    assert (seen["state"], seen["counts"]["added"], seen["list"]) == ("previewed", 3, on.pk)
    assert caller.post(f"{path}confirm/").json()["state"] == "pending"
    start.run_in_background(seen["id"])
    assert caller.get(path).json()["state"] == "done"
    bad = caller.get(f"{path}bad_rows/").json()["results"]
    assert len(bad) == 10
    assert bad[-1]["place"] == "line 3"
    assert [row["id"] for row in caller.get(f"{API}imports/?list={on.pk}").json()["results"]] == [
        seen["id"]
    ]
    export = caller.get(f"{API}lists/{on.pk}/export/csv/")
    assert len(b"".join(export).splitlines()) == 4  # type: ignore[arg-type]
    assert caller.get(f"{API}lists/{on.pk}/export/ncmec/").json()["code"] == "not_writable"


def test_a_second_dry_run_is_discarded_through_v1() -> None:
    on, caller = make_list(), with_key()
    body = {"list": on.pk, "file": upload("good.csv"), "dry_run": "true"}
    pk = caller.post(f"{API}imports/", body).json()["id"]
    start.run_in_background(pk)
    assert caller.post(f"{API}imports/{pk}/discard/").json()["state"] == "failed"


def test_v1_asks_for_scope_and_role() -> None:
    on = make_list()
    for caller in (with_key(None, "search"), with_key(Role.MODERATOR), with_key(Role.NOBODY)):
        body = {"list": on.pk, "file": upload("good.csv")}
        assert caller.post(f"{API}imports/", body).status_code == 403
        assert caller.get(f"{API}lists/{on.pk}/export/csv/").status_code == 403
    for caller in (with_key(), with_key(Role.LEAD)):
        assert caller.get(f"{API}webhooks/").status_code == 403
        hook = {"name": "a", "url": "https://a.example/", "events": ["verdict"]}
        answer = caller.post(f"{API}webhooks/", hook, content_type="application/json")
        assert answer.status_code == 403
    assert not ListImport.objects.exists()
    assert not Webhook.objects.exists()


# --- webhooks


def test_a_secret_is_shown_once(receiver: Receiver) -> None:
    admin = logged_in(Role.ADMIN)
    body = {"name": "shop", "url": receiver.url, "events": ["verdict"], "enabled": "on"}
    answer = admin.post(f"{WEBHOOKS}add/", body)
    made = Webhook.objects.get()
    assert made.secret in text_of(answer)
    assert "no-store" in answer["Cache-Control"]
    pages = [f"{WEBHOOKS}{made.pk}/change/", WEBHOOKS, "/admin/moderation/delivery/"]
    assert not any(made.secret in text_of(admin.get(page)) for page in pages)
    old = made.secret
    answer = admin.post(f"{WEBHOOKS}{made.pk}/secret/")
    made.refresh_from_db()
    assert made.secret != old
    assert made.secret in text_of(answer)
    assert admin.get(f"{WEBHOOKS}{made.pk}/secret/").status_code == 403


def test_a_test_message_says_what_came_of_it(receiver: Receiver) -> None:
    admin = logged_in(Role.ADMIN)
    made = editing.create_webhook(by=ADMIN, name="shop", url=receiver.url, events=["verdict"])
    assert "The test message arrived." in text_of(
        admin.post(f"{WEBHOOKS}{made.pk}/test/", follow=True)
    )
    assert verify(made.secret, receiver.messages[0])
    receiver.answers = [500]
    page = text_of(admin.post(f"{WEBHOOKS}{made.pk}/test/", follow=True))
    assert "did not arrive. The receiver answered 500." in page
    assert "The receiver is failing." in page


def test_what_a_service_refuses_is_said_on_the_page() -> None:
    admin = logged_in(Role.ADMIN)
    body = {"name": "shop", "url": "https://u:p@a.example/", "events": ["verdict"]}
    assert "user name or password" in text_of(admin.post(f"{WEBHOOKS}add/", body, follow=True))
    assert not Webhook.objects.exists()


def test_a_webhook_is_changed_and_deleted_in_the_admin() -> None:
    admin = logged_in(Role.ADMIN)
    made = editing.create_webhook(
        by=ADMIN, name="shop", url="https://a.example/", events=["verdict"]
    )
    body = {"name": "shop", "url": "https://b.example/", "events": ["item.ready", "verdict"]}
    admin.post(f"{WEBHOOKS}{made.pk}/change/", body)
    made.refresh_from_db()
    assert (made.url, made.events, made.enabled) == (
        "https://b.example/",
        ["item.ready", "verdict"],
        False,
    )
    admin.post(f"{WEBHOOKS}{made.pk}/delete/", {"post": "yes"})
    assert not Webhook.objects.exists()


def test_messages_are_tried_again_from_their_list() -> None:
    admin = logged_in(Role.ADMIN)
    made = editing.create_webhook(
        by=ADMIN, name="shop", url="https://a.example/", events=["verdict"]
    )
    outbox.enqueue(WebhookEvent.VERDICT, "verdict:1", {"a": "<b>"})
    row = Delivery.objects.get()
    Delivery.objects.update(given_up_at=timezone.now(), failure="The receiver answered 500.")
    page = text_of(admin.get("/admin/moderation/delivery/?outcome=given_up"))
    assert f"msg_{row.pk}" in page
    assert f"msg_{row.pk}" not in text_of(admin.get("/admin/moderation/delivery/?outcome=waiting"))
    assert "&lt;b&gt;" in text_of(admin.get(f"/admin/moderation/delivery/{row.pk}/change/"))
    answer = admin.post(
        "/admin/moderation/delivery/", {"action": "try_again", "_selected_action": [row.pk]},
        follow=True,
    )  # fmt: skip
    assert "1 of 1 will be sent again." in text_of(answer)
    row.refresh_from_db()
    assert row.given_up_at is None
    assert made.deliveries.count() == 1


def test_webhooks_through_v1(receiver: Receiver) -> None:
    caller = with_key(Role.ADMIN)
    post: Callable[..., Any] = lambda path, body=None: caller.post(  # noqa: E731
        f"{API}{path}", body, content_type="application/json"
    )
    hook = {"name": "shop", "url": receiver.url, "events": ["decision"]}
    made = post("webhooks/", hook)
    assert made.status_code == 201
    path = f"webhooks/{made.json()['id']}/"
    assert made.json()["secret"].startswith("whsec_")
    assert "secret" not in caller.get(f"{API}{path}").json()
    assert post("webhooks/", hook).status_code == 409
    assert post("webhooks/", {**hook, "name": "b", "events": ["x"]}).json()["field"] == "events.0"
    changed = caller.patch(f"{API}{path}", {"enabled": False}, content_type="application/json")
    assert changed.json()["enabled"] is False
    assert post(f"{path}test/").json()["delivered_at"]
    secret = post(f"{path}secret/").json()["secret"]
    assert secret != made.json()["secret"]
    caller.patch(f"{API}{path}", {"enabled": True}, content_type="application/json")
    outbox.enqueue(WebhookEvent.DECISION, "decision:1", {})
    receiver.answers = [500]
    delivery.send_due()
    seen = caller.get(f"{API}{path}deliveries/").json()["results"]
    assert [one["event"] for one in seen] == ["decision", "test"]
    assert seen[0]["failure"] == "The receiver answered 500."
    assert post("webhooks/try_again/", {"ids": [seen[0]["id"]]}).json() == {"count": 1}
    assert delivery.send_due() == 1
    assert verify(secret, receiver.messages[-1])
    assert caller.delete(f"{API}{path}").status_code == 204
    assert caller.get(f"{API}{path}").status_code == 404
