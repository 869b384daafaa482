"""Screenshots: the picture in a post on a phone, and in a viewer's window on a desktop."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from PIL import Image, ImageDraw

from benchmarks.recall.drawing import BLACK, NAMES, WHITE, Colour, Pixels, Random, font, words

PHONE = (540, 1170)
"""Half the width and height of a common phone in pixels."""
PHONE_PICTURE = 680
DESKTOP = (1280, 800)


def phone(rgb: Pixels, random: Random) -> Pixels:
    """Draw a post in a feed: status bar, header, author, picture at full width, buttons, text."""
    dark = random.random() < 0.4
    ground, ink = ((18, 18, 20), (235, 235, 235)) if dark else (WHITE, (25, 25, 25))
    width, height = PHONE
    page = Image.new("RGB", PHONE, ground)
    draw = ImageDraw.Draw(page)
    _status_bar(draw, random, ink)
    _header(draw, ink)
    name = str(random.choice(NAMES))
    hue = tuple(int(value) for value in random.integers(40, 220, 3))
    draw.ellipse((16, 112, 60, 156), fill=hue)
    draw.text((38, 134), name[0].upper(), WHITE, font(24), "mm")
    draw.text((72, 114), name, ink, font(19))
    draw.text((72, 137), f"{words(random, 2)} · {random.integers(2, 24)} h", (130,) * 3, font(15))
    for dot in range(3):
        draw.ellipse((500 + 9 * dot, 130, 504 + 9 * dot, 134), fill=ink)
    picture = _fitted(rgb, (width, PHONE_PICTURE))
    page.paste(Image.fromarray(picture), ((width - picture.shape[1]) // 2, 172))
    y = 172 + picture.shape[0] + 34
    _heart(draw, 34, y, ink)
    draw.ellipse((76, y - 13, 102, y + 12), outline=ink, width=3)
    draw.line((82, y + 10, 77, y + 17), ink, 3)
    draw.line((124, y + 12, 136, y - 13, 148, y + 12, 124, y + 12), ink, 3)
    draw.line((496, y - 14, 496, y + 13, 507, y + 3, 518, y + 13, 518, y - 14, 496, y - 14), ink, 3)
    y += 36
    draw.text((18, y), f"{random.integers(12, 9999):,} likes", ink, font(19))
    for line in range(1, min(9, (height - 110 - y) // 27)):
        start = f"{random.choice(NAMES)}  " if line in (1, 4) else ""
        draw.text((18, y + 27 * line), start + words(random, 5), ink, font(18))
    _tab_bar(draw, ground, ink)
    return np.asarray(page)


def _status_bar(draw: ImageDraw.ImageDraw, random: Random, ink: Colour) -> None:
    time = f"{random.integers(0, 24):02}:{random.integers(0, 60):02}"
    draw.text((26, 12), time, ink, font(19))
    for bar in range(4):
        draw.rectangle((408 + 7 * bar, 26 - 4 * bar, 412 + 7 * bar, 30), fill=ink)
    for ring in (4, 9, 14):
        draw.arc((458 - ring, 30 - ring, 458 + ring, 30 + ring), 225, 315, ink, 3)
    draw.rounded_rectangle((482, 14, 514, 31), 4, outline=ink, width=2)
    draw.rectangle((485, 17, 485 + int(random.integers(6, 26)), 28), fill=ink)
    draw.rectangle((515, 20, 518, 25), fill=ink)


def _header(draw: ImageDraw.ImageDraw, ink: Colour) -> None:
    draw.line((34, 60, 20, 74, 34, 88), ink, 4)
    draw.text((270, 74), "Photos", ink, font(24), "mm")
    draw.ellipse((488, 60, 508, 80), outline=ink, width=3)
    draw.line((505, 77, 516, 89), ink, 4)
    draw.line((0, 102, 540, 102), (150, 150, 150), 1)


def _heart(draw: ImageDraw.ImageDraw, x: int, y: int, ink: Colour) -> None:
    points = [(x, y + 13), (x - 14, y - 2), (x - 8, y - 12), (x, y - 5)]
    points += [(2 * x - a, b) for a, b in reversed(points[:-1])]
    for start, end in pairwise(points):
        draw.line((start, end), ink, 3)


def _tab_bar(draw: ImageDraw.ImageDraw, ground: Colour, ink: Colour) -> None:
    draw.rectangle((0, 1076, 540, 1170), fill=ground)
    draw.line((0, 1076, 540, 1076), (150, 150, 150), 1)
    draw.polygon([(40, 1106), (56, 1092), (72, 1106), (72, 1124), (40, 1124)], outline=ink, width=3)
    draw.ellipse((146, 1094, 168, 1116), outline=ink, width=3)
    draw.line((165, 1113, 175, 1123), ink, 3)
    draw.rounded_rectangle((255, 1093, 285, 1123), 7, outline=ink, width=3)
    draw.line((270, 1100, 270, 1117), ink, 3)
    draw.line((262, 1108, 278, 1108), ink, 3)
    draw.polygon([(366, 1095), (366, 1122), (390, 1108)], outline=ink, width=3)
    draw.ellipse((472, 1094, 502, 1124), fill=(150, 120, 90))
    draw.rounded_rectangle((180, 1150, 360, 1156), 3, fill=ink)


def desktop(rgb: Pixels, random: Random, wallpaper: Pixels) -> Pixels:
    """Draw a viewer's window over a wallpaper with icons, above a task bar."""
    width, height = DESKTOP
    page = Image.fromarray(cv2.resize(wallpaper, DESKTOP, interpolation=cv2.INTER_AREA))
    draw = ImageDraw.Draw(page)
    for icon in range(4):
        hue = tuple(int(value) for value in random.integers(40, 220, 3))
        draw.rounded_rectangle((24, 24 + 96 * icon, 72, 72 + 96 * icon), 8, fill=hue)
        draw.text((48, 84 + 96 * icon), words(random, 1), WHITE, font(14), "mm")
    w, h = int(random.integers(700, 880)), int(random.integers(520, 650))
    x, y = int(random.integers(110, width - w - 20)), int(random.integers(20, height - h - 60))
    draw.rectangle((x + 6, y + 8, x + w + 6, y + h + 8), fill=(30, 30, 30))
    draw.rectangle((x, y, x + w, y + h), fill=(243, 243, 243), outline=(120, 120, 120))
    draw.rectangle((x, y, x + w, y + 30), fill=(58, 92, 140))
    title = f"{words(random, 1)}_{random.integers(1000, 9999)}.jpg - Picture Viewer"
    draw.text((x + 12, y + 6), title, WHITE, font(15))
    draw.line((x + w - 96, y + 17, x + w - 84, y + 17), WHITE, 2)
    draw.rectangle((x + w - 62, y + 10, x + w - 50, y + 21), outline=WHITE, width=2)
    draw.line((x + w - 28, y + 9, x + w - 16, y + 21), WHITE, 2)
    draw.line((x + w - 16, y + 9, x + w - 28, y + 21), WHITE, 2)
    for place, entry in enumerate(("File", "Edit", "View", "Image", "Tools", "Help")):
        draw.text((x + 12 + 58 * place, y + 36), entry, BLACK, font(15))
    draw.rectangle((x + 1, y + 60, x + w - 16, y + h - 26), fill=(52, 52, 52))
    draw.rectangle((x + w - 15, y + 60, x + w - 1, y + h - 26), fill=(215, 215, 215))
    draw.rectangle((x + w - 13, y + 90, x + w - 3, y + 210), fill=(160, 160, 160))
    picture = _fitted(rgb, (w - 18, h - 88))
    room_x, room_y = w - 17 - picture.shape[1], h - 87 - picture.shape[0]
    page.paste(Image.fromarray(picture), (x + 1 + room_x // 2, y + 60 + room_y // 2))
    state = f"{rgb.shape[1]} x {rgb.shape[0]} pixels    {random.integers(40, 100)} %"
    draw.text((x + 10, y + h - 22), state, BLACK, font(13))
    _task_bar(draw, random)
    return np.asarray(page)


def _task_bar(draw: ImageDraw.ImageDraw, random: Random) -> None:
    width, height = DESKTOP
    draw.rectangle((0, height - 40, width, height), fill=(32, 36, 44))
    for square in range(4):
        left, top = 14 + 11 * (square % 2), height - 30 + 11 * (square // 2)
        draw.rectangle((left, top, left + 9, top + 9), fill=(90, 170, 240))
    draw.rounded_rectangle((56, height - 33, 300, height - 7), 6, fill=(60, 66, 76))
    draw.text((70, height - 29), "Type here to search", (190, 190, 190), font(14))
    for icon in range(6):
        hue = tuple(int(value) for value in random.integers(60, 255, 3))
        left = 320 + 44 * icon
        draw.rounded_rectangle((left, height - 32, left + 24, height - 8), 5, fill=hue)
    time = f"{random.integers(0, 24):02}:{random.integers(0, 60):02}"
    draw.text((width - 70, height - 29), time, WHITE, font(16))


def _fitted(rgb: Pixels, room: tuple[int, int]) -> Pixels:
    height, width = rgb.shape[:2]
    scale = min(room[0] / width, room[1] / height)
    size = max(1, min(room[0], round(width * scale))), max(1, min(room[1], round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, size, interpolation=method), np.uint8)
