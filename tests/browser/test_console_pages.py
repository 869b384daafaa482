"""Each page of the console: no serious fault for assistive software, none wider than the screen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from moderation.models import DecisionBatch
from moderation.permissions import Actor, Role
from moderation.services import decisions
from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.console import CONSOLE, banned_item, case, enter_console, leave, serious
from tests.moderation import factories as make

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _left_quietly(chromium: Browser, open_page: OpenPage) -> Iterator[None]:
    yield
    for context in chromium.contexts:
        for page in context.pages:
            leave(page)


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_pages_are_accessible_and_fit(
    open_page: OpenPage, size: tuple[int, int], theme: str
) -> None:
    item = banned_item()
    other = make.make_item(make.make_list("Hashes alone", hash_only=True), source_id="1")
    cases = [case(item if seed % 2 else other, seed, distance=4.0 * seed) for seed in range(6)]
    user = make.make_person(Role.LEAD, "ann")
    by = Actor.person(user)
    decisions.decide(by=by, case_ids=[cases[5].pk], verb="dismiss", note="a note")
    batch = DecisionBatch.objects.get()
    paths = [
        CONSOLE,
        f"{CONSOLE}?band=exact&status=conflict",
        f"{CONSOLE}grid/",
        f"{CONSOLE}cases/{cases[0].pk}/",
        f"{CONSOLE}cases/{cases[1].pk}/",
        f"{CONSOLE}cases/{cases[5].pk}/",
        f"{CONSOLE}batches/{batch.pk}/",
        f"{CONSOLE}preferences/",
        "/admin/moderation/reviewcase/",
        "/admin/moderation/decisionbatch/",
    ]
    page = enter_console(open_page, user, size=size, theme=theme)
    for path in paths:
        page.goto(path)
        page.wait_for_function("window.Alpine !== undefined")
        check(page, path)
    page.goto(f"{CONSOLE}cases/{cases[0].pk}/")
    for key, name in (("?", "Keys"), ("D", "Why dismiss?")):
        page.keyboard.press(key)
        expect(page.get_by_role("dialog", name=name)).to_be_visible()
        check(page, name)
        page.keyboard.press("Escape")
    page.goto(f"{CONSOLE}grid/")
    page.keyboard.press("a")
    page.keyboard.press("c")
    expect(page.get_by_role("heading", name="Confirm 5 cases of 5 pictures")).to_be_visible()
    check(page, "bulk")


def check(page: Page, name: str) -> None:
    assert serious(page) == [], name
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
