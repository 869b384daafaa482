"""Searching for copies, from edited bytes to explained answers."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import transaction
from django.test import override_settings
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter, ImageOps

from gallery.imaging import descriptors
from gallery.imaging.descriptors.copy import PART_VIEWS, VIEWS, Copy
from gallery.items import file_storage
from gallery.items.models import Image, ImageDetail, ImageFingerprint
from gallery.search import confidence
from gallery.search.image_search import ImageQuery, search_images
from gallery.search.match_types import MATCH_TYPES
from gallery.search.nearest import Filters, ImageMatch
from gallery.shared.errors import Unavailable, UserError
from tests import factories as make
from tests.environment import DATA_DIR

pytestmark = pytest.mark.django_db
NAMES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "camera.png", "color.png")


def add(name: str, **fields: Any) -> Image:
    picture = make.png(make.wheel_photo(name))
    inline = descriptors.available_names()
    return make.add_ready_image(data=picture, data_id=name, inline=inline, **fields)


@pytest.fixture(scope="module")
def described(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Any], Path]:
    """Rows and files of the gallery, as the real services made them once."""
    media = tmp_path_factory.mktemp("media")
    with (
        django_db_blocker.unblock(),
        override_settings(MEDIA_ROOT=media),
        transaction.atomic(),
    ):
        for name in NAMES:
            add(name)
        rows = [
            row for model in (Image, ImageFingerprint, ImageDetail) for row in model.objects.all()
        ]
        transaction.set_rollback(True)
    return rows, media


@pytest.fixture
def gallery(described: tuple[list[Any], Path], settings: Any) -> dict[str, Image]:
    rows, media = described
    shutil.copytree(media, settings.MEDIA_ROOT)
    for row in rows:
        row.save(force_insert=True)
    return {image.data_id: image for image in Image.objects.all()}


def matches(data: bytes, match_type: str = "auto", **asked: Any) -> list[ImageMatch]:
    asked = {"limit": 5, **asked}
    return list(search_images(ImageQuery(data=data), match_type=match_type, **asked).matches)


def captioned(image: Pillow.Image) -> Pillow.Image:
    page = Pillow.new("RGB", (image.width, round(image.height * 1.25)), "white")
    page.paste(image.convert("RGB"), (0, page.height - image.height))
    ImageDraw.Draw(page).text((20, 20), "When you find it at last", fill="black")
    return page


def part(image: Pillow.Image, share: float) -> Pillow.Image:
    width, height = round(image.width * share), round(image.height * share)
    return image.crop((10, 10, 10 + width, 10 + height))


EDITS: dict[str, Callable[[Pillow.Image], Pillow.Image]] = {
    "same": lambda image: image,
    "cropped": lambda image: part(image, 0.6),
    "mirrored": ImageOps.mirror,
    "turned": lambda image: image.rotate(-90, expand=True),
    "upside down": lambda image: image.rotate(180),
    "tilted": lambda image: image.rotate(12, expand=True),
    "framed": lambda image: ImageOps.expand(image.convert("RGB"), image.width // 4, "#204060"),
    "captioned": captioned,
    "grey": lambda image: image.convert("L"),
    "small": lambda image: image.resize((image.width // 3, image.height // 3)),
}


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_copy_is_found_first_and_surely(gallery: dict[str, Image], edit: str) -> None:
    for name in ("astronaut.png", "chelsea.png", "coffee.png"):
        copy = make.jpeg(EDITS[edit](make.wheel_photo(name)).convert("RGB"), 80)
        for match_type in ("auto", "copy"):
            found = matches(copy, match_type)
            assert [match.image.data_id for match in found] == [name], match_type
            assert found[0].confidence is not None
            assert found[0].distance == pytest.approx(1 - found[0].confidence)


@pytest.fixture
def described_views(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The views of queries whose vectors were computed, in order."""
    described: list[tuple[str, ...]] = []
    real = Copy.embed_views

    def watched(self: Copy, rgb: Any, views: Any = VIEWS) -> Any:
        described.append(tuple(views))
        return real(self, rgb, views)

    monkeypatch.setattr(Copy, "embed_views", watched)
    return described


@pytest.mark.parametrize("edit", ["same", "cropped", "mirrored", "framed"])
def test_a_sure_copy_costs_one_vector(
    gallery: dict[str, Image], described_views: list[Any], edit: str
) -> None:
    copy = make.png(EDITS[edit](make.wheel_photo("chelsea.png")))
    (match,) = matches(copy)
    assert match.image.data_id == "chelsea.png"
    assert described_views == [("full",)]
    assert "part" not in match.methods


def test_members_of_a_collage_are_all_found(
    gallery: dict[str, Image], described_views: list[Any]
) -> None:
    members = [make.wheel_photo(name).convert("RGB").resize((300, 300)) for name in NAMES[:4]]
    page = Pillow.new("RGB", (600, 600))
    for at, member in enumerate(members):
        page.paste(member, (at % 2 * 300, at // 2 * 300))
    found = matches(make.png(page))
    assert {match.image.data_id for match in found} == set(NAMES[:4])
    assert described_views == [("full",), PART_VIEWS]
    half = matches(make.png(page.crop((0, 0, 600, 300))))
    assert {match.image.data_id for match in half} == set(NAMES[:2])


def test_a_copy_that_a_filter_leaves_out_does_not_end_the_search(
    gallery: dict[str, Image], described_views: list[Any]
) -> None:
    framed = make.png(EDITS["framed"](make.wheel_photo("chelsea.png")))
    assert matches(framed, filters=Filters(data_id_prefix="coffee")) == []
    # Whole, then what the frame encloses, then the quarters.
    assert described_views == [("full",), ("full",), PART_VIEWS]


def test_geometry_says_what_was_done(gallery: dict[str, Image]) -> None:
    def of(edit: str) -> Any:
        (match,) = matches(make.png(EDITS[edit](make.wheel_photo("astronaut.png"))))
        assert match.geometry is not None
        return match.geometry

    same = of("same")
    assert (same.mirrored, same.crop, same.border) == (False, False, False)
    assert same.scale == pytest.approx(1, abs=0.02)
    assert of("mirrored").mirrored
    assert of("turned").rotation == pytest.approx(90, abs=1)
    assert of("framed").border and not of("framed").crop
    cropped = of("cropped")
    assert cropped.crop and not cropped.border
    left, top, right, bottom = cropped.candidate_box
    assert (left, top) == (pytest.approx(10 / 512, abs=0.02), pytest.approx(10 / 512, abs=0.02))
    assert (right, bottom) == (pytest.approx(0.62, abs=0.03), pytest.approx(0.62, abs=0.03))


def test_strangers_are_not_matches(gallery: dict[str, Image]) -> None:
    for seed in range(3):
        assert matches(make.png(make.photo(seed))) == []


def test_everything_can_be_asked_for(gallery: dict[str, Image]) -> None:
    found = matches(make.png(make.photo(1)), threshold=1.0, limit=100)
    assert len(found) == len(gallery)
    sure = [match.confidence for match in found]
    assert sure == sorted(sure, reverse=True)  # type: ignore[type-var]
    assert all(match.methods.keys() == {"cnn", "part", "pdq", "imgsmlr"} for match in found)


def test_blur_is_no_reason_to_give_up(gallery: dict[str, Image]) -> None:
    """Few key points outlive it: the global vector has to carry the answer."""
    soft = make.wheel_photo("chelsea.png").convert("RGB").filter(ImageFilter.GaussianBlur(6))
    assert [match.image.data_id for match in matches(make.png(soft))][:1] == ["chelsea.png"]


def test_a_picture_without_information_matches_nothing(gallery: dict[str, Image]) -> None:
    make.add_ready_image(make.flat(), inline=descriptors.available_names())
    dark = Pillow.fromarray(np.random.default_rng(1).integers(0, 6, (300, 400, 3), np.uint8))
    tiny = Pillow.new("RGB", (2, 2))
    for picture in (make.flat((9, 9, 9)), Pillow.new("RGB", (500, 300)), dark, tiny):
        found = search_images(
            ImageQuery(data=make.png(picture)), match_type="auto", threshold=1.0, limit=10
        )
        assert found.low_information
        assert [match.image.data_id for match in found.matches] == []


def test_the_same_file_is_found_whatever_it_shows(gallery: dict[str, Image]) -> None:
    for picture in (make.flat(), Pillow.new("RGB", (2, 2)), make.photo(9)):
        data = make.png(picture)
        stored = make.add_ready_image(data=data, inline=descriptors.PIXELS)
        for match_type in ("auto", "copy"):
            first = matches(data, match_type)[0]
            assert (first.image.pk, first.confidence, first.distance) == (stored.pk, 1.0, 0.0)
        by_id = search_images(ImageQuery(image_id=stored.pk), match_type="auto", limit=5).matches
        assert (by_id[0].image.pk, by_id[0].confidence) == (stored.pk, 1.0)
        assert matches(data, filters=Filters(data_id_prefix="no")) == []
        Image.objects.filter(pk=stored.pk).update(status="quarantined")
        assert stored.pk not in [match.image.pk for match in matches(data, threshold=1.0)]


def test_filters_and_limit(gallery: dict[str, Image]) -> None:
    data = make.png(make.wheel_photo("coffee.png"))
    only = matches(data, threshold=1.0, limit=9, filters=Filters(data_id_prefix="rock"))
    assert [match.image.data_id for match in only] == ["rocket.jpg"]
    assert len(matches(data, threshold=1.0, limit=2)) == 2


def test_by_id_finds_itself_first_and_its_copies(gallery: dict[str, Image]) -> None:
    original = gallery["coffee.png"]
    mirrored = make.jpeg(ImageOps.mirror(make.wheel_photo("coffee.png")))
    copy = make.add_ready_image(data=mirrored, inline=descriptors.available_names())
    found = search_images(ImageQuery(image_id=original.pk), match_type="auto", limit=5).matches
    assert [match.image.pk for match in found] == [original.pk, copy.pk]
    assert found[1].geometry is not None and found[1].geometry.mirrored


def test_explanations_are_drawn_on_request_only(gallery: dict[str, Image]) -> None:
    data = make.png(EDITS["cropped"](make.wheel_photo("coffee.png")))
    assert all(match.explanation is None for match in matches(data, threshold=1.0))
    found = matches(data, threshold=1.0, explain=True)
    assert found[0].explanation is not None
    with Pillow.open(io.BytesIO(found[0].explanation)) as drawn:
        assert drawn.format == "JPEG"
        assert drawn.width > drawn.height
    unproved = [match for match in found if match.geometry is None]
    assert unproved and all(match.explanation is None for match in unproved)


def test_a_lost_thumbnail_costs_the_drawing_only(gallery: dict[str, Image]) -> None:
    Path(gallery["coffee.png"].thumbnail.path).unlink()
    (match,) = matches(make.png(make.wheel_photo("coffee.png")), explain=True)
    assert (match.image.data_id, match.explanation) == ("coffee.png", None)
    assert file_storage.thumbnail_rgb(gallery["coffee.png"]) is None


@pytest.fixture
def no_model(tmp_path: Path) -> Iterator[None]:
    descriptors.configure(models=tmp_path)
    yield
    descriptors.configure(models=DATA_DIR / "models")


@pytest.mark.usefixtures("no_model")
def test_without_the_model_auto_goes_on_and_says_so() -> None:
    image = add("coffee.png")
    data = make.jpeg(make.wheel_photo("coffee.png"), 90)
    found = search_images(ImageQuery(data=data), match_type="auto", limit=5, threshold=1.0)
    assert [match.image.pk for match in found.matches] == [image.pk]
    assert found.matches[0].methods.keys() == {"pdq", "imgsmlr"}
    assert "prepare_models" in found.unavailable["copy"]
    with pytest.raises(Unavailable, match="prepare_models"):
        search_images(ImageQuery(data=data), match_type="copy", limit=5)


def test_words_are_not_for_copies(gallery: dict[str, Image]) -> None:
    with pytest.raises(UserError, match="clip"):
        search_images(ImageQuery(text="a cup"), match_type="copy", limit=5)


def test_thresholds_are_the_calibration_s_and_even_odds() -> None:
    for name, calibration in confidence.calibrations().items():
        assert MATCH_TYPES[name].precise == calibration.precise
        assert MATCH_TYPES[name].default == 0.5
        said = [
            confidence.certainty(distance, name)
            for distance in (0.0, calibration.precise, calibration.precise + 1e-6, 0.5, 0.500001)
        ]
        assert said == ["sure", "sure", "likely", "likely", "unlikely"]
