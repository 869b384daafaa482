"""Every picture that a viewer may show of a file is compared: at the gate, in a check, in a search
and in scans of what is already here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image as Pillow

from gallery.imaging.descriptors import PIXELS
from gallery.items import adding
from gallery.items.models import Image, ImageFingerprint
from gallery.search import image_search
from moderation.cases import media
from moderation.cases.models import CaseMatch, ReviewCase
from moderation.lists import item_adding
from moderation.lists.models import BannedList
from moderation.lists.verdicts import Action
from moderation.screening import picture_frames
from tests import bypasses
from tests.factories import add_ready_image, encoded, jpeg, photo, png, wheel_photo
from tests.moderation.factories import ADMIN, make_item, make_list
from tests.moderation.pipeline.test_check import ask  # noqa: F401  (a fixture)
from tests.moderation.pipeline.test_gates import pdq_of
from tests.moderation.pipeline.test_rescan import scan, status
from tests.shown_files import animated, holes, mirage, noise, veiled

pytestmark = pytest.mark.django_db

DECOY, BANNED = wheel_photo("coffee.png", 256), wheel_photo("chelsea.png", 256)


def grey(picture: Pillow.Image) -> Pillow.Image:
    return picture.convert("L").resize(DECOY.size).convert("RGB")


HIDDEN: dict[str, tuple[Callable[[], bytes], int | None, str]] = {
    "png": (lambda: png(mirage(DECOY, BANNED)), None, "black"),
    "webp": (lambda: encoded(mirage(DECOY, BANNED), "WEBP", lossless=True), None, "black"),
    "avif": (lambda: encoded(mirage(DECOY, BANNED), "AVIF"), None, "black"),
    "colour alone": (lambda: png(veiled(BANNED, DECOY)), None, "colour"),
    "gif": (lambda: encoded(holes(BANNED), "GIF"), None, "black"),
    "palette": (lambda: png(holes(BANNED).convert("P")), None, "black"),
    "apng": (
        lambda: animated([DECOY.convert("RGBA"), mirage(DECOY, BANNED)], "PNG", duration=100),
        1,
        "black",
    ),
    "animated webp": (
        lambda: animated([DECOY, mirage(DECOY, BANNED)], "WEBP", duration=100, lossless=True),
        1,
        "black",
    ),
    "animated gif": (
        lambda: animated(
            [DECOY.convert("RGBA"), holes(BANNED).resize(DECOY.size, 0)],
            "GIF",
            duration=100,
            disposal=2,
        ),
        1,
        "black",
    ),
}  # fmt: skip
"""Files whose banned picture nobody sees on a white page, and where it is."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", HIDDEN)
def test_what_transparency_hides_is_found_everywhere(
    kind: str,
    ask: Any,  # noqa: F811
) -> None:
    make, frame, rendering = HIDDEN[kind]
    data, on = make(), make_list()
    here = add_ready_image(data=data)
    make_item(on, ("pdq", pdq_of(BANNED), 90))
    answer = ask(data).json()
    assert answer["verdict"] == "block"
    (match,) = answer["matches"]
    assert (match["match_type"], match["frame"], match["rendering"]) == ("pdq", frame, rendering)
    # The case keeps that very picture.
    checked = ReviewCase.objects.get()
    assert near(media.subject_pixels(checked), BANNED)
    scan(on)
    assert status(here) == "quarantined"
    held = ReviewCase.objects.get(image=here)
    row = held.matches.get()
    assert row.geometry == {"rendering": rendering} and row.frame == frame
    assert near(media.subject_pixels(held, frame=row.frame or 0, rendering=rendering), BANNED)
    here.delete()
    assert add_ready_image(data=data).status == "quarantined"


def near(pixels: Any, picture: Pillow.Image) -> bool:
    shown = pdq_of(Pillow.fromarray(pixels))
    return (int(shown, 16) ^ int(pdq_of(picture), 16)).bit_count() <= 31


@pytest.mark.parametrize("edit", ["crop", "inset"])
def test_a_copy_is_found_on_a_black_page(edit: str) -> None:
    banned = wheel_photo("astronaut.png")
    item_adding.add_picture(by=ADMIN, list_id=make_list().pk, data=png(banned))
    if edit == "crop":
        shown = banned.crop((80, 60, 430, 420))
    else:
        shown = wheel_photo("coffee.png").resize((512, 512))
        shown.paste(banned.resize((230, 230)), (20, 20))
    decoy = wheel_photo("rocket.jpg").resize(shown.size)
    image = add_ready_image(data=png(mirage(decoy, shown)))
    assert image.status == "quarantined"
    row = CaseMatch.objects.filter(match_type="copy", case__isnull=False).first()
    assert row is not None and row.geometry["rendering"] == "black" and row.geometry["query_region"]


def test_searching_with_what_transparency_hides_is_refused(
    client: Client, settings: Any, open_api: None
) -> None:
    settings.QUERY_GATES = ["moderation.pipeline.gates.refuse_banned_query"]
    make_item(make_list(), ("pdq", pdq_of(BANNED), 90))

    def search(data: bytes) -> int:
        body = {"file": SimpleUploadedFile("a.png", data), "match_type": "pdq"}
        return client.post("/api/v1/images/search/", body).status_code

    assert (search(png(DECOY)), search(png(mirage(DECOY, BANNED)))) == (200, 451)


def test_an_allowed_look_frees_nothing_and_the_very_file_is_let_through() -> None:
    data, other = png(mirage(DECOY, BANNED)), png(mirage(BANNED, DECOY))
    make_item(make_list(), ("pdq", pdq_of(BANNED), 90))
    allowed = make_list(kind="allow")
    for shown in (grey(DECOY), BANNED):
        make_item(allowed, ("pdq", pdq_of(shown), 90))
    assert add_ready_image(data=data).status == "quarantined"
    make_item(allowed, ("sha256", hashlib.sha256(other).hexdigest()))
    assert add_ready_image(data=other).status == "ready"


def test_two_looks_of_one_picture_are_not_two_pictures_of_a_video() -> None:
    item = make_item(make_list(), media="video")
    for number, picture in enumerate((DECOY, BANNED, BANNED)):
        value = pdq_of(grey(picture))
        item.hashes.create(kind="pdq", value=value[:-1] + str(number), quality=90, time_ms=number)
    assert add_ready_image(data=png(mirage(DECOY, BANNED))).status == "quarantined"
    assert ReviewCase.objects.get().verdict == "review"


def long_gif(at: int, count: int, banned_ms: int = 20) -> bytes:
    frames = [noise(seed) for seed in range(count)]
    frames[at] = BANNED.resize((96, 72))
    times = [banned_ms if number == at else 20 for number in range(count)]
    return animated([f.resize((96, 72)) for f in frames], "GIF", duration=times)


@pytest.mark.slow
@pytest.mark.parametrize(("at", "count"), [(37, 64), (37, 65), (131, 140)])
def test_one_of_many_frames_is_found_by_its_hash(at: int, count: int, ask: Any) -> None:  # noqa: F811
    data, on = long_gif(at, count), make_list()
    BannedList.objects.update(observe_share=0.0)
    on.methods.exclude(match_type="pdq").update(enabled=False)
    here = add_ready_image(data=data)
    make_item(on, ("pdq", pdq_of(BANNED.resize((96, 72))), 90))
    answer = ask(data).json()
    assert answer["verdict"] == "block"
    assert {match["frame"] for match in answer["matches"]} == {at}
    assert near(media.subject_pixels(ReviewCase.objects.get()), BANNED)
    scan(on)
    assert status(here) == "quarantined"
    assert add_again(here, data).status == "quarantined"


def add_again(image: Image, data: bytes) -> Image:
    image.delete()
    return add_ready_image(data=data)


@pytest.mark.slow
def test_models_look_at_the_frames_that_are_shown_longest(ask: Any) -> None:  # noqa: F811
    """65 frames, of which the banned one is cropped, so that its hash says nothing."""
    banned = wheel_photo("astronaut.png", 320)
    crop = banned.crop((40, 30, 270, 260)).resize((160, 160))
    item = item_adding.add_picture(by=ADMIN, list_id=make_list().pk, data=png(banned))
    frames = [noise(seed, (160, 160)) for seed in range(65)]
    frames[33] = crop
    times = [5000 if number == 33 else 20 for number in range(65)]
    answer = ask(animated(frames, "WEBP", duration=times, quality=90)).json()
    assert answer["verdict"] == "block" and answer["partly"] == {"copy": "64 of 65 pictures"}
    assert {(m["item"], m["match_type"], m["frame"]) for m in answer["matches"]} == {
        (item.pk, "copy", 33)
    }


def test_an_animation_is_decoded_once_unless_it_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    data = animated([holes(BANNED), *(noise(seed, BANNED.size) for seed in range(2))], "GIF")
    reads: list[bytes] = []
    read = picture_frames.rendered_pictures

    def counted(data: bytes, *arguments: Any, **options: Any) -> Any:
        reads.append(data)
        return read(data, *arguments, **options)

    def compared() -> list[tuple[Any, ...]]:
        file = picture_frames.PictureFile(data)
        list(file.frames())
        return [(f.place, f.in_parts, f.rgb, f.legacy_rgb) for f in file.chosen()]

    monkeypatch.setattr(picture_frames, "rendered_pictures", counted)
    kept = compared()
    assert len(reads) == 1
    monkeypatch.setattr(picture_frames, "KEPT_PIXELS", 2 * BANNED.width * BANNED.height)
    again = compared()
    assert len(reads) == 3
    assert {place for place, *_ in kept} >= {(0, None, ""), (0, None, "black"), (2, None, "")}
    for one, other in zip(kept, again, strict=True):
        assert one[:2] == other[:2]
        assert np.array_equal(one[2], other[2]) and np.array_equal(one[3], other[3])


def test_an_inset_in_a_frame_is_found() -> None:
    banned = wheel_photo("astronaut.png")
    item_adding.add_picture(by=ADMIN, list_id=make_list().pk, data=png(banned))
    shown = wheel_photo("coffee.png").resize((512, 512))
    shown.paste(banned.resize((230, 230)), (20, 20))
    frames = [wheel_photo("rocket.jpg").resize((512, 512)), shown, photo(3, (512, 512))]
    assert add_ready_image(data=animated(frames, "WEBP", duration=80)).status == "quarantined"
    assert {match.frame for match in CaseMatch.objects.filter(case__isnull=False)} == {1}


FALLING = bypasses.icc_profile([65535, 0])
"""By this profile a viewer shows the negative of what is stored."""


@pytest.mark.parametrize("action", list(Action))
def test_colours_that_no_honest_file_has_are_held(action: Action, ask: Any) -> None:  # noqa: F811
    data = encoded(DECOY, "JPEG", icc_profile=FALLING)
    make_item(make_list(action=action), ("pdq", "ab" * 32))
    answer = ask(data).json()
    image = add_ready_image(data=data)
    if action == Action.SHADOW:
        assert (answer["verdict"], image.status) == ("allow", "ready")
        return
    assert answer["verdict"] == "review" and set(answer["missing"]) == {"colours"}
    assert image.status == "quarantined" and not image.banned
    assert "colours" in ReviewCase.objects.get(image=image).evidence["missing"]


def test_colours_are_compared_both_ways() -> None:
    make_item(make_list(), ("pdq", pdq_of(BANNED), 90))
    negative = Pillow.eval(BANNED, lambda value: 255 - value)
    for stored in (negative, BANNED):
        assert add_ready_image(data=encoded(stored, "JPEG", icc_profile=FALLING)).banned
    looks = {(row.geometry or {}).get("rendering", "") for row in CaseMatch.objects.all()}
    assert looks == {"", "unconverted"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "rendering"),
    [
        (bypasses.mpo, "picture-1"),
        (lambda: bypasses.heic(primary_second=False), "picture-1"),
        (bypasses.exif_thumbnail, "thumbnail"),
        (bypasses.motion_photo, "video"),
    ],
)
def test_second_pictures_are_screened_and_found_by_scans(
    make: Callable[[], bytes],
    rendering: str,
    ask: Any,  # noqa: F811
) -> None:
    data, on = make(), make_list()
    here = add_ready_image(data=data)
    make_item(on, ("pdq", pdq_of(bypasses.banned()), 90))
    answer = ask(data).json()
    assert answer["verdict"] == "block"
    assert {match["rendering"] for match in answer["matches"]} == {rendering}
    scan(on)
    assert status(here) == "quarantined"
    case = ReviewCase.objects.get(image=here)
    for row in case.matches.all():
        assert row.geometry == {"rendering": rendering}
        shown = media.subject_pixels(case, time_ms=row.time_ms or 0, rendering=rendering)
        assert near(shown, bypasses.banned())


def test_an_ordinary_picture_is_stored_as_before() -> None:
    image = add_ready_image(data=jpeg(photo(1)))
    rows = ImageFingerprint.objects.filter(item=image)
    assert [(row.view, row.version) for row in rows] == [("full", "pixels-1")]


def test_hashes_of_what_else_is_shown_are_kept_and_not_searched() -> None:
    image = add_ready_image(data=png(mirage(DECOY, BANNED)))
    rows = ImageFingerprint.objects.filter(item=image).exclude(view="full")
    assert sorted(rows.values_list("view", "version")) == [
        ("full b", "hashes-1"), ("full c", "hashes-1")
    ]  # fmt: skip
    assert not rows.exclude(haar=None, cnn=None, clip=None).exists()
    query = image_search.ImageQuery(data=png(BANNED))
    assert not image_search.search_images(query, match_type="pdq", limit=5).matches


def test_the_hashes_serve_where_the_original_is_gone(settings: Any) -> None:
    settings.KEEP_ORIGINALS = "none"
    inline = (*PIXELS, "copy")
    still = adding.add_image(data=png(mirage(DECOY, BANNED)), by="test", inline=inline)
    moving = adding.add_image(data=long_gif(70, 90), by="test", inline=PIXELS)
    Image.objects.update(original="")
    on = make_list()
    for picture in (BANNED, BANNED.resize((96, 72))):
        make_item(on, ("pdq", pdq_of(picture), 90))
    scan(on)
    assert (status(still), status(moving)) == ("quarantined", "quarantined")
    rows = CaseMatch.objects.filter(image=still)
    assert {row.geometry and row.geometry["rendering"] for row in rows} == {"black"}
    assert {row.frame for row in CaseMatch.objects.filter(image=moving)} == {70}


def test_a_copy_among_what_else_is_shown_is_found_by_a_scan() -> None:
    banned = wheel_photo("astronaut.png")
    crop = banned.crop((80, 60, 430, 420))
    here = add_ready_image(data=png(mirage(wheel_photo("rocket.jpg").resize(crop.size), crop)))
    on = make_list()
    item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(banned))
    assert here.status == "ready"
    scan(on)
    assert status(here) == "quarantined"


def test_an_item_is_made_of_all_that_its_file_shows() -> None:
    on = make_list()
    item = item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(mirage(DECOY, BANNED)))
    assert item.hashes.filter(kind="pdq").count() == 3
    image = add_ready_image(data=png(mirage(photo(1, DECOY.size), BANNED)))
    assert image.status == "quarantined"
    # As an item made of an image whose original is gone.
    other = make_list(action=Action.SHADOW)
    Image.objects.update(original="")
    rows = Image.objects.filter(pk=image.pk)
    (made,) = item_adding.add_all_stored(
        by=ADMIN, list_id=other.pk, items=rows, reason="test"
    ).items
    assert made.hashes.filter(kind="pdq").count() == 3
