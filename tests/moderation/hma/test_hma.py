"""HMA's API as its clients use it: Coop's path over real HTTP, and each call's shape."""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from typing import Any

import numpy as np
import pytest
import requests
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import ImageOps

from gallery.imaging.descriptors.pdq import describe_pdq, to_hex
from imgsmlr_site.env import LOOPBACK
from imgsmlr_site.models import ApiKey, Scope
from moderation.access.permissions import Role
from moderation.audit.models import AuditEvent
from moderation.cases.models import ReviewCase
from moderation.lists import item_adding
from moderation.lists.models import BannedItem, BannedList, ListChange
from moderation.lists.verdicts import Action
from tests.factories import flat, jpeg, photo, wheel_photo
from tests.httpserver import HttpServer
from tests.moderation.factories import ADMIN, make_item, make_list, make_person

pytestmark = pytest.mark.django_db
HASH = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"
ONE_BIT_OFF = HASH[:-1] + "3"


@pytest.fixture(autouse=True)
def _hma(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.site.hma_urls"


def key_of(*scopes: str, user: Any = None, name: str = "coop") -> str:
    return ApiKey.issue(name=name, scopes=scopes or [Scope.HMA], user=user)[1]


@pytest.fixture
def hma() -> Client:
    return Client(headers={"authorization": f"Bearer {key_of()}"})


def upload(data: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile("x.jpg", data)


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(path, body, content_type="application/json")


def put(client: Client, path: str, body: Any) -> Any:
    return client.put(path, body, content_type="application/json")


@pytest.mark.django_db(transaction=True)
def test_coops_path_finds_a_mirrored_crop(live_server: Any, open_api: None) -> None:
    """Coop hashes by link, then looks the hash up. Its address ends in a slash."""
    picture = wheel_photo("chelsea.png")
    width, height = picture.size
    crop = ImageOps.mirror(picture.crop((width // 5, height // 6, width, height * 5 // 6)))
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {key_of()}"
    base = f"{live_server.url}/hma/"
    made = session.post(f"{base}/c/banks", json={"name": "COOP_ORG1_CATS", "enabled_ratio": "1"})
    assert (made.status_code, made.json()) == (
        201,
        {"name": "COOP_ORG1_CATS", "matching_enabled_ratio": 1.0},
    )
    files = {"photo": ("cat.jpg", jpeg(picture), "image/jpeg")}
    added = session.post(f"{base}/c/bank/COOP_ORG1_CATS/content", files=files)
    assert added.status_code == 200, added.text
    item = added.json()["id"]
    shared = [{"bank_content_id": item, "distance": "0"}]

    def looked_up(data: bytes) -> Any:
        with HttpServer({"/cat.jpg": data}) as server:
            link = f"{server.url}/cat.jpg"
            hashes = session.get(f"{base}/h/hash", params={"url": link}).json()
            assert list(hashes) == ["pdq"] and len(hashes["pdq"]) == 64
            asked = {"signal": hashes["pdq"], "signal_type": "pdq"}
            return session.get(f"{base}/m/lookup", params=asked).json()

    assert looked_up(jpeg(picture)) == {"COOP_ORG1_CATS": shared}
    assert looked_up(jpeg(wheel_photo("coffee.png"))) == {}
    # By its hash alone a crop is far away: what its hashing found is kept.
    (found,) = looked_up(jpeg(crop))["COOP_ORG1_CATS"]
    assert found["bank_content_id"] == item
    assert 0 <= float(found["distance"]) < 0.5
    by_file = session.post(f"{base}/m/lookup", files={"photo": jpeg(crop)}).json()
    assert by_file["pdq"] == {}
    assert by_file["copy"]["COOP_ORG1_CATS"][0]["bank_content_id"] == item
    # It ends with the item, at the next request.
    deleted = session.delete(f"{base}/c/bank/COOP_ORG1_CATS/content/{item}")
    assert deleted.json() == {"deleted": 1}
    pdq = describe_pdq(np.asarray(crop))
    assert pdq is not None
    asked = {"signal": to_hex(pdq["pdq"]), "signal_type": "pdq"}
    assert session.get(f"{base}/m/lookup", params=asked).json() == {}
    assert not ReviewCase.objects.exists(), "a look-up is a question"


def test_hashes(hma: Client) -> None:
    def hashed(**files: Any) -> Any:
        return hma.post("/h/hash", files)

    good = hashed(photo=upload(jpeg(wheel_photo("coffee.png")))).json()
    assert len(good["pdq"]) == 64
    assert hashed(photo=upload(jpeg(flat()))).json() == {"pdq": ""}
    assert hashed(video=upload(b"any bytes")).json() == {
        "video_md5": hashlib.md5(b"any bytes").hexdigest(),
        "video_sha256": hashlib.sha256(b"any bytes").hexdigest(),
    }
    for answer, status, message in (
        (hashed(), 400, "Missing multipart"),
        (hashed(music=upload(b"x")), 400, "no such content_type: 'music'"),
        (hashed(photo=[upload(b"x"), upload(b"y")]), 400, "Only one file"),
        (hashed(photo=upload(b"no picture")), 400, "."),
        (hma.get("/h/hash"), 400, "url is required"),
        (hma.get("/h/hash?url=ftp://x/y"), 400, "http"),
        (hma.post("/h/hash?types=video_md5", {"photo": upload(b"x")}), 400, "video_md5"),
    ):
        assert answer.status_code == status, answer.content
        assert list(answer.json()) == ["message"]
        assert message in answer.json()["message"]


def test_lookups_by_hash(hma: Client) -> None:
    shadow = make_list("Terror: images", Action.SHADOW)
    other = make_list("OTHER")
    item = make_item(shadow, ("pdq", HASH, 90))
    second = make_item(other, ("pdq", ONE_BIT_OFF, 90))

    def lookup(more: str = "", value: str = HASH) -> Any:
        return hma.get(f"/m/lookup?signal={value}&signal_type=pdq{more}").json()

    both = {
        "TERROR_IMAGES": [{"bank_content_id": item.pk, "distance": "0"}],
        "OTHER": [{"bank_content_id": second.pk, "distance": "1"}],
    }
    assert lookup() == both
    assert lookup(value=HASH.upper()) == both
    assert lookup("&banks=OTHER,NO_SUCH") == {"OTHER": both["OTHER"]}
    far = f"{int(HASH, 16) ^ (2**40 - 1):064x}"
    assert lookup(value=far) == {}
    # Each list's own threshold counts.
    shadow.methods.filter(match_type="pdq").update(threshold=45, observe=60)
    assert lookup(value=far) == {"TERROR_IMAGES": [{"bank_content_id": item.pk, "distance": "40"}]}
    raw = hma.get(f"/m/raw_lookup?signal={HASH}&signal_type=pdq").json()
    assert raw == {"matches": [item.pk, second.pk]}
    raw = hma.get(f"/m/raw_lookup?signal={HASH}&signal_type=pdq&include_distance=true").json()
    assert raw["matches"][1] == {"bank_content_id": second.pk, "distance": "1"}
    BannedList.objects.filter(pk=other.pk).update(enabled=False)
    assert set(lookup()) == {"TERROR_IMAGES"}
    raw = hma.get(f"/m/raw_lookup?signal={HASH}&signal_type=pdq").json()
    assert raw == {"matches": [item.pk, second.pk]}, "whatever is enabled"
    for query, message in (
        (f"signal={HASH}&signal_type=tmk", "No such SignalType 'tmk'"),
        ("signal=&signal_type=pdq", "signal is required"),
        ("signal=zz&signal_type=pdq", "invalid pdq signal"),
    ):
        answer = hma.get(f"/m/lookup?{query}")
        assert answer.status_code == 400
        assert message in answer.json()["message"]


def test_a_file_on_an_allow_list_is_in_no_bank(hma: Client) -> None:
    data = jpeg(wheel_photo("coffee.png"))
    banned = make_list("BANNED")
    item_adding.add_picture(by=ADMIN, list_id=banned.pk, data=data)

    def lookup() -> Any:
        return hma.post("/m/lookup", {"photo": upload(data)}).json()

    assert set(lookup()["pdq"]) == set(lookup()["sha256"]) == {"BANNED"}
    allowed = make_list("ALLOWED", kind="allow")
    item_adding.add_picture(by=ADMIN, list_id=allowed.pk, data=data)
    assert lookup() == {"pdq": {}}


@pytest.mark.slow
def test_ratio_and_disabled_content(hma: Client) -> None:
    row = make_list("BANK")
    item = make_item(row, ("pdq", HASH, 90))
    path = f"/m/lookup?signal={HASH}&signal_type=pdq"
    changed = put(hma, "/c/bank/BANK", {"enabled_ratio": 0.5})
    assert changed.json() == {"name": "BANK", "matching_enabled_ratio": 0.5}
    seen = [bool(hma.get(f"{path}&seed={seed}").json()) for seed in range(40)]
    assert seen == [bool(hma.get(f"{path}&seed={seed}").json()) for seed in range(40)]
    assert 8 < sum(seen) < 32
    put(hma, "/c/bank/BANK", {"enabled": False})
    assert hma.get(path).json() == {}
    assert hma.get(f"{path}&bypass_coinflip=true").json() == {}
    put(hma, "/c/bank/BANK", {"enabled_ratio": "1.0"})
    assert set(hma.get(path).json()) == {"BANK"}
    content = f"/c/bank/BANK/content/{item.pk}"
    until = int(time.time()) + 3600
    answer = put(hma, content, {"disable_until_ts": until, "note": "wrong"}).json()
    assert (answer["disable_until_ts"], answer["note"]) == (until, "wrong")
    assert hma.get(path).json() == {}
    assert hma.get(f"/m/raw_lookup?signal={HASH}&signal_type=pdq").json()["matches"] == [item.pk]
    assert BannedItem.objects.matching().filter(pk=item.pk).exists(), "our own filter goes on"
    assert put(hma, content, {"disable_until_ts": 0}).json()["disable_until_ts"] == 0
    assert set(hma.get(path).json()) == {"BANK"}
    assert put(hma, content, {"disable_until_ts": until + 6 * 366 * 86400}).status_code == 400
    verbs = list(AuditEvent.objects.order_by("pk").values_list("verb", "actor"))
    assert verbs[:2] == [("bank.ratio_set", "key:coop")] * 2
    assert ("bank.content_disabled", "key:coop") in verbs
    assert hma.get(content).json() == {
        "id": item.pk,
        "disable_until_ts": 0,
        "collab_metadata": {},
        "original_media_uri": None,
        "metadata": {},
        "note": "wrong",
        "signals": {"pdq": HASH},
        "bank": {"name": "BANK", "matching_enabled_ratio": 1.0},
    }


def test_banks(hma: Client, caplog: pytest.LogCaptureFixture) -> None:
    make_list("a b")
    twin = make_list("A-B")
    make_list("allowed", kind="allow")
    names = [bank["name"] for bank in hma.get("/c/banks").json()]
    assert names == ["A_B", f"A_B_{twin.pk}"]
    assert post(hma, "/c/banks", {"name": "NEW", "enabled_ratio": "0.25"}).json() == {
        "name": "NEW",
        "matching_enabled_ratio": 0.25,
    }
    assert BannedList.objects.get(name="NEW").action == Action.SHADOW
    assert put(hma, "/c/bank/NEW", {"name": "NEWER"}).json()["name"] == "NEWER"
    for answer, status in (
        (post(hma, "/c/banks", {"name": "NEWER"}), 403),
        (post(hma, "/c/banks", {"name": "A_B"}), 403),
        (post(hma, "/c/banks", {"name": "lower"}), 400),
        (post(hma, "/c/banks", {}), 400),
        (post(hma, "/c/banks", {"name": "X", "enabled_ratio": "much"}), 400),
        (post(hma, "/c/banks", {"name": "X", "enabled_ratio": 2}), 400),
        (put(hma, "/c/bank/NO", {"enabled_ratio": 1}), 404),
        (hma.get("/c/bank/NO"), 404),
        (hma.delete("/c/bank/NEWER"), 403),
    ):
        assert (answer.status_code, list(answer.json())) == (status, ["message"])
    assert not BannedList.objects.filter(name="X").exists()
    # Only an admin deletes lists; what is enabled waits for a second person.
    root = make_person(Role.ADMIN, "root")
    as_root = Client(headers={"x-api-key": key_of(user=root, name="root")})
    answer = as_root.delete("/c/bank/NEWER")
    assert answer.status_code == 409
    assert "second person" in answer.json()["message"]
    assert ListChange.objects.get().command == "delete_list"
    BannedList.objects.filter(name="NEWER").update(enabled=False)
    for _ in range(2):
        assert as_root.delete("/c/bank/NEWER").json() == {"message": "Done"}
    assert not BannedList.objects.filter(name="NEWER").exists()
    assert "400 bad_request: A bank's name is UPPER_CASE" in caplog.text


def test_content(hma: Client) -> None:
    make_list("BANK")
    added = post(hma, "/c/bank/BANK/signal", {"pdq": HASH}).json()
    assert added["signals"] == {"pdq": HASH}
    assert post(hma, "/c/bank/BANK/signal", {"pdq": HASH}).json() == added, "sent again"
    video = "ab" * 16
    assert post(hma, "/c/bank/BANK/signal", {"video_md5": video}).json()["signals"] == {
        "video_md5": video
    }
    found = hma.get(f"/m/lookup?signal={video}&signal_type=video_md5").json()
    assert set(found) == {"BANK"}
    data = jpeg(photo(3))
    query = 'metadata={"content_id":"post-7","json":{"a":1}}'
    answer = hma.post(f"/c/bank/BANK/content?{query}", {"photo": upload(data)}).json()
    kept = hma.get(f"/c/bank/BANK/content/{answer['id']}").json()
    assert kept["metadata"] == {"content_id": "post-7", "json": {"a": 1}}
    assert kept["signals"] == answer["signals"]
    for answer, status in (
        (post(hma, "/c/bank/BANK/signal", {}), 400),
        (post(hma, "/c/bank/BANK/signal", {"tmk": "x"}), 400),
        (post(hma, "/c/bank/BANK/signal", {"pdq": "xyz"}), 400),
        (post(hma, "/c/bank/NO/signal", {"pdq": HASH}), 404),
        (hma.post("/c/bank/BANK/content"), 400),
        (hma.post("/c/bank/BANK/content?metadata=no", {"photo": upload(data)}), 400),
        (hma.post('/c/bank/BANK/content?metadata={"x":1}', {"photo": upload(data)}), 400),
        (hma.get("/c/bank/BANK/content/999999"), 404),
    ):
        assert (answer.status_code, list(answer.json())) == (status, ["message"])
    assert hma.delete("/c/bank/BANK/content/999999").json() == {"deleted": 0}


def test_compare(hma: Client) -> None:
    assert post(hma, "/m/compare", {"pdq": [HASH, ONE_BIT_OFF]}).json() == {
        "pdq": [True, {"distance": 1}]
    }
    assert post(hma, "/m/compare", {"pdq": [HASH, "0" * 64]}).json()["pdq"][0] is False
    for body in ({}, {"pdq": [HASH]}, {"pdq": [HASH, 3]}, {"x": [HASH, HASH]}, []):
        answer = post(hma, "/m/compare", body)
        assert (answer.status_code, list(answer.json())) == (400, ["message"])


def test_states(hma: Client, client: Client) -> None:
    assert client.get("/status").content == b"I-AM-ALIVE"
    assert client.get("/hma//status").content == b"I-AM-ALIVE"
    make_item(make_list("BANK"), ("pdq", HASH, 90))
    assert hma.get("/m/index/status").json()["pdq"]["size"] == 1
    index = hma.get("/c/signal_type/index?signal_type=pdq").json()
    assert index["pdq"]["index_out_of_date"] is False
    assert {"name": "pdq", "enabled_ratio": 1.0} in hma.get("/c/signal_type").json()
    assert hma.get("/c/exchanges").json() == []
    assert hma.get("/c/exchanges/api/tat").status_code == 400
    assert hma.get("/c/exchange/X/status").status_code == 404


def test_who_may(client: Client, settings: Any) -> None:
    path = "/c/banks"
    assert client.get(path).status_code == 401
    scopes = [scope for scope in Scope.values if scope not in ("hma", "moderate")]
    other = key_of(*scopes, name="other")
    assert client.get(path, headers={"x-api-key": other}).status_code == 403
    viewer = key_of(user=make_person(Role.VIEWER), name="viewer")
    assert client.get(path, headers={"x-api-key": viewer}).status_code == 403
    moderator = key_of(user=make_person(Role.MODERATOR), name="moderator")
    as_moderator = Client(headers={"x-api-key": moderator})
    assert as_moderator.get(path).status_code == 200
    assert post(as_moderator, path, {"name": "X"}).status_code == 403
    basic = b64encode(f"any:{moderator}".encode()).decode()
    assert client.get(path, headers={"authorization": f"Basic {basic}"}).status_code == 200
    assert client.get(path, headers={"authorization": "Basic x"}).status_code == 401
    wrong = b64encode(b"any:imgs_wrong").decode()
    settings.HMA_OPEN = LOOPBACK
    answer = client.get(path, headers={"authorization": f"Basic {wrong}"})
    assert answer.status_code == 401, "a wrong key is not made up for by the network"
    assert client.get(path).status_code == 200
    assert client.get(path, REMOTE_ADDR="192.0.2.7").status_code == 401
    assert client.get("/api/v1/images/").status_code == 403, "of this API alone"
    assert post(client, path, {"name": "BY_COOP"}).status_code == 201
