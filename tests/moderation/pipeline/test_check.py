"""The check API: a verdict with its reasons, nothing kept that no case needs."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from PIL import Image as Pillow

from gallery.imaging.descriptors.pdq import dihedral_hashes
from gallery.items.preprocessing import Hashes
from imgsmlr_site.models import ApiKey, Scope
from moderation.audit.models import AuditEvent
from moderation.cases.models import CaseMatch, ReviewCase
from moderation.lists import item_adding
from moderation.lists.models import BannedList
from moderation.lists.verdicts import Action
from moderation.pipeline import check
from moderation.pipeline.models import CheckAnswer
from moderation.screening import screen
from tests.factories import add_ready_image, jpeg, photo, png, stored_files, wheel_photo
from tests.httpserver import HttpServer
from tests.moderation.factories import ADMIN, make_item, make_list
from tests.moderation.pipeline.test_gates import flipped, gif, pdq_of
from tests.videos.clips import encode, photograph, still, timed

pytestmark = pytest.mark.django_db
PATH = "/api/v1/moderation/check/"


@pytest.fixture
def ask(client: Client, settings: Any) -> Any:
    """A function that sends a check as a client does that may see what is on the lists."""
    settings.THROTTLE_POINTS = 0
    _, text = ApiKey.issue(name="checker", scopes=[Scope.CHECK, Scope.LISTS])

    def send(data: bytes | None = None, *, path: str = PATH, name: str = "", **body: Any) -> Any:
        from django.core.files.uploadedfile import SimpleUploadedFile

        headers = {"X-API-Key": text, **({"Idempotency-Key": name} if name else {})}
        if data is None:
            return client.post(path, body, content_type="application/json", headers=headers)
        file = SimpleUploadedFile("picture", data)
        return client.post(path, {"file": file, **body}, headers=headers)

    return send


def test_what_is_on_no_list_is_allowed_by_name_and_version(ask: Any) -> None:
    on = make_list("bad")
    make_item(on, ("pdq", secrets.token_hex(32)))
    answer = ask(png(photo(1)))
    assert answer.status_code == 200
    assert answer.json() == {
        "verdict": "allow",
        "matches": [],
        "methods_run": ["md5", "sha1", "sha256", "pdq", "copy"],
        "list_versions": {"bad": on.version},
        "case": None,
        "unhashable": [],
        "missing": {},
        "partly": {},
    }


def test_without_any_list_everything_is_allowed_by_nothing(ask: Any) -> None:
    body = ask(png(photo(1))).json()
    assert (body["verdict"], body["methods_run"], body["list_versions"]) == ("allow", [], {})


def test_a_blocked_picture_says_why_and_opens_one_case(ask: Any, settings: Any) -> None:
    picture = photo(1)
    on = make_list("bad")
    item = make_item(on, ("pdq", flipped(pdq_of(picture), 12), 90))
    body = ask(png(picture)).json()
    assert body["verdict"] == "block"
    (match,) = body["matches"]
    assert match == {
        "list": "bad",
        "item": item.pk,
        "match_type": "pdq",
        "distance": 12.0,
        "threshold": 31.0,
        "quality": match["quality"],
        "time": None,
        "frame": None,
        "rendering": None,
        "edit": "",
        "verdict": "block",
    }
    case = ReviewCase.objects.get()
    assert body["case"] == case.pk and case.origin == "check" and case.image is None
    assert stored_files(settings.MEDIA_ROOT) == [case.picture.name]
    assert Pillow.open(case.picture.path).size == picture.size
    # The same bytes again are the same case.
    assert ask(png(picture)).json()["case"] == case.pk
    assert ReviewCase.objects.count() == 1 == CaseMatch.objects.count()


def test_nothing_is_stored_of_what_is_allowed_or_on_a_hash_only_list(
    ask: Any, settings: Any
) -> None:
    make_item(make_list(hash_only=True), ("pdq", pdq_of(photo(1)), 90))
    assert ask(png(photo(1))).json()["verdict"] == "block"
    assert ask(png(photo(2))).json()["verdict"] == "allow"
    assert stored_files(settings.MEDIA_ROOT) == []
    assert ReviewCase.objects.get().picture.name == ""


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256", "pdq"])
def test_a_hash_is_enough(ask: Any, kind: str) -> None:
    value = secrets.token_hex({"md5": 16, "sha1": 20}.get(kind, 32))
    make_item(make_list(), (kind, value))
    body = ask(hash=value.upper(), hash_type=kind, quality=80).json()
    assert body["verdict"] == "block" and body["methods_run"] == [kind]
    other = ask(hash=secrets.token_hex(len(value) // 2), hash_type=kind).json()
    assert (other["verdict"], other["case"]) == ("allow", None)


def test_a_pdq_of_unknown_or_low_quality_does_not_block(ask: Any) -> None:
    value = secrets.token_hex(32)
    make_item(make_list(), ("pdq", value))
    assert ask(hash=value, hash_type="pdq").json()["verdict"] == "review"
    low = ask(hash=value, hash_type="pdq", quality=49).json()
    assert (low["verdict"], low["unhashable"], low["methods_run"]) == ("allow", ["pdq"], [])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"hash": "ab" * 32}, "hash_type"),
        ({"hash": "xyz", "hash_type": "md5"}, "hash"),
        ({"hash": "ab" * 16, "hash_type": "crc"}, "hash_type"),
        ({}, None),
        ({"hash": "ab" * 16, "url": "http://127.0.0.1/"}, None),
        ({"hash": "ab" * 32, "hash_type": "pdq", "quality": 101}, "quality"),
    ],
)
def test_bad_requests_are_refused(ask: Any, body: dict[str, Any], field: str | None) -> None:
    answer = ask(**body)
    assert answer.status_code == 400 and answer.json().get("field") == field


def test_other_scopes_may_not_check(client: Client) -> None:
    _, text = ApiKey.issue(name="searcher", scopes=[Scope.SEARCH, Scope.ADD])
    for path in (PATH, f"{PATH}batch/"):
        answer = client.post(
            path, {"hash": "ab" * 16}, content_type="application/json", headers={"X-API-Key": text}
        )
        assert answer.status_code == 403


def test_a_soft_picture_is_unhashable_and_still_compared(ask: Any) -> None:
    soft = Pillow.linear_gradient("L").convert("RGB")
    assert (dihedral_hashes(np.asarray(soft)) or ([], 0))[1] < 50
    data = png(soft)
    make_item(make_list(), ("md5", Hashes.of(data).md5))
    body = ask(data).json()
    assert body["unhashable"] == ["pdq"] and body["verdict"] == "block"
    assert ask(jpeg(soft)).json()["verdict"] == "allow"


def test_bytes_that_cannot_be_read_are_doubtful(ask: Any, settings: Any) -> None:
    make_item(make_list(), ("md5", "ab" * 16))
    body = ask(b"\xff\xd8\xff" + secrets.token_bytes(500)).json()
    assert body["verdict"] == "review" and body["missing"].keys() == {"frames"}
    assert body["methods_run"] == ["md5", "sha1", "sha256"] and body["case"] is None
    assert not ReviewCase.objects.exists() and stored_files(settings.MEDIA_ROOT) == []
    BannedList.objects.update(action=Action.SHADOW)
    assert ask(b"some text").json()["verdict"] == "allow"


def test_screening_that_breaks_is_doubtful(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make_item(make_list(), ("md5", "ab" * 16))

    def broken(*args: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(screen, "_screen", broken)
    assert ask(png(photo(1))).json()["verdict"] == "review"


def test_a_link_is_fetched_and_checked(ask: Any, open_api: None) -> None:
    make_item(make_list(), ("pdq", pdq_of(photo(1)), 90))
    with HttpServer() as web:
        web.routes["/a.png"] = png(photo(1))
        assert ask(url=f"{web.url}/a.png").json()["verdict"] == "block"
        assert ask(url=f"{web.url}/none.png").status_code == 400


def test_an_animation_says_the_frame(ask: Any) -> None:
    data = gif([photo(seed, (200, 150)) for seed in range(4)], duration=100)
    animation = Pillow.open(__import__("io").BytesIO(data))
    animation.seek(2)
    make_item(make_list(), ("pdq", pdq_of(animation.convert("RGB")), 90))
    (match,) = ask(data).json()["matches"]
    assert match["frame"] == 2


def test_a_video_says_the_time_of_a_banned_still(ask: Any) -> None:
    on = make_list()
    shots = [*still("astronaut", 2), *still("coffee", 2), *still("chelsea", 2)]
    frame = Pillow.fromarray(shots[75])
    item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(frame))
    body = ask(encode(timed(shots))).json()
    assert body["verdict"] == "block"
    assert {round(match["time"]) for match in body["matches"]} == {2}
    assert ask(encode(timed(still("rocket", 2)))).json()["verdict"] == "allow"
    assert photograph("rocket").shape[2] == 3


def test_an_idempotency_key_gets_the_same_answer_once(ask: Any) -> None:
    on = make_list()
    make_item(on, ("pdq", pdq_of(photo(1)), 90))
    data = png(photo(1))
    first = ask(data, name="k1").json()
    BannedList.objects.update(enabled=False)
    assert ask(data, name="k1").json() == first
    assert ask(data, name="k2").json()["verdict"] == "allow"
    reused = ask(png(photo(2)), name="k1")
    assert (reused.status_code, reused.json()["code"]) == (409, "idempotency_key_reused")
    assert ask(data, name="x" * 201).status_code == 400
    assert CheckAnswer.objects.count() == 2
    CheckAnswer.objects.filter(key="k1").update(created_at="2020-01-01T00:00:00Z")
    assert ask(data, name="k1").json()["verdict"] == "allow"
    CheckAnswer.objects.update(created_at="2020-01-01T00:00:00Z")
    assert check.forget_answers() == 2


def test_a_batch_answers_each_alone(ask: Any) -> None:
    value = secrets.token_hex(16)
    make_item(make_list(), ("md5", value))
    answer = ask(
        path=f"{PATH}batch/",
        name="b",
        checks=[{"hash": value}, {"hash": "no"}, {"hash": "cd" * 16}],
    )
    first, second, third = answer.json()["results"]
    assert first["check"]["verdict"] == "block" and third["check"]["verdict"] == "allow"
    assert second["error"]["code"] == "invalid_hash"
    assert ask(path=f"{PATH}batch/", checks=[{"hash": value}] * 101).status_code == 400


def test_searches_with_banned_pictures_are_refused_if_so_set(client: Client, settings: Any) -> None:
    settings.QUERY_GATES = ["moderation.pipeline.gates.refuse_banned_query"]
    settings.THROTTLE_POINTS = 0
    _, text = ApiKey.issue(name="searcher", scopes=[Scope.SEARCH])
    make_item(make_list(), ("pdq", pdq_of(photo(1)), 90))

    def search(path: str, picture: Pillow.Image) -> Any:
        from django.core.files.uploadedfile import SimpleUploadedFile

        file = SimpleUploadedFile("a.png", png(picture))
        return client.post(path, {"file": file}, headers={"X-API-Key": text})

    for path in ("/api/v1/images/search/", "/api/v1/videos/search/"):
        answer = search(path, photo(1))
        assert (answer.status_code, answer.json()["code"]) == (451, "query_banned")
        assert search(path, photo(2)).status_code == 200
    assert not ReviewCase.objects.exists() and CaseMatch.objects.count() == 1
    assert AuditEvent.objects.filter(verb="query.refused").count() == 2


def test_the_original_api_says_that_a_picture_is_banned(client: Client, open_api: None) -> None:
    make_item(make_list(), ("pdq", pdq_of(photo(1)), 90))
    make_item(make_list(action=Action.REVIEW), ("pdq", pdq_of(photo(2)), 90))
    with HttpServer() as web:
        for seed in (1, 2):
            web.routes[f"/{seed}.png"] = png(photo(seed))

        def add(seed: int) -> Any:
            body = {"url": f"{web.url}/{seed}.png"}
            return client.post("/imgsmlr/mgr/add", body, content_type="application/json").json()

        assert add(1) == {"code": 400, "msg": "image is banned", "data": None}
        assert add(1)["msg"] == "image file already exists"
        # What is only doubtful is taken in, and found once somebody has decided.
        assert add(2)["code"] == 200
    from gallery.items.models import Image

    assert {image.status for image in Image.objects.all()} == {"quarantined"}
    assert Path(Image.objects.all()[0].original.path).exists()
    assert add_ready_image(wheel_photo("coins.png")).status == "ready"


def test_who_adds_a_picture_reads_that_it_is_held_and_can_do_no_more(
    client: Client, settings: Any
) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    settings.THROTTLE_POINTS = 0
    scopes = [Scope.ADD, Scope.SEARCH]
    _, own = ApiKey.issue(name="own", scopes=scopes)
    _, other = ApiKey.issue(name="other", scopes=scopes)
    make_item(make_list(), ("pdq", pdq_of(photo(1)), 90))
    file = SimpleUploadedFile("a.png", png(photo(1)))
    path = "/api/v1/images/"
    added = client.post(f"{path}?wait=30", {"file": file}, headers={"X-API-Key": own})
    assert (added.status_code, added.json()["status"]) == (201, "quarantined")
    one = f"{path}{added.json()['id']}/"
    seen = client.get(one, headers={"X-API-Key": own})
    assert seen.json()["status"] == "quarantined" and seen.json()["failure"] == ""
    assert client.get(one, headers={"X-API-Key": other}).status_code == 404
    assert client.get(path, headers={"X-API-Key": other}).json()["results"] == []
    # Neither its media nor a way to make it disappear.
    assert client.get(seen.json()["thumbnail"], headers={"X-API-Key": own}).status_code == 404
    assert client.delete(one, headers={"X-API-Key": own}).status_code == 404
    same = f"{path}?md5={seen.json()['md5']}"
    assert client.delete(same, headers={"X-API-Key": own}).json() == {"deleted": 0}
