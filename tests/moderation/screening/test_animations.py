"""A banned frame of an animation is found, whatever the other frames show.

The banned frames are edited so that their hashes do not match: only a model finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow

from moderation.lists import item_adding, item_reading, policies
from moderation.lists.models import BannedItem
from moderation.lists.verdicts import Verdict
from moderation.screening import content, screen
from moderation.screening.types import ContentFrame, Screening
from tests import bypasses
from tests.factories import jpeg, photo, wheel_photo
from tests.moderation.factories import ADMIN, make_list

pytestmark = pytest.mark.django_db

SIZE = 320, 240
DECOY = wheel_photo("coffee.png").resize(SIZE)


@pytest.fixture
def astronaut() -> Iterator[BannedItem]:
    """On a list that blocks, among other items."""
    pictures = [wheel_photo("astronaut.png"), *(photo(number) for number in range(8))]
    made = [item_reading.of_bytes(jpeg(picture), {}) for picture in pictures]
    item_adding.add(by=ADMIN, list_id=make_list(action="block").pk, made=made, reason="")
    yield BannedItem.objects.earliest("pk")


def held(count: int, size: tuple[int, int] = SIZE) -> list[Pillow.Image]:
    """Frames that show one photograph, each with noise of its own."""
    whole = np.asarray(DECOY.resize(size))
    noise = np.random.default_rng(3)
    return [
        Pillow.fromarray(
            np.clip(whole + noise.normal(0, 2, (*whole.shape[:2], 1)), 0, 255).astype(np.uint8)
        )
        for _ in range(count)
    ]


def banned(edit: str, size: tuple[int, int] = SIZE) -> Pillow.Image:
    whole = wheel_photo("astronaut.png")
    if edit == "turned":
        return whole.rotate(25, fillcolor=(90, 90, 90)).resize(size)
    if edit == "part":
        return whole.crop((100, 0, 400, 300)).resize(size)
    shown = DECOY.resize(size)
    shown.paste(whole.resize((size[0] // 2, size[1] // 2)), (size[0] // 2, size[1] // 2))
    return shown


def animation(frames: Sequence[Pillow.Image], durations: Sequence[int] | None = None) -> bytes:
    return bypasses.animation(list(frames), "GIF", list(durations or [80] * len(frames)))


def screened(data: bytes) -> tuple[Screening, int]:
    """Return also how many frames models compared."""
    looks: list[object] = []
    source = content.of_bytes(data)

    def counted() -> Iterator[ContentFrame]:
        for frame in source.chosen:
            looks.append(frame.place)
            yield frame

    found = screen.screen(replace(source, chosen=counted()), policies.current())
    return found, len(looks)


def flashed(at: int, count: int, edit: str, size: tuple[int, int] = SIZE) -> list[Pillow.Image]:
    return [*(one := held(count - 1, size))[:at], banned(edit, size), *one[at:]]


def fade(steps: int) -> list[Pillow.Image]:
    """From the decoy to the banned picture, which is reached in the last frame."""
    end = banned("part")
    return [Pillow.blend(DECOY, end, step / (steps - 1)) for step in range(steps)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("frames", "most"),
    [
        (lambda: flashed(0, 24, "part"), 4),
        (lambda: flashed(12, 24, "turned"), 4),
        (lambda: flashed(23, 24, "corner"), 4),
        (lambda: flashed(1, 2, "turned"), 2),
        (lambda: flashed(321, 500, "part", (160, 120)), 12),
        (lambda: fade(32), 32),
    ],
    ids=["first", "middle", "last", "of 2", "of 500", "slow fade"],
)
def test_one_banned_frame_is_found_by_a_model(
    frames: Callable[[], list[Pillow.Image]], most: int, astronaut: BannedItem
) -> None:
    found, looks = screened(animation(frames()))
    assert looks <= most
    assert found.verdict == Verdict.BLOCK
    assert {match.item_id for match in found.within} == {astronaut.pk}
    assert "copy" in {match.match_type for match in found.within}
    # Frames that were not looked at count as compared: one that shows the same was.
    assert found.partly == {}


def test_how_long_frames_are_shown_does_not_hide_one(astronaut: BannedItem) -> None:
    frames = flashed(7, 16, "part")
    durations = [3000 if number % 2 else 20 for number in range(16)]
    durations[7] = 20
    found, _ = screened(animation(frames, durations))
    assert found.verdict == Verdict.BLOCK
    assert {match.frame for match in found.within} == {7}


def test_near_frames_of_a_stranger_pass(astronaut: BannedItem) -> None:
    found, looks = screened(animation(held(12)))
    assert found.verdict == Verdict.ALLOW
    assert looks == 1
    assert found.partly == {}


WIDE = wheel_photo("coffee.png").resize((900, 480))


def panned(count: int = 32, step: int = 8) -> list[Pillow.Image]:
    """A camera that moves to the right over a photograph, with noise in each frame."""
    random = np.random.default_rng(5)
    frames = []
    for number in range(count):
        left = number * step
        part = np.asarray(WIDE.crop((left, 100, left + SIZE[0], 100 + SIZE[1])))
        noise = random.normal(0, 2, (*part.shape[:2], 1))
        frames.append(Pillow.fromarray(np.clip(part + noise, 0, 255).astype(np.uint8)))
    return frames


def panned_with(at: int, edit: str) -> list[Pillow.Image]:
    frames = panned()
    width, height = SIZE
    if edit == "flash":
        frames[at] = banned("part")
    else:
        x = {"left": 0, "middle": width // 4, "right": width // 2}[edit]
        small = wheel_photo("astronaut.png").resize((width // 2, height // 2))
        frames[at].paste(small, (x, height // 4))
    return frames


@pytest.mark.slow
@pytest.mark.parametrize(
    ("at", "edit"), [(0, "flash"), (17, "flash"), (1, "left"), (17, "middle"), (30, "right")]
)
def test_one_banned_frame_of_a_pan_is_found(at: int, edit: str, astronaut: BannedItem) -> None:
    found, looks = screened(animation(panned_with(at, edit)))
    assert looks <= 12
    assert found.verdict == Verdict.BLOCK
    assert {match.item_id for match in found.within} == {astronaut.pk}
    assert found.partly == {}


def test_a_pan_over_a_banned_photograph_is_found(astronaut: BannedItem) -> None:
    whole = wheel_photo("astronaut.png").resize((512, 512))
    frames = [whole.crop((4 * n, 0, 4 * n + 320, 240)) for n in range(32)]
    found, looks = screened(animation(frames))
    assert looks <= 8
    assert found.verdict == Verdict.BLOCK


def test_a_pan_over_other_things_passes(astronaut: BannedItem) -> None:
    found, looks = screened(animation(panned()))
    assert found.verdict == Verdict.ALLOW
    assert looks <= 10
    assert found.partly == {}
