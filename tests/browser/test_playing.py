"""Videos in the console: nothing of one is loaded before the key, and none outlives its case."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from playwright.sync_api import JSHandle, Page, expect

from gallery.items.changing import quarantine_items
from moderation.access.permissions import Role
from moderation.cases.models import Exposure, ReviewCase
from moderation.lists.models import BannedItem
from tests.browser.accessibility import serious
from tests.browser.conftest import PHONE, OpenPage
from tests.browser.console import banned_item, enter_console, on_case, shown
from tests.moderation import factories as make
from tests.videos import library
from tests.videos.clips import encode, timed
from videos.models import Video

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("left_quietly"),
]


@pytest.fixture
def ann(transactional_db: None) -> User:
    return make.make_person(Role.MODERATOR, "ann")


def case_of(item: BannedItem, start: float, container: str = "mp4") -> ReviewCase:
    """A case of six seconds of "travel" that match four seconds in."""
    frames = library.clip_of("travel", start, start + 6)
    video = library.add_ready(encode(timed(frames, library.RATE), container))
    quarantine_items(items=Video.objects.filter(pk=video.pk), by="worker")
    case = make.make_case(item, video=video, held=True)
    case.matches.update(time_ms=4000, video=video)
    return case


def asked(page: Page) -> list[str]:
    """The requests for videos that the page sends from now on."""
    urls: list[str] = []
    page.on(
        "request", lambda request: urls.append(request.url) if "/video/" in request.url else None
    )
    return urls


def played(page: Page, after: float) -> JSHandle:
    """Wait until the video plays beyond some seconds."""
    page.wait_for_function(
        """seconds => {
            const video = document.querySelector("[data-pane] video");
            return video && !video.paused && video.currentTime > seconds;
        }""",
        arg=after,
    )
    return page.locator("[data-pane] video").evaluate_handle("(video) => video")


@pytest.mark.slow
def test_a_video_is_played_when_asked_for_and_stops_with_its_case(
    open_page: OpenPage, ann: User
) -> None:
    item = banned_item()
    first, second = case_of(item, 0), case_of(item, 8)
    page = enter_console(open_page, ann)
    urls = asked(page)
    page.goto(f"/admin/moderation/console/cases/{first.pk}/")
    on_case(page, first.pk)
    button = page.get_by_role("button", name="Play the video")
    expect(button).to_be_hidden()
    for key in ("p", "Space", "p", "Space", "p"):
        page.keyboard.press(key)
    expect(page.get_by_role("status").last).to_contain_text("only when pictures are shown clearly")
    page.keyboard.press("x")
    shown(page, "clear")
    expect(button).to_be_visible()
    assert urls == [] and page.locator("video").count() == 0
    assert Exposure.objects.get(user=ann).count == 2
    page.keyboard.press("p")
    video = played(page, 3.1)
    assert video.evaluate("(video) => video.muted && video.played.start(0) >= 2.9")
    assert Exposure.objects.get(user=ann).count == 3, "one look, however it is read"
    expect(button).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("p")
    expect(button).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("document.querySelector('video').currentTime === 3")
    assert serious(page) == []
    page.keyboard.press("Space")
    played(page, 3.1)
    assert Exposure.objects.get(user=ann).count == 3
    urls.clear()
    page.keyboard.press("c")
    on_case(page, second.pk)
    assert video.evaluate("(video) => video.paused && !video.getAttribute('src')")
    assert urls == [] and page.locator("video").count() == 0
    expect(button).to_be_hidden()


@pytest.mark.slow
def test_blur_takes_the_video_away(open_page: OpenPage, ann: User) -> None:
    case = case_of(banned_item(), 0)
    page = enter_console(open_page, ann, f"cases/{case.pk}/", size=PHONE)
    on_case(page, case.pk)
    page.keyboard.press("x")
    page.get_by_role("button", name="Play the video").click()
    video = played(page, 3.0)
    assert serious(page) == []
    page.keyboard.press("b")
    expect(page.locator("video")).to_have_count(0)
    assert video.evaluate("(video) => video.paused && !video.getAttribute('src')")
    shown(page, "blur")
    # Blurred while the look is still being noted: the answer opens nothing.
    page.keyboard.press("x")
    shown(page, "clear")
    with page.expect_response("**/video/"):
        page.keyboard.press("p")
        page.keyboard.press("b")
    shown(page, "blur")
    expect(page.locator("video")).to_have_count(0)


@pytest.mark.slow
def test_the_small_copy_is_played_where_the_file_cannot_be(open_page: OpenPage, ann: User) -> None:
    case = case_of(banned_item(), 0, "avi")
    page = enter_console(open_page, ann, f"cases/{case.pk}/")
    on_case(page, case.pk)
    page.keyboard.press("x")
    page.keyboard.press("p")
    video = played(page, 3.1)
    assert video.evaluate("(video) => video.muted && video.src.includes('/small/')")
    assert Exposure.objects.get(user=ann).count == 3


@pytest.mark.slow
def test_a_file_that_is_gone_gives_a_sentence(open_page: OpenPage, ann: User) -> None:
    case = case_of(banned_item(), 0)
    page = enter_console(open_page, ann, f"cases/{case.pk}/")
    on_case(page, case.pk)
    page.keyboard.press("x")
    shown(page, "clear")
    assert case.video is not None
    for file in (case.video.original, case.video.proxy):
        default_storage.delete(file.name or "")
    page.keyboard.press("p")
    expect(page.get_by_role("status").last).to_contain_text("it cannot be played")
    expect(page.locator("video")).to_have_count(0)
    expect(page.locator('[data-pane="subject"] img')).to_be_visible()
    assert Exposure.objects.get(user=ann).count == 2
