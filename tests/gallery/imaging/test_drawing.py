"""The picture that shows what two pictures share."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from gallery.imaging.drawing import side_by_side
from gallery.imaging.geometry import verify
from gallery.imaging.local_features import extract
from gallery.imaging.regions import Region

COFFEE = np.asarray(skimage.data.coffee(), np.uint8)
WHOLE: Region = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
MIDDLE: Region = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))


def decoded(jpeg: bytes) -> Any:
    assert jpeg[:2] == b"\xff\xd8"
    return cv2.cvtColor(
        cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB
    ).astype(int)


def red(width: int, height: int) -> Any:
    return np.broadcast_to(np.array([230, 20, 20], np.uint8), (height, width, 3)).copy()


def test_outside_is_grey_and_dark_and_inside_is_as_it_was() -> None:
    page = decoded(side_by_side(red(300, 200), MIDDLE, red(300, 200), WHOLE))
    height, width = page.shape[:2]
    assert (height, width) == (320 + 24, 2 * 480 + 48)
    middle = page[height // 2, width // 4]
    outside = page[height // 2, 30]
    assert np.abs(middle - (230, 20, 20)).max() < 12
    assert np.ptp(outside) < 40
    assert outside.mean() < 100
    assert np.abs(page[height // 2, width - 40] - (230, 20, 20)).max() < 12
    assert np.abs(page[2, 2] - 255).max() < 6


def test_the_same_corner_has_the_same_colour_in_both() -> None:
    turned: Region = (WHOLE[1], WHOLE[0], WHOLE[3], WHOLE[2])
    page = decoded(side_by_side(red(400, 400), WHOLE, red(400, 400), turned))
    left = [page[12, 12], page[12, 491], page[491, 491], page[491, 12]]
    right = [page[12, 516 + x] for x in (479, 0)] + [page[491, 516 + x] for x in (0, 479)]
    assert np.abs(np.array(left) - right).max() < 40
    distances = np.abs(np.array(left)[:, None] - np.array(left)).sum(axis=2)
    assert (distances + 999 * np.eye(4) > 100).all()


def test_thumbnails_show_what_the_pictures_would() -> None:
    query = cv2.copyMakeBorder(COFFEE, 100, 100, 150, 150, cv2.BORDER_CONSTANT, value=(0, 0, 90))
    match = verify(extract(query), extract(COFFEE))
    assert match is not None
    large = decoded(side_by_side(query, match.query_region, COFFEE, match.candidate_region))
    small = [cv2.resize(rgb, (240, 160), interpolation=cv2.INTER_AREA) for rgb in (query, COFFEE)]
    page = decoded(side_by_side(small[0], match.query_region, small[1], match.candidate_region))
    assert page.shape == large.shape
    assert np.abs(page - large).mean() < 8


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (5, 5), (4000, 2500)])
def test_any_size(size: tuple[int, int]) -> None:
    page = decoded(side_by_side(red(*size), MIDDLE, COFFEE, WHOLE))
    assert max(page.shape) <= 2 * 480 + 48


@pytest.mark.parametrize("corners", range(3, 9))
def test_any_number_of_corners(corners: int) -> None:
    turns = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    region = tuple((float(x), float(y)) for x, y in 0.5 + 0.4 * np.c_[np.cos(turns), np.sin(turns)])
    page = decoded(side_by_side(COFFEE, region, COFFEE, region))
    half = page.shape[1] // 2
    assert np.abs(page[:, 12 : half - 12] - page[:, half + 12 : -12]).mean() < 3


def test_arrays_are_not_written_to() -> None:
    rgb = COFFEE.copy()
    rgb.flags.writeable = False
    side_by_side(rgb, MIDDLE, rgb[:, ::-1], MIDDLE)
    exact = cv2.resize(COFFEE, (480, 320))
    before = exact.copy()
    side_by_side(exact, MIDDLE, exact, MIDDLE)
    assert np.array_equal(exact, before)
