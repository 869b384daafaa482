"""Frames of a pan are left out only if every part of them is in two others that are looked at."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from gallery.imaging.panned_frames import PannedFrame, standing_for
from gallery.imaging.pixels import Pixels
from tests.factories import wheel_photo

WIDTH, HEIGHT = 320, 240
WIDE = np.asarray(wheel_photo("coffee.png").resize((960, 640)))
BANNED = np.asarray(wheel_photo("astronaut.png").resize((WIDTH, HEIGHT)))
COUNT = 9


def panned(step: tuple[float, float] = (8, 0), noise: float = 2.0) -> list[Pixels]:
    random = np.random.default_rng(1)
    frames = []
    for number in range(COUNT):
        at = np.array([[1.0, 0, -40 - number * step[0]], [0, 1, -100 - number * step[1]]])
        part = cv2.warpAffine(WIDE, at, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)
        grain = random.normal(0, noise, (HEIGHT, WIDTH, 1))
        frames.append(np.clip(part + grain, 0, 255).astype(np.uint8))
    return frames


def looked_at(frames: list[Pixels]) -> list[int]:
    standing = standing_for([PannedFrame.of(rgb, rgb) for rgb in frames])
    return [at for at in range(len(frames)) if at not in standing]


@pytest.mark.parametrize("step", [(8, 0), (-5.3, 0), (0, 6.4), (5.1, 0.04)])
def test_a_slow_pan_is_looked_at_where_it_begins_and_ends(step: tuple[float, float]) -> None:
    assert looked_at(panned(step)) == [0, COUNT - 1]


@pytest.mark.parametrize("step", [(60, 0), (6, -6)], ids=["far apart", "aslant"])
def test_frames_of_which_two_others_do_not_show_all_are_looked_at(step: tuple[int, int]) -> None:
    """Aslant, two corners of a frame are in neither of the others."""
    assert looked_at(panned(step)) == list(range(COUNT))


def with_inset(x: int, y: int, side: int = 24) -> Callable[[Pixels], Pixels]:
    def edited(rgb: Pixels) -> Pixels:
        rgb = rgb.copy()
        small = cv2.resize(BANNED, (side * 4 // 3, side), interpolation=cv2.INTER_AREA)
        rgb[y : y + side, x : x + side * 4 // 3] = small
        return rgb

    return edited


EDITS = {
    "flash": lambda rgb: BANNED,
    "small, left": with_inset(0, 100),
    "small, right": with_inset(WIDTH - 32, 100),
    "small, in a corner": with_inset(WIDTH - 32, HEIGHT - 24),
    "small, in the middle": with_inset(140, 100),
    "brighter": lambda rgb: np.clip(rgb.astype(int) + 12, 0, 255).astype(np.uint8),
    "mirrored": lambda rgb: np.ascontiguousarray(rgb[:, ::-1]),
    "turned": lambda rgb: cv2.warpAffine(
        rgb,
        cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 4, 1),
        (WIDTH, HEIGHT),
        borderMode=cv2.BORDER_REFLECT,
    ),
    "mixed": lambda rgb: cv2.addWeighted(rgb, 0.7, BANNED, 0.3, 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 4, COUNT - 2])
@pytest.mark.parametrize("edit", EDITS)
def test_a_frame_that_shows_anything_else_is_looked_at(at: int, edit: str) -> None:
    frames = panned()
    frames[at] = np.asarray(EDITS[edit](frames[at]), np.uint8)
    assert at in looked_at(frames)


def test_a_faint_picture_over_plain_frames_is_looked_at() -> None:
    def plain(number: int) -> Pixels:
        rgb = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
        x = 200 - 8 * number
        rgb[90:150, x : x + 80] = cv2.resize(BANNED, (80, 60))
        return rgb

    frames = [plain(number) for number in range(COUNT)]
    faint = cv2.addWeighted(frames[4], 0.92, BANNED, 0.08, 0)
    kept = frames[4][90:150, 168:248]
    frames[4] = np.asarray(faint, np.uint8)
    frames[4][90:150, 168:248] = kept
    assert 4 in looked_at(frames)


def test_what_is_seen_only_at_an_edge_is_looked_at() -> None:
    """The part that a frame uncovers is shown otherwise by the one that comes later."""
    frames = panned()
    for number in range(1, 4):
        frames[number] = with_inset(WIDTH - 32 - 8 * (number - 1), 60)(frames[number])
    assert {1, 2, 3} & set(looked_at(frames))


def test_as_imgsmlr_reads_it_counts_too() -> None:
    frames = panned()
    every = [PannedFrame.of(rgb, rgb.copy()) for rgb in frames]
    every[4] = PannedFrame.of(frames[4], with_inset(140, 100)(frames[4]))
    assert 4 not in standing_for(every)
    assert 3 in standing_for([PannedFrame.of(rgb, rgb.copy()) for rgb in frames])


def test_frames_without_a_hash_and_of_other_sizes_stand_for_none() -> None:
    every: list[PannedFrame | None] = [PannedFrame.of(rgb, rgb) for rgb in panned()]
    every[4] = None
    assert 4 not in standing_for(every)
    flat = [np.full((HEIGHT, WIDTH, 3), 90, np.uint8)] * 3
    assert looked_at(flat) == [0, 1, 2]
    thin = [np.ascontiguousarray(rgb[:4]) for rgb in panned()]
    assert looked_at(thin) == list(range(COUNT))
    other = panned()
    other[4] = np.ascontiguousarray(other[4][:, :300])
    assert 4 in looked_at(other)
    assert looked_at([]) == []
