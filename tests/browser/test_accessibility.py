"""Every page of the admin and the console: no serious fault for assistive software, none too wide.

Each page is opened once, as the last one was seen, and looked at in two widths and both themes: the
first of each test in every mixture of them, as the others share its frame.
"""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from gallery.items.models import DuplicatePair, DuplicateRun
from moderation.access.permissions import Actor
from moderation.cases import deciding, golden
from moderation.cases.models import DecisionBatch, ReviewCase
from tests import factories as pictures
from tests.browser import exchanges, test_import_pages, test_lists_pages
from tests.browser.accessibility import FRAME_LOOKS, LOOKS, faults, turn_to
from tests.browser.conftest import PHONE, OpenPage
from tests.browser.console import CONSOLE, banned_item, case
from tests.moderation import factories as make

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("left_quietly"),
]


@pytest.fixture
def root(transactional_db: None) -> User:
    return User.objects.create_superuser("root")


def enter(open_page: OpenPage, root: User) -> Page:
    return open_page(path="/healthz", user=root, size=PHONE, theme="dark")


def check(page: Page, paths: dict[str, str]) -> None:
    found = {}
    for name, path in paths.items():
        response = page.goto(path)
        assert response is not None
        assert response.status == 200, name
        page.wait_for_function("window.Alpine !== undefined")
        looks = LOOKS[:: 1 if len(found) % 2 else -1] if found else FRAME_LOOKS
        found[name] = faults(page, name, looks, back=False)
    turn_to(page, *LOOKS[0][:2])
    assert {name: some for name, some in found.items() if some} == {}


@pytest.mark.slow
def test_console(open_page: OpenPage, root: User) -> None:
    item = banned_item()
    other = make.make_item(make.make_list("Hashes alone", hash_only=True), source_id="1")
    cases = [case(item if seed % 2 else other, seed, distance=4.0 * seed) for seed in range(6)]
    deciding.decide(by=Actor.person(root), case_ids=[cases[5].pk], verb="dismiss", note="a note")
    batch = DecisionBatch.objects.get()
    golden.add(by=Actor.person(root), case_id=cases[5].pk)
    cases[0].matches.update(edit="turned 6°", geometry={"rendering": "black"})
    cases[0].evidence |= {"partly": {"copy": "64 of 65 pictures"}, "missing": {"clip": "None."}}
    cases[0].save()
    page = enter(open_page, root)
    check(
        page,
        {
            "queue": CONSOLE,
            "empty queue": f"{CONSOLE}?band=exact&status=conflict",
            "decided": f"{CONSOLE}?status=decided",
            "grid": f"{CONSOLE}grid/",
            "focus": f"{CONSOLE}cases/{cases[0].pk}/",
            "focus on a hash": f"{CONSOLE}cases/{cases[1].pk}/",
            "focus on a decided case": f"{CONSOLE}cases/{cases[5].pk}/",
            "batch": f"{CONSOLE}batches/{batch.pk}/",
            "undo": f"{CONSOLE}batches/undo/?batches={batch.pk}",
            "nothing to undo": f"{CONSOLE}batches/undo/?batches=0",
            "preferences": f"{CONSOLE}preferences/",
            "second opinions": f"{CONSOLE}second-opinions/",
            "gates": f"{CONSOLE}gates/",
            "golden cases": f"{CONSOLE}golden/",
            "threshold": f"{CONSOLE}thresholds/{item.list_id}/pdq/?t=34",
            "cases": "/admin/moderation/reviewcase/",
            "batches": "/admin/moderation/decisionbatch/",
        },
    )
    page.goto(f"{CONSOLE}cases/{cases[1].pk}/")
    page.get_by_text("Decide all open cases of this item").click()
    for name in ("Slider", "Difference"):
        page.get_by_role("button", name=name).click()
        assert faults(page, name) == set(), name
    page.goto(f"{CONSOLE}cases/{cases[0].pk}/")
    for key, name in (("?", "Keys"), ("D", "Why dismiss?")):
        page.keyboard.press(key)
        expect(page.get_by_role("dialog", name=name)).to_be_visible()
        assert faults(page, name) == set(), name
        page.keyboard.press("Escape")
    page.goto(f"{CONSOLE}grid/")
    page.keyboard.press("a")
    page.keyboard.press("c")
    expect(page.get_by_role("heading", name="Confirm 5 cases of 5 pictures")).to_be_visible()
    assert faults(page, "bulk") == set()
    assert ReviewCase.objects.filter(state="open").count() == 5


@pytest.mark.slow
def test_lists_imports_webhooks_and_exchanges(open_page: OpenPage, root: User) -> None:
    paths = test_lists_pages.make_pages() | test_import_pages.make_pages()
    paths |= exchanges.make_pages()
    check(enter(open_page, root), paths)


@pytest.mark.slow
def test_gallery_and_site(open_page: OpenPage, root: User) -> None:
    one, other = (pictures.add_ready_image(pictures.photo(number)) for number in range(2))
    DuplicateRun.objects.create(min_confidence=0.5, rules="any")
    DuplicatePair.objects.create(a=one, b=other, confidence=0.9, shared_a=1.0, shared_b=1.0,
                                 scale=1.0, rotation=0.0, mirrored=False)  # fmt: skip
    paths = (
        "", "gallery/image/", "gallery/image/add/", f"gallery/image/{one.pk}/change/",
        "gallery/duplicatepair/", "videos/video/", "videos/video/add/", "videos/video/duplicates/",
        "auth/user/", "auth/user/add/", f"auth/user/{root.pk}/change/", "auth/group/",
        "auth/group/add/", "django_q/schedule/", "operations/",
    )  # fmt: skip
    page = enter(open_page, root)
    check(page, {path: f"/admin/{path}" for path in paths})
    page.keyboard.press("/")
    page.get_by_placeholder("Type to search").fill("")
    page.keyboard.type("image")
    expect(page.get_by_role("link", name="Images Gallery")).to_be_visible()
    assert faults(page, "search over everything") == set()
