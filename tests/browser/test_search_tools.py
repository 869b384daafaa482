"""What the search page does with results: order, files, large views, parts of the query, pages."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from PIL import ImageOps
from playwright.sync_api import expect

from gallery.items.models import Image, SharedSearch
from imgsmlr_site.throttling import owe
from tests import factories
from tests.browser.accessibility import faults, keep_picture
from tests.browser.conftest import PHONE, OpenPage
from tests.browser.test_search_page import (
    ONE_COPY,
    card_ids,
    cards,
    cat_copy,
    images,
    search_with,
    title,
)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

__all__ = ["cat_copy", "images"]  # fixtures
ALL = "&match_type=imgsmlr&threshold=4"


@pytest.mark.slow
def test_one_match_is_shown_large_with_its_difference(
    open_page: OpenPage, images: list[Image], tmp_path: Path
) -> None:
    page = open_page()
    cat = factories.wheel_photo("chelsea.png", 256)
    part = cat.crop((40, 20, 230, 150))
    painted = part.copy()
    painted.paste((255, 0, 0), (0, 0, 95, 65))  # a quarter of it
    for name, query, differs in (
        ("whole", cat, "hardly any"),
        ("mirrored part", ImageOps.mirror(part), "hardly any"),
        ("painted", painted, r"in yellow: 2\d % of what both show"),
    ):
        path = tmp_path / f"{name}.png"
        path.write_bytes(factories.png(query))
        page.set_input_files("#file", path)
        expect(page.locator("#preview-name")).to_have_text(path.name)
        expect(title(page)).to_have_text(ONE_COPY)
        card = cards(page)
        own, found = card.locator(".panel-picture img"), card.locator(".card-picture img")
        expect(card.locator("canvas")).to_be_visible()
        expect(card.locator("svg.still")).to_have_count(2)
        boxes = [one.bounding_box() for one in (own, found)]
        assert all(box and box["width"] > 200 for box in boxes)
        expect(card.locator(".panel-caption")).to_have_text(
            ["Your picture", f"Found: #{images[0].pk}", re.compile(f"^Difference.* {differs}$")]
        )
    offer = page.locator("#after .notice")
    expect(offer).to_contain_text("not in the gallery yet")
    box, under = card.bounding_box(), offer.bounding_box()
    assert box and under and under["y"] >= box["y"] + box["height"]
    assert faults(page, "one match") == set()


@pytest.mark.slow
def test_results_are_sorted_and_exported(open_page: OpenPage, images: list[Image]) -> None:
    Image.objects.filter(pk=images[3].pk).update(remark="=1+1")
    Image.objects.filter(pk=images[0].pk).update(width=9000)
    page = open_page(f"?id={images[0].pk}{ALL}")
    expect(title(page)).to_have_text(re.compile("pictures within 4.00"))
    nearest = card_ids(page)
    assert len(nearest) > 2
    for label, ids in (
        ("Age, newest first", sorted(nearest, reverse=True)),
        ("Age, oldest first", sorted(nearest)),
        ("Most changed", nearest[::-1]),
        ("Sureness", nearest),
    ):
        page.get_by_label("Sort by").select_option(label)
        assert card_ids(page) == ids, label
    page.get_by_label("Sort by").select_option("Size, largest first")
    assert card_ids(page)[0] == images[0].pk
    expect(page).to_have_url(re.compile("sort=size"))
    page.reload()
    expect(page.get_by_label("Sort by")).to_have_value("size")
    expect(cards(page)).to_have_count(len(nearest))
    shown = card_ids(page)
    with page.expect_download() as saved:
        page.get_by_role("button", name="JSON").click()
    found = json.loads(Path(saved.value.path()).read_text())
    assert [match["image"]["id"] for match in found] == shown
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    assert saved.value.suggested_filename == "results.csv"
    rows = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text())))
    assert [int(row["id"]) for row in rows] == shown
    assert {row["remark"] for row in rows if row["id"] == str(images[3].pk)} <= {"'=1+1"}


@pytest.mark.slow
def test_more_results_are_loaded(open_page: OpenPage, images: list[Image]) -> None:
    page = open_page(f"?id={images[0].pk}{ALL}&limit=2")
    expect(title(page)).to_have_text("2 pictures within 4.00")
    first = card_ids(page)
    page.get_by_role("button", name="Load more").click()
    expect(page).to_have_url(re.compile("limit=22"))
    expect(page.get_by_role("button", name="Load more")).to_have_count(0)
    expect(title(page)).not_to_have_text("2 pictures within 4.00")
    assert card_ids(page)[:2] == first
    assert cards(page).nth(2).evaluate("card => card.contains(document.activeElement)")


@pytest.mark.slow
def test_pages_and_the_lightbox(open_page: OpenPage, images: list[Image]) -> None:
    for seed in range(24):
        factories.add_ready_image(factories.photo(seed))
    newest = list(Image.objects.order_by("-pk").values_list("pk", flat=True))
    page = open_page()
    expect(cards(page)).to_have_count(24)
    expect(page.get_by_role("button", name="← Newer")).to_be_disabled()
    page.get_by_role("button", name="Older →").click()
    expect(cards(page)).to_have_count(len(newest) - 24)
    expect(title(page)).to_have_text("Older pictures")
    assert card_ids(page) == newest[24:]
    page.reload()
    expect(cards(page)).to_have_count(len(newest) - 24)
    page.go_back()
    expect(cards(page)).to_have_count(24)
    cards(page).nth(1).locator(".card-picture").click()
    box = page.get_by_role("dialog")
    expect(box).to_have_accessible_name(f"#{newest[1]}")
    expect(box.locator("#lightbox-place")).to_have_text("2 of 24")
    page.keyboard.press("ArrowRight")
    expect(box).to_have_accessible_name(f"#{newest[2]}")
    box.get_by_role("button", name="Previous").click()
    box.get_by_role("button", name="Previous").click()
    expect(box).to_have_accessible_name(f"#{newest[0]}")
    shown = box.get_by_role("img")
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)")
    assert faults(page, "lightbox") == set()
    box.get_by_role("button", name="Search with this one").click()
    expect(page.locator("#preview-name")).to_have_text(f"Picture #{newest[0]}")


@pytest.mark.slow
def test_a_part_is_chosen_by_keyboard_and_by_dragging(
    open_page: OpenPage, images: list[Image], tmp_path: Path
) -> None:
    two = factories.wheel_photo("coffee.png", 256)
    path = tmp_path / "cup.png"
    path.write_bytes(factories.png(two))
    page = open_page()
    page.set_input_files("#file", path)
    expect(title(page)).to_have_text(ONE_COPY)
    page.get_by_role("button", name="Part…").click()
    dialog = page.get_by_role("dialog", name="Search with a part")
    box = dialog.get_by_role("group", name="The part to search with")
    expect(box).to_be_focused()
    size = dialog.locator("#part-size")
    width, height = two.size
    expect(size).to_have_text(f"{round(0.6 * width)} × {round(0.6 * height)} of {width} × {height}")
    for key in ("Shift+ArrowRight", "Shift+ArrowDown", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    expect(size).to_contain_text(f"{round(0.61 * width)} × ")
    place = dialog.locator("#part-picture").bounding_box()
    assert place
    page.mouse.move(place["x"] + 4, place["y"] + 4)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] * 0.9, place["y"] + place["height"] * 0.9)
    page.mouse.up()
    expect(size).not_to_contain_text(f"{round(0.61 * width)} × ")
    assert faults(page, "part") == set()
    dialog.get_by_role("button", name="Search with this part").click()
    expect(page.locator("#preview-name")).to_have_text("part of cup.png")
    expect(title(page)).to_have_text(ONE_COPY)
    assert card_ids(page) == [images[1].pk]


@pytest.mark.slow
def test_a_part_is_chosen_by_touch(
    open_page: OpenPage, images: list[Image], cat_copy: Path
) -> None:
    page = open_page("", PHONE, "dark", has_touch=True, is_mobile=True)
    page.set_input_files("#file", cat_copy)
    expect(title(page)).to_have_text(ONE_COPY)
    page.get_by_role("button", name="Part…").tap()
    dialog = page.get_by_role("dialog", name="Search with a part")
    place = dialog.locator("#part-picture").bounding_box()
    assert place
    fingers = page.context.new_cdp_session(page)

    def touch(kind: str, *shares: float) -> None:
        x, y = place["x"] + shares[0] * place["width"], place["y"] + shares[1] * place["height"]
        points = [] if kind == "touchEnd" else [{"x": x, "y": y}]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    # The lower right corner, to the end of the picture.
    touch("touchStart", 0.8, 0.8)
    for share in (0.85, 0.95, 1.0):
        touch("touchMove", share, share)
    touch("touchEnd", 1.0, 1.0)
    width, height = Pillow.open(cat_copy).size
    expect(dialog.locator("#part-size")).to_have_text(
        f"{round(0.8 * width)} × {round(0.8 * height)} of {width} × {height}"
    )
    # Chromium takes a tap right after a drag for a part of the same gesture.
    dialog.get_by_role("button", name="Search with this part").click()
    expect(page.locator("#preview-name")).to_have_text(f"part of {cat_copy.name}")
    expect(cards(page).first).to_have_attribute("data-id", str(images[0].pk))


@pytest.mark.slow
def test_an_upload_is_shared_by_a_link_until_it_ends(
    open_page: OpenPage, images: list[Image], cat_copy: Path, settings: Any
) -> None:
    page = open_page()
    page.set_input_files("#file", cat_copy)
    expect(title(page)).to_have_text(ONE_COPY)
    page.get_by_role("button", name="Share…").click()
    asked = page.locator("#notices .notice")
    expect(asked).to_contain_text("keeps a small copy of your picture, for 24 hours at most")
    assert not SharedSearch.objects.exists()
    asked.get_by_role("button", name="Make the link").click()
    expect(asked).to_contain_text("It works until")
    link = re.search(r"http\S+", asked.locator("p").inner_text())
    assert link is not None

    page.goto(link[0])
    expect(title(page)).to_have_text(ONE_COPY)
    expect(page.locator("#preview-name")).to_have_text(re.compile("^Shared until "))
    expect(cards(page).locator("canvas")).to_be_visible()
    assert card_ids(page) == [images[0].pk]
    SharedSearch.objects.all().delete()
    page.reload()
    expect(title(page)).to_have_text("This link has ended")
    settings.OPEN_API = ()
    page.reload()
    expect(title(page)).to_have_text("Sign in to search")
    expect(cards(page)).to_have_count(0)


@pytest.mark.slow
def test_earlier_searches_stay_in_this_browser(
    open_page: OpenPage, images: list[Image], cat_copy: Path
) -> None:
    page = open_page()
    earlier = page.locator("#history")
    expect(title(page)).to_have_text("Newest pictures")
    expect(earlier).to_be_hidden()
    search_with(page, images[2])
    expect(title(page)).to_have_text(ONE_COPY)
    page.set_input_files("#file", cat_copy)
    expect(cards(page).first).to_have_attribute("data-id", str(images[0].pk))
    page.reload()
    earlier.get_by_text("Earlier searches").click()
    expect(earlier.get_by_role("link")).to_have_text([f"Picture #{images[2].pk}"])
    earlier.get_by_role("link").click()
    expect(title(page)).to_have_text(ONE_COPY)
    assert card_ids(page) == [images[2].pk]
    earlier.get_by_text("Earlier searches").click()
    earlier.get_by_role("button", name="Clear the list").click()
    expect(earlier).to_be_hidden()
    assert page.evaluate("Object.keys(localStorage)") == []


@pytest.mark.slow
def test_a_folder_of_pictures_becomes_a_table(
    open_page: OpenPage, images: list[Image], cat_copy: Path, tmp_path: Path, settings: Any
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(cat_copy.read_bytes())
    (folder / "b.png").write_bytes(factories.png(factories.photo(77)))
    (folder / "c.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not sent")
    page = open_page()
    expect(title(page)).to_have_text("Newest pictures")
    page.get_by_role("button", name="Search with many pictures…").click()
    dialog = page.get_by_role("dialog", name="Search with many pictures")
    expect(dialog.locator("#many-note")).to_contain_text("Copies, by every method")
    # A service that has no time now is asked again when it says so.
    settings.THROTTLE_POINTS = 180
    owe("ip:127.0.0.1", cost=180, capacity=180, period=60)
    with page.expect_response(lambda answer: answer.status == 429):
        page.set_input_files("#many-folder-input", folder)
    progress = dialog.get_by_role("status")
    expect(progress).to_have_text("3 of 3 pictures searched · 1 found · 1 other file left out")
    rows = dialog.get_by_role("row")
    expect(rows).to_have_count(4)
    found = dialog.get_by_role("row").filter(has_text="folder/a.jpg")
    expect(found.get_by_role("link")).to_have_text(f"#{images[0].pk}")
    expect(found).to_contain_text("99.9 %")
    expect(rows.filter(has_text="folder/b.png")).to_contain_text("nothing found")
    expect(rows.filter(has_text="folder/c.png").locator(".failed")).to_be_visible()
    assert faults(page, "many pictures") == set()
    with page.expect_download() as saved:
        dialog.get_by_role("button", name="CSV").click()
    table = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text())))
    assert [(row["picture"], row["id"]) for row in table if row["outcome"] == "found"] == [
        ("folder/a.jpg", str(images[0].pk))
    ]
    assert len(table) == 3


@pytest.mark.slow
def test_links_without_http_and_files_that_are_too_large(
    open_page: OpenPage, images: list[Image], cat_copy: Path, settings: Any
) -> None:
    settings.MAX_UPLOAD_BYTES = cat_copy.stat().st_size - 1
    page = open_page()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    expect(page.locator("#drop-limit")).to_have_text(re.compile(r"^Up to \d+ kB$"))
    page.set_input_files("#file", cat_copy)
    expect(title(page)).to_have_text("The file is too large")
    expect(page.get_by_role("alert").locator("p")).to_have_text(
        re.compile(r"^copy of the cat.jpg has \d+ kB\. A search takes files of up to \d+ kB")
    )
    page.get_by_role("button", name="Add pictures").click()
    page.set_input_files("#add-files", cat_copy)
    expect(page.locator(".queue-state")).to_have_text(re.compile(r"^too large: \d+ kB, at most"))
    page.get_by_role("button", name="Done").click()
    assert not [url for url in sent if "/images/search/" in url]
    understood = page.evaluate(
        """async (texts) => {
            const { linkOf } = await import("/static/gallery/search/dom.js");
            return texts.map(linkOf);
        }""",
        [
            "example.com/a.jpg",
            "//example.com/a.jpg",
            "localhost:9000/a.jpg",
            "10.0.0.7/a.png",
            "http://a.test/b",
            "red bicycle",
            "cat.jpg",
            "javascript:alert(1)/x",
            "and/or",
        ],
    )
    assert understood == [
        "https://example.com/a.jpg", "https://example.com/a.jpg", "http://localhost:9000/a.jpg",
        "http://10.0.0.7/a.png", "http://a.test/b", None, None, None, None,
    ]  # fmt: skip


def test_the_strip_on_a_phone(open_page: OpenPage, images: list[Image]) -> None:
    page = open_page(f"?id={images[0].pk}", PHONE, "dark")
    expect(title(page)).to_have_text(ONE_COPY)
    expect(page.locator("#legend li")).to_have_text(
        ["unlikely", "likely", "sure", "a picture found"]
    )
    lines = page.locator("#strip line")
    positions = [float((line.get_attribute("x1") or "").rstrip("%")) for line in lines.all()]
    assert max(positions) > 95, "the surest match is at the right end"
    keep_picture(page, "phone")
