"""Banned items are seen blurred where people work with them, and each clear look is counted."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from moderation.access.permissions import Role
from moderation.audit.models import AuditEvent
from moderation.cases.models import Exposure
from moderation.lists.models import BannedItem, ListChange
from tests import factories as pictures
from tests.moderation import factories as make

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]
ITEMS = "admin:moderation_banneditem_changelist"


@pytest.fixture
def item(db: None) -> BannedItem:
    made = make.make_item(make.make_list("terror"))
    made.picture.save("items/1.jpg", ContentFile(pictures.jpeg(pictures.photo(2, (640, 480)))))
    return made


def enter(role: Role) -> Client:
    client = Client()
    client.force_login(make.make_person(role, role.name.lower()))
    return client


def shown(text: str) -> tuple[list[str], list[str]]:
    """The addresses of pictures, as they are shown first and clearly."""
    return re.findall(r'<img[^>]* src="([^"]+)"', text), re.findall(r'data-clear="([^"]+)"', text)


def test_items_are_seen_in_their_list_on_their_page_and_before_they_change(
    item: BannedItem,
) -> None:
    make.make_item(item.list)
    client = enter(Role.LEAD)
    ask = {"action": "activate", "_selected_action": [item.pk]}
    waiting = ListChange.objects.create(
        list=item.list, list_name="terror", command="retire", asked_by="user:bo",
        arguments={"ids": [item.pk], "reason": "x"}, expires_at=timezone.now() + timedelta(1),
    )  # fmt: skip
    asked = reverse("admin:moderation_listchange_change", args=[waiting.pk])
    texts = [
        client.get(reverse(ITEMS)).content.decode(),
        client.get(reverse("admin:moderation_banneditem_change", args=[item.pk])).content.decode(),
        client.post(reverse(ITEMS), ask).content.decode(),
        client.get(asked).content.decode(),
    ]
    for number, text in enumerate(texts):
        (first,), (clear,) = shown(text)
        answer = client.get(first)
        assert (answer.status_code, answer["X-Rendition"]) == (200, "blur")
        assert sum(Exposure.objects.values_list("count", flat=True)) == number
        assert client.get(clear)["X-Rendition"] == "clear"
    events = AuditEvent.objects.filter(verb="media.seen").values_list("subject_id", "actor")
    assert list(events) == [(item.pk, "user:lead")] * 4
    # Who may not see media gets no address of any.
    viewer = enter(Role.VIEWER)
    for address in (
        reverse(ITEMS), reverse("admin:moderation_banneditem_change", args=[item.pk]), asked,
    ):  # fmt: skip
        assert shown(viewer.get(address).content.decode()) == ([], [])


def test_what_is_about_to_be_banned_is_blurred_though_it_is_published(db: None) -> None:
    image = pictures.add_ready_image(pictures.photo(1))
    client = enter(Role.LEAD)
    address = reverse("admin:gallery_image_changelist")
    ask = {"action": "add_to_banned_list", "_selected_action": [image.pk]}
    text = client.post(address, ask).content.decode()
    ((first,), _) = shown(text)
    assert "data-show-clearly" in text
    assert client.get(first)["X-Rendition"] == "blur"
    assert not Exposure.objects.exists()
    assert client.get(f"{first}&clear=1")["X-Rendition"] == "clear"
    assert Exposure.objects.get().count == 1
    # Elsewhere it is as it was.
    assert "X-Rendition" not in client.get(first.partition("?")[0])
    # Nobody gets more by asking so.
    image.status = "quarantined"
    image.save()
    assert Client().get(first).status_code in (401, 404)
