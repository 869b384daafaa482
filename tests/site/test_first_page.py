"""Where people arrive after their login, and what the sidebar says there."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from moderation.access.permissions import Role
from tests.moderation import factories as make

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"
FIRST = {
    Role.VIEWER: "/admin/",
    Role.MODERATOR: "/admin/moderation/console/",
    Role.LEAD: "/admin/moderation/dashboard/",
    Role.ADMIN: "/admin/",
}


@pytest.mark.parametrize("role", FIRST)
def test_each_role_arrives_where_its_work_is(role: Role) -> None:
    make.make_list()
    user = make.make_person(role)
    user.set_password("correct horse battery")
    user.save()
    words = {"login": user.username, "password": "correct horse battery"}
    wanted = {"": FIRST[role], "?next=/admin/": FIRST[role], "?next=/imgsmlr/": "/imgsmlr/"}
    for asked, page in wanted.items():
        client = Client()
        # A browser sends the field that the login form holds.
        form = client.get(f"{LOGIN}{asked}").content.decode().partition("</form>")[0]
        held = re.search(r'name="next" value="([^"]*)"', form)
        sent = {**words, "next": held[1]} if held else words
        assert client.post(f"{LOGIN}{asked}", sent)["Location"] == page
        assert client.get(page).status_code == 200
        assert client.get(f"{LOGIN}{asked}")["Location"] == page, "logged in already"


def test_a_lead_begins_with_a_list_while_there_is_none() -> None:
    client = Client()
    client.force_login(make.make_person(Role.LEAD))
    assert client.get(LOGIN)["Location"] == "/admin/moderation/bannedlist/"


def badge(role: Role) -> str:
    """What the sidebar says beside the review queue."""
    client = Client()
    client.force_login(make.make_person(role))
    page = re.sub("<[^>]+>", " ", client.get("/admin/").content.decode())
    found = re.search(r"Review queue\s+(\d*)", page)
    assert found is not None
    return found[1]


def test_the_sidebar_counts_cases_for_those_who_decide() -> None:
    assert badge(Role.MODERATOR) == ""
    item = make.make_item(make.make_list())
    for _ in range(3):
        make.make_case(item)
    assert badge(Role.MODERATOR) == "3"
    assert badge(Role.VIEWER) == ""
