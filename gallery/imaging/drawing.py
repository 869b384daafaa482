"""Draws two pictures side by side with their shared region marked."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.imaging.regions import Region
from gallery.shared.jpeg import Quality, encode_jpeg

_PANEL = 480
_MARGIN = 12
_PAGE = (255, 255, 255)
_OUTLINE = (255, 0, 128)
# Okabe and Ito's colours, which colour-blind people can distinguish, too.
_CORNERS = (
    *((0, 114, 178), (240, 228, 66), (0, 158, 115), (213, 94, 0)),
    *((86, 180, 233), (230, 159, 0), (204, 121, 167), (0, 0, 0)),
)
_SHADE = (42.0, 46.0, 54.0)
_SUBPIXEL_BITS = 4


def side_by_side(
    left_rgb: NDArray[np.uint8],
    left_region: Region,
    right_rgb: NDArray[np.uint8],
    right_region: Region,
) -> bytes:
    """Return a JPEG of two pictures, height × width × 3, a region of each outlined and the rest
    dimmed.

    Dots of the same colour mark the same corner in both, which shows turns and mirroring.
    """
    panels = ((_fitted(left_rgb), left_region), (_fitted(right_rgb), right_region))
    height = max(len(panel) for panel, _ in panels) + 2 * _MARGIN
    width = sum(panel.shape[1] for panel, _ in panels) + 4 * _MARGIN
    page = np.full((height, width, 3), _PAGE, np.uint8)
    left = _MARGIN
    for panel, region in panels:
        tall, wide = panel.shape[:2]
        top = (height - tall) // 2
        part = page[top : top + tall, left : left + wide]
        corners = np.array(region) * (wide, tall) + (left, top)
        part[:] = panel
        _mark(page, part, _fixed(corners - (left, top)), _fixed(corners))
        left += wide + 2 * _MARGIN
    return encode_jpeg(page, Quality.COMPARISON)


def _fitted(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    scale = _PANEL / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, size, interpolation=method), np.uint8)


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Convert to OpenCV's fixed-point numbers, in which integers are the centres of pixels."""
    return np.asarray(np.rint((points - 0.5) * 2**_SUBPIXEL_BITS), np.int32)


def _mark(
    page: NDArray[np.uint8],
    panel: NDArray[np.uint8],
    corners_in_panel: NDArray[np.int32],
    corners: NDArray[np.int32],
) -> None:
    """``panel`` is a view of ``page``."""
    inside = np.zeros(panel.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, corners_in_panel, 1, cv2.LINE_8, _SUBPIXEL_BITS)
    panel[inside == 0] = _dimmed(panel)[inside == 0]
    for colour, thickness in ((_PAGE, 5), (_OUTLINE, 2)):
        cv2.polylines(page, [corners], True, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    for corner, colour in zip(corners.tolist(), _CORNERS, strict=False):
        for radius, fill in ((8, _PAGE), (6, colour)):
            circle = corner, radius << _SUBPIXEL_BITS, fill
            cv2.circle(page, *circle, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)


def _dimmed(rgb: NDArray[Any]) -> NDArray[np.uint8]:
    """Not black, so that black pictures have a visible edge, too."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None]
    return np.asarray(grey * 0.35 + _SHADE, np.uint8)
