"""The search page in Chinese, and pages that are written from right to left."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from gallery.imaging import descriptors
from gallery.items.adding import add_image
from tests import factories
from tests.browser.accessibility import faults, fits, too_wide
from tests.browser.conftest import PHONE, OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def cat(open_api: None, tmp_path: Path) -> Path:
    """A smaller copy of a picture that can be found."""
    add_image(
        data=factories.png(factories.wheel_photo("chelsea.png", 256)),
        by="tests",
        inline=descriptors.available_names(),
    )
    path = tmp_path / "cat.jpg"
    path.write_bytes(factories.jpeg(factories.wheel_photo("chelsea.png", 180), quality=60))
    return path


@pytest.mark.slow
def test_searching_in_chinese_from_the_choice_to_the_results(
    open_page: OpenPage, cat: Path
) -> None:
    page = open_page(size=PHONE)
    expect(page.get_by_role("button", name="Choose a file")).to_be_visible()
    page.get_by_role("button", name="Language").click()
    page.get_by_role("button", name="简体中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-hans")
    expect(page.locator("#results-title")).to_have_text("最新图片")
    page.set_input_files("#file", cat)
    title = page.locator("#results-title")
    expect(title).to_have_text(re.compile(r"^1 个副本，置信度不低于 [\d.]+ %$"))
    card = page.locator(".card:not(.skeleton)")
    expect(card).to_contain_text("缩小到")
    expect(card).to_contain_text("确定")
    expect(page.get_by_role("button", name="并排对比")).to_be_visible()
    page.get_by_role("button", name="添加", exact=True).click()
    expect(page.get_by_role("heading", name="添加图片或视频")).to_be_visible()
    page.keyboard.press("Escape")
    assert not too_wide(page)
    assert not faults(page, "the search page in Chinese")
    # The choice is kept, and holds for the admin, too.
    page.goto("/admin/login/")
    expect(page.get_by_role("button", name="登录")).to_be_visible()


def test_what_is_refused_is_said_in_chinese(open_page: OpenPage, cat: Path, tmp_path: Path) -> None:
    page = open_page("?url=http://nobody.invalid/cat.jpg", locale="zh-CN")
    expect(page.locator("#results-title")).to_have_text("无法获取链接内容")
    said = page.locator(".notice").get_by_text("链接的主机没有响应，或者没有这个名称的主机。")
    expect(said).to_be_visible()
    page.locator(".notice .operator summary").click()
    expect(page.get_by_text("The host nobody.invalid is not known")).to_be_visible()
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    page.set_input_files("#file", broken)
    expect(page.get_by_text("它不是这里能读取的图片，或者文件已损坏。")).to_be_visible()


RIGHT_TO_LEFT = "document.documentElement.dir = 'rtl'"


@pytest.mark.slow
def test_nothing_sticks_out_of_pages_from_right_to_left(
    open_page: OpenPage, cat: Path, admin_user: Any
) -> None:
    page = open_page()
    page.set_input_files("#file", cat)
    expect(page.locator(".card:not(.skeleton)")).to_be_visible()
    for path in ("", "/admin/login/", "/nothing"):
        if path:
            page.goto(path)
        page.evaluate(RIGHT_TO_LEFT)
        fits(page, f"rtl {path}")
    page = open_page(path="/admin/", user=admin_user)
    for path in (
        *("/admin/", "/admin/gallery/image/", "/admin/moderation/console/"),
        *("/admin/moderation/dashboard/", "/admin/moderation/console/thresholds/"),
    ):
        page.goto(path)
        page.evaluate(RIGHT_TO_LEFT)
        fits(page, f"rtl {path}")
