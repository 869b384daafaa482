"""Publishing: nothing becomes visible but through every gate."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client

from gallery import tasks
from gallery.items import changing
from gallery.items.item import TRANSITIONS, Status
from gallery.items.models import Image, ImageFingerprint
from gallery.shared.errors import Conflict
from tests import factories as make

pytestmark = pytest.mark.django_db
HERE = __name__
seen: list[str] = []


def let_through(image: Image) -> bool:
    """A gate sees the image described, and not yet visible."""
    assert ImageFingerprint.objects.filter(item=image).exists()
    seen.append(image.status)
    return True


def hold_back(image: Image) -> bool:
    return False


def break_down(image: Image) -> bool:
    raise RuntimeError("the banned lists cannot be read")


def break_sql(image: Image) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1/0")
    return True


@pytest.fixture(autouse=True)
def _forget() -> None:
    seen.clear()


def add(how: str) -> Image:
    """Add a picture inline or through the worker."""
    if how == "inline":
        return make.add_ready_image(make.photo(1))
    image = make.add_pending_image(make.photo(1))
    tasks.describe_images([image.pk])
    image.refresh_from_db()
    return image


def found_by_any_search(client: Client) -> bool:
    stranger = make.add_ready_image(make.photo(2))
    answers = [
        client.post(
            "/api/v1/images/search/",
            {"id": stranger.pk, "match_type": match_type, "threshold": 1000, "limit": limit},
            content_type="application/json",
        ).json()
        for match_type in ("imgsmlr", "pdq")
        for limit in (2, 100)
    ]
    found = [[match["image"]["id"] for match in answer["results"]] for answer in answers]
    assert all(stranger.pk in ids for ids in found)
    listed = client.get("/api/v1/images/").json()["results"]
    stranger.delete()
    return any(len(ids) > 1 for ids in found) or len(listed) > 1


@pytest.mark.parametrize("how", ["inline", "worker"])
def test_without_gates(client: Client, open_api: None, how: str) -> None:
    assert add(how).status == "ready"
    assert found_by_any_search(client)


@pytest.mark.parametrize("how", ["inline", "worker"])
def test_a_gate_that_lets_through(settings: Any, how: str) -> None:
    settings.PUBLISHING_GATES = [f"{HERE}.let_through"]
    assert add(how).status == "ready"
    assert seen == ["pending"]


@pytest.mark.slow
@pytest.mark.parametrize("gate", ["hold_back", "break_down", "break_sql"])
@pytest.mark.parametrize("how", ["inline", "worker"])
def test_a_gate_that_holds_or_fails(
    client: Client, open_api: None, settings: Any, how: str, gate: str
) -> None:
    settings.PUBLISHING_GATES = [f"{HERE}.{gate}", f"{HERE}.let_through"]
    image = add(how)
    assert image.status == "quarantined"
    assert seen == ["pending"]  # the others were asked all the same
    assert ImageFingerprint.objects.filter(item=image).exists()
    settings.PUBLISHING_GATES = []
    assert not found_by_any_search(client)
    assert client.get(f"/media/images/{image.pk}/thumbnail").status_code == 404
    assert client.get(f"/api/v1/images/{image.pk}/").status_code == 404
    assert changing.release_items(items=Image.objects.all(), by="tests") == 1
    assert found_by_any_search(client)


@pytest.mark.parametrize("before", Status)
@pytest.mark.parametrize("after", Status)
def test_forbidden_steps(before: Status, after: Status) -> None:
    image = Image(status=before)
    if after in TRANSITIONS[before]:
        image.move_to(after)
        assert image.status == after
    else:
        with pytest.raises(Conflict):
            image.move_to(after)
        assert image.status == before


def test_quarantine_and_release_touch_only_their_own() -> None:
    ready = make.add_ready_image(make.photo(1))
    pending = make.add_pending_image(make.photo(2))
    assert changing.release_items(items=Image.objects.all(), by="tests") == 0
    assert changing.quarantine_items(items=Image.objects.all(), by="tests") == 1
    assert dict(Image.objects.values_list("id", "status")) == {
        ready.pk: "quarantined",
        pending.pk: "pending",
    }
