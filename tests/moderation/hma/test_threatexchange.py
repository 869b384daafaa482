"""Meta's own package ``threatexchange`` as the other side: what it computes, we answer."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from imgsmlr_site.models import ApiKey, Scope
from tests.factories import flat, jpeg, png, wheel_photo
from tests.peers import packages_of, place_of_peers

PHOTOS = ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg")


@pytest.fixture
def theirs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After our packages, so that both sides use the same Pillow."""
    monkeypatch.setattr(
        sys, "path", [*sys.path, str(packages_of("threatexchange", place_of_peers(request.config)))]
    )
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "threatexchange"]:
        del sys.modules[name]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("theirs")
def test_hashes_distances_and_matches_are_the_same(live_server: Any, settings: Any) -> None:
    from threatexchange.signal_type.md5 import VideoMD5Signal
    from threatexchange.signal_type.pdq.pdq_index import PDQIndex
    from threatexchange.signal_type.pdq.signal import PdqSignal
    from threatexchange.signal_type.sha256 import VideoSHA256Signal

    settings.ROOT_URLCONF = "tests.site.hma_urls"
    session = requests.Session()
    key = ApiKey.issue(name="hma", scopes=[Scope.HMA])[1]
    session.headers["Authorization"] = f"Bearer {key}"
    base = f"{live_server.url}/hma"

    def call(method: str, path: str, **options: Any) -> Any:
        answer = session.request(method, base + path, timeout=60, **options)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    known = {signal.get_name() for signal in (PdqSignal, VideoMD5Signal, VideoSHA256Signal)}
    assert {row["name"] for row in call("GET", "/c/signal_type")} == known

    # Hashes of files.
    for name in PHOTOS:
        data = png(wheel_photo(name))
        ours = call("POST", "/h/hash", files={"photo": ("x.png", data)})["pdq"]
        assert ours == PdqSignal.hash_from_bytes(data), name
    plain = jpeg(flat())
    assert call("POST", "/h/hash", files={"photo": plain})["pdq"] == ""
    assert PdqSignal.hash_from_bytes(plain) == ""
    clip = b"a file of a video"
    assert call("POST", "/h/hash", files={"video": clip}) == {
        VideoMD5Signal.get_name(): VideoMD5Signal.hash_from_bytes(clip),
        VideoSHA256Signal.get_name(): hashlib.sha256(clip).hexdigest(),
    }

    # Distances of hashes, and what is near.
    examples = PdqSignal.get_examples()
    call("POST", "/c/banks", json={"name": "EXAMPLES", "enabled_ratio": 1})
    ids = [call("POST", "/c/bank/EXAMPLES/signal", json={"pdq": value})["id"] for value in examples]
    index = PDQIndex()
    index.add_all(zip(examples, ids, strict=True))
    for value in (examples[0], examples[10], examples[13]):
        pair = [examples[0], value]
        both = PdqSignal.compare_hash(*pair)
        matches, distance = call("POST", "/m/compare", json={"pdq": pair})["pdq"]
        assert (matches, distance["distance"]) == (both.match, both.distance.distance)
        asked = {"signal": value, "signal_type": PdqSignal.get_name()}
        expected = {
            match.metadata: match.similarity_info.pretty_str() for match in index.query(value)
        }
        assert len(expected) >= 1
        by_bank = call("GET", "/m/lookup", params=asked)
        found = {row["bank_content_id"]: row["distance"] for row in by_bank["EXAMPLES"]}
        assert found == expected, "distances are text, as theirs"
        raw = call("GET", "/m/raw_lookup", params={**asked, "include_distance": "true"})
        assert {row["bank_content_id"]: row["distance"] for row in raw["matches"]} == expected
