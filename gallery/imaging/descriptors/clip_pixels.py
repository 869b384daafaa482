"""Resizes and crops pictures for a CLIP model, to the pixels that open_clip makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from gallery.imaging.pixels import Pixels

FILTERS: Final = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
MODES: Final = ("shortest", "squash")


@dataclass(frozen=True)
class Preparation:
    """``side``: of the square that the model reads. ``mode``: ``shortest`` crops the middle out of
    a picture whose shorter side was made to fit, ``squash`` does not keep proportions."""

    side: int
    mode: str
    interpolation: str

    def square(self, rgb: Pixels) -> Pixels:
        """Return uint8 side×side×3 of uint8 H×W×3."""
        height, width = rgb.shape[:2]
        size = (self.side, self.side)
        if self.mode == "shortest":
            shorter = min(width, height)
            size = (width * self.side // shorter, height * self.side // shorter)
        resized = Image.fromarray(rgb).resize(size, FILTERS[self.interpolation])
        left, top = (round((length - self.side) / 2) for length in size)
        return np.asarray(resized.crop((left, top, left + self.side, top + self.side)))
