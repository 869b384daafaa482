"""A link that holds banned content now is not handed out any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from gallery.items.models import Image
from moderation.access.permissions import Actor, Role
from moderation.cases import deciding, media
from moderation.cases.models import ReviewCase
from tests.factories import jpeg, photo, png
from tests.gallery.items.test_link_checks import again, linked
from tests.httpserver import HttpServer
from tests.moderation.factories import make_item, make_list, make_person
from tests.moderation.pipeline.test_gates import pdq_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("open_api")]


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as server:
        yield server


def found_by(picture: bytes) -> list[str]:
    """The links that a search hands out."""
    answer = APIClient().post(
        "/api/v1/images/search/",
        {"file": _upload(picture), "match_type": "pdq"},
        format="multipart",
    )
    assert answer.status_code == 200, answer.content
    return [row["image"]["url"] for row in answer.json()["results"]]


def _upload(data: bytes) -> Any:
    return SimpleUploadedFile("a.png", data, "image/png")


def test_banned_content_at_a_link_is_held_with_a_case(server: HttpServer) -> None:
    old, banned = png(photo(1)), jpeg(photo(2))
    image = linked(server)
    item = make_item(make_list("bad"), ("pdq", pdq_of(photo(2))))
    assert found_by(old) == [image.url]
    server.routes["/a.png"] = banned
    assert again() == {"changed": 1}
    image.refresh_from_db()
    assert image.status == "quarantined"
    assert image.stale_at is not None
    assert found_by(old) == []
    case = ReviewCase.objects.get()
    assert (case.origin, case.image, case.held, case.verdict) == ("link", image, True, "block")
    assert case.evidence["sha256"] != image.sha256
    assert case.evidence["url"] == image.url
    assert case.matches.get().item == item
    # Who decides sees what the link holds now, not our old thumbnail.
    shown = media.subject_pixels(case)
    assert abs(shown.mean(axis=(0, 1)) - _mean(2)).max() < 4
    assert abs(shown.mean(axis=(0, 1)) - _mean(1)).max() > 4


def _mean(seed: int) -> Any:
    return np.asarray(photo(seed)).mean(axis=(0, 1))


def test_harmless_content_at_a_link_opens_no_case(server: HttpServer) -> None:
    image = linked(server)
    make_item(make_list("bad"), ("pdq", pdq_of(photo(2))))
    for content in (png(photo(3)), b"<html>not here any more</html>", b""):
        server.routes["/a.png"] = content
        again()
    image.refresh_from_db()
    assert image.status == "ready"
    assert image.stale_at is not None
    assert not ReviewCase.objects.exists()


def test_a_list_that_grows_later_catches_what_was_harmless_before(server: HttpServer) -> None:
    image = linked(server)
    server.routes["/a.png"] = png(photo(2))
    again()
    make_item(make_list("bad"), ("pdq", pdq_of(photo(2))))
    again()
    assert Image.objects.get(pk=image.pk).status == "quarantined"


def test_a_picture_found_harmless_excuses_no_other_one(server: HttpServer) -> None:
    image = linked(server)
    make_item(make_list("bad"), ("pdq", pdq_of(photo(2))))
    server.routes["/a.png"] = png(photo(2))
    again()
    case = ReviewCase.objects.get()
    decide(case, "dismiss")
    image.refresh_from_db()
    assert image.status == "ready"
    # The same content again was decided about.
    again()
    assert Image.objects.get(pk=image.pk).status == "ready"
    # Another file of it was not.
    server.routes["/a.png"] = jpeg(photo(2))
    again()
    assert Image.objects.get(pk=image.pk).status == "quarantined"
    assert ReviewCase.objects.count() == 2


def decide(case: ReviewCase, verb: str) -> None:
    lead = Actor.person(make_person(Role.LEAD))
    deciding.decide(case_ids=[case.pk], verb=verb, by=lead)
