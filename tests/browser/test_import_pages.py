"""Imports in a real browser: the way from a file to items. The pages are looked at elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import expect

from moderation.imports import start
from moderation.imports.models import ListImport
from moderation.webhooks import editing
from moderation.webhooks.models import Delivery, Webhook, WebhookEvent
from tests.browser.conftest import OpenPage
from tests.browser.files import choose
from tests.browser.test_admin_pages import WORD, log_in, root
from tests.moderation.factories import ADMIN, make_list
from tests.moderation.lists.hashlist_files import DATA

__all__ = ["WORD", "root"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
IMPORTS = "/admin/moderation/listimport/"


def make_pages() -> dict[str, str]:
    """Name → path of pages with something on them."""
    on = make_list("Partner's list of known images")
    previewed, done, waiting = (
        start.begin(by=ADMIN, list_id=on.pk, file=_file(name), dry_run=name == "broken.csv").pk
        for name in ("broken.csv", "good_ncmec.xml", "good_stopncii.json")
    )
    for pk in (previewed, done, waiting):
        start.run_in_background(pk)
    running = ListImport.objects.create(
        list=on, file_name="a-very-long-name-of-a-file-that-somebody-gave-it-2026-11-26.json",
        sha256="a1" * 32, format="stopncii", size=123_456_789, state="running", progress=42,
        added_by="user:root",
    )  # fmt: skip
    hook = editing.create_webhook(
        by=ADMIN,
        name="shop",
        url="https://hooks.shop.example/very/long/path/that/goes/on/and/on?token=0123456789",
        events=WebhookEvent.values,
    )
    for number in range(3):
        editing.write_test(by=ADMIN, webhook_id=hook.pk)
        Delivery.objects.filter(delivered_at=None).exclude(attempts=1).update(
            attempts=1, failure="The receiver answered 500." * number
        )
    Delivery.objects.filter(failure="").update(delivered_at=timezone.now())
    Webhook.objects.update(failures=2, paused_until=timezone.now())
    return {
        "imports": IMPORTS,
        "upload": f"{IMPORTS}add/",
        "export": f"{IMPORTS}export/",
        "running": f"{IMPORTS}{running.pk}/change/",
        "previewed": f"{IMPORTS}{previewed}/change/",
        "done": f"{IMPORTS}{done}/change/",
        "waiting": f"{IMPORTS}{waiting}/change/",
        "webhooks": "/admin/moderation/webhook/",
        "webhook": f"/admin/moderation/webhook/{hook.pk}/change/",
        "new webhook": "/admin/moderation/webhook/add/",
        "messages": "/admin/moderation/delivery/",
        "message": f"/admin/moderation/delivery/{hook.deliveries.all()[0].pk}/change/",
    }


def _file(name: str) -> Any:
    from django.core.files.base import ContentFile

    return ContentFile((DATA / name).read_bytes(), name=name)


@pytest.mark.slow
def test_from_a_file_to_items(open_page: OpenPage, root: User) -> None:
    on = make_list("partner")
    page = log_in(open_page, IMPORTS)
    page.get_by_role("link", name="Import a hash list").click()
    page.get_by_label("List:", exact=True).select_option(label="partner")
    choose(page, ("good.csv", (DATA / "good.csv").read_bytes()))
    page.get_by_role("button", name="Read the file").click()
    expect(page.get_by_role("status")).to_contain_text("pending")
    (row,) = ListImport.objects.all()
    assert (row.file_name, row.options) == ("good.csv", {})
    start.run_in_background(row.pk)
    # The page asks again by itself.
    expect(page.get_by_role("heading", name="What it would change")).to_be_visible()
    expect(page.get_by_role("row", name="Added")).to_contain_text("4")
    page.get_by_role("button", name="Import this").click()
    start.run_in_background(row.pk)
    expect(page.get_by_role("heading", name="What it changed")).to_be_visible()
    assert on.items.count() == 4
