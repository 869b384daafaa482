"""Lists and images that were moved in without their files."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from gallery.imaging.descriptors.base import PIXELS_VERSION
from gallery.imaging.descriptors.pdq import from_hex
from gallery.items.item import NO_MD5, Status
from gallery.items.models import Image
from gallery.moving.storing import MovedImage, store
from moderation.access.permissions import Role
from moderation.cases.facts import facts_of
from moderation.cases.models import ReviewCase
from moderation.lists.item_reading import of_image
from moderation.lists.models import BannedList
from tests.moderation import factories as make

pytestmark = pytest.mark.django_db
PDQ = "f0" * 32


def moved(number: int, md5: str, pdq: str = "") -> MovedImage:
    image = Image(pk=number, url="http://old.example/", md5=md5, width=0, height=0, bytes=0)
    columns = {"pdq": from_hex(pdq), "pdq_quality": 90} if pdq else {}
    return MovedImage(image, {"full": {PIXELS_VERSION: columns}})


def banned() -> BannedList:
    on = make.make_list()
    make.make_item(on, ("md5", "a" * 32))
    make.make_item(on, ("pdq", PDQ, 90))
    return on


def move_in() -> dict[str, Status]:
    store(
        [
            moved(900_001, "a" * 32),
            moved(900_002, "b" * 32),
            moved(900_003, "c" * 32, PDQ),
            moved(900_004, NO_MD5 + "d" * 31),
        ],
        by="tests",
    )
    return {image.md5[0]: Status(image.status) for image in Image.objects.all()}


def test_what_is_known_of_them_is_compared() -> None:
    banned()
    found = move_in()
    assert found == {
        "a": Status.QUARANTINED,
        "b": Status.READY,
        "c": Status.QUARANTINED,
        "?": Status.READY,
    }
    assert sorted(ReviewCase.objects.values_list("image_id", flat=True)) == [900_001, 900_003]


def test_a_gate_that_fails_holds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    banned()
    monkeypatch.setattr("moderation.pipeline.gates.policies.current", lambda: 1 / 0)
    assert set(move_in().values()) == {Status.QUARANTINED}


def test_an_unknown_md5_never_becomes_a_banned_hash() -> None:
    move_in()
    unknown, known = Image.objects.get(pk=900_004), Image.objects.get(pk=900_002)
    assert of_image(unknown, {}).hashes == []
    assert [(hash.kind, hash.value) for hash in of_image(known, {}).hashes] == [("md5", "b" * 32)]
    assert facts_of(unknown)["md5"] == ""


def test_the_pages_of_a_case_without_any_picture(client: Client, plain_static_files: None) -> None:
    banned()
    move_in()
    case = ReviewCase.objects.get(image_id=900_001)
    client.force_login(make.make_person(Role.LEAD))
    page = client.get(reverse("console:case", args=[case.pk]))
    assert page.status_code == 200
    for name in ("queue", "grid"):
        assert client.get(reverse(f"console:{name}")).status_code == 200
    for step in ("outline", "blurred", "clear"):
        media = client.get(reverse("console:subject", args=[case.pk, step]))
        assert media.status_code == 404, step
    for kind in ("original", "thumbnail"):
        media = client.get(reverse(f"gallery:{kind}", args=[900_001]))
        assert media.status_code == 404, kind
    packet = client.get(reverse("console:packet", args=[case.pk]))
    assert packet.status_code == 200
