"""The page of duplicates in a real browser: at two widths, in both themes, and what is decided."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from gallery.items.models import DuplicatePair, DuplicateRun, Image
from tests import factories as make
from tests.browser.accessibility import LOOKS, faults
from tests.browser.conftest import DESKTOP, PHONE, OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PAGE = "/admin/gallery/duplicatepair/"


@pytest.fixture
def images(transactional_db: None) -> list[Image]:
    """Two clusters: of three with a chained member, and of two."""
    User.objects.create_superuser("root")
    rows = [make.add_ready_image(make.photo(number), data_id="d" * 200) for number in range(5)]
    DuplicateRun.objects.create(min_confidence=0.5, rules="any")
    same = {"shared_a": 1.0, "shared_b": 1.0, "scale": 1.0, "rotation": 0.0, "mirrored": True}
    for one, other in ((0, 1), (1, 2), (3, 4)):
        DuplicatePair.objects.create(a=rows[one], b=rows[other], confidence=0.9, **same)
    # The one with the largest file is the best.
    Image.objects.filter(pk=rows[0].pk).update(bytes=10_000_000)
    return rows


def open_duplicates(open_page: OpenPage, size: tuple[int, int], theme: str) -> Page:
    page = open_page(path=PAGE, user=User.objects.get(), size=size, theme=theme)
    expect(page.get_by_label("State of the search for duplicates")).to_be_visible()
    return page


@pytest.mark.slow
def test_pages_fit_and_can_be_read(open_page: OpenPage, images: list[Image]) -> None:
    page = open_duplicates(open_page, PHONE, "dark")
    expect(page.get_by_text("2 clusters")).to_be_visible()
    page.wait_for_function("document.querySelector('.image-thumb').naturalWidth > 0")
    assert faults(page, "clusters") == set()
    page.get_by_label("all on this page").check()
    page.get_by_role("button", name="Merge into the kept one").click()
    expect(page.get_by_text("2 images of 2 clusters")).to_be_visible()
    assert faults(page, "merge clusters") == set()


@pytest.mark.slow
def test_merging_what_is_ticked_into_the_one_that_is_kept(
    open_page: OpenPage, images: list[Image]
) -> None:
    page = open_duplicates(open_page, DESKTOP, "light")
    cluster = page.get_by_role("group").filter(has_text="3 images")
    cluster.get_by_label("3 images, confidence").check()
    # The best one and what is linked to it are ticked; what came in by another one is not.
    for image, ticked in zip(images[:3], (True, True, False), strict=True):
        box = cluster.get_by_label(f"Image {image.pk} is a copy")
        expect(box).to_be_checked(checked=ticked)
    cluster.get_by_label(f"Keep image {images[1].pk}").check()
    page.get_by_role("button", name="Merge into the kept one").click()
    expect(page.get_by_text(f"image {images[1].pk} stays")).to_be_visible()
    assert Image.objects.count() == 5
    page.get_by_label("Reason").fill("copies")
    page.get_by_role("button", name="Merge into the kept one: 1 image").click()
    expect(page.get_by_text("1 image of 1 cluster merged.")).to_be_visible()
    assert set(Image.objects.values_list("pk", flat=True)) == {i.pk for i in images[1:]}
    images[1].refresh_from_db()
    assert images[1].meta is not None
    assert [entry["id"] for entry in images[1].meta["merged"]] == [images[0].pk]


@pytest.mark.slow
def test_not_duplicates_is_shown_no_more(open_page: OpenPage, images: list[Image]) -> None:
    page = open_duplicates(open_page, PHONE, "light")
    page.get_by_label("2 images, confidence").check()
    page.get_by_role("button", name="Not duplicates").click()
    page.get_by_role("button", name="Not duplicates: 1 image").click()
    expect(page.get_by_text("1 image of 1 cluster marked as not duplicates.")).to_be_visible()
    expect(page.get_by_text("1 cluster at a confidence")).to_be_visible()
    assert Image.objects.count() == 5


def test_an_empty_gallery_says_what_to_run(open_page: OpenPage, transactional_db: None) -> None:
    User.objects.create_superuser("root")
    page = open_duplicates(open_page, PHONE, "dark")
    expect(page.get_by_role("link", name="Start a search")).to_be_visible()
    assert faults(page, "no clusters", LOOKS[:1]) == set()
