"""Doubtful pictures on the pages of images, videos and items: blurred, and clear by one step."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.base import ContentFile
from playwright.sync_api import Locator, Page, expect

from gallery.items.models import DuplicatePair, DuplicateRun, Image
from moderation.access.permissions import Role
from moderation.audit.models import AuditEvent
from moderation.cases.models import Exposure
from tests import factories as pictures
from tests.browser import console
from tests.browser.accessibility import LOOKS, faults, serious, turn_to
from tests.browser.conftest import PHONE, OpenPage
from tests.moderation import factories as make
from tests.videos import library
from tests.videos.clips import encode, still, timed
from videos.models import Video

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("left_quietly"),
]
LEFT = "dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))"
IMAGES, VIDEOS = "/admin/gallery/image/", "/admin/videos/video/"


@pytest.fixture
def image(transactional_db: None) -> Image:
    return held(pictures.add_ready_image(pictures.wheel_photo("coffee.png")))


def held(row: Any) -> Any:
    type(row).objects.filter(pk=row.pk).update(status="quarantined")
    row.refresh_from_db()
    return row


def reviewer(role: Role = Role.MODERATOR) -> Any:
    user = make.make_person(role, "ann")
    names = ("view_image", "view_video", "delete_image")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    return user


def enter(open_page: OpenPage, user: Any, path: str, **options: Any) -> Page:
    return open_page(path=path, user=user, **options)


def looks() -> int:
    count = sum(Exposure.objects.values_list("count", flat=True))
    assert AuditEvent.objects.filter(verb="media.seen").count() == count
    return count


def sharpness(image: Locator) -> float:
    """How much the grey values bend, as the browser shows the picture: gradients count nothing."""
    expect(image).to_be_visible()
    bend: float = image.evaluate(
        """async (img) => {
          await img.decode();
          const canvas = new OffscreenCanvas(64, 64), context = canvas.getContext("2d");
          context.drawImage(img, 0, 0, 64, 64);
          const { data } = context.getImageData(0, 0, 64, 64), row = 64 * 4;
          const grey = (at) => (data[at] + data[at + 1] + data[at + 2]) / 3;
          let sum = 0;
          for (let at = row; at < data.length - row; at += 4)
            sum += Math.abs(grey(at - row) - 2 * grey(at) + grey(at + row));
          return sum / (62 * 64);
        }"""
    )
    return bend


def shown_clearly(image: Locator) -> None:
    expect(image).to_have_attribute("src", re.compile("clear=1"))
    assert sharpness(image) > 3


@pytest.mark.slow
@pytest.mark.parametrize("path", [IMAGES, f"{IMAGES}PK/change/"])
def test_a_button_shows_one_picture_clearly_until_the_page_is_left(
    open_page: OpenPage, image: Image, path: str
) -> None:
    page = enter(open_page, reviewer(), path.replace("PK", str(image.pk)))
    picture = page.locator("[data-blurred] img")
    assert sharpness(picture) < 2 and looks() == 0
    button = page.locator("[data-show-clearly]")
    button.focus()
    page.keyboard.press("Enter")
    shown_clearly(picture)
    expect(button).to_have_attribute("aria-pressed", "true")
    assert looks() == 1
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "false")
    assert sharpness(picture) < 2
    page.keyboard.press("Enter")
    shown_clearly(picture)
    assert looks() == 2, "a second look is one more"
    page.evaluate(LEFT)
    expect(picture).not_to_have_attribute("src", re.compile("clear=1"))
    assert sharpness(picture) < 2, "a page that is kept for going back shows nothing clearly"
    page.goto("/admin/")
    page.go_back()
    page.wait_for_load_state()
    assert sharpness(page.locator("[data-blurred] img")) < 2, "going back shows it blurred"
    page.reload()
    assert sharpness(page.locator("[data-blurred] img")) < 2
    assert looks() == 2
    assert serious(page) == []


@pytest.mark.slow
def test_by_touch(open_page: OpenPage, image: Image) -> None:
    path = f"{IMAGES}{image.pk}/change/"
    page = enter(open_page, reviewer(), path, size=PHONE, has_touch=True, is_mobile=True)
    picture, button = page.locator("[data-blurred] img"), page.locator("[data-show-clearly]")
    picture.tap()
    assert sharpness(picture) < 2, "a picture that is touched by accident stays as it is"
    box = button.bounding_box()
    assert box is not None and min(box["width"], box["height"]) >= 40
    button.tap()
    shown_clearly(picture)
    assert looks() == 1


def test_whoever_may_not_look_sees_no_button(open_page: OpenPage, image: Image) -> None:
    doubted = pictures.add_ready_image(pictures.wheel_photo("rocket.jpg"))
    make.make_case(make.make_item(make.make_list()), doubted)
    page = enter(open_page, reviewer(Role.VIEWER), IMAGES)
    assert page.locator("[data-show-clearly]").count() == 0
    assert page.locator("#result_list img").count() == 1, "nothing of what is quarantined"
    assert sharpness(page.locator("[data-blurred] img")) < 2


def test_a_role_that_is_taken_away_leaves_the_picture_blurred(
    open_page: OpenPage, image: Image
) -> None:
    user = reviewer()
    page = enter(open_page, user, IMAGES)
    user.groups.clear()
    page.locator("[data-show-clearly]").click()
    button = page.get_by_role("button", name="It cannot be shown clearly.")
    expect(button).to_have_attribute("aria-pressed", "false")
    assert looks() == 0


@pytest.mark.slow
def test_the_pages_of_duplicates(open_page: OpenPage, transactional_db: None) -> None:
    one, other = (
        pictures.add_ready_image(pictures.wheel_photo("coffee.png", size)) for size in (512, 400)
    )
    DuplicateRun.objects.create(min_confidence=0.5, rules="test")
    DuplicatePair.objects.create(a=one, b=other, confidence=0.9)
    make.make_case(make.make_item(make.make_list()), one)
    page = enter(open_page, reviewer(), "/admin/gallery/duplicatepair/")
    assert page.locator("[data-blurred]").count() == 1
    assert sharpness(page.locator("[data-blurred] img")) < 2
    page.locator("[data-show-clearly]").click()
    shown_clearly(page.locator("[data-blurred] img"))
    assert looks() == 1
    assert serious(page) == []


def test_the_page_of_an_item(open_page: OpenPage, transactional_db: None) -> None:
    item = make.make_item(make.make_list())
    item.picture.save("items/1.jpg", ContentFile(pictures.jpeg(pictures.wheel_photo("coffee.png"))))
    page = enter(open_page, reviewer(Role.LEAD), f"/admin/moderation/banneditem/{item.pk}/change/")
    picture = page.locator("[data-blurred] img")
    assert sharpness(picture) < 2 and looks() == 0
    page.locator("[data-show-clearly]").click()
    shown_clearly(picture)
    assert looks() == 1


@pytest.mark.slow
def test_the_page_of_a_video_counts_one_look_however_it_is_played(
    open_page: OpenPage, transactional_db: None
) -> None:
    clip = encode(timed(still("astronaut", 3)), "webm")
    video: Video = held(library.add_ready(clip))
    page = enter(open_page, reviewer(), f"{VIDEOS}{video.pk}/change/")
    player = page.locator(".picture.wide video")
    expect(player).to_be_hidden()
    assert sharpness(page.locator(".picture.wide img")) < 2
    assert sharpness(page.locator(".video-strip img").first) < 2
    button = page.locator(".picture.wide [data-show-clearly]")
    button.click()
    expect(player).to_be_visible()
    player.evaluate(
        """async (video) => {
          if (video.readyState < 1) await new Promise((done) => video.onloadedmetadata = done);
          for (const at of [2, 0, 1.5]) {
            video.currentTime = at;
            await new Promise((done) => video.onseeked = done);
          }
        }"""
    )
    assert player.evaluate("(video) => video.muted")
    assert looks() == 1, "however many parts of it were asked for"
    button.click()
    expect(player).to_be_hidden()
    page.locator(".video-strip [data-show-clearly]").first.click()
    shown_clearly(page.locator(".video-strip img").first)
    assert looks() == 2
    assert serious(page) == []


@pytest.mark.slow
def test_the_search_page(open_page: OpenPage, transactional_db: None) -> None:
    plain = pictures.add_ready_image(pictures.wheel_photo("rocket.jpg"))
    doubted = pictures.add_ready_image(pictures.wheel_photo("coffee.png"), url="https://a.test/b")
    make.make_case(make.make_item(make.make_list()), doubted)
    page = enter(open_page, reviewer(), "/imgsmlr/")
    card = page.locator(f'.card[data-id="{doubted.pk}"]')
    picture, button = card.locator("img"), card.locator(".show-clearly")
    assert sharpness(picture) < 2 and looks() == 0
    assert card.locator("[data-slot=original]").get_attribute("href") is None
    assert page.locator(f'.card[data-id="{plain.pk}"] .show-clearly').count() == 0
    for count, look in enumerate(LOOKS, start=1):
        turn_to(page, *look[:2])
        button.click()
        shown_clearly(picture)
        expect(button).to_have_attribute("aria-pressed", "true")
        assert looks() == count
        assert faults(page, "a doubted picture", [look]) == set()
        button.click()
        expect(picture).not_to_have_attribute("src", re.compile("clear=1"))
        assert sharpness(picture) < 2
    button.click()
    shown_clearly(picture)
    page.evaluate(LEFT)
    expect(picture).not_to_have_attribute("src", re.compile("clear=1"))
    assert sharpness(picture) < 2 and looks() == len(LOOKS) + 1


def search_beside(doubted: Image) -> str:
    """A search that finds the picture by another one that is like it."""
    make.make_case(make.make_item(make.make_list()), doubted)
    query = pictures.add_ready_image(pictures.wheel_photo("coffee.png").crop((9, 9, 380, 380)))
    return f"/imgsmlr/?id={query.pk}&match_type=imgsmlr&threshold=4"


@pytest.mark.slow
def test_a_result_of_a_search_by_keyboard(open_page: OpenPage, image: Image) -> None:
    Image.objects.update(status="ready")
    address = search_beside(image)
    page = enter(open_page, reviewer(), address)
    card = page.locator(f'.card[data-id="{image.pk}"]')
    picture, button = card.locator("img"), card.locator(".show-clearly")
    assert sharpness(picture) < 2
    expect(page.locator(".show-clearly")).to_have_count(1)
    for count, look in enumerate(LOOKS, start=1):
        turn_to(page, *look[:2])
        page.evaluate("document.activeElement.blur()")
        for _ in range(60):
            page.keyboard.press("Tab")
            if button.evaluate("button => button === document.activeElement"):
                break
        expect(button).to_be_focused()
        expect(button).to_have_accessible_name(f"Show clearly: picture {image.pk}")
        assert button.bounding_box()["height"] >= 24  # type: ignore[index]
        assert looks() == count - 1
        page.keyboard.press("Enter")
        shown_clearly(picture)
        expect(button).to_be_focused()
        assert looks() == count
        assert faults(page, "a result", [look]) == set()
        page.keyboard.press("Space")
        expect(button).to_have_attribute("aria-pressed", "false")
        assert sharpness(picture) < 2 and looks() == count
    event = AuditEvent.objects.filter(verb="media.seen").first()
    assert event is not None
    assert (event.actor, event.subject, event.subject_id) == ("user:ann", "gallery.image", image.pk)


@pytest.mark.slow
@pytest.mark.parametrize("address", ["newest", "search"])
def test_whoever_may_not_look_sees_no_button_on_the_search_page(
    open_page: OpenPage, image: Image, address: str
) -> None:
    Image.objects.update(status="ready")
    search = search_beside(image)
    path = search if address == "search" else "/imgsmlr/"
    page = enter(open_page, reviewer(Role.VIEWER), path)
    assert sharpness(page.locator(f'.card[data-id="{image.pk}"] img')) < 2
    assert page.locator(".show-clearly").count() == 0


@pytest.mark.slow
def test_videos_on_the_search_page(open_page: OpenPage, transactional_db: None) -> None:
    video: Video = library.add_ready(encode(timed(still("astronaut", 3)), "webm"))
    make.make_case(make.make_item(make.make_list()), video=video)
    page = enter(open_page, reviewer(), "/imgsmlr/")
    page.locator(".segments label", has_text="Videos").click()
    card = page.locator(f'.card[data-id="{video.pk}"]')
    assert sharpness(card.locator("img")) < 2
    for count, look in enumerate(LOOKS):
        turn_to(page, *look[:2])
        assert looks() == 2 * count
        card.locator(".show-clearly").click()
        shown_clearly(card.locator("img"))
        assert looks() == 2 * count + 1
        card.locator(".play").click()
        player = card.locator("video")
        player.evaluate(
            """async (video) => {
              if (video.readyState < 1) await new Promise((done) => video.onloadedmetadata = done);
              for (const at of [2, 0, 1.5]) {
                video.currentTime = at;
                await new Promise((done) => video.onseeked = done);
              }
            }"""
        )
        expect(card.locator(".show-clearly")).to_be_hidden()
        assert looks() == 2 * count + 2, "however many parts of it were asked for"
        page.evaluate(LEFT)
        expect(player).to_have_count(0)
        assert sharpness(card.locator("img")) < 2
        expect(card.locator(".play")).to_be_visible()
        assert faults(page, "a doubted video", [look]) == set()


@pytest.mark.slow
def test_the_page_that_asks_about_many_cases(open_page: OpenPage, transactional_db: None) -> None:
    item = console.banned_item()
    for seed in (1, 2):
        console.case(item, seed)
    user = make.make_person(Role.MODERATOR, "ann")
    page = console.enter_console(open_page, user, "grid/", size=PHONE, theme="dark")
    page.locator("[data-all]").check()
    page.locator("[value=dismiss]").click()
    page.wait_for_selector(".bulk-page")
    picture = page.locator(".thumb img").first
    assert sharpness(picture) < 2
    for count, look in enumerate(LOOKS):
        turn_to(page, *look[:2])
        assert looks() == count
        page.locator("[data-show-clearly]").first.click()
        expect(picture).to_have_attribute("src", re.compile("/clear/"))
        assert sharpness(picture) > 3 and looks() == count + 1
        assert sharpness(page.locator(".thumb img").last) < 2
        assert faults(page, "many cases", [look]) == set()
        page.evaluate(LEFT)
        expect(picture).not_to_have_attribute("src", re.compile("/clear/"))


@pytest.mark.slow
def test_the_console_is_blurred_again_when_it_is_left(
    open_page: OpenPage, transactional_db: None
) -> None:
    case = console.case(console.banned_item(), 1)
    user = make.make_person(Role.MODERATOR, "ann")
    page = console.enter_console(open_page, user, f"cases/{case.pk}/")
    page.keyboard.press("x")
    console.shown(page, "clear")
    assert looks() == 2, "the upload and the item"
    page.evaluate(LEFT)
    console.shown(page, "blur")
    page.goto(f"{console.CONSOLE}grid/")
    console.keys_act(page)
    page.locator("[data-thumb] input").focus()
    for _ in range(3):
        page.keyboard.press("v")
    thumbnail = page.locator("[data-thumb] img")
    expect(thumbnail).to_have_attribute("data-step", "clear")
    page.evaluate(LEFT)
    expect(thumbnail).to_have_attribute("data-step", "blur")
