"""Laying one picture upon another: edits change little, another sign in the same frame a lot."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.imaging.image_registration import Registration, RegistrationSimilarity
from tests import factories as make

Pixels = NDArray[np.uint8]
SAME = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


@pytest.fixture(scope="module")
def photo() -> Pixels:
    return np.asarray(make.wheel_photo("coffee.png").convert("RGB"))


def size(rgb: Pixels) -> tuple[float, float]:
    return rgb.shape[1], rgb.shape[0]


def upon(query: Pixels, candidate: Pixels, matrix: object = SAME) -> RegistrationSimilarity:
    found = Registration(query).compare_transformed(
        candidate, np.array(matrix), (size(query), size(candidate))
    )
    assert found is not None
    return found


def sign(draw_bar: bool) -> Pixels:
    """A yellow triangle with a bar or a disc in it."""
    rgb = np.full((300, 300, 3), 255, np.uint8)
    cv2.fillPoly(rgb, [np.array([[150, 20], [280, 270], [20, 270]])], (250, 210, 20))
    cv2.polylines(rgb, [np.array([[150, 20], [280, 270], [20, 270]])], True, (0, 0, 0), 14)
    if draw_bar:
        cv2.rectangle(rgb, (138, 110), (162, 230), (0, 0, 0), -1)
    else:
        cv2.circle(rgb, (150, 190), 48, (0, 0, 0), -1)
    return rgb


def test_a_picture_is_like_itself(photo: Pixels) -> None:
    found = upon(photo, photo)
    assert found.correlation > 0.999 and found.worst > 0.98
    assert found.difference < 2 and found.colour < 1
    assert 0.3 < found.texture <= 1


@pytest.mark.parametrize("slope,offset", [(0.6, 10), (1.0, 40), (1.2, -30)])
def test_brightness_and_contrast_do_not_count(photo: Pixels, slope: float, offset: float) -> None:
    changed = np.clip(photo.astype(float) * slope + offset, 0, 255).astype(np.uint8)
    found = upon(changed, photo)
    assert found.correlation > 0.95 and found.local > 0.95
    assert found.difference < 25


def test_a_crop_is_compared_where_it_was_cut_from(photo: Pixels) -> None:
    height, width = photo.shape[:2]
    left, top = width // 4, height // 5
    crop = photo[top : top + height // 2, left : left + width // 2]
    found = upon(crop, photo, ((1, 0, left), (0, 1, top)))
    assert found.correlation > 0.99 and found.worst > 0.9
    assert found.texture < 0.26


def test_a_transform_that_is_a_little_off_is_mended(photo: Pixels) -> None:
    width = photo.shape[1]
    found = upon(photo, photo, ((1.02, 0.0, -0.01 * width), (0.0, 1.02, 0.015 * width)))
    assert found.correlation > 0.98 and found.worst > 0.8


def test_another_sign_in_the_same_frame_differs_in_one_place() -> None:
    same, other = upon(sign(True), sign(True)), upon(sign(True), sign(False))
    assert same.worst > 0.95 and same.difference < 3
    assert other.correlation > 0.7
    assert other.worst < 0.6 and other.difference > 40


def test_the_whole_is_tried_mirrored_too(photo: Pixels) -> None:
    found = Registration(np.ascontiguousarray(photo[:, ::-1])).compare_whole(photo)
    assert found is not None and found.correlation > 0.99


def test_the_whole_without_its_border(photo: Pixels) -> None:
    framed = cv2.copyMakeBorder(photo, 90, 60, 70, 80, cv2.BORDER_CONSTANT, value=(9, 9, 9))
    found = Registration(np.asarray(framed, np.uint8)).compare_whole(photo)
    assert found is not None and found.correlation > 0.98


def test_strangers_are_not_fitted_to_one_another(photo: Pixels) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (200, 300, 3)).astype(np.uint8)
    found = Registration(noise).compare_whole(photo)
    assert found is None or found.local < 0.3


def test_flat_pictures_say_nothing() -> None:
    flat = np.full((120, 90, 3), 128, np.uint8)
    found = upon(flat, flat)
    assert (found.correlation, found.local, found.worst, found.texture) == (0, 0, 0, 0)


@pytest.mark.parametrize("shape", [(1, 400), (400, 1), (8, 8), (3, 5)])
def test_odd_shapes(photo: Pixels, shape: tuple[int, int]) -> None:
    odd = np.zeros((*shape, 3), np.uint8)
    odd[: shape[0] // 2] = 200
    for a, b in ((odd, photo), (photo, odd), (odd, odd)):
        Registration(a).compare_whole(b)
        Registration(a).compare_transformed(b, np.array(SAME), (size(a), size(b)))


def test_pictures_that_do_not_overlap(photo: Pixels) -> None:
    far = np.array(((1.0, 0.0, 1e5), (0.0, 1.0, 0.0)))
    assert Registration(photo).compare_transformed(photo, far, (size(photo), size(photo))) is None


def test_a_transform_into_one_point(photo: Pixels) -> None:
    assert upon(photo, photo, np.zeros((2, 3))).correlation == 0
