"""Sample pictures, drawn by this code: recognisable, all different, and the same in every run.

Each family draws a picture from a number. Some pictures have edited copies, as found on the web.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from gallery.shared.jpeg import encode_jpeg

SIZE = (640, 480)
EACH = 8
"""Pictures per family. Every second one has edited copies."""
TITLES = (
    *("Harbour at dawn", "Lost: grey cat", "Open today", "Menu of the week", "Mind the gap"),
    *("Spring sale", "Concert on Friday", "Please ring twice"),
)

Picture = Image.Image


@dataclass(frozen=True)
class Sample:
    """A picture's name, family, edit (or ""), and its bytes as a JPEG."""

    name: str
    family: str
    edit: str
    data: bytes


def samples() -> Iterator[Sample]:
    """Originals come before their copies."""
    for family, draw in FAMILIES.items():
        for number in range(EACH):
            picture = draw(number)
            name = f"{family}-{number + 1}"
            yield Sample(name, family, "", jpeg(picture, 90))
            if number % 2 == 0:
                for edit, (change, quality) in EDITS.items():
                    data = jpeg(change(picture), quality)
                    yield Sample(f"{name}-{edit}", family, edit, data)


def jpeg(picture: Picture, quality: int) -> bytes:
    return encode_jpeg(np.asarray(picture.convert("RGB")), quality)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Return x from −4/3 to 4/3 and y from −1 to 1 for each pixel."""
    width, height = SIZE
    x, y = np.meshgrid(np.linspace(-4 / 3, 4 / 3, width), np.linspace(-1, 1, height))
    return x, y


def _colours(values: np.ndarray, random: np.random.Generator) -> Picture:
    """Map numbers from 0 to 1 to the colours of a palette that cycles through RGB."""
    phase, turns = random.uniform(0, 1, 3), random.uniform(0.5, 1.2, 3)
    rgb = 0.5 + 0.5 * np.cos(2 * np.pi * (turns * values[..., np.newaxis] + phase))
    return Image.fromarray((rgb * 255).astype(np.uint8))


def gradient(number: int) -> Picture:
    """Draw a sunset: bands of the sky, a disc, hills in front."""
    random = np.random.default_rng([1, number])
    x, y = _grid()
    sky = _colours((y + 1) / 2 * 0.6, random)
    draw = ImageDraw.Draw(sky)
    centre = (int(random.integers(100, 540)), int(random.integers(80, 260)))
    radius = int(random.integers(25, 70))
    draw.ellipse([*(c - radius for c in centre), *(c + radius for c in centre)], fill="#ffe9a8")
    for depth in range(3):
        phases, waves = random.uniform(0, 6, 3), random.uniform(1, 5, 3)
        line = sum(np.sin(w * x[0] + p) for w, p in zip(waves, phases, strict=True))
        ridge = 300 + 50 * depth + 18 * line
        corners = [(0, 480), *((column, int(top)) for column, top in enumerate(ridge)), (640, 480)]
        shade = 90 - 28 * depth
        draw.polygon(corners, fill=(shade // 2, shade, shade // 2 + 20))
    return sky


def shapes(number: int) -> Picture:
    random = np.random.default_rng([2, number])
    picture = Image.new("RGB", SIZE, tuple(int(c) for c in random.integers(170, 256, 3)))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(random.integers(6, 14))):
        x, y = (int(random.integers(side)) for side in SIZE)
        radius = int(random.integers(20, 120))
        colour = tuple(int(c) for c in random.integers(0, 256, 3))
        sides = int(random.choice([3, 4, 6, 0]))
        if sides:
            turn = float(random.uniform(0, 90))
            draw.regular_polygon((x, y, radius), sides, rotation=turn, fill=colour)
        else:
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)
    return picture


def fractal(number: int) -> Picture:
    random = np.random.default_rng([3, number])
    x, y = _grid()
    z = 1.25 * (x + 1j * y)
    angle = 2 * np.pi * (number + 0.3) / EACH
    c = 0.7885 * np.exp(1j * angle)
    escape = np.zeros(z.shape)
    for _ in range(60):
        inside = np.abs(z) < 4
        z[inside] = z[inside] ** 2 + c
        escape += inside
    return _colours(np.sqrt(escape / 60), random)


def waves(number: int) -> Picture:
    random = np.random.default_rng([4, number])
    x, y = _grid()
    height = np.zeros(x.shape)
    for _ in range(3):
        at_x, at_y = random.uniform(-1.2, 1.2), random.uniform(-0.9, 0.9)
        height += np.sin(random.uniform(9, 26) * np.hypot(x - at_x, y - at_y))
    return _colours((height + 3) / 6, random)


def card(number: int) -> Picture:
    """Draw a notice: a title, lines of small print, a coloured frame."""
    random = np.random.default_rng([5, number])
    picture = Image.new("RGB", SIZE, "#fbf8ef")
    draw = ImageDraw.Draw(picture)
    colour = tuple(int(c) for c in random.integers(20, 180, 3))
    draw.rectangle([12, 12, 627, 467], outline=colour, width=int(random.integers(4, 22)))
    title = ImageFont.load_default(52)
    draw.text((320, 120), TITLES[number % len(TITLES)], font=title, fill=colour, anchor="mm")
    for line in range(int(random.integers(4, 9))):
        length, y = int(random.integers(180, 480)), 205 + 28 * line
        draw.rectangle([320 - length // 2, y, 320 + length // 2, y + 9], fill="#8a8578")
    return picture


def _cropped(picture: Picture) -> Picture:
    width, height = picture.size
    return picture.crop((width // 25, height // 25, width - width // 20, height - height // 20))


FAMILIES: Mapping[str, Callable[[int], Picture]] = {
    "sunset": gradient,
    "shapes": shapes,
    "fractal": fractal,
    "waves": waves,
    "card": card,
}
EDITS: Mapping[str, tuple[Callable[[Picture], Picture], int]] = {
    "cropped": (_cropped, 90),
    "recompressed": (lambda picture: picture.resize((400, 300)), 35),
    "mirrored": (ImageOps.mirror, 90),
}
