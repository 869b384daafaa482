"""Edited copies of items of which only a hash is known: found as edits, within their bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import skimage.data
from django.test import Client
from PIL import Image as Pillow
from PIL import ImageOps

from gallery.items.publishing import QueryRefused
from imgsmlr_site.models import ApiKey, Scope
from moderation.cases.models import CaseMatch, ReviewCase
from moderation.lists import rescans
from moderation.lists.models import BannedItem, BannedList, ListMethod
from moderation.lists.verdicts import Action
from moderation.pipeline import gates, rescan
from moderation.screening import edited_copies
from moderation.screening.edit_evidence import CALIBRATED, scaled
from tests.factories import add_ready_image, jpeg, png, wheel_photo
from tests.moderation.factories import ADMIN, make_item, make_list
from tests.moderation.pipeline.test_gates import gif, pdq_of

pytestmark = pytest.mark.django_db

Picture = Pillow.Image


@pytest.fixture
def ask(client: Client, settings: Any) -> Callable[[bytes], Any]:
    """A function that checks a picture as a client does who may know what is on lists."""
    settings.THROTTLE_POINTS = 0
    _, key = ApiKey.issue(name="checker", scopes=[Scope.CHECK, Scope.LISTS])

    def send(data: bytes) -> Any:
        from django.core.files.uploadedfile import SimpleUploadedFile

        return client.post(
            "/api/v1/moderation/check/",
            {"file": SimpleUploadedFile("picture", data)},
            headers={"X-API-Key": key},
        ).json()

    return send


def banned(action: Action = Action.BLOCK, name: str = "chelsea.png") -> tuple[Picture, BannedItem]:
    """A photograph, and the item with its hash alone."""
    picture = wheel_photo(name)
    return picture, make_item(make_list(action=action), ("pdq", pdq_of(picture), 100))


def cropped(picture: Picture, share: float, left: float = 0.5, top: float = 0.5) -> Picture:
    width, height = picture.size
    x, y = round(width * (1 - share) * left), round(height * (1 - share) * top)
    return picture.crop((x, y, x + round(width * share), y + round(height * share)))


def straightened(picture: Picture, degrees: float) -> Picture:
    """Turned, and cut to what is filled."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    width, height = picture.size
    share = min(width / (width * cos + height * sin), height / (width * sin + height * cos))
    return cropped(picture.rotate(degrees, Pillow.Resampling.BICUBIC), share)


EDITS: dict[str, tuple[str, Callable[[Picture], Picture]]] = {
    "white border": ("border", lambda p: ImageOps.expand(p, 20, "white")),
    "black border": ("border", lambda p: ImageOps.expand(p, 40, "black")),
    "turned 3": ("turned 3°", lambda p: p.rotate(3, Pillow.Resampling.BICUBIC)),
    "turned -6": ("turned 6°", lambda p: p.rotate(-6, Pillow.Resampling.BICUBIC)),
    "turned 6 on a larger canvas": (
        "turned 6°",
        lambda p: p.rotate(6, Pillow.Resampling.BICUBIC, expand=True, fillcolor="white"),
    ),
    "turned -10 on a larger canvas": (
        "turned 10°",
        lambda p: p.rotate(-10, Pillow.Resampling.BICUBIC, expand=True),
    ),
    "straightened by 3": ("turned 3°", lambda p: straightened(p, 3)),
    "crop to 95 %": ("cropped to 95 %", lambda p: cropped(p, 0.95)),
    "crop to 95 % at a corner": ("cropped to 95 %", lambda p: cropped(p, 0.95, 0, 1)),
    "negative": ("negative", ImageOps.invert),
    "negative, on its side": (
        "negative, turned or mirrored",
        lambda p: ImageOps.invert(p).transpose(Pillow.Transpose.ROTATE_90),
    ),
    "mirrored and cropped": (
        "cropped to 95 %, mirrored",
        lambda p: cropped(ImageOps.mirror(p), 0.95),
    ),
}


@pytest.mark.parametrize("name", list(EDITS))
def test_an_edited_copy_is_found_and_says_how_it_was_edited(ask: Any, name: str) -> None:
    words, edit = EDITS[name]
    picture, item = banned(Action.REVIEW)
    body = ask(jpeg(edit(picture), 85))
    assert body["verdict"] == "review", body
    (match,) = body["matches"]
    assert (match["item"], match["match_type"]) == (item.pk, "pdq")
    assert words in match["edit"]
    assert match["distance"] <= match["threshold"] <= max(d.review for d in CALIBRATED.values())
    assert match["edit"] in CaseMatch.objects.values_list("edit", flat=True)


@pytest.mark.parametrize(
    "name",
    ["astronaut.png", "coffee.png", "rocket.jpg", "ihc.png", "retina.jpg", "motorcycle_left.png"],
)
def test_strangers_pass(ask: Any, name: str) -> None:
    banned()
    body = ask(jpeg(wheel_photo(name)))
    assert (body["verdict"], body["matches"]) == ("allow", [])


def test_a_copy_as_it_is_stays_a_plain_match(ask: Any) -> None:
    picture, item = banned()
    body = ask(jpeg(picture))
    assert [(m["item"], m["edit"], m["threshold"]) for m in body["matches"]] == [(item.pk, "", 31)]
    assert body["verdict"] == "block"


def test_the_threshold_of_a_list_bounds_its_edits(ask: Any) -> None:
    picture, item = banned(Action.REVIEW)
    turned = jpeg(picture.rotate(6, Pillow.Resampling.BICUBIC))
    found = ask(turned)["matches"][0]["distance"]
    widest = CALIBRATED["turn"].review
    methods = ListMethod.objects.filter(list=item.list, match_type="pdq")
    strict = next(t for t in range(31, -1, -1) if scaled(widest, t / 31) < found)
    methods.update(threshold=strict)
    assert ask(turned)["verdict"] == "allow"
    methods.update(enabled=False)
    assert ask(turned)["verdict"] == "allow"


@pytest.mark.parametrize("calibrated", [31, 56])
def test_reach_follows_stricter_thresholds_alone(calibrated: int) -> None:
    assert scaled(calibrated, 0) == 0
    assert scaled(calibrated, 1 / 3) == calibrated // 3
    assert scaled(calibrated, 1) == scaled(calibrated, 6) == calibrated
    assert scaled(-1, 1) < 0


def test_a_block_needs_the_shorter_distance(ask: Any) -> None:
    picture, item = banned()
    for edit in (lambda p: p.rotate(6), lambda p: cropped(p, 0.95)):
        (match,) = ask(jpeg(edit(picture)))["matches"]
        assert match["verdict"] == "review"
    (match,) = ask(jpeg(ImageOps.invert(picture)))["matches"]
    assert match["verdict"] == "block"
    assert match["distance"] <= CALIBRATED["negative"].block
    BannedItem.objects.filter(pk=item.pk).update(opinion="disputed")
    assert ask(jpeg(ImageOps.invert(picture)))["verdict"] == "review"


def test_the_gate_holds_an_edited_upload() -> None:
    picture, _ = banned(Action.REVIEW)
    image = add_ready_image(data=jpeg(picture.rotate(3, Pillow.Resampling.BICUBIC)))
    assert image.status == "quarantined"
    assert ReviewCase.objects.get().matches.get().edit == "turned 3°"


def test_a_query_with_a_negative_is_refused() -> None:
    picture, _ = banned()
    with pytest.raises(QueryRefused):
        gates.refuse_banned_query(png(ImageOps.invert(picture)))


def test_frames_of_an_animation_are_looked_at_too(ask: Any) -> None:
    picture, _ = banned(Action.REVIEW)
    picture.thumbnail((256, 256))
    other = wheel_photo("coffee.png").resize(picture.size)
    body = ask(gif([other, ImageOps.invert(picture)], duration=500))
    assert [(m["frame"], m["edit"]) for m in body["matches"]] == [(1, "negative")]


def test_an_allow_list_frees_no_edited_copy(ask: Any) -> None:
    picture = wheel_photo("chelsea.png")
    allow = make_list(kind=BannedList.Kind.ALLOW)
    make_item(allow, ("pdq", pdq_of(picture), 100))
    make_item(make_list(), ("pdq", pdq_of(ImageOps.invert(picture)), 100))
    assert ask(png(ImageOps.invert(picture)))["verdict"] == "block"


def test_what_is_blocked_as_it_is_costs_no_second_look(monkeypatch: Any, ask: Any) -> None:
    picture, _ = banned()
    seen: list[Any] = []
    original = edited_copies.variants

    def counted(*args: Any, **options: Any) -> Any:
        seen.append(args)
        return original(*args, **options)

    monkeypatch.setattr(edited_copies, "variants", counted)
    assert ask(jpeg(picture))["verdict"] == "block" and not seen
    ask(jpeg(wheel_photo("coffee.png")))
    assert len(seen) == 1


def test_a_flat_picture_has_no_variants(ask: Any) -> None:
    banned()
    assert ask(png(Pillow.fromarray(np.full((80, 80, 3), 90, np.uint8))))["verdict"] == "allow"
    assert skimage.data is not None


@pytest.mark.parametrize("edit", [ImageOps.invert, lambda p: ImageOps.invert(ImageOps.mirror(p))])
def test_a_scan_finds_what_was_edited_before_it_was_banned(edit: Any) -> None:
    picture = wheel_photo("chelsea.png")
    image = add_ready_image(data=jpeg(edit(picture)))
    other = add_ready_image(data=jpeg(wheel_photo("coffee.png")))
    on = make_list()
    make_item(on, ("pdq", pdq_of(picture), 100))
    scan = rescans.start(by=ADMIN, list_id=on.pk, reason="test")
    assert rescan.run(scan.pk)
    image.refresh_from_db()
    other.refresh_from_db()
    assert (image.status, other.status) == ("quarantined", "ready")
    assert CaseMatch.objects.get().edit.startswith("negative")
