"""The console by keyboard alone, in a real browser: deciding, undoing, two at one case."""

from __future__ import annotations

import re
import statistics
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, Route, expect

from gallery.items.models import Image
from moderation.access.permissions import Role
from moderation.audit.models import AuditEvent
from moderation.cases.models import (
    Decision,
    DecisionBatch,
    Exposure,
    ReviewCase,
)
from moderation.cases.states import CaseState
from tests.browser.conftest import OpenPage
from tests.browser.console import (
    CONSOLE,
    banned_item,
    case,
    enter_console,
    keys_act,
    on_case,
    shown,
)
from tests.moderation import factories as make

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("left_quietly"),
]


@pytest.fixture
def ann(transactional_db: None) -> User:
    return make.make_person(Role.MODERATOR, "ann")


def open_cases() -> list[int]:
    return list(ReviewCase.objects.open().order_by("-rank", "pk").values_list("pk", flat=True))


@pytest.mark.slow
def test_25_cases_by_keyboard_alone(open_page: OpenPage, ann: User) -> None:
    item = banned_item()
    order = [case(item, seed, size=(80, 60)).pk for seed in range(25)]
    page = enter_console(open_page, ann)
    page.keyboard.press("n")
    keys: dict[int, list[str]] = {
        0: ["Space", "c"],
        1: ["x", "d"],
        2: ["D", "2"],
        3: ["e"],
        4: ["C", "n", "text", "Control+Enter"],
        5: ["s"],
    }
    presses = []
    for n, pk in enumerate(order):
        on_case(page, pk)
        pressed = keys.get(n, ["c"] if n % 2 else ["d"])
        for key in pressed[:-1]:
            page.keyboard.type("a note") if key == "text" else page.keyboard.press(key)
            if key == "x":
                shown(page, "clear")
        page.keyboard.press(pressed[-1])
        if n < 24:
            expect(page.locator(f'article[data-case="{order[n + 1]}"]')).to_be_visible()
        presses.append(len(pressed))
    # The one that was skipped comes again when nothing else is left.
    on_case(page, order[5])
    page.keyboard.press("c")
    expect(page.get_by_text("1 case waiting")).to_be_visible()
    assert Decision.objects.count() == 25
    assert ReviewCase.objects.open().get().state == CaseState.ESCALATED
    assert statistics.median(presses) <= 3
    batch = Decision.objects.get(case=order[4]).batch
    assert (batch.reason, batch.note) == ("same", "a note")
    assert Decision.objects.get(case=order[2]).batch.reason == "permitted"
    looked = set(Decision.objects.filter(looked=True).values_list("case", flat=True))
    assert looked == {order[1]}, "only there x was pressed"


@pytest.mark.slow
def test_undo_brings_the_case_back(open_page: OpenPage, ann: User) -> None:
    item = banned_item()
    first, second = case(item, 1), case(item, 2)
    page = enter_console(open_page, ann, f"cases/{first.pk}/")
    on_case(page, first.pk)
    page.keyboard.press("d")
    on_case(page, second.pk)
    assert Image.objects.get(pk=first.image_id).status == "ready"
    page.keyboard.press("u")
    on_case(page, first.pk)
    expect(page.get_by_role("status").last).to_contain_text("undone: 1 case")
    assert Image.objects.get(pk=first.image_id).status == "quarantined"
    assert page.url.endswith(f"/cases/{first.pk}/")


@pytest.mark.slow
def test_two_moderators_at_one_case(open_page: OpenPage, ann: User) -> None:
    item = banned_item()
    one, other = case(item, 1), case(item, 2)
    bob = make.make_person(Role.MODERATOR, "bob")
    of_ann = enter_console(open_page, ann, f"cases/{one.pk}/")
    on_case(of_ann, one.pk)
    of_bob = enter_console(open_page, bob, f"cases/{one.pk}/")
    on_case(of_bob, one.pk)
    expect(of_bob.locator("[data-holder]")).to_contain_text("ann is working on this case")
    expect(of_bob.get_by_role("button", name="Confirm")).to_be_disabled()
    of_bob.keyboard.press("c")
    of_bob.goto(CONSOLE)
    keys_act(of_bob)
    expect(of_bob.get_by_text("ann is working on this case")).to_be_visible()
    of_bob.keyboard.press("n")
    on_case(of_bob, other.pk)
    assert not Decision.objects.exists()
    of_bob.goto(f"{CONSOLE}cases/{one.pk}/")
    on_case(of_bob, one.pk)
    with of_bob.expect_event("requestfinished", lambda sent: sent.method == "POST"):
        of_bob.keyboard.press("t")
    expect(of_bob.get_by_role("button", name="Confirm")).to_be_enabled()
    expect(of_bob.locator("article[aria-busy]")).to_have_count(0)
    of_bob.keyboard.press("c")
    on_case(of_bob, other.pk)
    of_ann.keyboard.press("d")
    expect(of_ann.get_by_role("status").last).to_contain_text("confirmed already")
    assert Decision.objects.get().by == bob


@pytest.mark.slow
def test_300_at_once_and_undone(open_page: OpenPage, ann: User) -> None:
    item = banned_item()
    for n in range(300):
        case(item, n, size=(40, 30)) if n < 24 else make.make_case(item, distance=n % 31)
    page = enter_console(open_page, ann, "grid/")
    expect(page.get_by_role("checkbox", name="Case")).to_have_count(24)
    page.keyboard.press("a")
    expect(page.locator("[data-count]")).to_have_text("24 selected")
    page.get_by_label("all 300 that wait").check()
    page.keyboard.press("d")
    expect(page.get_by_role("heading", name="Dismiss 300 cases of 300 pictures")).to_be_visible()
    keys_act(page)
    expect(page.locator(".thumbs img")).to_have_count(24)
    assert not Decision.objects.exists()
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.get_by_text("300 cases dismissed, as batch")).to_be_visible()
    batch = DecisionBatch.objects.get()
    assert (batch.reason, batch.decisions.count()) == ("permitted", 300)
    assert Image.objects.filter(status="ready").count() == 24
    page.get_by_role("link", name="See or undo it").click()
    page.get_by_role("link", name="Undo…").click()
    expect(page.get_by_text("300 from dismissed back to open")).to_be_visible()
    page.get_by_label("Why undo it").fill("the wrong filter")
    page.get_by_role("button", name="Undo 300 decisions").click()
    expect(page.get_by_text(f"Batch {batch.pk} undone: 300 cases.")).to_be_visible()
    assert len(open_cases()) == 300
    assert Image.objects.filter(status="quarantined").count() == 24
    assert AuditEvent.objects.get(verb="case.undone").count == 300


@pytest.mark.slow
def test_the_grid_by_keyboard(open_page: OpenPage, ann: User) -> None:
    item = banned_item()
    order = [case(item, n, size=(80, 60)).pk for n in range(8)]
    page = enter_console(open_page, ann, "grid/")
    box = page.get_by_role("checkbox", name=f"Case {order[0]},")
    expect(box).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    focused = page.locator(":focus")
    expect(focused).to_have_attribute("value", str(order[-1]))
    page.keyboard.press("Space")
    page.keyboard.press("c")
    expect(page.get_by_role("heading", name="Confirm 2 cases of 2 pictures")).to_be_visible()
    keys_act(page)
    page.keyboard.press("Escape")
    expect(box).to_be_focused()
    assert not Decision.objects.exists()
    keys_act(page)
    page.keyboard.press("e")
    expect(page.get_by_role("heading", name="Escalate 1 case of 1 picture")).to_be_visible()
    keys_act(page)
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 case escalated")).to_be_visible()
    keys_act(page)
    # Ann cannot decide it any more, so it comes last.
    expect(page.locator(".thumbs li").last.locator(".state-escalated")).to_have_count(1)
    undone: list[Route] = []
    page.route("**/undo/", lambda route: undone.append(route))
    with page.expect_request("**/undo/"):
        page.keyboard.press("u")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    undone[0].continue_()
    expect(page.get_by_role("status").last).to_contain_text("undone")
    expect(page.locator(".state-escalated")).to_have_count(0)
    chosen = page.get_by_role("checkbox", name=f"Case {order[2]},")
    expect(chosen).to_be_focused()
    expect(chosen).to_be_checked()
    expect(page.locator("[data-count]")).to_have_text("1 selected")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    on_case(page, order[1])
    page.keyboard.press("g")
    expect(box).to_be_focused()


def test_keys_are_listed_and_off_while_typing(open_page: OpenPage, ann: User) -> None:
    one = case(banned_item(), 1)
    page = enter_console(open_page, ann, f"cases/{one.pk}/")
    on_case(page, one.pk)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("c")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("D")
    page.keyboard.press("n")
    page.keyboard.type("a c d e 1 2 s u ?")
    expect(page.get_by_role("textbox", name="Note")).to_have_value("a c d e 1 2 s u ?")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Why dismiss?")).to_be_hidden()
    assert not Decision.objects.exists()
    expect(page.locator("#case-title")).to_be_focused()


def media(page: Page) -> list[str]:
    """The steps of the media that the page asks for from now on, as they are asked for."""
    steps: list[str] = []
    page.on(
        "request",
        lambda request: (
            steps.append(request.url.split("?")[0].rstrip("/").split("/")[-1])
            if "/media/" in request.url
            else None
        ),
    )
    return steps


@pytest.mark.slow
def test_blur_is_never_off_before_the_key(open_page: OpenPage, ann: User) -> None:
    item = banned_item()
    cases = [case(item, seed) for seed in range(3)]
    page = enter_console(open_page, ann)
    page.wait_for_load_state("networkidle")
    steps, bodies = media(page), []

    def keep(response: Any) -> None:
        if "/media/" in response.url:
            bodies.append(response)

    page.on("response", keep)
    for path in ("", "grid/", f"cases/{cases[0].pk}/"):
        page.goto(f"{CONSOLE}{path}")
        page.wait_for_load_state("networkidle")
        assert len(bodies) >= 2
        for response in bodies:
            assert detail(response.body()) < 6, response.url
        bodies.clear()
    assert set(steps) == {"blur"}
    for step in ("grey", "lines"):
        page.keyboard.press("Space")
        shown(page, step)
        assert steps[-2:] == [step, step]
    assert "clear" not in steps
    assert not Exposure.objects.exists()
    page.keyboard.press("Space")
    shown(page, "clear")
    assert steps[-2:] == ["clear", "clear"]
    assert Exposure.objects.get(user=ann).count == 2
    page.keyboard.press("c")
    on_case(page, cases[1].pk)
    shown(page, "blur")
    assert steps[-2:] == ["blur", "blur"], "the next case begins blurred"


def test_the_queue_shows_pictures_that_are_no_looks(open_page: OpenPage, ann: User) -> None:
    cases = [case(banned_item(), 1), make.make_case(banned_item("Another list"))]
    page = enter_console(open_page, ann)
    pictures = page.locator(".row-picture img")
    expect(pictures).to_have_count(1)
    expect(pictures).to_have_attribute("src", re.compile(rf"/{cases[0].pk}/media/blur/"))
    page.wait_for_function("document.querySelector('.row-picture img').naturalWidth > 0")
    assert not Exposure.objects.exists()


@pytest.mark.slow
def test_a_clear_picture_is_covered_until_the_blurred_one_is_there(
    open_page: OpenPage, ann: User
) -> None:
    one = case(banned_item(), 1)
    page = enter_console(open_page, ann)
    # Routed before the page opens: a route that begins between two requests may miss one.
    waiting: list[Any] = []
    is_held = False
    page.route(
        "**/media/**/blur/**",
        lambda route: waiting.append(route) if is_held else route.continue_(),
    )
    page.goto(f"{CONSOLE}cases/{one.pk}/")
    on_case(page, one.pk)
    page.keyboard.press("x")
    shown(page, "clear")
    page.keyboard.press("x")
    page.keyboard.press("Space")
    assert Exposure.objects.get(user=ann).count == 2, "it was there already"
    is_held = True
    page.keyboard.press("b")
    pictures = [page.locator(f'[data-pane="{name}"] img') for name in ("subject", "item")]
    for picture in pictures:
        expect(picture).to_be_hidden()
    while len(waiting) < 2:  # ended by the test's own limit
        page.wait_for_timeout(20)
    assert len(waiting) == 2
    for route in waiting:
        route.continue_()
    for picture in pictures:
        expect(picture).to_be_visible()


@pytest.mark.slow
def test_what_cannot_be_shown_falls_back_to_blur(open_page: OpenPage, ann: User) -> None:
    one = case(banned_item(), 1)
    page = enter_console(open_page, ann)
    page.route("**/media/grey/**", lambda route: route.abort())
    page.goto(f"{CONSOLE}cases/{one.pk}/")
    on_case(page, one.pk)
    keys_act(page)
    steps = media(page)
    with page.expect_event("requestfailed"):
        page.keyboard.press("Space")
    subject = page.locator('[data-pane="subject"] img')
    expect(subject).to_have_attribute("src", f"{CONSOLE}cases/{one.pk}/media/blur/")
    assert "clear" not in steps


def detail(jpeg: bytes) -> float:
    """Mean difference of neighbouring pixels; a clear picture of the tests has 15 and more."""
    import io

    import numpy as np
    from PIL import Image as Pillow

    grey = np.asarray(Pillow.open(io.BytesIO(jpeg)).convert("L"), np.float32)
    return float(np.abs(np.diff(grey, axis=1)).mean())


@pytest.mark.slow
def test_zoom_moves_both_pictures(open_page: OpenPage, ann: User) -> None:
    item = banned_item()
    one = case(item, 1)
    region = [[0.1, 0.1], [0.8, 0.1], [0.8, 0.9], [0.1, 0.9]]
    geometry = {"query_region": region, "candidate_region": region}
    one.matches.update(match_type="copy", geometry=geometry)
    page = enter_console(open_page, ann, f"cases/{one.pk}/")
    on_case(page, one.pk)
    page.keyboard.press("+")
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    moved = [
        page.locator(f'[data-pane="{name}"] .canvas').get_attribute("style")
        for name in ("subject", "item")
    ]
    assert moved[0] == moved[1]
    assert "scale(1.96)" in (moved[0] or "")
    page.keyboard.press("o")
    expect(page.locator("svg.region")).to_have_count(2)
    page.keyboard.press("0")
    canvas = page.locator('[data-pane="subject"] .canvas')
    expect(canvas).to_have_attribute("style", "transform: translate(0px, 0px) scale(1);")
