"""The forms of v1, sent by a browser."""

from __future__ import annotations

import hashlib
import json

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from gallery.items.models import Image
from moderation.access.permissions import Role
from moderation.cases.models import Decision, DecisionBatch
from moderation.lists.models import BannedItem, BannedList
from tests import factories as make
from tests.browser.accessibility import FRAME_LOOKS, LOOKS, faults
from tests.browser.conftest import PHONE, OpenPage
from tests.moderation.factories import make_case, make_item, make_list, make_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
API = "/api/v1/"
LISTS = f"{API}moderation/lists/"


@pytest.fixture
def lead(transactional_db: None) -> User:
    return make_person(Role.LEAD, "lena")


def choose_file(page: Page, label: str, data: bytes) -> None:
    picture = {"name": "one.png", "mimeType": "image/png", "buffer": data}
    page.get_by_label(label, exact=True).set_input_files([picture])


def send(page: Page) -> None:
    page.get_by_role("button", name="Send", exact=True).click()


@pytest.mark.slow
def test_adding_a_picture_and_searching_by_it(open_page: OpenPage, lead: User) -> None:
    page = open_page(path=API, user=lead)
    parts = page.get_by_role("navigation", name="What there is")
    parts.get_by_role("link", name="Images", exact=True).click()
    choose_file(page, "File", make.png(make.photo(1)))
    page.get_by_label("Remark").fill("of a form")
    send(page)
    expect(page.get_by_text("202 Accepted")).to_be_visible()
    image = Image.objects.get()
    assert (image.remark, image.data_id, image.meta, image.added_by) == (
        "of a form",
        None,
        None,
        "user:lena",
    )
    # What is asked in the address goes there, and blank fields do not.
    page.goto(f"{API}images/")
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Status").select_option("pending")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_text("GET /api/v1/images/?status=pending", exact=True)).to_be_visible()
    choose_file(page, "File", make.png(make.photo(3)))
    page.get_by_label("Wait").fill("60")
    send(page)
    expect(page.get_by_text("201 Created")).to_be_visible()
    stored = make.add_ready_image(data=make.png(make.photo(2)))
    page.goto(f"{API}images/search/")
    choose_file(page, "File", make.png(make.photo(2)))
    page.get_by_label("Match type").select_option("pdq")
    send(page)
    expect(page.get_by_text("200 OK")).to_be_visible()
    expect(page.get_by_label("JSON").first).to_contain_text(f'"md5": "{stored.md5}"')
    picture = page.get_by_role("img", name=f"Picture {stored.pk}").element_handle()
    page.wait_for_function("(picture) => picture.naturalWidth > 0", arg=picture)


def test_deciding_a_case(open_page: OpenPage, lead: User) -> None:
    case = make_case(make_item(make_list()))
    page = open_page(path=f"{API}moderation/cases/{case.pk}/decide/", user=lead)
    page.get_by_label("Note").fill("as agreed")
    expect(page.get_by_label("Looked")).not_to_be_checked()
    send(page)
    expect(page.get_by_label("Verb")).to_have_attribute("aria-invalid", "true")
    assert not DecisionBatch.objects.exists()
    expect(page.get_by_label("Note")).to_have_value("as agreed")
    page.get_by_label("Verb").select_option("dismiss")
    send(page)
    expect(page.get_by_text("201 Created")).to_be_visible()
    decision = Decision.objects.get()
    assert (decision.verb, decision.looked) == ("dismiss", False)
    assert decision.batch.note == "as agreed"


@pytest.mark.slow
def test_a_list_from_adding_to_deleting(open_page: OpenPage, transactional_db: None) -> None:
    page = open_page(path=LISTS, user=make_person(Role.ADMIN))
    page.get_by_label("Name (required)").fill("new")
    send(page)
    expect(page.get_by_text("201 Created")).to_be_visible()
    row = BannedList.objects.get()
    assert (row.action, row.enabled, row.get_severity_display()) == ("shadow", True, "medium")
    page.goto(LISTS)
    page.get_by_role("link", name=str(row.pk), exact=True).click()
    page.get_by_label("Observe share").fill("7")
    page.get_by_role("button", name="Save the changes").click()
    expect(page.get_by_label("Observe share")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Observe share")).to_have_value("7")
    page.get_by_label("Observe share").fill("0.5")
    page.get_by_label("Two person").check()
    page.get_by_role("button", name="Save the changes").click()
    expect(page.get_by_label("JSON").first).to_contain_text('"two_person": true')
    row.refresh_from_db()
    assert (row.observe_share, row.two_person, row.name, row.flood_limit) == (
        0.5,
        True,
        "new",
        None,
    )
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_label("Reason").last.fill("not ours")
    page.get_by_role("button", name="Delete the list new with 0 items").click()
    expect(page.get_by_role("heading", name="Lists", exact=True)).to_be_visible()
    assert not BannedList.objects.exists()


def test_json_and_ids(open_page: OpenPage, lead: User) -> None:
    row = make_list()
    page = open_page(path=f"{LISTS}{row.pk}/items/batch/", user=lead)
    text = page.get_by_role("textbox", name="JSON")
    text.fill('{"items": [{"md5": "no"}]')
    page.get_by_role("button", name="Send the JSON").click()
    expect(page.get_by_text("400 Bad Request")).to_be_visible()
    items = [{"sha1": hashlib.sha1(name).hexdigest()} for name in (b"one", b"two")]
    text.fill(json.dumps({"items": items}))
    page.get_by_role("button", name="Send the JSON").click()
    expect(page.get_by_text("200 OK")).to_be_visible()
    ids = list(BannedItem.objects.values_list("pk", flat=True))
    page.goto(f"{LISTS}{row.pk}/items/retire/")
    page.get_by_label("IDs (required)").fill(", ".join(map(str, ids)))
    page.get_by_label("Reason (required)").fill("out of date")
    send(page)
    expect(page.get_by_text("200 OK")).to_be_visible()
    assert set(BannedItem.objects.values_list("state", flat=True)) == {"retired"}


@pytest.mark.slow
def test_pages_are_accessible_and_fit(open_page: OpenPage, lead: User) -> None:
    row = make_list()
    case = make_case(make_item(row))
    page = open_page(path=API, user=lead, size=PHONE, theme="dark")
    paths = [
        *(API, LISTS, f"{LISTS}{row.pk}/", f"{LISTS}{row.pk}/items/batch/"),
        *(f"{API}images/?status=ready", f"{API}moderation/cases/{case.pk}/decide/"),
    ]
    found = {}
    for path in paths:
        page.goto(path)
        if path.endswith("/decide/"):
            send(page)
            expect(page.get_by_text("400 Bad Request")).to_be_visible()
        found[path] = faults(page, f"api {path.count('/')}", LOOKS if found else FRAME_LOOKS)
    assert {path: some for path, some in found.items() if some} == {}
