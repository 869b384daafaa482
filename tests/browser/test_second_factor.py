"""The second factor in a real browser, from the required set-up to the last recovery code."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests import totp
from tests.browser.accessibility import FRAME_LOOKS, faults
from tests.browser.conftest import PHONE, OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WORD = "a-word-of-the-tests"


def log_in(page: Page) -> None:
    page.get_by_label("Username").fill("root")
    page.get_by_label("Password").fill(WORD)
    page.get_by_role("button", name="Log in").click()


def log_out(page: Page) -> None:
    page.context.clear_cookies()
    page.goto("/admin/")


@pytest.mark.slow
def test_from_the_required_set_up_to_recovery(open_page: OpenPage, settings: Any) -> None:
    settings.SECOND_FACTOR = "admin"
    User.objects.create_superuser("root", password=WORD)
    page = open_page(path="/admin/", size=PHONE, theme="dark")
    assert faults(page, "log in", FRAME_LOOKS) == set()
    log_in(page)

    # Nothing else is shown before it is set up.
    expect(page.get_by_role("heading", name="Set up the second factor")).to_be_visible()
    page.goto("/admin/auth/user/")
    expect(page.get_by_text("Your role needs it")).to_be_visible()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    page.get_by_text("Or type the secret").click()
    secret = page.locator("#totp-secret").inner_text()
    assert faults(page, "set up") == set()
    page.get_by_label("Code that the app shows").fill("000000")
    page.get_by_role("button", name="Set up").click()
    expect(page.get_by_text("Incorrect code.")).to_be_visible()
    page.get_by_label("Code that the app shows").fill(totp.code(secret))
    page.get_by_role("button", name="Set up").click()

    codes = page.locator("#recovery-codes code")
    expect(codes).to_have_count(10)
    first = codes.first.inner_text()
    assert faults(page, "recovery codes") == set()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("heading", name="Match types")).to_be_visible()

    log_out(page)
    log_in(page)
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Incorrect code.")).to_be_visible()
    assert faults(page, "code") == set()
    page.get_by_label("Code").fill(totp.code(secret, 1))
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Match types")).to_be_visible()

    for answer in ("heading", "alert"):
        log_out(page)
        log_in(page)
        page.get_by_label("Code").fill(first)
        page.get_by_role("button", name="Continue").click()
        if answer == "heading":
            expect(page.get_by_role("heading", name="Match types")).to_be_visible()
        else:
            expect(page.get_by_text("Incorrect code.")).to_be_visible()
