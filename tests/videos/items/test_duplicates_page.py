"""The admin's page of duplicate footage: what it shows, to whom, and deleting from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from tests.videos import library
from videos.admin import duplicates
from videos.models import Video

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]

PAGE = "/admin/videos/video/duplicates/"


@pytest.fixture(scope="module")
def stored(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Video]]:
    media = tmp_path_factory.mktemp("media")
    with library.library(media, django_db_blocker) as videos:
        yield videos


def staff(client: Client, *rights: str, role: str = "moderator") -> Client:
    user = User.objects.create_user("reviewer", password="x", is_staff=True)
    user.groups.set(Group.objects.filter(name=role))
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(user)
    return client


def test_what_is_shared_and_where(client: Client, stored: dict[str, Video]) -> None:
    text = staff(client, "view_video").get(PAGE).content.decode()
    assert re.search(rf"video {stored['remix'].pk} has [45]\d% of it", text)
    assert re.search(r"0:00:04 to 0:00:1[012] is 0:00:04 to 0:00:1[012] there", text)
    shown = re.search(rf"videos/{stored['remix'].pk}/frame/\?t=([\d.]+)", text)
    assert shown and float(shown[1]) == pytest.approx(8, abs=1)
    assert text.count("Shares no footage") == 2
    assert 'name="delete"' not in text


def test_one_video(client: Client, stored: dict[str, Video]) -> None:
    page = staff(client, "view_video").get(PAGE, {"video": stored["museum"].pk})
    (row,) = page.context["rows"]
    assert (row["video"], row["shared"]) == (stored["museum"], [])


def test_a_page_ends_in_time(
    client: Client, stored: dict[str, Video], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "MAX_SECONDS", 0.0)
    page = staff(client, "view_video").get(PAGE)
    assert [row["late"] for row in page.context["rows"]] == [False, True, True, True]
    assert f"?video={stored['travel'].pk}" in page.content.decode()


def test_hidden_videos_are_not_shown(client: Client, stored: dict[str, Video]) -> None:
    Video.objects.filter(pk=stored["remix"].pk).update(status="quarantined")
    page = staff(client, "view_video").get(PAGE)
    assert stored["remix"] not in [row["video"] for row in page.context["rows"]]
    assert not any(row["shared"] for row in page.context["rows"])


def test_deleting_is_confirmed_first(client: Client, stored: dict[str, Video]) -> None:
    staff(client, "view_video", "delete_video")
    chosen = {"delete": [stored["remix"].pk]}
    assert 'name="delete"' in client.get(PAGE).content.decode()
    question = client.post(PAGE, chosen)
    assert "Delete 1 video?" in question.content.decode()
    assert Video.objects.filter(pk=stored["remix"].pk).exists()
    assert client.post(PAGE, {**chosen, "confirmed": "2"}).status_code == 200
    assert Video.objects.filter(pk=stored["remix"].pk).exists()
    target, sure = question.context["post_to"], {
        "action": "delete_selected", "_selected_action": chosen["delete"],
        "confirmed": question.context["token"], "return_to": question.context["return_to"],
    }  # fmt: skip
    assert client.post(target, sure).status_code == 200  # without a reason
    assert Video.objects.filter(pk=stored["remix"].pk).exists()
    assert client.post(target, {**sure, "reason": "a copy"}).url == PAGE
    assert not Video.objects.filter(pk=stored["remix"].pk).exists()
    assert Video.objects.count() == 3


def test_nothing_chosen(client: Client, stored: dict[str, Video]) -> None:
    staff(client, "view_video", "delete_video")
    for chosen in ({}, {"delete": "x"}, {"delete": "9" * 30}, {"delete": "99999999"}):
        assert client.post(PAGE, {**chosen, "confirmed": "0"}).status_code == 302
    assert Video.objects.count() == 4


@pytest.mark.parametrize("method", ["get", "post"])
def test_who_may_not(client: Client, stored: dict[str, Video], method: str) -> None:
    data = {"delete": [stored["remix"].pk], "confirmed": "1"}
    assert getattr(client, method)(PAGE, data).status_code == 302
    # Whoever has a role may view; without one, what was granted counts for nothing.
    staff(client, "view_video", role="moderator" if method == "post" else "")
    assert getattr(client, method)(PAGE, data).status_code == 403
    assert Video.objects.count() == 4


def test_no_videos(client: Client) -> None:
    library.clear()
    assert "No video is searchable yet" in staff(client, "view_video").get(PAGE).content.decode()
