"""The search page in a real browser, against the real server, database and descriptors."""

from __future__ import annotations

import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from gallery.imaging import descriptors
from gallery.imaging.decoding import decode
from gallery.imaging.decoding.limits import PictureLimits
from gallery.imaging.descriptors.base import PIXELS_VERSION
from gallery.items import changing
from gallery.items.adding import add_image
from gallery.items.item import NO_MD5
from gallery.items.models import Image
from gallery.moving.storing import MovedImage, store
from tests import factories
from tests.browser.accessibility import FRAME_LOOKS, faults, sticking_out
from tests.browser.conftest import PHONE, OpenPage
from tests.httpserver import HttpServer, Reply

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ONE_COPY = re.compile(r"^1 copy, at least [\d.]+ % sure$")
PHOTOS = ("chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png", "camera.png")


@pytest.fixture
def images(open_api: None) -> list[Image]:
    """Five photographs that can be found; the first one's details are worth showing."""
    details: list[dict[str, Any]] = [
        {"data_id": "cat-1", "remark": "A cat, looking up", "url": "https://pictures.test/cat.png"},
        {"data_id": "cup-1", "url": "javascript:alert(1)"},
        {},
        {"remark": "<img src=x onerror=alert(1)>"},
        {},
    ]
    return [
        add_image(
            data=factories.png(factories.wheel_photo(name, 256)),
            by="tests",
            inline=descriptors.available_names(),
            **fields,
        )
        for name, fields in zip(PHOTOS, details, strict=True)
    ]


@pytest.fixture
def cat_copy(tmp_path: Path) -> Path:
    """The first photograph, smaller and encoded again."""
    path = tmp_path / "copy of the cat.jpg"
    path.write_bytes(factories.jpeg(factories.wheel_photo("chelsea.png", 180), quality=60))
    return path


def cards(page: Page) -> Any:
    return page.locator(".card:not(.skeleton):visible")


def card_ids(page: Page) -> list[int]:
    return [int(node.get_attribute("data-id")) for node in cards(page).all()]


def set_threshold(page: Page, value: float) -> None:
    page.locator("#threshold").evaluate(
        """(slider, value) => {
            slider.value = slider.max - value;  // the slider says how strict
            slider.dispatchEvent(new Event("input"));
            slider.dispatchEvent(new Event("change"));
        }""",
        value,
    )


def title(page: Page) -> Any:
    return page.locator("#results-title")


def search_with(page: Page, image: Image) -> None:
    page.get_by_role("button", name=f"Search with this one, picture {image.pk}").click()


# --- searching ------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_upload_finds_its_picture(
    open_page: OpenPage, images: list[Image], cat_copy: Path
) -> None:
    page = open_page()
    page.set_input_files("#file", cat_copy)
    expect(title(page)).to_have_text(ONE_COPY)
    card = cards(page)
    expect(card).to_have_attribute("data-id", str(images[0].pk))
    expect(card).to_contain_text("A cat, looking up")
    expect(card).to_contain_text("cat-1")
    expect(card).to_contain_text(images[0].md5)
    opened = card.locator(".card-picture")
    expect(opened).to_have_attribute("href", re.compile(f"/media/images/{images[0].pk}/original$"))
    source = card.get_by_role("link", name="https://pictures.test/cat.png")
    expect(source).to_have_attribute("href", "https://pictures.test/cat.png")
    picture = card.locator("[data-slot=thumbnail]")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)")
    expect(page.locator("#preview-name")).to_have_text("copy of the cat.jpg")
    expect(page.locator("#announcer")).to_have_text(ONE_COPY)


@pytest.mark.slow
def test_a_picture_chosen_before_the_page_knows_the_service(
    open_page: OpenPage, images: list[Image], cat_copy: Path
) -> None:
    page = open_page("?limit=7")
    expect(title(page)).to_have_text("Newest pictures")
    held: list[Route] = []
    released = False
    page.route(
        "**/api/v1/status/",
        lambda route: route.continue_() if released else held.append(route),
    )
    page.reload()
    page.set_input_files("#file", cat_copy)
    set_threshold(page, 2)
    expect(page).to_have_url(re.compile(r"\?limit=7$"))
    released = True
    for route in held:
        route.continue_()
    expect(title(page)).to_have_text(ONE_COPY)
    assert card_ids(page) == [images[0].pk]


def test_a_dropped_and_a_pasted_picture_are_searched(
    open_page: OpenPage, images: list[Image]
) -> None:
    page = open_page()
    expect(title(page)).to_have_text("Newest pictures")
    handed_over = """([kind, base64]) => {
        const carrier = new DataTransfer();
        const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
        carrier.items.add(new File([bytes], `${kind}.png`, { type: "image/png" }));
        const event = kind === "drop"
            ? new DragEvent("drop", { dataTransfer: carrier, cancelable: true })
            : new ClipboardEvent("paste", { clipboardData: carrier });
        document.body.dispatchEvent(new event.constructor(event.type, {
            dataTransfer: carrier, clipboardData: carrier, bubbles: true, cancelable: true,
        }));
    }"""
    for kind, image, name in (("drop", images[1], PHOTOS[1]), ("paste", images[2], PHOTOS[2])):
        data = factories.png(factories.wheel_photo(name, 256))
        page.evaluate(handed_over, [kind, b64encode(data).decode()])
        expect(page.locator("#preview-name")).to_have_text(f"{kind}.png")
        expect(cards(page).first).to_have_attribute("data-id", str(image.pk))
        expect(cards(page).first.locator(".confidence")).to_have_text("99.9 %")


@pytest.mark.slow
def test_a_link_is_searched_by_the_server(
    open_page: OpenPage, images: list[Image], cat_copy: Path
) -> None:
    page = open_page()
    with HttpServer({"/cat.jpg": cat_copy.read_bytes()}) as site:
        page.get_by_label("Link to a picture").fill(f"{site.url}/cat.jpg")
        page.get_by_role("button", name="Search", exact=True).click()
        expect(title(page)).to_have_text(ONE_COPY)
        assert card_ids(page) == [images[0].pk]
        # The service sends what the browser does not load: it lies beside what was found.
        card = cards(page)
        own = card.get_by_role("img", name="The picture you search with")
        assert own.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
        expect(card.locator("svg.still")).to_have_count(2)
        expect(card.locator("canvas")).to_be_visible()
        expect(card.locator(".panel-caption")).to_have_text(
            ["Your picture", f"Found: #{images[0].pk}", re.compile("^Difference")]
        )
        expect(page.locator("#preview-picture img")).to_be_visible()
        expect(page.get_by_role("button", name="Part…")).to_be_visible()
        assert faults(page, "a link") == set()


def test_a_file_that_no_browser_shows_is_sent_back_as_a_picture(
    open_page: OpenPage, images: list[Image], tmp_path: Path
) -> None:
    path = tmp_path / "cat.tiff"
    factories.wheel_photo("chelsea.png", 256).save(path)
    page = open_page()
    page.set_input_files("#file", path)
    expect(title(page)).to_have_text(ONE_COPY)
    expect(cards(page).locator(".panel-caption").last).to_have_text("Difference: hardly any")
    shown = page.locator("#preview-picture img")
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100


@pytest.mark.slow
def test_a_link_typed_before_the_page_knows_the_service_is_kept(
    open_page: OpenPage, images: list[Image]
) -> None:
    page = open_page()
    expect(title(page)).to_have_text("Newest pictures")
    held: list[Route] = []
    page.route("**/api/v1/status/", lambda route: held.append(route))
    page.reload()
    field = page.get_by_label("Link to a picture")
    field.fill("https://pictures.test/cat.jpg")
    assert len(held) == 1
    held[0].continue_()
    expect(cards(page).first).to_be_visible()
    expect(field).to_have_value("https://pictures.test/cat.jpg")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["shared", "entered"])
def test_no_picture_of_another_host_is_loaded(
    open_page: OpenPage, images: list[Image], cat_copy: Path, way: str
) -> None:
    with HttpServer({"/cat.jpg": cat_copy.read_bytes()}) as site:
        link = f"{site.url}/cat.jpg"
        page = open_page(f"?url={link}" if way == "shared" else "")
        if way == "entered":
            page.get_by_label("Link to a picture").fill(link)
            page.get_by_role("button", name="Search", exact=True).click()
        expect(title(page)).to_have_text(ONE_COPY)
        expect(page.locator("#preview-name")).to_have_text(link)
        page.wait_for_load_state("networkidle")
        # Only the server asks; twice if the form was sent before its script ran.
        asking = {request.headers["User-Agent"] for request in site.requests}
        assert asking == {"imgsmlr-server"}


def test_a_picture_known_by_its_link_is_shown_from_here(
    open_page: OpenPage, open_api: None, cat_copy: Path
) -> None:
    with HttpServer({"/cat.jpg": cat_copy.read_bytes()}) as site:
        image = add_image(
            url=f"{site.url}/cat.jpg", by="tests", inline=descriptors.available_names()
        )
        assert not image.original
        site.routes["/cat.jpg"] = factories.jpeg(factories.photo(5))
        asked = len(site.requests)
        page = open_page()
        opened = cards(page).locator(".card-picture")
        expect(opened).to_have_attribute("title", "Open the small copy that is kept")
        expect(opened).to_have_attribute("href", re.compile(f"/media/images/{image.pk}/original$"))
        expect(cards(page).locator("img")).to_have_attribute("src", re.compile("/thumbnail$"))
        page.wait_for_load_state("networkidle")
        assert len(site.requests) == asked


@pytest.mark.slow
def test_search_with_this_one(open_page: OpenPage, images: list[Image]) -> None:
    page = open_page()
    expect(cards(page)).to_have_count(len(images))
    for width in (1280, 1440, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        assert sticking_out(page, ".button") == [], width
    search_with(page, images[2])
    expect(title(page)).to_have_text(ONE_COPY)
    expect(title(page)).to_be_focused()
    expect(page).to_have_url(re.compile(rf"\?id={images[2].pk}&match_type=auto$"))
    assert card_ids(page) == [images[2].pk]


# --- threshold, limit, match type -----------------------------------------------------------


def test_the_threshold_filters_without_a_request(open_page: OpenPage, images: list[Image]) -> None:
    page = open_page(f"?id={images[0].pk}&match_type=imgsmlr")
    expect(title(page)).to_have_text("1 picture within 1.00")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    set_threshold(page, 4)
    shown = [float(text) for text in page.locator(".distance:visible").all_inner_texts()]
    assert len(shown) > 1
    assert shown == sorted(shown)
    expect(title(page)).to_have_text(f"{len(shown)} pictures within 4.00")
    cut = round((shown[0] + shown[1]) / 2, 2)
    set_threshold(page, cut)
    assert card_ids(page) == [images[0].pk]
    expect(page.locator("#threshold-value")).to_have_text(f"{cut:.2f}")
    expect(page).to_have_url(re.compile(rf"threshold={cut}"))
    assert [url for url in requests if "/api/" in url] == []


def test_a_picture_that_was_taken_away(open_page: OpenPage, images: list[Image]) -> None:
    changing.quarantine_items(items=Image.objects.filter(pk=images[0].pk), by="tests")
    page = open_page(f"?id={images[0].pk}")
    expect(title(page)).to_have_text("There is no such picture")
    expect(page.get_by_role("alert").locator("p")).to_contain_text("There is no image")


def test_widening_shows_the_nearest(
    open_page: OpenPage, images: list[Image], tmp_path: Path
) -> None:
    path = tmp_path / "rotated.png"
    path.write_bytes(factories.png(factories.wheel_photo("chelsea.png", 256).rotate(20)))
    page = open_page("?threshold=0&match_type=imgsmlr")
    page.set_input_files("#file", path)
    expect(title(page)).to_have_text("Nothing within 0.00")
    page.get_by_role("button", name="Show up to").click()
    expect(title(page)).to_have_text(re.compile("^1 picture within"))


def test_a_limit_and_a_data_id_narrow_the_search(open_page: OpenPage, images: list[Image]) -> None:
    page = open_page(f"?id={images[0].pk}&match_type=imgsmlr&threshold=4")
    page.get_by_label("At most").fill("1")
    page.get_by_label("At most").press("Enter")
    expect(page.locator("#results-note")).to_contain_text("of the 1 nearest")
    page.get_by_label("Data id starts with").fill("nobody-")
    page.get_by_label("Data id starts with").press("Enter")
    expect(page.get_by_role("heading", name="No similar picture")).to_be_visible()
    expect(page).to_have_url(re.compile("limit=1&data_id_prefix=nobody-$"))


def test_pdq_has_whole_bits_and_its_own_ends(open_page: OpenPage, images: list[Image]) -> None:
    page = open_page(f"?id={images[0].pk}&threshold=1.5")
    page.get_by_label("Perceptual hash (PDQ)").check()
    expect(title(page)).to_have_text("1 picture within 31")
    expect(page.locator(".distance:visible")).to_have_text("0")
    expect(page.get_by_role("button", name="Recall 52")).to_be_visible()


def test_an_unavailable_match_type_says_why(open_page: OpenPage, images: list[Image]) -> None:
    page = open_page()
    clip = page.get_by_label("Meaning (CLIP)")
    expect(clip).to_be_disabled()
    expect(clip).to_have_accessible_description("Search by meaning is off here.")
    page.get_by_label("Link to a picture").fill("a red bicycle")
    page.get_by_role("button", name="Search", exact=True).click()
    problem = page.locator("#words-problem")
    expect(problem).to_have_text(re.compile(r"^Search by meaning is off here\. This is no link\."))
    for place in (page.locator(".match-type", has=clip), page.locator("#words-operator")):
        expect(place.get_by_text("CLIP_PRETRAINED")).to_be_hidden()
        place.get_by_text("For the operator").click()
        expect(place.get_by_text("CLIP_PRETRAINED")).to_be_visible()


# --- the address is the state ---------------------------------------------------------------


@pytest.mark.slow
def test_the_address_survives_a_reload(open_page: OpenPage, images: list[Image]) -> None:
    page = open_page(f"?id={images[0].pk}&match_type=pdq&threshold=104&limit=3&data_id_prefix=c")
    for _ in range(2):
        expect(page.locator("#threshold-value")).to_have_text("104")
        expect(page.get_by_label("Perceptual hash (PDQ)")).to_be_checked()
        expect(page.get_by_label("At most")).to_have_value("3")
        expect(page.get_by_label("Data id starts with")).to_have_value("c")
        expect(cards(page).first).to_have_attribute("data-id", str(images[0].pk))
        page.reload()


@pytest.mark.slow
def test_back_and_forward(open_page: OpenPage, images: list[Image], cat_copy: Path) -> None:
    page = open_page()
    page.set_input_files("#file", cat_copy)
    expect(title(page)).to_have_text(ONE_COPY)
    page.get_by_role("button", name="Clear").click()
    expect(title(page)).to_have_text("Newest pictures")
    search_with(page, images[3])
    expect(page.locator("#preview-name")).to_have_text(f"Picture #{images[3].pk}")
    page.go_back()
    expect(title(page)).to_have_text("Newest pictures")
    page.go_back()  # the upload is still in the page's memory
    expect(page.locator("#preview-name")).to_have_text("copy of the cat.jpg")
    expect(cards(page).first).to_have_attribute("data-id", str(images[0].pk))
    page.go_forward()
    expect(title(page)).to_have_text("Newest pictures")


@pytest.mark.slow
def test_after_a_reload_an_upload_is_asked_for_again(
    open_page: OpenPage, images: list[Image], cat_copy: Path
) -> None:
    page = open_page()
    page.set_input_files("#file", cat_copy)
    expect(title(page)).to_have_text(ONE_COPY)
    expect(page.get_by_role("button", name="Copy link")).to_be_hidden()
    page.reload()
    expect(title(page)).to_have_text("Choose the picture again")
    expect(page.locator(".notice")).to_contain_text("not stored")


@pytest.mark.slow
@pytest.mark.parametrize(
    "query", ["?threshold=abc&limit=-5", "?id=x&match_type=nothing", "?limit=1e9&threshold=1e99"]
)
def test_a_mistyped_address_still_works(
    open_page: OpenPage, images: list[Image], query: str
) -> None:
    page = open_page(query)
    expect(title(page)).to_have_text("Newest pictures")
    expect(page.get_by_label("Copies, by every method")).to_be_checked()


# --- data stays data ------------------------------------------------------------------------


def test_stored_text_and_links_run_nothing(open_page: OpenPage, images: list[Image]) -> None:
    page = open_page()
    scripted = page.locator(f'.card[data-id="{images[1].pk}"]')
    expect(scripted).to_be_visible()
    assert scripted.locator("a").count() == 1
    assert "javascript" not in scripted.inner_html()
    marked = page.locator(f'.card[data-id="{images[3].pk}"] .remark')
    expect(marked).to_have_text("<img src=x onerror=alert(1)>")


def test_the_md5_is_copied(open_page: OpenPage, images: list[Image]) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name=f"Copy the md5 of picture {images[0].pk}").click()
    expect(page.locator("#announcer")).to_have_text("md5 copied")
    assert page.evaluate("navigator.clipboard.readText()") == images[0].md5


# --- refusals -------------------------------------------------------------------------------


def test_a_page_instead_of_a_picture(
    open_page: OpenPage, images: list[Image], tmp_path: Path
) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(b"<!doctype html><title>Not found</title>")
    page = open_page()
    page.set_input_files("#file", path)
    expect(title(page)).to_have_text("That is not a picture")
    expect(page.get_by_role("alert").locator("p")).to_contain_text("HTML")


def test_a_private_address(open_page: OpenPage, images: list[Image]) -> None:
    page = open_page("?url=http://10.0.0.7/a.png")
    expect(title(page)).to_have_text("The link could not be fetched")
    refusal = page.get_by_role("alert")
    expect(refusal.locator("p").first).to_contain_text("is not fetched from here")
    expect(refusal.get_by_text("FETCH_ALLOW_PRIVATE")).to_be_hidden()
    refusal.get_by_text("For the operator").click()
    expect(refusal.get_by_text("FETCH_ALLOW_PRIVATE")).to_be_visible()


def test_a_link_that_is_gone(open_page: OpenPage, images: list[Image]) -> None:
    with HttpServer({"/gone.png": Reply(b"", 404)}) as site:
        page = open_page(f"?url={site.url}/gone.png")
        expect(title(page)).to_have_text("The link could not be fetched")
        expect(page.get_by_role("alert").locator("p")).to_contain_text("404")


def test_without_access_one_is_asked_to_sign_in(open_page: OpenPage, db: None) -> None:
    page = open_page("?id=5")
    expect(title(page)).to_have_text("Sign in to search")
    link = page.locator(".notice").get_by_role("link", name="Sign in")
    expect(page.get_by_role("search")).to_be_hidden()
    expect(link).to_have_attribute("href", "/admin/login/?next=%2Fimgsmlr%2F%3Fid%3D5")


@pytest.mark.slow
def test_a_server_that_is_gone(open_page: OpenPage, images: list[Image]) -> None:
    page = open_page()
    expect(title(page)).to_have_text("Newest pictures")
    expect(cards(page)).to_have_count(len(images))
    page.context.set_offline(True)
    search_with(page, images[0])
    expect(title(page)).to_have_text("The server did not answer")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(title(page)).to_have_text(ONE_COPY)


@pytest.mark.slow
def test_a_flat_picture(open_page: OpenPage, images: list[Image], tmp_path: Path) -> None:
    path = tmp_path / "flat.png"
    path.write_bytes(factories.png(factories.flat()))
    page = open_page("?match_type=imgsmlr")
    page.set_input_files("#file", path)
    expect(page.get_by_role("heading", name="This picture cannot be compared")).to_be_visible()


# --- adding ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_first_pictures_are_added_by_hand(
    open_page: OpenPage, open_api: None, db: None, tmp_path: Path
) -> None:
    paths = []
    for seed in range(3):
        path = tmp_path / f"{seed}.png"
        path.write_bytes(factories.png(factories.photo(seed)))
        paths.append(path)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(factories.jpeg(factories.photo(9))[:2000])
    page = open_page()
    expect(title(page)).to_have_text("The gallery is empty")
    page.get_by_role("button", name="Choose pictures").first.click()
    page.set_input_files("#add-files", [*paths, broken])
    page.get_by_role("button", name="Add 4 pictures").click()
    expect(page.locator("#add-progress")).to_have_text("3 added, 1 failed")
    expect(page.locator('.queue-item[data-state="failed"]')).to_contain_text("JPEG")
    page.get_by_role("button", name="Done").click()
    expect(title(page)).to_have_text("Newest pictures")
    assert Image.objects.ready().count() == 3
    expect(cards(page)).to_have_count(3)


@pytest.mark.slow
def test_the_query_is_added_with_data_id_and_remark(
    open_page: OpenPage, images: list[Image], cat_copy: Path
) -> None:
    page = open_page()
    page.set_input_files("#file", cat_copy)
    page.get_by_role("button", name="Add this picture…").click()
    page.get_by_label("Data id optional").fill("cat-2")
    page.get_by_label("Remark optional").fill("Smaller cat")
    page.get_by_role("button", name="Add 1 picture").click()
    page.get_by_role("button", name="Done").click()
    expect(title(page)).to_have_text(re.compile("^2 copies, at least"))
    expect(cards(page).first).to_contain_text("Smaller cat")
    assert Image.objects.get(data_id="cat-2").remark == "Smaller cat"
    page.set_input_files("#file", cat_copy)
    expect(page.locator(".notice")).to_have_count(0)  # it is here now: nothing to offer


def test_a_duplicate_leads_to_what_is_there(open_page: OpenPage, images: list[Image]) -> None:
    page = open_page()
    page.get_by_role("button", name="Add pictures").click()
    data = factories.png(factories.wheel_photo(PHOTOS[0], 256))
    page.set_input_files(
        "#add-files", {"name": "again.png", "mimeType": "image/png", "buffer": data}
    )
    page.get_by_role("button", name="Add 1 picture").click()
    expect(page.locator("#add-progress")).to_have_text("1 already here")
    page.get_by_role("button", name="Search with it").click()
    expect(page.locator("#preview-name")).to_have_text(f"Picture #{images[0].pk}")


def test_a_signed_in_user_writes_with_the_csrf_token(
    open_page: OpenPage, admin_user: Any, client: Any, live_server: Any, tmp_path: Path
) -> None:
    client.force_login(admin_user)
    page = open_page()
    session = {"name": "sessionid", "value": client.cookies["sessionid"].value}
    page.context.add_cookies([{**session, "url": live_server.url}])
    page.reload()
    expect(title(page)).to_have_text("The gallery is empty")
    page.get_by_role("button", name="Add pictures").click()
    data = factories.png(factories.photo(3))
    page.set_input_files("#add-files", {"name": "a.png", "mimeType": "image/png", "buffer": data})
    page.get_by_role("button", name="Add 1 picture").click()
    expect(page.locator("#add-progress")).to_have_text("1 added")
    assert Image.objects.get().added_by == "user:admin"


# --- everyone can use it --------------------------------------------------------------------


@pytest.mark.slow
def test_by_keyboard_alone(open_page: OpenPage, images: list[Image]) -> None:
    page = open_page("?match_type=imgsmlr")
    expect(title(page)).to_have_text("Newest pictures")

    def tab_to(name: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            focused = page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.id")
            if focused == name:
                return
        raise AssertionError(f"{name} cannot be reached by Tab")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(f"Search with this one, picture {images[0].pk}")
    page.keyboard.press("Enter")
    expect(title(page)).to_have_text("1 picture within 1.00")
    page.get_by_label("Link to a picture").focus()
    tab_to("threshold")
    page.keyboard.press("Home")
    expect(title(page)).to_have_text(re.compile("pictures within 4.00"))
    expect(page.locator("#threshold")).to_have_attribute(
        "aria-valuetext", re.compile(r"^4\.00, \d+ of \d+ pictures$")
    )
    page.get_by_label("Haar wavelet (imgsmlr)").focus()
    page.keyboard.press("ArrowDown")
    expect(title(page)).to_have_text("1 picture within 31")


@pytest.mark.slow
def test_no_serious_accessibility_problem(open_page: OpenPage, images: list[Image]) -> None:
    page = open_page(f"?id={images[0].pk}&match_type=imgsmlr&threshold=4", PHONE, "dark")
    expect(title(page)).to_have_text(re.compile("pictures within 4.00"))
    assert faults(page, "results", FRAME_LOOKS) == set()
    page.locator("#options").evaluate("options => (options.open = true)")
    page.locator("#add-open").click()
    data = factories.png(factories.photo(3))
    page.set_input_files("#add-files", {"name": "a.png", "mimeType": "image/png", "buffer": data})
    assert faults(page, "adding") == set()
    page.get_by_role("button", name="Close").click()
    page.goto("/imgsmlr/?url=http://10.0.0.7/a.png")
    expect(title(page)).to_have_text("The link could not be fetched")
    assert faults(page, "a refusal") == set()


@pytest.mark.slow
def test_a_picture_that_was_moved_in_without_its_file(open_page: OpenPage, open_api: None) -> None:
    data = factories.jpeg(factories.photo(1))
    here = factories.add_ready_image(data=data)
    columns = descriptors.get("imgsmlr").describe([decode(data, PictureLimits())])[0]
    image = Image(pk=900_001, md5=NO_MD5 + "a" * 31, width=0, height=0, bytes=0)
    store([MovedImage(image, {"full": {PIXELS_VERSION: columns or {}}})], by="tests")
    page = open_page(path=f"/imgsmlr/?id={image.pk}&match_type=imgsmlr")
    expect(page.get_by_text("Its picture is not stored here.")).to_have_count(1)
    assert sorted(card_ids(page)) == [here.pk, image.pk]
    moved = page.locator(f'.card[data-id="{image.pk}"]')
    expect(moved.get_by_text("unknown")).to_be_visible()
    expect(moved.locator("img, .copy")).to_have_count(2)
    expect(moved.locator("img:visible, .copy:visible")).to_have_count(0)
    page.goto(f"/imgsmlr/?id={here.pk}&match_type=imgsmlr")
    expect(page.get_by_text("Its picture is not stored here.")).to_have_count(1)
    assert faults(page, "moved-in") == set()
