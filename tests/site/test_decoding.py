"""Requests and the budget for decoding pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from gallery.imaging.decoding.budget import Budget, Share
from gallery.items import conf
from gallery.items.models import Image as Row
from imgsmlr_site import decoding
from imgsmlr_site.env import LOOPBACK
from tests.moderation.factories import make_item, make_list

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _open(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OPEN_API = LOOPBACK
    monkeypatch.setattr(decoding, "PATIENCE_SECONDS", 0.1)


@pytest.fixture
def taken() -> Iterator[Share | None]:
    """All memory is taken, as by another process."""
    budget = Budget(conf.decoding_budget_file(), settings.DECODE_MEMORY_BYTES)
    share = budget.take(settings.DECODE_MEMORY_BYTES)
    yield share
    assert share is not None
    share.give_back()


def upload(side: int = 2000) -> SimpleUploadedFile:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).save(out, "JPEG")
    return SimpleUploadedFile("picture.jpg", out.getvalue(), "image/jpeg")


@pytest.mark.parametrize(
    "path", ["/api/v1/images/", "/api/v1/images/search/", "/api/v1/moderation/check/"]
)
@pytest.mark.usefixtures("taken")
def test_without_memory_for_decoding_a_request_is_to_be_sent_again(
    client: Client, path: str
) -> None:
    make_item(make_list(), ("pdq", "0f" * 32))
    answer = client.post(path, {"file": upload()})
    assert answer.status_code == 429
    assert answer.json()["code"] == "busy"
    assert int(answer["Retry-After"]) >= 1
    assert not Row.objects.exists()


@pytest.mark.usefixtures("taken")
def test_small_pictures_need_no_memory_of_the_budget(client: Client) -> None:
    assert client.post("/api/v1/images/", {"file": upload(200)}).status_code == 202


def test_a_large_picture_costs_more_points_which_may_be_owed(client: Client, settings: Any) -> None:
    settings.THROTTLE_POINTS = 4  # adding costs 3, and 4 megapixels once decoded 1 more
    assert client.post("/api/v1/images/", {"file": upload()}).status_code == 202
    again = client.get("/api/v1/images/")
    assert again.status_code == 429
    assert again.json()["code"] == "throttled"
