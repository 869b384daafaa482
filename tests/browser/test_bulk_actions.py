"""Actions on many rows of a list in a real browser: what is chosen stays chosen."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from gallery.admin.item_admin import ItemAdmin
from gallery.items.models import Image
from tests import factories as make
from tests.browser.conftest import OpenPage
from tests.browser.test_admin_pages import WORD, log_in, root

__all__ = ["WORD", "root"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LIST = "/admin/gallery/image/"


@pytest.fixture
def images(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> list[Image]:
    """Five images, the first four of one album; two on a page."""
    monkeypatch.setattr(ItemAdmin, "list_per_page", 2)
    return [
        make.add_ready_image(make.photo(seed), data_id=f"{'album' if seed < 4 else 'other'}-{seed}")
        for seed in range(5)
    ]


def chosen(page: Page) -> Any:
    return page.evaluate(
        """[...document.querySelectorAll("input.action-select:checked")].map((one) => one.value)"""
    )


def ask(page: Page, action: str) -> None:
    page.locator("select[name=action]").select_option(action)
    page.get_by_role("button", name="Run").click()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["Cancel", "back"])
def test_who_changes_their_mind_finds_the_list_as_it_was(
    open_page: OpenPage, root: User, images: list[Image], way: str
) -> None:
    page = log_in(open_page, f"{LIST}?q=album&p=2&status__in=ready")
    page.locator(f"input.action-select[value='{images[1].pk}']").check()
    ask(page, "delete_selected")
    expect(page.get_by_role("heading", name="Delete 1 image?").first).to_be_visible()
    if way == "back":
        page.go_back()
    else:
        page.get_by_role("link", name="Cancel").click()
    expect(page).to_have_url(re.compile(r"\?q=album&p=2&status__in=ready$"))
    expect(page.get_by_role("button", name="Run")).to_be_visible()
    expect(page.locator("select[name=action]")).to_have_value("delete_selected")
    assert chosen(page) == [str(images[1].pk)]


@pytest.mark.slow
def test_all_rows_stay_chosen(open_page: OpenPage, root: User, images: list[Image]) -> None:
    page = log_in(open_page, f"{LIST}?q=album")
    page.locator("#action-toggle").check()
    page.get_by_role("link", name="Select all 4 images").click()
    ask(page, "quarantine")
    expect(page.get_by_text("4 images (4 ready) would")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("4 images (4 ready) would")).to_be_visible()


@pytest.mark.slow
def test_an_emptied_last_page_leads_to_the_one_before(
    open_page: OpenPage, root: User, images: list[Image]
) -> None:
    page = log_in(open_page, f"{LIST}?q=album&p=2")
    page.locator("#action-toggle").check()
    ask(page, "delete_selected")
    page.get_by_label("Reason").fill("not ours")
    page.get_by_role("button", name="Delete 2 images").click()
    expect(page.get_by_text("2 images deleted.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?q=album&p=2$"))
    assert [row.data_id for row in Image.objects.order_by("pk")] == [
        "album-2",
        "album-3",
        "other-4",
    ]
    expect(page.locator("input.action-select")).to_have_count(2)
    expect(page.get_by_text("other-4")).to_have_count(0)
    assert chosen(page) == []
