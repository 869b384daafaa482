"""The edits of the recall benchmark do what their names say, the same way every time."""

from __future__ import annotations

from statistics import NormalDist

import cv2
import numpy as np
import pytest

from benchmarks.recall import transforms
from benchmarks.recall.drawing import Pixels
from benchmarks.recall.transforms import HARD, QUICK, ROWS, edited, random_of


def picture(seed: int, height: int = 240, width: int = 320) -> Pixels:
    """Soft coloured noise: no two places look alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


RGB = picture(1)
OTHERS = [picture(2), picture(3), picture(4)]
KEY = "c0ffee"


def made(name: str, rgb: Pixels = RGB, key: str = KEY) -> Pixels:
    """The row's edit before it becomes a JPEG."""
    row = ROWS[name]
    return row.edit(rgb, random_of(name, key), OTHERS[: row.others])


def shows(page: Pixels, part: Pixels) -> float:
    """Correlation of the part with the page where it fits best, at the part's own size."""
    return float(cv2.matchTemplate(page, part, cv2.TM_CCOEFF_NORMED).max())


def fitted(rgb: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_an_edit_is_a_jpeg_that_differs_and_is_the_same_every_time(name: str) -> None:
    others = OTHERS[: ROWS[name].others]
    data = edited(name, KEY, RGB, others)
    assert data == edited(name, KEY, RGB, others)
    assert data != transforms.encoded(RGB)
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert min(decoded.shape[:2]) >= transforms.SMALLEST


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("size", [(96, 384), (384, 96), (97, 101)])
def test_every_shape_can_be_edited(name: str, size: tuple[int, int]) -> None:
    assert made(name, picture(5, *size)).dtype == np.uint8


def test_there_is_a_row_for_every_edit_and_the_chosen_ones_exist() -> None:
    assert len(ROWS) == 34
    assert len(QUICK) == 12
    assert set(HARD) | set(QUICK) <= set(ROWS)


def test_chance_depends_on_row_and_picture() -> None:
    places = {random_of(row, key).random() for row in ("crop to 50 %", "logo") for key in "abc"}
    assert len(places) == 6


@pytest.mark.parametrize(
    ("name", "share"), [("crop to 90 %", 0.9), ("crop to 70 %", 0.7), ("crop to 50 %", 0.5)]
)
def test_a_crop_is_a_part_of_that_side(name: str, share: float) -> None:
    crop = made(name)
    assert crop.shape == (round(240 * share), round(320 * share), 3)
    assert shows(RGB, crop) == pytest.approx(1, abs=1e-4)


def test_crops_lie_in_different_places() -> None:
    assert len({made("crop to 50 %", key=str(n)).tobytes() for n in range(8)}) > 4


def test_five_percent_are_cut_off_each_side() -> None:
    assert np.array_equal(made("crop 5 % a side"), RGB[12:-12, 16:-16])


def test_turns_and_mirrors() -> None:
    assert np.array_equal(made("mirror"), np.fliplr(RGB))
    assert np.array_equal(made("rotate 90°"), np.rot90(RGB))
    assert np.array_equal(made("rotate 180°"), RGB[::-1, ::-1])


@pytest.mark.parametrize("degrees", [5, 15, 25])
def test_a_rotation_is_undone_by_the_opposite_one(degrees: int) -> None:
    turned = made(f"rotate {degrees}°")
    assert turned.shape == RGB.shape
    back = [
        cv2.warpAffine(turned, cv2.getRotationMatrix2D((160, 120), angle, 1), (320, 240))
        for angle in (degrees, -degrees)
    ]
    middle = np.s_[80:160, 100:220]
    errors = [np.abs(one[middle].astype(int) - RGB[middle]).mean() for one in back]
    assert min(errors) < 3 < 15 < max(errors)


@pytest.mark.parametrize(("name", "share"), [("border 10 %", 0.1), ("border 25 %", 0.25)])
def test_a_border_has_one_colour(name: str, share: float) -> None:
    y, x = round(240 * share), round(320 * share)
    framed = made(name)
    assert np.array_equal(framed[y:-y, x:-x], RGB)
    framed[y:-y, x:-x] = framed[0, 0]
    assert np.ptp(framed, axis=(0, 1)).max() == 0


def test_borders_have_many_colours() -> None:
    assert len({made("border 10 %", key=str(n))[0, 0].tobytes() for n in range(20)}) > 4


def test_a_letterbox_is_black_above_and_below_or_beside_what_is_tall() -> None:
    wide, tall = made("letterbox"), made("letterbox", picture(6, 320, 240))
    assert wide.shape == (360, 320, 3)
    assert wide[:60].max() == wide[-60:].max() == 0
    assert tall.shape == (320, 360, 3)
    assert tall[:, :60].max() == tall[:, -60:].max() == 0


def test_sizes() -> None:
    assert made("resize to 1/4").shape == (60, 80, 3)
    assert made("aspect +30 %").shape == (240, 416, 3)
    assert made("aspect -30 %").shape == (240, 224, 3)


def test_tones() -> None:
    assert np.ptp(made("grey"), axis=2).max() == 0
    assert len(np.unique(made("32 colours").reshape(-1, 3), axis=0)) <= 32
    noise = made("noise", np.full((200, 200, 3), 128, np.uint8)).astype(float)
    assert noise.std() == pytest.approx(20, abs=0.5)
    for name in ("brightness", "contrast", "gamma"):
        shifts = [made(name, key=str(n)).mean() - RGB.mean() for n in range(8)]
        assert max(shifts) > min(shifts)


@pytest.mark.parametrize(("name", "sigma"), [("blur σ2", 2.0), ("blur σ4", 4.0)])
@pytest.mark.parametrize("side", [512, 256])
def test_blur_is_relative_to_the_size(name: str, sigma: float, side: int) -> None:
    step = np.zeros((side, side, 3), np.uint8)
    step[:, side // 2 :] = 255
    sigma *= side / 512
    edge = made(name, step)[0, side // 2 :, 0] / 255
    expected = [NormalDist(0, sigma).cdf(x + 0.5) for x in range(len(edge))]
    assert edge == pytest.approx(np.array(expected), abs=0.02)


def test_jpeg_quality() -> None:
    sizes = [len(edited(name, KEY, RGB)) for name in ("jpeg q10", "jpeg q30", "mirror")]
    assert sizes == sorted(sizes)


def test_text_and_marks_leave_most_of_the_picture() -> None:
    captioned = made("caption bar")
    assert np.array_equal(captioned[-240:], RGB)
    assert captioned.shape[0] > 280
    assert (captioned[:-240] == 255).mean() > 0.6
    for name, least, most in (("big text", 0.05, 0.7), ("logo", 0.005, 0.08)):
        changed = (made(name) != RGB).any(axis=2).mean()
        assert least < changed < most, name


def test_a_phone_shows_the_picture_at_full_width() -> None:
    page = made("phone screenshot")
    assert page.shape == (1170, 540, 3)
    enlarged = cv2.resize(RGB, (540, 405), interpolation=cv2.INTER_CUBIC)
    assert shows(page, np.asarray(enlarged, np.uint8)) > 0.999
    tall = made("phone screenshot", picture(7, 1000, 300))
    assert shows(tall, fitted(picture(7, 1000, 300), 204, 680)) > 0.99
    grounds = {bytes(made("phone screenshot", key=str(n))[0, 0]) for n in range(12)}
    assert len(grounds) == 2


@pytest.mark.slow
def test_a_desktop_shows_the_picture_in_a_window_on_a_wallpaper() -> None:
    page = made("desktop screenshot")
    assert page.shape == (800, 1280, 3)
    wallpaper = cv2.resize(OTHERS[0], (1280, 800), interpolation=cv2.INTER_AREA)
    same = (page == wallpaper).all(axis=2).mean()
    assert 0.3 < same < 0.7
    sizes = [fitted(RGB, width, width * 3 // 4) for width in range(560, 780, 4)]
    assert max(shows(page, size) for size in sizes) > 0.97


def test_a_collage_has_four_equal_cells() -> None:
    page = made("collage 2×2")
    assert page.shape == (576, 768, 3)
    for part in (RGB, *OTHERS):
        assert shows(page, fitted(part, 384, 288)) == pytest.approx(1, abs=1e-3)


def test_a_picture_in_a_picture_is_40_percent_wide() -> None:
    page = made("picture in picture")
    assert shows(page, fitted(RGB, 400, 280)) == pytest.approx(1, abs=1e-3)
    background = fitted(OTHERS[0], 1000, 700)
    assert (page != background).any(axis=2).mean() == pytest.approx(0.16, abs=0.01)


def test_the_combination_is_a_mirrored_crop_with_text() -> None:
    page = made("combo")
    assert page.shape == (204, 272, 3)
    mirrored = np.ascontiguousarray(np.fliplr(RGB))
    assert shows(mirrored, page) > shows(RGB, page)
    assert ROWS["combo"].quality == 40
