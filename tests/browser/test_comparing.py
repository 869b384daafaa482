"""Comparing the pictures of a case: aligned panes, slider, blinking, difference."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from PIL import Image as Pillow
from PIL import ImageDraw, ImageOps
from playwright.sync_api import Page, expect

from moderation.access.permissions import Role
from moderation.cases.models import Exposure, ReviewCase
from moderation.lists import item_adding
from tests import factories as pictures
from tests.browser.accessibility import fits
from tests.browser.conftest import OpenPage
from tests.browser.console import banned_item, case, enter_console, on_case, shown
from tests.moderation import factories as make
from tests.videos import clips, library
from videos.index import indexing
from videos.items import adding

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("left_quietly"),
]
ORANGE, BLUE = (213, 94, 0), (0, 114, 178)


def grey(data: bytes) -> Any:
    return np.asarray(Pillow.open(io.BytesIO(data)).convert("L"), np.float32)


def drawing(page: Page) -> Any:
    """What is drawn of both pictures: height × width × 4."""
    data = page.evaluate(
        """async () => {
            const canvas = document.querySelector("[data-both] canvas");
            return canvas.toDataURL().split(",")[1];
        }"""
    )
    return np.asarray(Pillow.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"), np.int16)


def apart(page: Page) -> float:
    """How far the middles of both panes differ, in levels of grey."""
    whole = grey(page.screenshot())
    parts = []
    for name in ("subject", "item"):
        frame = page.locator(f'[data-pane="{name}"]').bounding_box()
        assert frame is not None
        x, y = round(frame["x"] + frame["width"] / 2), round(frame["y"] + frame["height"] / 2)
        parts.append(whole[y - 60 : y + 60, x - 60 : x + 60])
    assert parts[1].std() > 20
    return float(np.median(np.abs(parts[0] - parts[1])))


def marked(drawn: Any, colour: tuple[int, int, int]) -> Any:
    """Where a colour is strong: booleans."""
    return (np.abs(drawn[..., :3] - np.array(colour)) < 8).all(axis=2) & (drawn[..., 3] == 255)


def view(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    expect(page.get_by_role("button", name=name, exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )


@pytest.mark.slow
def test_the_upload_lies_on_the_item(open_page: OpenPage, transactional_db: None) -> None:
    """A copy that was mirrored, turned, cropped, and has a sticker, as the service matches it."""
    ann = make.make_person(Role.MODERATOR, "ann")
    original = pictures.wheel_photo("astronaut.png").convert("RGB")
    wide, high = original.size
    item_adding.add_picture(
        by=make.ADMIN, list_id=make.make_list("terror").pk, data=pictures.png(original)
    )
    copy = original.copy()
    box = [0.6 * wide, 0.62 * high, 0.8 * wide, 0.82 * high]
    ImageDraw.Draw(copy).rectangle(box, fill="white", outline="black", width=8)
    copy = copy.crop((int(0.1 * wide), int(0.05 * high), wide, int(0.95 * high)))
    copy = ImageOps.mirror(copy).rotate(-90, expand=True)
    pictures.add_ready_image(data=pictures.png(copy))
    one = ReviewCase.objects.get()
    page = enter_console(open_page, ann, f"cases/{one.pk}/")
    on_case(page, one.pk)
    expect(page.locator("[data-how]")).to_contain_text("Mirrored crop")
    page.keyboard.press("x")
    shown(page, "clear")
    looks = Exposure.objects.get(user=ann).count
    expect(page.locator("[data-pane] .placed")).to_have_count(2)
    assert apart(page) < 4, "the same at the same place"
    page.keyboard.press("r")
    expect(page.locator("[data-pane] .placed")).to_have_count(0)
    assert apart(page) > 20, "as uploaded it is turned"
    page.keyboard.press("r")

    page.keyboard.press("v")
    expect(page.get_by_label("Where the upload ends")).to_be_visible()
    page.get_by_label("Where the upload ends").fill("0")
    item_alone = drawing(page)
    page.get_by_label("Where the upload ends").press("End")
    assert (drawing(page)[..., 3] > 0).sum() < 0.95 * (item_alone[..., 3] > 0).sum(), "a crop"
    fits(page, "slider")

    for step, name in (("clear", "Clear"), ("lines", "Line drawing")):
        view(page, name)
        shown(page, step)
        view(page, "Difference")
        expect(page.get_by_text("Orange: only the upload has it.")).to_be_visible()
        page.wait_for_timeout(100)
        drawn = drawing(page)
        # The item fills its part of the drawing; the sticker is where it was put.
        rows, columns = np.nonzero(drawn[..., 3])
        left, top = columns.min(), rows.min()
        across, down = columns.max() - left, rows.max() - top
        here = np.zeros(drawn.shape[:2], bool)
        here[
            top + int(0.57 * down) : top + int(0.85 * down),
            left + int(0.57 * across) : left + int(0.83 * across),
        ] = True
        orange, blue = marked(drawn, ORANGE), marked(drawn, BLUE)
        assert orange[here].mean() > 3 * orange[~here & (drawn[..., 3] > 0)].mean(), step
        assert orange[here].mean() > 0.02, step
        assert blue.any(), "what the sticker and the crop took away"
        fits(page, f"difference-{step}")
    assert Exposure.objects.get(user=ann).count == looks, "comparing loads nothing"

    view(page, "Blink")
    for name in ("Upload", "Item", "Upload"):
        expect(page.locator("[data-legend]")).to_have_text(name)
    page.keyboard.press("b")
    shown(page, "blur")
    view(page, "Difference")
    expect(page.get_by_text("Blurred pictures have no details")).to_be_visible()
    assert not (drawing(page)[..., 3] > 0).any()
    page.keyboard.press("v")
    expect(page.locator('[data-pane="subject"]')).to_be_visible()


@pytest.mark.slow
def test_the_frames_of_two_videos_lie_on_each_other(
    open_page: OpenPage, transactional_db: None
) -> None:
    """A banned video that is stored here, and a copy of it: mirrored, and later."""
    ann = make.make_person(Role.MODERATOR, "ann")
    frames = list(clips.moving("astronaut", 2, rate=10)) + list(clips.moving("rocket", 2, rate=10))
    original = library.add_ready(clips.encode(clips.timed(frames, rate=10)))
    item_adding.add_stored(
        by=make.ADMIN, list_id=make.make_list("terror").pk, kind="video", item_id=original.pk
    )
    copy = [library.mirrored(frame) for frame in frames]
    intro = [np.full_like(copy[0], 90)] * 10
    upload = adding.add_video(
        file=ContentFile(clips.encode(clips.timed([*intro, *copy], rate=10))), by="tests"
    )
    indexing.index_videos([upload.pk])
    one = ReviewCase.objects.get(video=upload)
    page = enter_console(open_page, ann, f"cases/{one.pk}/")
    on_case(page, one.pk)
    expect(page.locator("[data-how]")).to_contain_text("Mirrored copy")
    expect(page.locator("[data-item-name]")).to_have_text(re.compile(r"^of terror at 0:0\d"))
    page.keyboard.press("x")
    shown(page, "clear")
    expect(page.locator("[data-pane] .placed")).to_have_count(2)
    assert apart(page) < 8, "the same moment at the same place"
    view(page, "Difference")
    expect(page.get_by_text("Orange: only the upload has it.")).to_be_visible()
    view(page, "Side by side")
    # At another moment the upload shows something else: nothing is aligned.
    page.locator("[data-ms]:not([aria-current])").last.click()
    expect(page.locator("[data-pane] .placed")).to_have_count(0)


@pytest.mark.slow
def test_what_cannot_be_aligned_stays_as_it_is(open_page: OpenPage, transactional_db: None) -> None:
    ann = make.make_person(Role.MODERATOR, "ann")
    item = banned_item()
    tall, same = case(item, 1, size=(240, 320)), case(item, 2, size=(320, 240))
    page = enter_console(open_page, ann, f"cases/{tall.pk}/")
    on_case(page, tall.pk)
    shown(page, "blur")
    for name in ("Slider", "Blink", "Difference", "As uploaded"):
        expect(page.get_by_role("button", name=name)).to_be_disabled()
    expect(page.locator("[data-pane] .placed")).to_have_count(0)
    page.keyboard.press("v")
    expect(page.locator('[data-pane="subject"]')).to_be_visible()
    # Two of the same shape are taken to show the same whole.
    page.goto(f"/admin/moderation/console/cases/{same.pk}/")
    on_case(page, same.pk)
    expect(page.get_by_role("button", name="Slider")).to_be_enabled()
    expect(page.locator("[data-pane] .placed")).to_have_count(2)
    # The keys decide while the slider has the focus.
    view(page, "Slider")
    page.get_by_label("Where the upload ends").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("Where the upload ends")).to_have_value("51")
    page.keyboard.press("d")
    on_case(page, tall.pk)


@pytest.mark.slow
def test_the_queue_is_where_it_was_left(open_page: OpenPage, transactional_db: None) -> None:
    ann = make.make_person(Role.MODERATOR, "ann")
    item = make.make_item(make.make_list())
    cases = [make.make_case(item) for _ in range(30)]
    page = enter_console(open_page, ann, "?p=2")
    rows = page.locator("[data-row]")
    expect(rows).to_have_count(6)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    on_case(page, cases[26].pk)
    expect(page).to_have_title(re.compile(f"^Case {cases[26].pk}: "))
    page.keyboard.press("d")
    expect(page.locator(f'article[data-case="{cases[0].pk}"]')).to_be_visible()
    expect(page).to_have_title(re.compile(f"^Case {cases[0].pk}: "))
    page.keyboard.press("q")
    page.wait_for_url("**/console/?p=2")
    expect(rows.nth(2)).to_be_focused()
