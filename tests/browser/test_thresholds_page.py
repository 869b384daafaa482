"""The threshold page in a real browser: the line moved by mouse and keys, the numbers and pictures
that follow it, and a change that holds for the next upload."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Locator, Page, expect

from gallery.items.item import Status
from moderation.access.permissions import Role
from moderation.audit.models import AuditEvent
from moderation.cases.models import ReviewCase
from moderation.lists.models import BannedList, RetroScan
from moderation.lists.verdicts import Action
from tests import factories as pictures
from tests.browser.accessibility import faults
from tests.browser.conftest import PHONE, OpenPage
from tests.browser.console import CONSOLE, enter
from tests.moderation import factories as make
from tests.moderation.pipeline.test_gates import flipped, pdq_of
from tests.moderation.recorded import NO_CASE, record, record_a_tale

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def lead(transactional_db: None) -> User:
    return make.make_person(Role.LEAD, "lee")


@pytest.fixture
def banned(transactional_db: None) -> BannedList:
    """A list with a tale, and pictures of some matches beyond its threshold."""
    on = make.make_list("Violent extremism")
    record_a_tale(on, source="Tech Against Terrorism")
    for number in range(3):
        image = pictures.add_ready_image(data=pictures.png(pictures.photo(number)))
        record(on, [(33.0, NO_CASE)], image=image)
    return on


def handle_of(page: Page) -> Locator:
    return page.get_by_role("slider", name="Proposed threshold")


def at(page: Page, value: str) -> None:
    """The line, its words, the field and the numbers all say the same."""
    handle = handle_of(page)
    expect(handle).to_have_attribute("aria-valuenow", value)
    words = re.compile(rf"^{re.escape(value)}: precision")
    expect(handle).to_have_attribute("aria-valuetext", words)
    expect(page.get_by_label("Threshold", exact=True)).to_have_value(value)
    expect(page.locator("[data-proposed]")).to_have_text(value)


@pytest.mark.slow
def test_moving_the_line_by_keys(open_page: OpenPage, lead: User, banned: BannedList) -> None:
    page = enter(open_page, lead, f"thresholds/{banned.pk}/pdq/")
    at(page, "31")
    handle_of(page).focus()
    for key, value in (
        *(("ArrowRight", "32"), ("ArrowUp", "33"), ("PageUp", "43"), ("PageDown", "33")),
        *(("End", "52"), ("ArrowRight", "52"), ("Home", "0"), ("ArrowLeft", "0")),
    ):
        page.keyboard.press(key)
        at(page, value)
    expect(page.locator("[data-precision]")).to_have_text("too few")
    expect(page.locator("[data-dropped]")).to_have_text("220")


@pytest.mark.slow
def test_moving_the_line_by_mouse(open_page: OpenPage, lead: User, banned: BannedList) -> None:
    page = enter(open_page, lead, f"thresholds/{banned.pk}/pdq/")
    plot = page.locator(".marks").bounding_box()
    assert plot is not None
    y = plot["y"] + 60

    def x(value: float) -> float:
        return plot["x"] + plot["width"] * value / 52

    page.mouse.move(x(31), y)
    page.mouse.down()
    page.mouse.move(x(36.2), y, steps=6)
    at(page, "36")
    page.mouse.move(x(80), y, steps=4)
    at(page, "52")
    page.mouse.move(x(40), y, steps=4)
    page.mouse.up()
    page.mouse.move(x(10), y)
    at(page, "40")
    # A click beside the line brings it there, and the keys go on from there.
    page.mouse.click(x(20), y)
    at(page, "20")
    page.keyboard.press("ArrowRight")
    at(page, "21")


@pytest.mark.slow
def test_the_numbers_and_pictures_follow(
    open_page: OpenPage, lead: User, banned: BannedList
) -> None:
    page = enter(open_page, lead, f"thresholds/{banned.pk}/pdq/")
    handle_of(page).focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    at(page, "34")
    part = page.locator("[data-preview-part]")
    expect(part).to_contain_text(re.compile(r"add \d+ and drop 0 cases"))
    added = page.locator("[data-added]").inner_text()
    expect(part).to_contain_text(f"add {added} and drop 0 cases")
    assert int(added) == 25
    shown = part.locator("img")
    expect(shown).to_have_count(3)
    page.wait_for_function(
        "[...document.querySelectorAll('[data-preview-part] img')].every((i) => i.naturalWidth)"
    )
    assert all("/blur" in (one.get_attribute("src") or "") for one in shown.all())
    assert page.url.endswith("?t=34")
    page.reload()
    at(page, "34")


@pytest.mark.slow
def test_a_suggestion_is_proposed(open_page: OpenPage, lead: User, banned: BannedList) -> None:
    page = enter(open_page, lead, f"thresholds/{banned.pk}/pdq/")
    link = page.get_by_role("link", name=re.compile("for a precision of at least 90 %"))
    value = link.inner_text()
    assert 10 <= int(value) <= 31
    link.click()
    at(page, value)
    low = page.locator("[data-precision] small").inner_text().split("–")[0]
    assert float(low) >= 90


@pytest.mark.slow
def test_a_raised_threshold_sends_the_next_upload_to_review(
    open_page: OpenPage, lead: User, transactional_db: None
) -> None:
    on = make.make_list("Violent extremism", action=Action.REVIEW, observe_share=0)
    banned, near, nearer = (pictures.photo(number, (480, 360)) for number in (901, 902, 903))
    for picture in (near, nearer):
        make.make_item(on, ("pdq", flipped(pdq_of(picture), 36), 100))
    assert pictures.add_ready_image(data=pictures.png(banned)).status == Status.READY
    assert pictures.add_ready_image(data=pictures.png(near)).status == Status.READY
    assert not ReviewCase.objects.exists()

    page = enter(open_page, lead, f"thresholds/{on.pk}/pdq/")
    handle_of(page).focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(page.locator("[data-preview-part]")).to_contain_text("add 1 and drop 0 cases")
    page.get_by_label("Reason").fill("the sample was all right")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("The threshold is now 36.")).to_be_visible()
    expect(page.locator("[data-current]")).to_have_text("now 36")

    assert pictures.add_ready_image(data=pictures.png(nearer)).status == Status.QUARANTINED
    case = ReviewCase.objects.get()
    assert (case.held, case.matches.get().threshold) == (True, 36)
    event = AuditEvent.objects.get(verb="list.method_changed")
    assert (event.actor, event.reason) == ("user:lee", "the sample was all right")


@pytest.mark.slow
def test_pages_fit_and_can_be_read(open_page: OpenPage, lead: User, banned: BannedList) -> None:
    page = enter(open_page, lead, f"thresholds/{banned.pk}/pdq/?t=34", size=PHONE, theme="dark")
    at(page, "34")
    page.get_by_text("The charts as tables").click()
    assert faults(page, "threshold of a tale") == set()
    for path in ("thresholds/", f"thresholds/{banned.pk}/clip/"):
        page.goto(f"{CONSOLE}{path}")
        assert faults(page, path) == set()


@pytest.mark.slow
def test_the_page_of_a_scan_follows_it_to_its_end(open_page: OpenPage, lead: User) -> None:
    scan = RetroScan.objects.create(
        list=make.make_list(), state="running", total=2, done=1, reason="a test", added_by="lee"
    )
    page = enter(open_page, lead, f"scans/{scan.pk}/")
    expect(page.get_by_text("1 of 2 items")).to_be_visible()
    RetroScan.objects.update(state="done", done=2, found=7)
    expect(page.get_by_text("2 items searched for")).to_be_visible()
    expect(page.locator("dd", has_text="7")).to_be_visible()
    expect(page.locator("[data-unfinished][hx-get]")).to_have_count(0)
