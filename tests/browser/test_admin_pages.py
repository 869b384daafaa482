"""The admin in a real browser: logging in, deleting, adding, and the pages of the API."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from gallery.items.models import Image
from moderation.cases.states import CaseState
from tests import factories as make
from tests.browser.accessibility import sticking_out
from tests.browser.conftest import OpenPage
from tests.moderation.factories import make_case, make_item, make_list

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WORD = "a-word-of-the-tests"


@pytest.fixture
def root(transactional_db: None) -> User:
    return User.objects.create_superuser("root", password=WORD)


def log_in(open_page: OpenPage, path: str = "/admin/") -> Page:
    """A page as the superuser sees it."""
    return open_page(path=path, user=User.objects.get(username="root"))


@pytest.mark.slow
def test_the_login_form(open_page: OpenPage, root: User) -> None:
    page = open_page(path="/admin/login/")
    page.get_by_label("Username").fill("root")
    page.get_by_label("Password").fill(WORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Match types")).to_be_visible()


@pytest.mark.slow
def test_api_pages_work_under_their_policy(open_page: OpenPage, root: User) -> None:
    page = log_in(open_page, "/api/docs/")
    # Its form begins with the example, and sends what was filled in alone.
    block = page.locator("#operations-Images-images_search_create")
    block.get_by_role("button", name="Return the images within").click()
    block.get_by_role("button", name="Try it out").click()
    fields = block.locator("[data-property-name]")
    texts = fields.locator("input:is([type=text], [type=number])")
    assert {one.input_value() for one in texts.all()} == {"", "5"}
    picture = {"name": "a.png", "mimeType": "image/png", "buffer": make.png(make.photo(1))}
    fields.locator("input[type=file]").set_input_files([picture])  # type: ignore[list-item]
    block.get_by_role("button", name="Execute").click()
    expect(block.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    sent = block.locator(".curl-command").inner_text()
    assert "-F 'limit=5'" in sent and "url=" not in sent and "match_type=" not in sent
    page.goto("/api/v1/images/")
    expect(page.get_by_text("GET /api/v1/images/").first).to_be_visible()


@pytest.mark.slow
def test_deleting_takes_a_confirmation(open_page: OpenPage, root: User) -> None:
    images = [make.add_ready_image(data=make.png(make.photo(n))) for n in range(3)]
    page = log_in(open_page, "/admin/gallery/image/")
    expect(page.get_by_role("img", name="Picture of image")).to_have_count(3)
    for image in images[:2]:
        page.locator(f'input[name="_selected_action"][value="{image.pk}"]').check()
    page.locator('select[name="action"]').select_option("delete_selected")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("2 images (2 ready) would be deleted")).to_be_visible()
    assert Image.objects.count() == 3
    page.get_by_label("Reason").fill("not ours")
    page.get_by_role("button", name="Delete 2 images").click()
    expect(page.get_by_text("2 images deleted.")).to_be_visible()
    assert list(Image.objects.all()) == images[2:]


def test_lists_show_each_column_whole(open_page: OpenPage, root: User) -> None:
    """With ids and links as long as they are in use."""
    image = make.add_ready_image(data_id="post-2026-11-29-a-very-long-identifier-0001")
    Image.objects.update(url=f"https://images.example.org/{'path/' * 20}0001.png")
    on = make_list("Known terrorist and violent extremist content")
    make_case(make_item(on), image, distance=28.8612, state=CaseState.CONFLICT)
    page = log_in(open_page, "/admin/gallery/image/")
    assert sticking_out(page, "#result_list, :has(> #result_list)") == []
    page.goto("/admin/moderation/console/")
    assert sticking_out(page, ".queue-row > *") == []
