"""The console by touch alone: nothing needs a key."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from moderation.access.permissions import Role
from moderation.cases.models import Decision, ReviewCase
from moderation.lists.models import BannedItem
from tests.browser.conftest import OpenPage
from tests.browser.console import enter, on_case
from tests.moderation import factories as make

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PHONE = (390, 844)
CASES = 20


@pytest.fixture
def phone(open_page: OpenPage) -> Page:
    bob: User = make.make_person(Role.MODERATOR, "bob")
    make_cases()
    return enter(open_page, bob, size=PHONE, has_touch=True, is_mobile=True)


def make_cases() -> None:
    item = make.make_item(make.make_list())
    for _ in range(CASES):
        make.make_case(item)


def tap(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).tap()


def case_shown(page: Page) -> int:
    return int(page.locator("article[data-case]").get_attribute("data-case") or 0)


def decide(page: Page, name: str) -> None:
    """Tap a decision, and wait for the next case."""
    before = case_shown(page)
    tap(page, name)
    expect(page.locator(f'article[data-case="{before}"]')).to_have_count(0)


@pytest.mark.slow
def test_twenty_cases_with_a_reason_an_undo_and_an_exception(phone: Page) -> None:
    page = phone
    first = ReviewCase.objects.order_by("pk").first()
    assert first is not None
    tap(page, "Review the next")
    on_case(page, first.pk)
    expect(page.locator(".case-side kbd").first).to_be_hidden()

    # With a reason and a note.
    page.get_by_label("with a reason, a note or an exception").tap()
    tap(page, "Confirm")
    page.get_by_role("textbox", name="Note").fill("seen before")
    page.locator("dialog[open] [data-reason]:visible").nth(1).tap()
    expect(page.locator(f'article[data-case="{first.pk}"]')).to_have_count(0)
    decision = Decision.objects.get()
    assert (decision.verb, decision.batch.note) == ("confirm", "seen before")
    assert decision.batch.reason

    # Undone by the toast, which is not over the buttons.
    toast = page.locator("[data-toast]")
    boxes = [toast.bounding_box(), page.locator(".decide").bounding_box()]
    (top, bottom), (buttons_top, buttons_bottom) = [
        (box["y"], box["y"] + box["height"]) for box in boxes if box
    ]
    assert bottom <= buttons_top or top >= buttons_bottom
    tap(page, "Undo")
    on_case(page, first.pk)
    assert not Decision.objects.live().exists()

    # Dismissed as an exception.
    page.get_by_label("with a reason, a note or an exception").tap()
    tap(page, "Dismiss")
    page.get_by_label("never stop this exact file again").tap()
    page.locator("dialog[open] [data-reason]:visible").first.tap()
    expect(page.locator(f'article[data-case="{first.pk}"]')).to_have_count(0)
    assert BannedItem.objects.filter(list__kind="allow").count() == 1

    for _ in range(CASES - 2):
        decide(page, "Confirm")
    tap(page, "Confirm")
    expect(page.get_by_role("heading", name="Nothing is waiting")).to_be_visible()

    # The last decision can still be undone.
    tap(page, "Undo the last")
    on_case(page, Decision.objects.order_by("pk").last().case_id)  # type: ignore[union-attr]
    assert Decision.objects.live().count() == CASES - 1
