"""Lists and items in a real browser: a threshold is moved, items are retired."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from moderation.audit.models import AuditEvent
from moderation.lists import item_adding, item_changing, list_writes
from moderation.lists.models import BannedItem
from tests import factories as make
from tests.browser.accessibility import fits, too_wide
from tests.browser.conftest import OpenPage
from tests.browser.test_admin_pages import WORD, log_in, root
from tests.moderation.factories import ADMIN, make_case, make_item

__all__ = ["WORD", "root"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ADMIN_PAGES = "/admin/moderation/"
A, B = "a1" * 32, "b2" * 32


def make_pages() -> dict[str, str]:
    """Name → path of pages with something on them."""
    terror = list_writes.create_list(
        by=ADMIN,
        name="Known terrorist and violent extremist content",
        category="tvec",
        severity=4,
        action="block",
        owner="trust-and-safety@example.org",
        reason="agreed on Monday",
    )
    list_writes.create_list(by=ADMIN, name="Memes", category="spam", reason="to begin with")
    list_writes.create_list(by=ADMIN, name="Our own", kind="allow", allows_for=[terror.pk])
    picture_item = item_adding.add_picture(
        by=ADMIN,
        list_id=terror.pk,
        data=make.png(make.photo(1)),
        tags=["propaganda", "video still"],
    )
    for number in range(12):
        make_item(
            terror,
            ("sha256", f"{number:064x}"),
            ("pdq", f"{number + 100:064x}", 88),
            source="Tech Against Terrorism",
            source_id=f"TAT-2026-{number:06d}-with-a-long-id",
            opinion=("none", "confirmed", "disputed", "false_positive")[number % 4],
        )
    image = make.add_ready_image(make.photo(1))
    case = make_case(picture_item, image)
    make_case(picture_item, image, distance=44.0)
    item_changing.retire(
        by=ADMIN, items=BannedItem.objects.filter(source_id__contains="00001"), reason="withdrawn"
    )
    list_writes.change_method(
        by=ADMIN, list_id=terror.pk, match_type="pdq", threshold=28, reason="memes"
    )
    event = AuditEvent.objects.filter(verb="items.retired").get()
    return {
        "lists": f"{ADMIN_PAGES}bannedlist/",
        "list": f"{ADMIN_PAGES}bannedlist/{terror.pk}/change/",
        "new list": f"{ADMIN_PAGES}bannedlist/add/",
        "delete list": f"{ADMIN_PAGES}bannedlist/{terror.pk}/delete/",
        "items": f"{ADMIN_PAGES}banneditem/",
        "item": f"{ADMIN_PAGES}banneditem/{picture_item.pk}/change/",
        "new items": f"{ADMIN_PAGES}banneditem/add/",
        "matches": f"{ADMIN_PAGES}casematch/",
        "match": f"{ADMIN_PAGES}casematch/{case.matches.get().pk}/change/",
        "audit": f"{ADMIN_PAGES}auditevent/",
        "event": f"{ADMIN_PAGES}auditevent/{event.pk}/change/",
    }


@pytest.mark.slow
def test_a_threshold_is_moved(root: User, open_page: OpenPage) -> None:
    row = list_writes.create_list(by=ADMIN, name="terror")
    page = log_in(open_page, f"{ADMIN_PAGES}bannedlist/{row.pk}/change/")
    cells = page.locator("tr:has(#id_methods-0-threshold) > td").all()
    assert len({box["y"] for cell in cells if (box := cell.bounding_box())}) == 1
    assert too_wide(page) == 0
    # Only what fits the kind and the action is there.
    action, methods = page.locator("#id_action"), page.locator("#id_methods-0-threshold")
    two, outranks = page.locator("#id_two_person"), page.locator("#id_allows_for")
    expect(two).to_be_hidden()  # in shadow
    action.select_option("review")
    expect(two).to_be_visible()
    page.locator("#id_kind").select_option("allow")
    expect(outranks).to_be_visible()
    for one in (action, two, methods):
        expect(one).to_be_hidden()
    page.locator("#id_kind").select_option("banned")
    expect(outranks).to_be_hidden()
    methods.fill("24")
    page.locator("#id_reason").fill("memes")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("changed successfully")).to_be_visible()
    assert row.methods.get(match_type="pdq").threshold == 24
    assert AuditEvent.objects.latest("id").reason == "memes"


@pytest.mark.slow
def test_items_are_retired_together(root: User, open_page: OpenPage) -> None:
    row = list_writes.create_list(by=ADMIN, name="terror")
    for number in range(3):
        make_item(row, ("sha256", f"{number:064x}"))
    page = log_in(open_page, f"{ADMIN_PAGES}banneditem/")
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option("retire")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("heading", name="Retire 3 items?").first).to_be_visible()
    expect(page.get_by_text("sha256 000000000000…")).to_have_count(3)
    fits(page, "retire")
    page.locator("#id_reason").fill("withdrawn")
    page.get_by_role("button", name="Retire", exact=True).click()
    expect(page.get_by_text("3 items retired.")).to_be_visible()
    assert BannedItem.objects.filter(state="retired").count() == 3
