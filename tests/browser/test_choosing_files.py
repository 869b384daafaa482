"""Forms that add files in the admin: files are chosen in a browser, and the form is sent.

The form of imports has its test in ``test_import_pages``.
"""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from gallery.items.models import Image
from moderation.lists.models import BannedItem
from tests import factories as make
from tests.browser.conftest import OpenPage
from tests.browser.files import choose
from tests.browser.test_admin_pages import WORD, log_in, root
from tests.moderation.factories import make_list
from tests.videos.clips import encode, moving, timed
from videos.models import Video

__all__ = ["WORD", "root"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
CLIP = encode(timed(moving("coffee", 1)))


def test_pictures(open_page: OpenPage, root: User) -> None:
    page = log_in(open_page, "/admin/gallery/image/add/")
    pictures = [make.png(make.photo(seed)) for seed in (1, 2)]
    choose(page, ("one.png", pictures[0]), ("two.png", pictures[1]), ("bad.png", b"text"))
    page.get_by_role("button", name="Add pictures").click()
    results = page.get_by_role("region", name="Results")
    expect(results.get_by_role("listitem")).to_have_count(3)
    expect(results).to_contain_text("This is text, not a picture")
    expect(results.get_by_role("link")).to_have_count(2)
    added = Image.objects.values_list("added_by", "remark")
    assert list(added) == [("user:root", None)] * 2


def test_videos(open_page: OpenPage, root: User) -> None:
    page = log_in(open_page, "/admin/videos/video/add/")
    choose(page, ("one.mp4", CLIP), ("bad.mp4", b"text"))
    page.get_by_role("button", name="Add videos").click()
    results = page.get_by_role("region", name="Results")
    expect(results.get_by_role("listitem")).to_have_count(2)
    expect(results.get_by_role("link")).to_have_count(1)
    assert [video.remark for video in Video.objects.all()] == [None]


@pytest.mark.slow
def test_items_of_a_list(open_page: OpenPage, root: User) -> None:
    on = make_list("terror")
    page = log_in(open_page, f"/admin/moderation/banneditem/add/?list={on.pk}")
    choose(page, ("one.png", make.png(make.photo(1))), ("bad.png", b"text"))
    page.get_by_role("button", name="Add items").click()
    results = page.get_by_role("region", name="Results")
    expect(results.get_by_role("listitem")).to_have_count(2)
    (item,) = BannedItem.objects.all()
    assert item.picture
    assert (item.source, item.note) == ("", "")
