"""Files that show a banned picture in a viewer are held, whichever way they come in."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile

from gallery.items import adding
from gallery.items.publishing import QueryRefused
from moderation.cases.models import ReviewCase
from moderation.lists import item_adding
from moderation.pipeline import check, gates
from moderation.pipeline.check import CheckRequest
from moderation.screening import copies
from tests import bypasses
from tests.bypasses import BYPASSES, Bypass
from tests.factories import encoded, png
from tests.moderation.factories import ADMIN, make_list
from videos.index import indexing
from videos.items import adding as video_adding

pytestmark = pytest.mark.django_db
STRICTER = {"review": {"review", "block"}, "block": {"block"}}


@pytest.fixture(scope="module", autouse=True)
def _equal_pictures_are_described_once() -> Iterator[None]:
    """Each door still reads, hashes and compares all that a file shows."""
    describe = copies._FrameSearch._whole_vectors
    described: dict[Hashable, Any] = {}

    def remembering(search: copies._FrameSearch) -> Any:
        frame = search._frame
        if frame.vectors:
            return describe(search)
        key = hashlib.sha256(frame.rgb.tobytes()).digest(), frame.rgb.shape, frame.in_parts
        if key not in described:
            described[key] = describe(search), search._extracted
        vectors, search._extracted = described[key]
        return vectors

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies._FrameSearch, "_whole_vectors", remembering)
        yield


@pytest.fixture(autouse=True)
def _on_a_list_that_blocks() -> None:
    item_adding.add_picture(by=ADMIN, list_id=make_list().pk, data=png(bypasses.banned()))


@pytest.mark.slow
@pytest.mark.parametrize("bypass", BYPASSES, ids=str)
def test_it_is_found_by_every_door(bypass: Bypass) -> None:
    data = bypass.data()
    answer = check.check(by=ADMIN, request=CheckRequest(data=data))
    assert answer["verdict"] in STRICTER[bypass.least], answer
    assert answer["matches"], answer
    if bypass.least == "block":
        with pytest.raises(QueryRefused):
            gates.refuse_banned_query(data)
    if bypass.media == "video":
        item = video_adding.add_video(file=ContentFile(data), by="tests")
        indexing.index_videos([item.pk])
    else:
        item = adding.add_image(data=data, by="tests", inline=("imgsmlr", "pdq"))
    item.refresh_from_db()
    assert item.status == "quarantined", item.failure
    case = ReviewCase.objects.get(origin="upload")
    assert case.held and case.verdict in STRICTER[bypass.least]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: png(bypasses.decoy()), id="photograph"),
        pytest.param(lambda: encoded(bypasses.decoy().convert("RGBA"), "PNG"), id="opaque alpha"),
        pytest.param(
            lambda: bypasses.animation(bypasses.others(5), "GIF", [50] * 5), id="animation"
        ),
    ],
)
def test_what_shows_nothing_banned_passes(data: object) -> None:
    content = data()  # type: ignore[operator]
    assert check.check(by=ADMIN, request=CheckRequest(data=content))["verdict"] == "allow"
    assert adding.add_image(data=content, by="tests", inline=("imgsmlr", "pdq")).status == "ready"
