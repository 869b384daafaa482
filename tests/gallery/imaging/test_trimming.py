"""Plain margins are found to the pixel, and only plain margins."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import example, given
from hypothesis import strategies as st

from gallery.imaging.pixels import Box
from gallery.imaging.trimming import trim
from tests.examples import fuzz

COFFEE = np.asarray(skimage.data.coffee(), np.uint8)
HEIGHT, WIDTH = COFFEE.shape[:2]
Colour = tuple[int, int, int]
colours = st.sampled_from([(0, 0, 0), (255, 255, 255), (30, 90, 160), (255, 0, 0), (127, 127, 127)])

margins = st.just(0) | st.integers(10, 200)


def bordered(
    rgb: Any, top: int, bottom: int, left: int, right: int, colour: Colour = (0, 0, 0)
) -> Any:
    return cv2.copyMakeBorder(rgb, top, bottom, left, right, cv2.BORDER_CONSTANT, value=colour)


def jpeg(rgb: Any, quality: int) -> Any:
    _, data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def overlap(box: Box | None, expected: Box) -> float:
    """Intersection ÷ union."""
    if box is None:
        return 0.0
    width = min(box[2], expected[2]) - max(box[0], expected[0])
    height = min(box[3], expected[3]) - max(box[1], expected[1])
    both = max(0, width) * max(0, height)
    areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (box, expected))
    return both / (areas - both)


def phone(rgb: Any) -> tuple[Any, Box]:
    """A white page with a status bar, a name, the picture, buttons and a caption."""
    page = np.full((1100, 540, 3), 255, np.uint8)
    page[:50] = 40
    height = round(rgb.shape[0] * 540 / rgb.shape[1])
    cv2.putText(page, "12:47    87%", (20, 36), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255,) * 3, 2)
    cv2.circle(page, (50, 105), 28, (70, 120, 200), -1)
    cv2.putText(page, "photo_feed", (95, 115), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (0,) * 3, 2)
    page[160 : 160 + height] = cv2.resize(rgb, (540, height), interpolation=cv2.INTER_AREA)
    below = 160 + height
    for i in range(4):
        cv2.rectangle(page, (20 + i * 70, below + 20), (60 + i * 70, below + 60), (0,) * 3, 3)
    cv2.putText(page, "Liked by anna", (20, below + 95), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0,) * 3, 2)
    return page, (0, 160, 540, below)


@fuzz(25)
@example(top=0, bottom=10, left=193, right=10, colour=(0, 0, 0), turned=False)
@given(
    top=margins,
    bottom=margins,
    left=margins,
    right=margins,
    colour=colours,
    turned=st.booleans(),
)
def test_any_border_of_one_colour_is_found_to_the_pixel(
    top: int, bottom: int, left: int, right: int, colour: Colour, turned: bool
) -> None:
    picture = bordered(COFFEE, top, bottom, left, right, colour)
    height, width = picture.shape[:2]
    expected = (left, top, left + WIDTH, top + HEIGHT)
    if turned:
        picture = np.rot90(picture)
        expected = (top, width - left - WIDTH, top + HEIGHT, width - left)
    if 1 - HEIGHT * WIDTH / (height * width) < 0.02:
        assert trim(picture) is None
    else:
        box = trim(picture)
        assert box is not None
        assert np.abs(np.subtract(box, expected)).max() <= 1


def test_the_picture_of_a_quarter_of_the_area_and_less() -> None:
    for border, found in ((100, True), (200, True), (400, True), (700, False)):
        picture = bordered(COFFEE, border, border, border, border, (255, 255, 255))
        box = trim(picture)
        assert (box is not None) == found, border
        if box:
            assert box == (border, border, border + WIDTH, border + HEIGHT)


@pytest.mark.parametrize("quality", [10, 30, 60])
def test_noise_of_compression(quality: int) -> None:
    for colour in ((0, 0, 0), (255, 255, 255), (30, 90, 160)):
        picture = jpeg(bordered(COFFEE, 100, 100, 150, 150, colour), quality)
        box = trim(picture)
        assert box is not None
        # Colours are kept in squares of 16 pixels.
        assert np.abs(np.subtract(box, (150, 100, 150 + WIDTH, 100 + HEIGHT))).max() <= 16


@pytest.mark.parametrize("quality", [None, 30])
def test_each_side_has_its_own_colour(quality: int | None) -> None:
    picture = bordered(COFFEE, 80, 0, 0, 0, (200, 10, 10))
    picture = bordered(picture, 0, 60, 0, 0, (20, 200, 10))
    picture = bordered(picture, 0, 0, 90, 0, (0, 0, 90))
    picture = bordered(picture, 0, 0, 0, 70, (250, 250, 90))
    picture = jpeg(picture, quality) if quality else picture
    assert overlap(trim(picture), (90, 80, 90 + WIDTH, 80 + HEIGHT)) > 0.97


def test_of_a_frame_within_a_frame_the_outer_one_goes() -> None:
    framed = bordered(COFFEE, 30, 30, 30, 30)
    picture = bordered(framed, 50, 50, 50, 50, (255, 255, 255))
    assert trim(picture) == (50, 50, 110 + WIDTH, 110 + HEIGHT)
    assert trim(framed) == (30, 30, 30 + WIDTH, 30 + HEIGHT)


def test_letterbox_and_pillarbox() -> None:
    assert trim(bordered(COFFEE, 100, 100, 0, 0)) == (0, 100, WIDTH, 100 + HEIGHT)
    assert trim(bordered(COFFEE, 0, 0, 120, 120)) == (120, 0, 120 + WIDTH, HEIGHT)


@pytest.mark.parametrize("quality", [None, 40])
def test_a_phone_screenshot_leaves_the_picture(quality: int | None) -> None:
    page, expected = phone(COFFEE)
    assert overlap(trim(jpeg(page, quality) if quality else page), expected) > 0.95


def test_a_picture_on_a_page_with_margins() -> None:
    page = np.full((900, 1600, 3), 250, np.uint8)
    page[200 : 200 + HEIGHT, 500 : 500 + WIDTH] = COFFEE
    assert trim(page) == (500, 200, 500 + WIDTH, 200 + HEIGHT)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket", "retina"])
def test_photographs_stay_whole(name: str) -> None:
    assert trim(np.asarray(getattr(skimage.data, name)(), np.uint8)) is None


def test_a_clear_sky_is_no_margin() -> None:
    down = np.linspace(120, 240, 500)[:, None, None]
    sky = np.broadcast_to(down, (500, 700, 3)).astype(np.uint8).copy()
    sky[380:, 100:600] = COFFEE[:120, :500]
    assert trim(sky) is None
    camera = cv2.cvtColor(skimage.data.camera(), cv2.COLOR_GRAY2RGB)
    assert trim(camera) is None


def test_noise_is_no_margin() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    assert trim(noise) is None


def test_of_two_plain_halves_neither_is_the_picture() -> None:
    halves = np.zeros((300, 400, 3), np.uint8)
    halves[:150] = (200, 0, 0)
    assert trim(halves) is None
    assert trim(bordered(halves, 100, 100, 100, 100, (0, 0, 200))) == (100, 100, 500, 400)


def disc(radius: int, side: int = 600) -> Any:
    picture = np.full((side, side, 3), 255, np.uint8)
    cv2.circle(picture, (side // 2, side // 2), radius, (200, 60, 30), -1)
    return picture


def test_an_object_on_plain_ground() -> None:
    box = trim(disc(250))
    assert box is not None
    assert np.abs(np.subtract(box, (50, 50, 550, 550))).max() <= 10
    assert trim(disc(40)) is None


def test_a_border_around_an_object_on_plain_ground_leaves_the_ground() -> None:
    picture = bordered(disc(60, 400), 100, 100, 100, 100, (20, 40, 90))
    assert trim(picture) == (100, 100, 500, 500)


def test_a_speck_or_a_word_is_not_what_the_picture_is_about() -> None:
    page = np.full((600, 800, 3), 255, np.uint8)
    page[300:303, 400:403] = 0
    assert trim(page) is None
    cv2.putText(page, "hello", (350, 300), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (0, 0, 0), 2)
    assert trim(page) is None


def test_a_text_page_keeps_all_its_lines() -> None:
    page = np.full((800, 700, 3), 255, np.uint8)
    for i in range(12):
        text = "the quick report of market people"
        cv2.putText(page, text, (60, 100 + i * 55), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (0, 0, 0), 2)
    box = trim(page)
    assert box is not None
    assert box[1] <= 90
    assert box[3] >= 700


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_picture_has_nothing_to_trim(value: int) -> None:
    assert trim(np.full((300, 400, 3), value, np.uint8)) is None


@fuzz(25)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1), st.sampled_from([2, 256]))
def test_any_size_and_content(height: int, width: int, seed: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    picture = random.integers(0, levels, (height, width, 3)).astype(np.uint8)
    margin = random.integers(0, 40, 4).tolist()
    for rgb in (picture, bordered(picture, *margin)):
        box = trim(rgb)
        if box is not None:
            assert 0 <= box[0] < box[2] <= rgb.shape[1]
            assert 0 <= box[1] < box[3] <= rgb.shape[0]
            assert min(box[2] - box[0], box[3] - box[1]) >= 32


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (31, 31), (32, 4000)])
def test_thin_and_tiny_pictures(shape: tuple[int, int]) -> None:
    assert trim(np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)) is None


def test_large_pictures_and_views_of_arrays() -> None:
    large = cv2.resize(COFFEE, (3000, 2000), interpolation=cv2.INTER_CUBIC)
    picture = bordered(large, 400, 400, 500, 500, (255, 255, 255))
    assert overlap(trim(picture), (500, 400, 3500, 2400)) > 0.995
    view = bordered(COFFEE, 60, 60, 60, 60)[:, ::-1]
    assert trim(view) == (60, 60, 60 + WIDTH, 60 + HEIGHT)
