"""Convex regions: what two pictures share, in both."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery.imaging.regions import (
    area_share,
    bounding_box,
    corners_of,
    distinct_corners,
    points_inside,
    relative_region,
    shared_region,
)
from gallery.imaging.transforms import transform_points
from tests.examples import fuzz

SQUARE = corners_of(1.0, 1.0)
WIDE = corners_of(1.0, 0.5)


def similarity(degrees: float, scale: float, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    turn = np.deg2rad(degrees)
    return np.array(
        [
            [scale * np.cos(turn), -scale * np.sin(turn), x],
            [scale * np.sin(turn), scale * np.cos(turn), y],
        ]
    )


def test_a_picture_shares_all_with_itself() -> None:
    region = shared_region(similarity(0, 1), WIDE, WIDE)
    assert area_share(region, WIDE) == pytest.approx(1.0)
    assert bounding_box(relative_region(region, WIDE)) == pytest.approx((0, 0, 1, 1))


def test_a_quarter() -> None:
    """The first picture shows the lower right quarter of the second."""
    matrix = similarity(0, 0.5, 0.5, 0.5)
    region = shared_region(matrix, SQUARE, SQUARE)
    assert area_share(region, SQUARE) == pytest.approx(1.0)
    shown = transform_points(matrix, region)
    assert area_share(shown, SQUARE) == pytest.approx(0.25)
    assert bounding_box(relative_region(shown, SQUARE)) == pytest.approx((0.5, 0.5, 1, 1))


@pytest.mark.parametrize(
    "matrix",
    [
        similarity(0, 1, 2.0),
        similarity(45, 0.1, -1.0, -1.0),
        similarity(0, 1, 1.0),
        similarity(180, 1),
    ],
)
def test_nothing_is_shared(matrix: np.ndarray) -> None:
    assert shared_region(matrix, SQUARE, SQUARE).shape == (0, 2)


def test_edges_that_touch() -> None:
    """The first picture is a turned part of the second, up to the edge."""
    matrix = similarity(90, 0.5, 0.5, 0.0)
    region = shared_region(matrix, WIDE, SQUARE)
    assert area_share(region, WIDE) == pytest.approx(1.0)
    assert area_share(transform_points(matrix, region), SQUARE) == pytest.approx(0.125)


def test_eight_corners() -> None:
    about_centre = similarity(45, 1.0)
    about_centre[:, 2] = 0.5 - about_centre[:, :2] @ (0.5, 0.5)
    region = shared_region(about_centre, SQUARE, SQUARE)
    assert len(region) == len(distinct_corners(region)) == 8
    assert area_share(region, SQUARE) == pytest.approx(2 * (np.sqrt(2) - 1), abs=1e-5)


@fuzz(80)
@given(
    degrees=st.floats(-180, 180),
    scale=st.floats(0.2, 5),
    x=st.floats(-1, 1),
    y=st.floats(-1, 1),
    seed=st.integers(0, 99),
)
def test_a_point_is_in_the_region_if_both_pictures_show_it(
    degrees: float, scale: float, x: float, y: float, seed: int
) -> None:
    matrix = similarity(degrees, scale, x, y)
    region = shared_region(matrix, WIDE, SQUARE)
    points = np.random.default_rng(seed).uniform(0, 1, (500, 2)) * (1.0, 0.5)
    there = transform_points(matrix, points)
    # Nearer to an edge than its coordinates are exact, either answer is right.
    clear = (np.abs(there) > 1e-4).all(axis=1) & (np.abs(there - 1) > 1e-4).all(axis=1)
    shown = ((there > 0) & (there < 1)).all(axis=1)
    if not len(region):
        assert not shown[clear].any()
    else:
        assert 3 <= len(region) <= 8
        assert np.array_equal(points_inside(region, points)[clear], shown[clear])


def test_corners_that_do_not_stand_out_are_left_out() -> None:
    almost = np.array([[0, 0], [0.5, -0.003], [1, 0], [1, 1], [0.996, 1.002], [0, 1]], float)
    assert distinct_corners(almost) in ([0, 2, 3, 5], [0, 2, 4, 5])
    triangle = np.array([[0, 0], [1, 0], [0.5, 0.001]], float)
    assert distinct_corners(triangle) == [0, 1, 2]
