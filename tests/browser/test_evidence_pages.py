"""Bulk actions and legal holds in a real browser, at two widths."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from gallery.items import changing
from gallery.items.models import Image
from moderation.cases.models import ReviewCase
from tests import factories as pictures
from tests.browser.accessibility import fits
from tests.browser.conftest import OpenPage
from tests.browser.test_admin_pages import log_in
from tests.moderation.factories import make_case, make_item, make_list

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.slow
def test_a_release_is_confirmed_undone_and_leaves_evidence(
    open_page: OpenPage, transactional_db: None
) -> None:
    User.objects.create_superuser("root", password="a-word-of-the-tests")
    images = [pictures.add_ready_image(pictures.photo(n)) for n in range(3)]
    changing.quarantine_items(items=Image.objects.all(), by="worker")
    case = make_case(make_item(make_list("terror")), images[0], held=True)
    page = log_in(open_page, "/admin/gallery/image/?status__exact=quarantined")
    page.locator("#action-toggle").check()
    page.locator('select[name="action"]').select_option("release")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("1 image left out, withheld: 1 by an undecided case.")).to_be_visible()
    expect(page.get_by_label("Include what is withheld: 1 image")).not_to_be_checked()
    fits(page, "release")
    page.get_by_label("Reason").fill("looked at")
    page.get_by_role("button", name="Release 2 images").click()
    expect(page.get_by_text("2 images released.")).to_be_visible()
    fits(page, "released")
    page.get_by_role("link", name="See or undo it").click()
    expect(page.get_by_text("Undoing it would make 2 images quarantined again:")).to_be_visible()
    fits(page, "batch")
    page.get_by_label("Reason").fill("a slip")
    page.get_by_role("button", name="Undo 2 images").click()
    expect(page.get_by_text("undone: 2 images.")).to_be_visible()
    assert set(Image.objects.values_list("status", flat=True)) == {"quarantined"}
    page.goto(f"/admin/gallery/image/{images[0].pk}/delete/")
    expect(page.get_by_text(f"case {case.pk} is open")).to_be_visible()
    fits(page, "delete")
    page.goto(f"/admin/gallery/image/{images[0].pk}/change/")
    fits(page, "image")


@pytest.mark.slow
def test_a_legal_hold_is_set_and_lifted(open_page: OpenPage, transactional_db: None) -> None:
    User.objects.create_superuser("root", password="a-word-of-the-tests")
    image = pictures.add_ready_image(pictures.photo(1))
    case = make_case(make_item(make_list("terror")), image)
    page = log_in(open_page, f"/admin/moderation/console/cases/{case.pk}/")
    page.get_by_text("Set one").click()
    form = page.locator(".legal-hold")
    form.get_by_label("Reason").fill("court order 7")
    form.get_by_label("Last day").fill("2999-01-31")
    fits(page, "hold-form")
    form.get_by_role("button", name="Set").click()
    expect(page.get_by_text("legal hold until 2999-01-31")).to_be_visible()
    fits(page, "hold")
    assert ReviewCase.objects.get().legal_hold_reason == "court order 7"
    page.goto("/admin/moderation/reviewcase/?hold=1")
    fits(page, "cases")
    page.locator("#action-toggle").check()
    page.locator('select[name="action"]').select_option("lift_legal_hold")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("heading", name="Lift the hold of 1 case?")).to_have_count(2)
    fits(page, "lift")
    page.get_by_label("Reason").fill("it is over")
    page.get_by_role("button", name="Lift the legal hold").click()
    expect(page.get_by_text("1 case no longer under a legal hold.")).to_be_visible()
    assert not ReviewCase.objects.get().legal_hold
