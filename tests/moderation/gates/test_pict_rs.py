"""The gate of pict-rs: its raw requests, and what it answers when nothing can be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from django.test import Client
from PIL import ImageOps

from imgsmlr_site.checks import check_gates
from imgsmlr_site.models import ApiKey
from moderation.access.permissions import Role
from moderation.cases.models import ReviewCase
from moderation.lists import item_adding
from moderation.lists.verdicts import Action
from tests.broken_decoders import broken_decoders
from tests.factories import jpeg, wheel_photo
from tests.moderation.factories import ADMIN, make_list, make_person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]
PATH = "/gate/pict-rs"


@pytest.fixture(autouse=True)
def _on(settings: Any) -> None:
    settings.PICT_RS_GATE = "block"


def key() -> str:
    return ApiKey.issue(name="lemmy", scopes=["check"])[1]


@pytest.fixture
def gate() -> Client:
    return Client(headers={"x-api-key": key()})


def send(gate: Client, data: bytes, content_type: str = "image/jpeg") -> int:
    return gate.post(PATH, data, content_type=content_type).status_code


@pytest.mark.django_db(transaction=True)
def test_a_mirrored_crop_is_refused(live_server: Any) -> None:
    picture = wheel_photo("chelsea.png")
    row = make_list("cats")
    item_adding.add_picture(by=ADMIN, list_id=row.pk, data=jpeg(picture))
    width, height = picture.size
    crop = ImageOps.mirror(picture.crop((width // 5, height // 6, width, height * 5 // 6)))
    # pict-rs knows only a URL: the key is its password.
    address = live_server.url.replace("http://", f"http://pict-rs:{key()}@") + PATH

    def answer(data: bytes) -> int:
        headers = {"Content-Type": "image/jpeg"}
        return requests.post(address, data, headers=headers, timeout=60).status_code

    assert answer(jpeg(crop)) == 406
    assert answer(jpeg(wheel_photo("coffee.png"))) == 200
    assert ReviewCase.objects.count() == 1


def test_what_is_for_review_depends_on_the_policy(gate: Client, settings: Any) -> None:
    row = make_list("cats", Action.REVIEW)
    data = jpeg(wheel_photo("chelsea.png"))
    item_adding.add_picture(by=ADMIN, list_id=row.pk, data=data)
    assert send(gate, data) == 200
    settings.PICT_RS_GATE = "review"
    assert send(gate, data) == 406
    settings.PICT_RS_GATE = "off"
    answer = gate.post(PATH, data, content_type="image/jpeg")
    assert answer.status_code == 404
    assert "PICT_RS_GATE" in answer.json()["detail"]


@pytest.mark.slow
@pytest.mark.parametrize(("failure", "status"), [("closed", 406), ("open", 200)])
def test_what_could_not_be_compared(
    gate: Client, settings: Any, tmp_path: Path, failure: str, status: int
) -> None:
    settings.PICT_RS_FAILURE = failure
    row = make_list("cats")
    banned = jpeg(wheel_photo("chelsea.png"))
    item_adding.add_picture(by=ADMIN, list_id=row.pk, data=banned)
    other = jpeg(wheel_photo("coffee.png"))
    assert send(gate, b"neither a picture nor a video", "video/mp4") == status
    assert send(gate, other[:300]) == status
    with broken_decoders(tmp_path):
        assert send(gate, other) == status
        assert send(gate, banned) == 406, "a banned file is known by its hash"


def test_what_is_no_upload(gate: Client, client: Client) -> None:
    assert client.post(PATH, b"x", content_type="image/png").status_code == 401
    assert gate.get(PATH).status_code == 405
    assert send(gate, b"") == 400
    assert send(gate, b"a=1", "application/x-www-form-urlencoded") in (200, 400)
    assert send(gate, b"--x--", "multipart/form-data; boundary=x") in (200, 400)


def test_the_page_says_what_each_gate_does(client: Client, settings: Any) -> None:
    client.force_login(make_person(Role.VIEWER))
    path = "/admin/moderation/console/gates/"
    page = " ".join(client.get(path).content.decode().split())
    assert "<td>refused</td> <td>accepted</td> <td>refused</td> <td>not stored</td>" in page
    assert page.count('<td colspan="5">off: <code>') == 2
    settings.PICT_RS_GATE, settings.PICT_RS_FAILURE = "review", "open"
    page = " ".join(client.get(path).content.decode().split())
    assert "<td>refused</td> <td>refused</td> <td>accepted</td>" in page
    settings.PICT_RS_GATE = "off"
    settings.S3_GATE, settings.MASTODON_GATE = "block", "block"
    settings.MASTODON_SECRET = "secret"
    page = client.get(path).content.decode()
    assert '<td colspan="5">off: <code>PICT_RS_GATE' in page
    assert "missing are <code>S3_ENDPOINT</code>, <code>S3_BUCKETS</code>" in page
    assert "a case, no report" in page
    (problem,) = check_gates(None)
    assert problem.msg.startswith("S3_GATE is on, but S3_ENDPOINT and S3_BUCKETS and")
    client.force_login(make_person(Role.NOBODY, "other"))
    assert client.get(path).status_code == 403
