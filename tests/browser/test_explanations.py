"""Results say why they were found: how sure, what was edited, where, and side by side."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from PIL import ImageOps
from playwright.sync_api import Locator, Page, Request, expect

from gallery.imaging import descriptors
from gallery.items import changing
from gallery.items.adding import add_image
from gallery.items.models import Image
from gallery.search.match_types import MATCH_TYPES
from tests import factories
from tests.browser.accessibility import faults
from tests.browser.conftest import PHONE, OpenPage
from tests.browser.test_search_page import cards, set_threshold, title

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PHOTOS = ("chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png")
SearchWith = Callable[..., Page]


@pytest.fixture
def images(open_api: None) -> list[Image]:
    """Four photographs, described by everything that needs no download."""
    return [
        add_image(
            data=factories.png(factories.wheel_photo(name)),
            by="tests",
            inline=descriptors.available_names(),
        )
        for name in PHOTOS
    ]


@pytest.fixture
def search_with(open_page: OpenPage, images: list[Image], tmp_path: Path) -> SearchWith:
    """``search_with(picture)`` opens the page, searches with it and waits for the answer."""

    def search_with(picture: Pillow.Image, query: str = "", **options: Any) -> Page:
        path = tmp_path / "query.png"
        path.write_bytes(factories.png(picture))
        page = open_page(query, **options)
        page.set_input_files("#file", path)
        expect(page.locator("#results-note")).to_contain_text(" ms")
        return page

    return search_with


def cat() -> Pillow.Image:
    return factories.wheel_photo("chelsea.png")


def part(
    picture: Pillow.Image, left: float, top: float, right: float, bottom: float
) -> Pillow.Image:
    """The part between shares of the width and the height."""
    width, height = picture.size
    return picture.crop(
        (round(left * width), round(top * height), round(right * width), round(bottom * height))
    )


def collage() -> Pillow.Image:
    page = Pillow.new("RGB", (1000, 760), (230, 230, 230))
    for place, name in enumerate(PHOTOS):
        tile = ImageOps.fit(factories.wheel_photo(name), (480, 360))
        page.paste(tile, (10 + place % 2 * 500, 10 + place // 2 * 380))
    return page


def card_of(page: Page, image: Image) -> Locator:
    return page.locator(f'.card[data-id="{image.pk}"]')


def outline(where: Locator) -> list[tuple[float, float]]:
    """The corners of the region drawn over a picture, as shares of its width and height."""
    view = where.locator("svg.overlay").get_attribute("viewBox")
    path = where.locator("svg.overlay .outline").get_attribute("d")
    assert view and path
    width, height = [float(number) for number in view.split()[2:]]
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
    return [(x / width, y / height) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]


def bounds(corners: list[tuple[float, float]]) -> tuple[float, float, float, float]:
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


# --- how sure, and what was edited ----------------------------------------------------------


@pytest.mark.slow
def test_a_crop_is_found_by_every_method_and_says_so(
    search_with: SearchWith, images: list[Image]
) -> None:
    page = search_with(part(cat(), 0.2, 0.15, 0.9, 0.85))
    expect(page.get_by_label("Copies, by every method")).to_be_checked()
    expect(title(page)).to_have_text(re.compile(r"^1 copy, at least [\d.]+ % sure$"))
    card = card_of(page, images[0])
    expect(card.locator(".confidence")).to_have_text(re.compile(r"^\d+(\.\d)? %$"))
    expect(card.locator(".band")).to_have_text("sure")
    level = card.locator(".meter-level").get_attribute("width")
    assert level is not None
    assert float(level.removesuffix("%")) > 50
    (words,) = card.locator(".edits li").all_inner_texts()
    shown = re.fullmatch(r"cropped: shows (\d+) % of it", words)
    assert shown is not None
    assert 47 <= int(shown[1]) <= 51
    distances = card.locator("details.methods")
    expect(distances.locator("dl")).to_be_hidden()
    distances.get_by_text("Distances").click()
    for name in ("Learned, whole", "Perceptual hash", "Haar wavelet"):
        expect(distances.locator("dt", has_text=name)).to_be_visible()
    expect(distances).to_contain_text(re.compile(r"\d+ of 256 bits"))
    expect(distances).to_contain_text(re.compile(r"\d+ places agree"))


EDITS: list[tuple[str, Callable[[Pillow.Image], Pillow.Image]]] = [
    ("the whole picture", lambda picture: picture),
    ("mirrored", ImageOps.mirror),
    ("flipped upside down", ImageOps.flip),
    ("rotated 90° to the right", lambda picture: picture.rotate(-90, expand=True)),
    ("rotated 90° to the left", lambda picture: picture.rotate(90, expand=True)),
    ("rotated 180°", lambda picture: picture.rotate(180)),
    ("with a border around it", lambda picture: ImageOps.expand(picture, 80, "navy")),
    ("reduced to 50 %", lambda picture: picture.resize((226, 150))),
]


@pytest.mark.slow
def test_each_edit_is_named(search_with: SearchWith, images: list[Image], tmp_path: Path) -> None:
    page = search_with(factories.photo(5))
    for number, (words, edit) in enumerate(EDITS):
        path = tmp_path / f"{number}.png"
        path.write_bytes(factories.png(edit(cat())))
        page.set_input_files("#file", path)
        expect(page.locator("#preview-name")).to_have_text(path.name)
        expect(card_of(page, images[0]).locator(".edits li")).to_have_text([words])


@pytest.mark.slow
def test_pictures_in_a_collage_are_a_part_of_the_query(
    search_with: SearchWith, images: list[Image]
) -> None:
    page = search_with(collage(), "?threshold=1")
    sure = cards(page).filter(has_text="a part of the query: 2")
    assert sure.count() >= 2


@pytest.mark.slow
def test_what_is_not_alike_says_so(search_with: SearchWith, images: list[Image]) -> None:
    page = search_with(factories.photo(5, (400, 300)))
    expect(title(page)).to_have_text(re.compile(r"^No copy, at least [\d.]+ % sure$"))
    expect(page.get_by_role("heading", name="No match this certain")).to_be_visible()
    page.get_by_role("button", name=re.compile(r"^Show from \d+ % sure$")).click()
    expect(cards(page).first).to_be_visible()
    expect(cards(page).first.locator(".confidence")).to_have_text(re.compile(r"^(< 1|[1-9]) %$"))
    expect(cards(page).first.locator(".band")).to_have_text("unlikely")
    words = cards(page).first.locator(".edits li").inner_text()
    assert re.fullmatch(r"no place matches|only \d+ places agree", words)


def test_percentages_do_not_promise_more_than_is_known(
    open_page: OpenPage, images: list[Image]
) -> None:
    page = open_page()
    said = page.evaluate(
        """async (numbers) => {
            const { percent } = await import("/static/gallery/search/format.js");
            return numbers.map(percent);
        }""",
        [1, 0.9996, 0.99949, 0.996, 0.99, 0.989, 0.5, 0],
    )
    assert said == ["99.9", "99.9", "99.9", "99.6", "99", "99", "50", "0"]


@pytest.mark.slow
def test_the_slider_speaks_of_certainty(search_with: SearchWith, images: list[Image]) -> None:
    page = search_with(part(cat(), 0.1, 0.1, 0.9, 0.9))
    slider = page.get_by_role("slider", name="At least this sure")
    presets = page.get_by_role("group", name="Set how sure a match must be")
    expect(presets.get_by_role("button")).to_have_count(3)
    presets.get_by_role("button", name=re.compile("^Precise ")).click()
    precise = round(MATCH_TYPES["auto"].precise, 2)  # the slider's step
    expect(page).to_have_url(re.compile(rf"threshold={re.escape(str(precise))}$"))
    set_threshold(page, 0.25)
    expect(page.locator("#threshold-value")).to_have_text("75 %")
    expect(slider).to_have_attribute("aria-valuetext", "75 %, 1 of 4 pictures")
    expect(title(page)).to_have_text("1 copy, at least 75 % sure")
    presets.get_by_role("button", name="All 0 %").click()
    expect(title(page)).to_have_text("4 pictures, uncertain ones too")
    page.get_by_label("Haar wavelet (imgsmlr)").check()
    expect(page.get_by_role("slider", name="Largest distance")).to_be_visible()
    expect(cards(page).first.locator(".distance")).to_be_visible()
    expect(page.locator(".explanation")).to_have_count(0)


def test_a_query_without_detail(search_with: SearchWith, images: list[Image]) -> None:
    page = search_with(factories.flat((9, 9, 12)))
    notice = page.get_by_role("heading", name="This picture has almost no detail")
    expect(notice).to_be_visible()
    expect(page.locator(".notice")).to_contain_text("certain")
    expect(cards(page)).to_have_count(0)
    expect(page.get_by_role("button", name="Add this picture…")).to_be_visible()


# --- where ----------------------------------------------------------------------------------


def test_hovering_shows_where_in_both_pictures(
    search_with: SearchWith, images: list[Image]
) -> None:
    page = search_with(part(cat(), 0.2, 0.1, 0.9, 0.8))
    card = card_of(page, images[0])
    expect(page.locator("svg.overlay")).to_have_count(0)
    card.hover()
    expect(card.locator("svg.overlay .outline")).to_be_visible()
    assert bounds(outline(card)) == pytest.approx((0.2, 0.1, 0.9, 0.8), abs=0.02)
    query = page.locator("#preview-picture")
    assert bounds(outline(query)) == pytest.approx((0, 0, 1, 1), abs=0.02)
    page.locator("#results-note").hover()
    expect(page.locator("svg.overlay")).to_have_count(0)


def test_the_drawing_lies_on_the_picture(search_with: SearchWith, images: list[Image]) -> None:
    """Whatever the shape of the picture and of the frame that it is fitted into."""
    tall = cat().rotate(90, expand=True)
    page = search_with(tall)
    card_of(page, images[0]).hover()
    found = card_of(page, images[0]).locator(".card-picture")
    for frame in (found, page.locator("#preview-picture")):
        expect(frame.locator("svg.overlay .outline")).to_be_visible()
        picture, drawing = (
            frame.locator(what).first.bounding_box() for what in ("img", "svg.overlay")
        )
        assert picture == drawing
        ratio = frame.locator("img").evaluate("image => image.naturalWidth / image.naturalHeight")
        view = frame.locator("svg.overlay").evaluate(
            "svg => svg.viewBox.baseVal.width / svg.viewBox.baseVal.height"
        )
        assert view == pytest.approx(ratio)
        assert (
            frame.locator("img").evaluate("image => getComputedStyle(image).objectFit") == "contain"
        )


@pytest.mark.slow
def test_show_where_stays_until_it_is_pressed_again(
    search_with: SearchWith, images: list[Image]
) -> None:
    page = search_with(collage(), "?threshold=1")
    toggles = page.get_by_role("button", name=re.compile("^Show where"))
    first, second = toggles.nth(0), toggles.nth(1)
    expect(first).to_have_attribute("aria-pressed", "false")
    first.click()
    page.get_by_label("Link to a picture").focus()
    page.locator("#results-note").hover()
    expect(page.locator("svg.overlay")).to_have_count(2)
    cards(page).nth(1).hover()
    expect(cards(page).nth(1).locator("svg.overlay")).to_have_count(1)
    expect(page.locator("svg.overlay")).to_have_count(2)
    second.click()
    expect(first).to_have_attribute("aria-pressed", "false")
    expect(second).to_have_attribute("aria-pressed", "true")
    second.click()
    expect(second).to_have_attribute("aria-pressed", "false")
    expect(page.locator("svg.overlay")).to_have_count(0)


def test_what_the_slider_hides_is_not_shown_any_more(
    search_with: SearchWith, images: list[Image]
) -> None:
    page = search_with(collage(), "?threshold=1")
    toggle = page.get_by_role("button", name=re.compile("^Show where")).last
    name = toggle.get_attribute("aria-label") or ""
    toggle.click()
    page.locator("#results-note").hover()
    expect(page.locator("svg.overlay")).to_have_count(2)
    set_threshold(page, 0)
    expect(page.get_by_label(name)).to_be_hidden()
    expect(page.locator("svg.overlay")).to_have_count(0)


def test_focus_shows_where_too(search_with: SearchWith, images: list[Image]) -> None:
    page = search_with(part(cat(), 0.1, 0.1, 0.9, 0.9))
    card = card_of(page, images[0])
    toggle = card.get_by_role("button", name=re.compile("^Show where"))
    toggle.focus()
    expect(card.locator("svg.overlay .outline")).to_be_visible()
    page.keyboard.press("Space")
    expect(toggle).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Tab")
    expect(card.get_by_role("button", name=re.compile("^Side by side"))).to_be_focused()
    expect(card.locator("svg.overlay")).to_have_count(1)


# --- side by side ---------------------------------------------------------------------------


@pytest.mark.slow
def test_side_by_side_by_keyboard(search_with: SearchWith, images: list[Image]) -> None:
    asked: list[str] = []

    def remember(request: Request) -> None:
        if request.url.endswith("/images/search/"):
            asked.append((request.post_data_buffer or b"").decode("latin-1"))

    page = search_with(ImageOps.mirror(part(cat(), 0.1, 0.1, 0.9, 0.9)))
    page.on("request", remember)
    page.reload()
    page.goto(f"/imgsmlr/?id={images[0].pk}")
    opener = page.get_by_role("button", name=f"Side by side, picture {images[0].pk}")
    opener.focus()
    assert ['"explain":true' in body for body in asked] == [False]
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=f"Your picture and #{images[0].pk}")
    picture = dialog.get_by_role("img", name=re.compile("^Left, the picture you search with"))
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 600
    assert ['"explain":true' in body for body in asked] == [False, True]
    assert '"limit":1,' in asked[1]
    expect(dialog).to_have_accessible_description(re.compile(r"\d+ places agree"))
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()


def test_side_by_side_with_an_upload(search_with: SearchWith, images: list[Image]) -> None:
    page = search_with(ImageOps.mirror(part(cat(), 0.1, 0.1, 0.9, 0.9)))
    page.get_by_role("button", name=f"Side by side, picture {images[0].pk}").click()
    words = re.compile(r"What changed: mirrored; cropped: shows \d+ % of it\. \d+ places agree\.")
    expect(page.locator("#comparison").get_by_role("img", name=words)).to_be_visible()
    page.locator("#comparison").get_by_role("button", name="Close").click()
    expect(page.locator("#comparison")).to_be_hidden()


@pytest.mark.slow
def test_a_match_that_has_gone_cannot_be_drawn(
    search_with: SearchWith, images: list[Image]
) -> None:
    page = search_with(part(cat(), 0.1, 0.1, 0.9, 0.9))
    changing.quarantine_items(items=Image.objects.filter(pk=images[0].pk), by="tests")
    page.get_by_role("button", name=f"Side by side, picture {images[0].pk}").click()
    expect(page.locator("#comparison-state")).to_contain_text("cannot be drawn")
    expect(page.locator("#comparison img")).to_have_count(0)


@pytest.mark.slow
def test_a_drawing_that_the_service_refuses(search_with: SearchWith, images: list[Image]) -> None:
    page = search_with(part(cat(), 0.1, 0.1, 0.9, 0.9))
    page.context.set_offline(True)
    page.get_by_role("button", name=f"Side by side, picture {images[0].pk}").click()
    expect(page.locator("#comparison-state")).to_contain_text("The server did not answer")
    page.keyboard.press("Escape")
    expect(page.locator("#comparison")).to_be_hidden()


# --- everyone can use it --------------------------------------------------------------------


@pytest.mark.slow
def test_explanations_have_no_serious_accessibility_problem(
    search_with: SearchWith, images: list[Image]
) -> None:
    page = search_with(ImageOps.mirror(collage()), "?threshold=1", size=PHONE, theme="dark")
    page.get_by_role("button", name=re.compile("^Show where")).first.click()
    page.locator(".methods summary").first.click()
    assert faults(page, "explanations") == set()
    page.get_by_role("button", name=re.compile("^Side by side")).first.click()
    expect(page.locator("#comparison img")).to_be_visible()
    assert faults(page, "side by side") == set()
