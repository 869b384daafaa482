"""Sample videos: a camera pans and zooms over the sample pictures. The same in every run."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import av
import cv2
import numpy as np

from gallery.imaging.pixels import Pixels
from gallery.management.demo_pictures import FAMILIES

SIZE = (640, 360)
RATE = 25
SHOT_SECONDS = 2.5
Camera = tuple[float, float, float]
"""Position x and y from 0 to 1, and the share of the picture in view."""


@dataclass(frozen=True)
class Shot:
    """A picture, by family and number, and how the camera moves over it."""

    family: str
    number: int
    start: Camera
    end: Camera


LANDSCAPE = Shot("sunset", 0, (0.0, 0.3, 0.55), (1.0, 0.6, 0.55))
POSTER = Shot("shapes", 1, (0.5, 0.5, 0.95), (0.7, 0.4, 0.45))
WATER = Shot("waves", 0, (0.9, 0.1, 0.5), (0.1, 0.9, 0.8))
VIDEOS = {
    "tour": (
        LANDSCAPE,
        POSTER,
        Shot("fractal", 1, (0.2, 0.5, 0.4), (0.5, 0.5, 0.9)),
        WATER,
        Shot("card", 0, (0.5, 0.0, 0.7), (0.5, 0.8, 0.7)),
    ),
    "trailer": (WATER, Shot("sunset", 1, (1.0, 0.5, 0.6), (0.0, 0.5, 0.6)), POSTER),
}
"""The shots of each video. The trailer shows parts of the tour."""


def footage(name: str) -> Iterator[Pixels]:
    for shot in VIDEOS[name]:
        yield from _frames(shot)


def mp4(name: str) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=RATE)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        # One thread, so that the bytes are the same on every machine.
        stream.options = {"preset": "veryfast", "crf": "26", "threads": "1"}
        for rgb in footage(name):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        file.mux(stream.encode(None))
    return out.getvalue()


def _frames(shot: Shot) -> Iterator[Pixels]:
    picture = np.asarray(FAMILIES[shot.family](shot.number))
    height, width = picture.shape[:2]
    for at in np.linspace(0, 1, round(SHOT_SECONDS * RATE)):
        x, y, part = np.asarray(shot.start) + at * np.subtract(shot.end, shot.start)
        unit = part * min(width / SIZE[0], height / SIZE[1])
        left, top = x * (width - unit * SIZE[0]), y * (height - unit * SIZE[1])
        matrix = np.array([[unit, 0, left], [0, unit, top]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        yield np.asarray(cv2.warpAffine(picture, matrix, SIZE, flags=flags), np.uint8)
