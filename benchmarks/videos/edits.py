"""Edits of footage before it is searched for. Each edit is the same for all frames."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageDraw

from benchmarks.recall.drawing import BLACK, WHITE, Pixels, Random, font, words

Edit = Callable[[Pixels], Pixels]

MARGIN, BAR = 0.05, 0.11
"""Sizes of a player's page, relative to the picture's height."""


def sized(rgb: Pixels, *, height: int = 0, width: int = 0) -> Pixels:
    scale = min(1.0, height / rgb.shape[0] if height else width / rgb.shape[1])
    size = max(2, round(rgb.shape[1] * scale)), max(2, round(rgb.shape[0] * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def halved(rgb: Pixels) -> Pixels:
    return sized(rgb, height=max(2, rgb.shape[0] // 2))


def mirrored(rgb: Pixels) -> Pixels:
    return np.ascontiguousarray(rgb[:, ::-1])


def cropper(share: float) -> Edit:
    """Return an edit that cuts ``share`` of width and height off each side."""

    def cropped(rgb: Pixels) -> Pixels:
        height, width = rgb.shape[:2]
        x, y = round(share * width), round(share * height)
        return np.ascontiguousarray(rgb[y : height - y, x : width - x])

    return cropped


def letterboxer(random: Random) -> Edit:
    """Return an edit that adds black bars of 10 to 20 % above and below, or left and right."""
    share, upright = random.uniform(0.1, 0.2), random.random() < 0.7

    def letterboxed(rgb: Pixels) -> Pixels:
        bar = round(share * rgb.shape[0 if upright else 1])
        return np.pad(
            rgb, ((bar, bar), (0, 0), (0, 0)) if upright else ((0, 0), (bar, bar), (0, 0))
        )

    return letterboxed


def player(random: Random) -> Edit:
    """Return an edit that draws a page with heading, picture with subtitle, and player controls."""
    dark, over = random.random() < 0.6, random.random() < 0.5
    played, heading, subtitle = random.random(), words(random, 4), words(random, 5)
    ground, ink = ((24, 24, 26), (225, 225, 225)) if dark else ((246, 246, 246), (40, 40, 40))

    def framed(rgb: Pixels) -> Pixels:
        height, width = rgb.shape[:2]
        margin, bar = round(MARGIN * height), max(18, round(BAR * height))
        below = 0 if over else bar
        page = Image.new("RGB", (width + 2 * margin, height + below + bar + 2 * margin), ground)
        page.paste(Image.fromarray(rgb), (margin, margin + bar))
        draw = ImageDraw.Draw(page)
        draw.text((margin, margin // 2), heading, ink, font(round(0.6 * bar)))
        bottom = margin + bar + height
        _subtitle(draw, subtitle, (margin + width // 2, bottom - 1.6 * bar), bar)
        _controls(draw, (margin, bottom - (bar if over else 0)), (width, bar), played)
        return np.asarray(page)

    return framed


def _subtitle(draw: ImageDraw.ImageDraw, text: str, place: tuple[float, float], bar: int) -> None:
    size = round(0.6 * bar)
    draw.text(
        place, text, WHITE, font(size), "mm", stroke_width=max(1, size // 9), stroke_fill=BLACK
    )


def _controls(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], size: tuple[int, int], played: float
) -> None:
    (x, y), (width, height) = corner, size
    draw.rectangle((x, y, x + width, y + height), fill=(18, 18, 18))
    middle, unit = y + height // 2, max(3, height // 6)
    draw.polygon(
        [(x + unit, middle - 2 * unit), (x + unit, middle + 2 * unit), (x + 4 * unit, middle)],
        fill=WHITE,
    )
    left, right = x + 7 * unit, x + width - 3 * unit
    at = round(left + played * (right - left))
    draw.rectangle((left, middle - 1, right, middle + 1), fill=(110, 110, 110))
    draw.rectangle((left, middle - 1, at, middle + 1), fill=(220, 40, 40))
    draw.ellipse((at - unit, middle - unit, at + unit, middle + unit), fill=(220, 40, 40))
