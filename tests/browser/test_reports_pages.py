"""Statements, appeals and notices in the browser: a person without an account, on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from moderation.access.permissions import Actor, Role
from moderation.cases import deciding
from moderation.reports.models import Notice
from tests import factories as pictures
from tests.browser.accessibility import FRAME_LOOKS, LOOKS, faults
from tests.browser.conftest import PHONE, OpenPage
from tests.browser.console import CONSOLE, enter_console
from tests.moderation import factories as make

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("left_quietly"),
]


@pytest.mark.slow
def test_a_person_reports_a_picture_and_an_uploader_appeals(
    open_page: OpenPage, settings: Any, tmp_path: Path
) -> None:
    settings.NOTICE_FORM = True
    photo = pictures.wheel_photo("coffee.png")
    image = pictures.add_ready_image(photo.resize((300, 200)), data_id="post-1040")
    (tmp_path / "it.jpg").write_bytes(pictures.jpeg(photo))
    page = open_page(path="/notices/", size=PHONE, theme="light")
    found = {"form": faults(page, "notice form", FRAME_LOOKS)}
    page.get_by_role("radio", name="An intimate picture").check()
    page.get_by_label("Or the picture").set_input_files(tmp_path / "it.jpg")
    page.get_by_label("Who or what does it show").fill("It shows me. I never agreed to it.")
    page.get_by_label("Your name").fill("Ada Lovelace")
    page.get_by_label("Your e-mail address").fill("ada@example.org")
    page.get_by_label("What I say is true").check()
    page.get_by_role("button", name="Send the notice").click()
    expect(page.get_by_text("People are looking at it")).to_be_visible()
    found["status"] = faults(page, "notice status", LOOKS)

    cases = [case.pk for case in Notice.objects.get().cases.all()]
    moderator = make.make_person(Role.MODERATOR)
    deciding.decide(by=Actor.person(moderator), case_ids=cases, verb="confirm")
    case = image.cases.get()
    page.goto(f"/statements/{case.statement.token}/")
    found["statement"] = faults(page, "statement", LOOKS)
    page.get_by_label("Why do you disagree?").fill("It is a cup of coffee.")
    page.get_by_role("button", name="Send the appeal").click()
    expect(page.get_by_text("Your appeal is being looked at")).to_be_visible()
    found["appealed"] = faults(page, "appealed", LOOKS)

    lead = make.make_person(Role.LEAD, "lead")
    console = enter_console(open_page, lead, size=PHONE, theme="dark")
    console.goto(f"{CONSOLE}cases/{case.pk}/")
    expect(console.get_by_text("It is a cup of coffee.")).to_be_visible()
    found["case"] = faults(console, "case with a notice and an appeal", FRAME_LOOKS)
    console.goto(f"{CONSOLE}notices/")
    found["notices"] = faults(console, "notices", LOOKS)
    console.get_by_role("link", name="Notice 1").click()
    console.get_by_role("button", name="Show who sent it").click()
    expect(console.get_by_text("ada@example.org")).to_be_visible()
    found["notice"] = faults(console, "notice", LOOKS)
    console.goto(f"{CONSOLE}transparency/")
    found["transparency"] = faults(console, "transparency", LOOKS)
    console.goto(f"{CONSOLE}cases/{max(cases)}/")
    console.get_by_role("link", name="Draft a CyberTip report").click()
    expect(console.get_by_text("Nobody: the draft says so.")).to_be_visible()
    found["cybertip"] = faults(console, "cybertip", LOOKS)
    assert {name: some for name, some in found.items() if some} == {}
