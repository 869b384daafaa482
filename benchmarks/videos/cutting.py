"""Films: longer videos cut from the packages' clips and from pictures, panned and zoomed.

Films come in series of two episodes that look alike: the same opening, and many pictures of the
first episode filmed again with other camera moves. No other series has the same content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image, ImageDraw

from benchmarks.recall.drawing import Pixels, Random, font, words
from benchmarks.videos import footage

FORMATS = ((640, 360), (640, 360), (480, 360), (640, 272), (360, 640))
RATES = (25, 30, 24)
OPENING_SECONDS = 4.0
TITLE_SECONDS = 2.5
SHOT_SECONDS = (3.0, 9.0)
FADE_SECONDS = 0.5
SEEN_AGAIN = 0.6
"""Share of the first episode's pictures that the second one shows too."""
FADED = 0.15
"""Share of the shots with a fade-in."""
BARS = 0.15
"""Share of the films with black bars above and below."""
OPTIONS = {"crf": "23", "preset": "veryfast", "g": "50"}

Box = tuple[float, float, float]
"""Centre x, y and width of the visible part, as shares of the maximum."""


@dataclass(frozen=True)
class Shot:
    """Show ``what`` for ``seconds``: a picture by key from box ``begin`` to box ``end``, a clip by
    key from ``start``, words on black, or nothing."""

    kind: Literal["picture", "clip", "title", "black"]
    what: str
    seconds: float
    begin: Box = (0.5, 0.5, 1.0)
    end: Box = (0.5, 0.5, 1.0)
    start: float = 0.0
    faded: bool = False


@dataclass(frozen=True)
class Plan:
    series: str
    width: int
    height: int
    rate: int
    bar: int
    shots: tuple[Shot, ...]

    @property
    def name(self) -> str:
        return hashlib.sha256(json.dumps([asdict(self), OPTIONS]).encode()).hexdigest()

    @property
    def seconds(self) -> float:
        return sum(round(shot.seconds * self.rate) for shot in self.shots) / self.rate


def plans(
    series: str, pictures: Sequence[str], clips: Sequence[tuple[str, float]], random: Random
) -> list[Plan]:
    """Plan two episodes of these pictures (keys) and clips (keys and seconds). Each is used once,
    some pictures in both episodes."""
    width, height = FORMATS[random.integers(len(FORMATS))]
    bar = round(height * random.uniform(0.08, 0.13)) if random.random() < BARS else 0
    rate = int(random.choice(RATES))
    opening = _picture(pictures[0], random, OPENING_SECONDS)
    first = list(pictures[1 : 1 + round((len(pictures) - 1) / (2 - SEEN_AGAIN))])
    again = [str(key) for key in random.permutation(first)[: round(SEEN_AGAIN * len(first))]]
    second = [*again, *pictures[1 + len(first) :]]
    found = []
    for number, keys in enumerate((first, second)):
        shots = [_picture(key, random) for key in keys]
        shots += [_excerpt(key, seconds, random) for key, seconds in clips[number::2]]
        order = [shots[i] for i in random.permutation(len(shots))]
        middle = len(order) // 2
        title = Shot("title", f"{words(random, 2)} {number + 1}", TITLE_SECONDS)
        black = Shot("black", "", float(random.uniform(0.8, 2.5)))
        whole = (opening, title, *order[:middle], black, *order[middle:])
        found.append(Plan(series, width, height, rate, bar, whole))
    return found


def _picture(key: str, random: Random, seconds: float | None = None) -> Shot:
    begin, end = random_box(random), random_box(random)
    length = float(random.uniform(*SHOT_SECONDS)) if seconds is None else seconds
    return Shot("picture", key, length, begin, end, faded=bool(random.random() < FADED))


def random_box(random: Random) -> Box:
    x, y, width = random.uniform((0, 0, 0.55), (1, 1, 0.95))
    return float(x), float(y), float(width)


def _excerpt(key: str, seconds: float, random: Random) -> Shot:
    length = min(seconds, float(random.uniform(*SHOT_SECONDS)))
    start = float(random.uniform(0, seconds - length))
    return Shot("clip", key, length, start=start, faded=bool(random.random() < FADED))


def render(
    plan: Plan, path: Path, picture: Callable[[str], Pixels], clip: Callable[[str], Path]
) -> None:
    """Write the film. ``picture`` and ``clip`` return the content for a key."""
    fresh = path.with_suffix(".fresh.mp4")
    with fresh.open("w+b") as file:
        footage.encode(_frames(plan, picture, clip), plan.rate, file, OPTIONS)
    fresh.rename(path)


def _frames(
    plan: Plan, picture: Callable[[str], Pixels], clip: Callable[[str], Path]
) -> Iterator[Pixels]:
    last: Pixels | None = None
    for shot in plan.shots:
        count = round(shot.seconds * plan.rate)
        fading = round(FADE_SECONDS * plan.rate) if shot.faded else 0
        before = last
        for number, rgb in enumerate(_shot(shot, plan, count, picture, clip)):
            if before is not None and number < fading:
                share = (number + 1) / (fading + 1)
                rgb = np.asarray(cv2.addWeighted(rgb, share, before, 1 - share, 0), np.uint8)
            last = rgb
            yield np.pad(rgb, ((plan.bar, plan.bar), (0, 0), (0, 0))) if plan.bar else rgb


def _shot(
    shot: Shot,
    plan: Plan,
    count: int,
    picture: Callable[[str], Pixels],
    clip: Callable[[str], Path],
) -> Iterator[Pixels]:
    size = plan.width, plan.height - 2 * plan.bar
    if shot.kind == "picture":
        yield from pan(picture(shot.what), size, shot.begin, shot.end, count)
    elif shot.kind == "clip":
        times = [shot.start + number / plan.rate for number in range(count)]
        yield from (filled(rgb, size) for rgb in footage.shown(clip(shot.what), times))
    else:
        yield from [card(shot.what, size)] * count


def pan(rgb: Pixels, size: tuple[int, int], begin: Box, end: Box, count: int) -> Iterator[Pixels]:
    """Yield the frames of a pan over a picture, slow at both ends; ``size``: width, height."""
    height, width = rgb.shape[:2]
    fit = min(width / size[0], height / size[1])
    for number in range(count):
        share = number / max(1, count - 1)
        eased = share * share * (3 - 2 * share)
        x, y, part = ((1 - eased) * np.array(begin) + eased * np.array(end)).tolist()
        scale = fit * part
        left = x * (width - scale * size[0])
        top = y * (height - scale * size[1])
        matrix = np.array([[scale, 0, left], [0, scale, top]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(rgb, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        yield np.asarray(moved, np.uint8)


def card(text: str, size: tuple[int, int]) -> Pixels:
    page = Image.new("RGB", size)
    ImageDraw.Draw(page).text(
        (size[0] / 2, size[1] / 2), text, (235,) * 3, font(size[1] // 12), "mm"
    )
    return np.asarray(page)


def filled(rgb: Pixels, size: tuple[int, int]) -> Pixels:
    """Scale the picture until it covers ``size``, and cut out its middle."""
    height, width = rgb.shape[:2]
    scale = max(size[0] / width, size[1] / height)
    large = max(size[0], round(width * scale)), max(size[1], round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    whole = cv2.resize(rgb, large, interpolation=method)
    x, y = (large[0] - size[0]) // 2, (large[1] - size[1]) // 2
    return np.asarray(whole[y : y + size[1], x : x + size[0]], np.uint8)
