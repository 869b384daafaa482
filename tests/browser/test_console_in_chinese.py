"""The console in Chinese: cases are cleared by keyboard, and by touch on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from moderation.access.permissions import Role
from moderation.cases.models import Decision, ReviewCase
from tests.browser.accessibility import faults
from tests.browser.conftest import OpenPage
from tests.browser.console import banned_item, case, enter_console, on_case
from tests.moderation import factories as make

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("left_quietly"),
]
CHINESE = {"locale": "zh-CN"}


def tap(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).tap()


@pytest.mark.slow
def test_cases_are_cleared_by_keyboard_and_by_touch(open_page: OpenPage) -> None:
    item = banned_item("恐怖主义")
    first, second, third, fourth = (case(item, seed, size=(80, 60)).pk for seed in range(4))
    page = enter_console(open_page, make.make_person(Role.MODERATOR, "ann"), **CHINESE)
    expect(page.get_by_text("4 个案例等待中")).to_be_visible()
    page.keyboard.press("n")
    on_case(page, first)
    expect(page.locator("#case-title")).to_have_text(f"案例 {first}")
    page.keyboard.press("c")
    on_case(page, second)
    expect(page.locator("[data-status]")).to_have_text(f"案例 {first}：已确认。")
    page.keyboard.press("D")
    expect(page.get_by_role("dialog", name="为什么驳回？")).to_be_visible()
    assert faults(page, "reasons") == set()
    page.keyboard.press("2")
    on_case(page, third)
    page.keyboard.press("u")
    on_case(page, second)
    expect(page.locator("[data-status]")).to_contain_text("已撤销批次")
    page.keyboard.press("s")
    on_case(page, third)

    phone = enter_console(
        open_page,
        make.make_person(Role.MODERATOR, "bob"),
        f"cases/{fourth}/",
        size=(390, 844),
        has_touch=True,
        is_mobile=True,
        **CHINESE,
    )
    phone.get_by_label("附上原因、备注或例外").tap()
    tap(phone, "驳回")
    phone.locator("dialog[open] [data-reason]:visible").first.tap()
    expect(phone.locator(f'article[data-case="{fourth}"]')).to_have_count(0)
    tap(phone, "撤销")
    on_case(phone, fourth)
    sticking_out = phone.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert sticking_out <= 0
    assert Decision.objects.live().get().case_id == first
    assert ReviewCase.objects.filter(state="open").count() == 3
