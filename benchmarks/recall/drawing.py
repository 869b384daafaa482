"""Text, marks and surrounding pictures, drawn with Pillow and its own font."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
Random = np.random.Generator
Colour = tuple[int, int, int]

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
WORDS = (
    *("when", "nobody", "morning", "found", "coffee", "again", "finally", "Monday", "summer"),
    *("holiday", "really", "happens", "garden", "people", "never", "funny", "cannot", "believe"),
    *("weather", "window", "yesterday", "market", "look", "this", "where", "every", "paper"),
)
NAMES = ("some.body", "north_sea", "mira_k", "photo.feed", "old_town", "anton77", "the.gardener")


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return Pillow's own font, so that every machine draws the same."""
    found = ImageFont.load_default(max(6, size))
    if not isinstance(found, ImageFont.FreeTypeFont):
        raise RuntimeError("This Pillow was built without FreeType: install its wheel from PyPI.")
    return found


def words(random: Random, count: int) -> str:
    return " ".join(random.choice(WORDS, count)).capitalize()


def colour(random: Random) -> Colour:
    """Return black or white with probability 2/3, otherwise any colour."""
    kind = int(random.integers(3))
    if kind < 2:
        return WHITE if kind else BLACK
    red, green, blue = (int(value) for value in random.integers(0, 256, 3))
    return red, green, blue


def caption(rgb: Pixels, random: Random) -> Pixels:
    """Add a white bar with two lines of black text above the picture."""
    height, width = rgb.shape[:2]
    size = max(10, width // 16)
    bar = round(size * 3.4)
    page = Image.new("RGB", (width, height + bar), WHITE)
    page.paste(Image.fromarray(rgb), (0, bar))
    draw = ImageDraw.Draw(page)
    for line in range(2):
        text = words(random, 4)
        draw.text((size // 2, size * (0.5 + 1.3 * line)), text, BLACK, font(size))
    return np.asarray(page)


def big_text(rgb: Pixels, random: Random, lines: int = 3) -> Pixels:
    """Draw outlined capitals across the picture, each line nearly as wide as the picture."""
    page = Image.fromarray(rgb)
    draw = ImageDraw.Draw(page)
    width, height = page.size
    for line in range(lines):
        text = words(random, 2).upper()
        size = int(min(0.24 * height, 24 * 0.9 * width / draw.textlength(text, font(24))))
        y = height * (line + 0.5) / lines
        stroke = max(1, size // 14)
        draw.text(
            (width / 2, y), text, WHITE, font(size), "mm", stroke_width=stroke, stroke_fill=BLACK
        )
    return np.asarray(page)


def logo(rgb: Pixels, random: Random) -> Pixels:
    """Draw a slightly transparent badge with two letters in a corner, a fifth of the short side."""
    page = Image.fromarray(rgb).convert("RGBA")
    side = max(12, min(page.size) // 5)
    badge = Image.new("RGBA", (side, side))
    draw = ImageDraw.Draw(badge)
    ground = tuple(int(value) for value in random.integers(0, 256, 3))
    draw.rounded_rectangle((0, 0, side - 1, side - 1), side // 4, (*ground, 225))
    draw.ellipse((side * 0.1, side * 0.1, side * 0.9, side * 0.9), outline=WHITE, width=side // 16)
    letters = words(random, 1)[:2].upper()
    draw.text((side / 2, side / 2), letters, WHITE, font(side // 2), "mm")
    margin = side // 5
    x = margin if random.random() < 0.5 else page.width - side - margin
    y = margin if random.random() < 0.5 else page.height - side - margin
    page.alpha_composite(badge, (x, y))
    return np.asarray(page.convert("RGB"))


def collage(rgb: Pixels, random: Random, others: list[Pixels]) -> Pixels:
    """Return four cells of equal size, in random order, each filled with a stretched picture."""
    width, height = 384, 288
    out = np.zeros((2 * height, 2 * width, 3), np.uint8)
    for place, part in zip(random.permutation(4).tolist(), [rgb, *others[:3]], strict=True):
        y, x = place // 2 * height, place % 2 * width
        out[y : y + height, x : x + width] = cv2.resize(
            part, (width, height), interpolation=cv2.INTER_AREA
        )
    return out


def picture_in_picture(rgb: Pixels, random: Random, background: Pixels, share: float) -> Pixels:
    """Put the picture at a random place on another one, ``share`` as wide and as high."""
    width, height = 1000, 700
    out = cv2.resize(background, (width, height), interpolation=cv2.INTER_AREA)
    w, h = round(share * width), round(share * height)
    x, y = int(random.integers(width - w + 1)), int(random.integers(height - h + 1))
    out[y : y + h, x : x + w] = cv2.resize(rgb, (w, h), interpolation=cv2.INTER_AREA)
    return np.asarray(out, np.uint8)
