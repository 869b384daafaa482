"""Frames that show nearly the same are one group; a change of any part begins another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest

from gallery.imaging.descriptors.pdq import LOW_QUALITY, dihedral_hashes
from gallery.imaging.near_frames import NearFrames
from gallery.imaging.pixels import Pixels
from tests.factories import wheel_photo

SIZE = 320, 240
COFFEE = np.asarray(wheel_photo("coffee.png").resize(SIZE))
BANNED = np.asarray(wheel_photo("astronaut.png").resize(SIZE))


def groups(frames: Sequence[Pixels]) -> list[int]:
    near = NearFrames()
    found = []
    for rgb in frames:
        hashed = dihedral_hashes(rgb)
        own = hashed[0][0] if hashed and hashed[1] >= LOW_QUALITY else None
        found.append(near.group(rgb, rgb, own))
    return found


def with_noise(rgb: Pixels, seed: int) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, 3, (*rgb.shape[:2], 1))
    return np.clip(rgb + noise, 0, 255).astype(np.uint8)


def blend(a: Pixels, b: Pixels, share: float) -> Pixels:
    return np.asarray(cv2.addWeighted(a, 1 - share, b, share, 0), np.uint8)


def turned(rgb: Pixels, degrees: float) -> Pixels:
    matrix = cv2.getRotationMatrix2D((160, 120), degrees, 1)
    return np.asarray(cv2.warpAffine(rgb, matrix, SIZE, borderMode=cv2.BORDER_REFLECT), np.uint8)


def inset(x: int, y: int) -> Pixels:
    """A banned picture of a tenth of each side."""
    rgb = COFFEE.copy()
    rgb[y : y + 24, x : x + 32] = cv2.resize(BANNED, (32, 24), interpolation=cv2.INTER_AREA)
    return rgb


def plain() -> Pixels:
    """A dark frame with a small picture in it, so that it has a hash."""
    rgb = np.full_like(COFFEE, 40)
    rgb[90:150, 120:200] = cv2.resize(COFFEE, (80, 60))
    return rgb


def with_faint_picture() -> Pixels:
    rgb = blend(plain(), BANNED, 0.08)
    rgb[90:150, 120:200] = plain()[90:150, 120:200]
    return rgb


def test_noise_and_compression_are_near() -> None:
    jpeg = cv2.imdecode(cv2.imencode(".jpg", COFFEE)[1], cv2.IMREAD_COLOR)
    frames = [with_noise(COFFEE, 1), with_noise(COFFEE, 2), np.asarray(jpeg, np.uint8)]
    assert groups([COFFEE, *frames]) == [0, 0, 0, 0]


@pytest.mark.parametrize("x", [0, 144, 288])
@pytest.mark.parametrize("y", [0, 108, 216])
def test_a_small_picture_anywhere_is_another_group(x: int, y: int) -> None:
    assert groups([COFFEE, inset(x, y)]) == [0, 1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (lambda: plain(), with_faint_picture),
        (lambda: COFFEE, lambda: np.roll(COFFEE, 6, axis=1)),
        (lambda: COFFEE, lambda: np.ascontiguousarray(COFFEE[:, ::-1])),
        (lambda: COFFEE, lambda: turned(COFFEE, 2)),
        (lambda: COFFEE, lambda: np.ascontiguousarray(COFFEE[..., [2, 1, 0]])),
        (lambda: BANNED, lambda: cv2.GaussianBlur(BANNED, (0, 0), 6)),
        (lambda: BANNED, lambda: np.ascontiguousarray(BANNED[:120, :160])),
    ],
    ids=["faint", "moved", "mirrored", "turned", "colours", "blurred", "size"],
)
def test_what_a_look_could_tell_apart_is_another_group(
    before: Callable[[], Pixels], after: Callable[[], Pixels]
) -> None:
    assert groups([before(), after()]) == [0, 1]
    assert groups([after(), before()]) == [0, 1]


def test_a_slow_change_cannot_creep_in() -> None:
    frames = [blend(COFFEE, BANNED, step / 100) for step in range(101)]
    found = groups(frames)
    assert found == sorted(found)
    firsts = [frames[found.index(number)] for number in range(found[-1] + 1)]
    # The first frame of the last group already shows the last frame.
    assert np.abs(firsts[-1].astype(int) - BANNED).mean() < 4
    assert groups([frames[0], frames[-1], frames[0]]) == [0, 1, 0]


def test_other_pixels_for_imgsmlr_are_compared_too() -> None:
    hashed = dihedral_hashes(COFFEE)
    assert hashed
    near, own = NearFrames(), hashed[0][0]
    dark = np.zeros_like(COFFEE)
    seen = [near.group(COFFEE, legacy, own) for legacy in (COFFEE, dark, BANNED, dark)]
    assert seen == [0, 1, 2, 1]


def test_frames_without_a_hash_are_alone() -> None:
    assert groups([np.full_like(COFFEE, 40)] * 3) == [0, 1, 2]
