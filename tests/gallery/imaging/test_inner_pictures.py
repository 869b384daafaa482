"""Two pictures in one: each is shown alone, and a single picture is not taken apart."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from benchmarks.hidden_edits import EDITS
from gallery.imaging.descriptors import pdq
from gallery.imaging.inner_pictures import STRIPS_LONG_SIDE, separate_strips
from gallery.imaging.pixels import Pixels
from tests.factories import flat, jpeg, photo, wheel_photo

COFFEE = np.asarray(wheel_photo("coffee.png"))
CHELSEA = np.asarray(wheel_photo("chelsea.png"))


def saved(rgb: Pixels, quality: int = 85) -> Pixels:
    data = jpeg(Pillow.fromarray(rgb), quality)
    return np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"))


def bits(a: Pixels, b: Pixels) -> int:
    ours, theirs = (pdq.describe_pdq(one) for one in (a, b))
    assert ours is not None
    assert theirs is not None
    return pdq.hamming(ours["pdq"], theirs["pdq"])


@pytest.mark.parametrize(
    "edit",
    [
        "every second strip of 8 px, lying",
        "every second strip of 8 px, standing",
        "spread, strips of 8 px between",
        "spread, strips of 16 px between",
        "chessboard, tiles of 16 px",
    ],
)
def test_each_of_two_pictures_is_shown_alone(edit: str) -> None:
    mixed = saved(EDITS[edit](COFFEE, CHELSEA))
    found = separate_strips(mixed)
    other = cv2.resize(CHELSEA, COFFEE.shape[1::-1], interpolation=cv2.INTER_AREA)
    for alone in (COFFEE, np.asarray(other, np.uint8)):
        assert min(bits(one, alone) for one in found) <= 31 < bits(mixed, alone)


def test_large_pictures_are_answered_small() -> None:
    large = np.asarray(cv2.resize(COFFEE, (2400, 1600)), np.uint8)
    mixed = EDITS["chessboard, tiles of 64 px"](large, CHELSEA)
    found = separate_strips(mixed)
    assert [max(one.shape) for one in found] == [STRIPS_LONG_SIDE] * 2
    assert min(bits(one, COFFEE) for one in found) <= 31


@pytest.mark.parametrize("quality", [95, 20])
@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "motorcycle_left.png"])
def test_a_single_picture_is_left_alone(name: str, quality: int) -> None:
    # Strong compression shows edges at every eighth line.
    assert separate_strips(saved(np.asarray(wheel_photo(name)), quality)) == []


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3), (40, 30)])
def test_small_thin_and_flat_pictures(size: tuple[int, int]) -> None:
    assert separate_strips(np.asarray(flat().resize(size))) == []
    assert separate_strips(np.asarray(photo(1).resize(size))) == []
