"""Adding images and videos of the admin's lists to a banned list."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.module_loading import import_string
from django_q.models import OrmQ

from gallery.items.models import Image
from moderation.access.permissions import Role
from moderation.audit.models import AuditEvent
from moderation.lists.models import BannedItem, RetroScan
from moderation.pipeline import rescan
from tests import factories as pictures
from tests.moderation.factories import make_list, make_person
from tests.videos import library
from tests.videos.clips import encode, still, timed
from videos.models import Video

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]
URL = "/admin/gallery/image/"
VIDEOS = "/admin/videos/video/"


@pytest.fixture
def images() -> list[Image]:
    return [
        pictures.add_ready_image(data=pictures.png(pictures.photo(n, (320, 240)))) for n in range(3)
    ]


def client_of(role: Role) -> Client:
    from django.contrib.auth.models import Permission

    client, user = Client(), make_person(role, f"a-{role.name.lower()}")
    user.user_permissions.add(*Permission.objects.filter(codename__in=["view_image", "view_video"]))
    client.force_login(user)
    return client


def form(images: list[Image], **fields: Any) -> dict[str, Any]:
    return {
        "action": "add_to_banned_list",
        "_selected_action": [image.pk for image in images],
        **fields,
    }


def token(page: Any) -> str:
    """What confirms exactly what a page shows."""
    return str(page.context["token"])


def numbers(html: str) -> dict[str, int]:
    """What a scan's page says that it found."""
    pairs = re.findall(r"<dt>([^<]+)</dt><dd>(\d+)</dd>", html)
    return {name: int(number) for name, number in pairs}


def test_a_selection_is_confirmed_and_added_as_one_command(images: list[Image]) -> None:
    on, client = make_list("terror"), client_of(Role.LEAD)
    asked = client.post(URL, form(images[:2]))
    assert "Add 2 images to a banned list" in asked.content.decode()
    assert not BannedItem.objects.exists()
    chosen = form(images[:2], confirmed=token(asked), to=on.pk, why="seen in the news")
    done = client.post(URL, chosen)
    scan = RetroScan.objects.get(list=on)
    assert (done.status_code, done["Location"]) == (302, reverse("console:scan", args=[scan.pk]))
    assert on.items.count() == 2
    event = AuditEvent.objects.get(verb="items.added")
    assert (event.actor, event.count, event.reason) == ("user:a-lead", 2, "seen in the news")


def test_the_scan_is_shown_with_its_result(images: list[Image]) -> None:
    on, client = make_list("terror"), client_of(Role.LEAD)
    asked = client.post(URL, form(images[:1]))
    client.post(URL, form(images[:1], confirmed=token(asked), to=on.pk, why="because"))
    scan = RetroScan.objects.get()
    url = reverse("console:scan", args=[scan.pk])
    assert "Waiting for a worker" in client.get(url).content.decode()
    rescan.run(scan.pk)
    scan.refresh_from_db()
    assert scan.state == RetroScan.State.DONE and scan.found >= 1
    part = client.get(url, {"part": "1"}).content.decode()
    assert "<strong>Done</strong>" in part and "<html" not in part
    assert client.get(reverse("console:scan", args=[10**9])).status_code == 404


def test_nothing_is_added_without_a_list_a_reason_or_the_same_selection(
    images: list[Image],
) -> None:
    on, client = make_list(), client_of(Role.LEAD)
    allow = make_list(kind="allow")
    sure = {"confirmed": token(client.post(URL, form(images[:1])))}
    for fields in (
        {**sure, "to": on.pk, "why": ""},
        {**sure, "to": allow.pk, "why": "x"},
        {"confirmed": "1", "to": on.pk, "why": "x"},
        {"confirmed": token(client.post(URL, form(images))), "to": on.pk, "why": "x"},
    ):
        assert client.post(URL, form(images[:1], **fields)).status_code == 200
    assert not BannedItem.objects.exists()


def test_only_those_who_may_edit_items_are_offered_it(images: list[Image]) -> None:
    on = make_list()
    for role in (Role.VIEWER, Role.MODERATOR):
        client = client_of(role)
        assert "add_to_banned_list" not in client.get(URL).content.decode()
        client.post(URL, form(images, to=on.pk, why="x"))
    assert not BannedItem.objects.exists()
    assert "add_to_banned_list" in client_of(Role.LEAD).get(URL).content.decode()


@pytest.mark.slow
def test_videos_are_added_and_their_copies_found() -> None:
    """Real clips, indexed; one is banned, and the task that this queues finds its copy."""
    film = [frame for name in ("astronaut", "coffee", "chelsea") for frame in still(name, 2)]
    banned = library.add_ready(encode(timed(film)))
    copy = library.add_ready(encode(timed(film), "webm"))
    other = library.add_ready(encode(timed(still("rocket", 2))))
    on, client = make_list("terror"), client_of(Role.LEAD)
    chosen: dict[str, Any] = {
        "action": "add_to_banned_list",
        "_selected_action": [banned.pk],
    }
    asked = client.post(VIDEOS, chosen)
    assert (
        "Add 1 video to a banned list" in asked.content.decode() and not BannedItem.objects.exists()
    )
    sure = chosen | {"confirmed": token(asked), "to": on.pk, "why": "seen in the news"}
    done = client.post(VIDEOS, sure)
    scan = RetroScan.objects.get(list=on)
    page = reverse("console:scan", args=[scan.pk])
    assert (done.status_code, done["Location"]) == (302, page)
    item = on.items.get()
    assert item.media == BannedItem.Media.VIDEO
    assert item.hashes.filter(kind="sha256", value=banned.sha256).exists()
    assert "1 item added to the list terror." in client.get(page).content.decode()
    (queued,) = [one for one in OrmQ.objects.all() if one.func() == "moderation.tasks.scan"]
    assert import_string(queued.func())(*queued.task["args"])
    states = dict(Video.objects.values_list("pk", "status"))
    assert states == {banned.pk: "quarantined", copy.pk: "quarantined", other.pk: "ready"}
    shown = client.get(page).content.decode()
    assert "<strong>Done</strong>" in shown and "1 item searched for" in shown
    assert numbers(shown) == {"Matches found": 2, "Cases opened": 2}
    sure["confirmed"] = token(client.post(VIDEOS, chosen))
    again = client.post(VIDEOS, sure, follow=True).content.decode()
    assert "is on the list" in again and on.items.count() == 1
