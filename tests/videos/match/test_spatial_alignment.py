"""Laying a query upon a frame of the video, as exactly as pixels allow."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from gallery.imaging import geometry, local_features
from gallery.imaging.geometry import GeometricMatch
from tests.videos.clips import Pixels, still
from videos.match.queries import QueryFrame
from videos.match.spatial_alignment import refine_registration, registered_correlation

FRAME = next(still("coffee", 1, rate=1))


def page(rgb: Pixels) -> Pixels:
    """The frame, enlarged, on a page with a bar above it."""
    large = cv2.resize(rgb, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_LINEAR)
    out = np.full((large.shape[0] + 60, large.shape[1] + 20, 3), 24, np.uint8)
    out[50 : 50 + large.shape[0], 10 : 10 + large.shape[1]] = large
    return out


@pytest.fixture(scope="module")
def matched() -> tuple[Pixels, GeometricMatch]:
    query = page(FRAME)
    match = geometry.verify(local_features.extract(query), local_features.extract(FRAME))
    assert match is not None
    return query, match


def off(match: GeometricMatch) -> float:
    """Pixels of the frame by which the query's corners are laid in the wrong place."""
    height, width = FRAME.shape[:2]
    corners = np.array([(0, 0), (width, 0), (0, height), (width, height)], float)
    query = corners * 1.5 + (10, 50)
    laid = np.c_[query, np.ones(4)] @ np.array(match.matrix).T
    return float(np.abs(laid - corners).max())


@pytest.mark.parametrize("shift", [(4.0, -3.0), (-5.0, 2.0), (0.0, 0.0)])
def test_all_pixels_say_more_exactly_than_a_few_places(
    matched: tuple[Pixels, GeometricMatch], shift: tuple[float, float]
) -> None:
    query, match = matched
    (a, b, c), (d, e, f) = match.matrix
    rough = replace(match, matrix=((a * 1.02, b, c + shift[0]), (d, e * 0.98, f + shift[1])))
    fine = refine_registration(query, FRAME, rough)
    assert off(rough) > 2
    assert off(fine) < 1.5
    frame = QueryFrame(0, query, query, "picture")
    assert (
        registered_correlation(frame, FRAME, fine)
        > 0.99
        > registered_correlation(frame, FRAME, rough)
    )


def test_what_does_not_converge_is_left_as_it_is(matched: tuple[Pixels, GeometricMatch]) -> None:
    _, match = matched
    blank = np.full((200, 300, 3), 128, np.uint8)
    assert refine_registration(blank, FRAME, match) == match
