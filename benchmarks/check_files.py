"""Files to check, a new one each time, because the service caches recent answers."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageCms

from gallery.imaging.decoding.icc_profiles import profile_of_cicp

Pixels = NDArray[np.uint8]

PHOTOGRAPHS: Final = (
    *("astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "ihc.png"),
    *("motorcycle_left.png", "retina.jpg", "rocket.jpg"),
)
MEGAPIXELS_4: Final = (2304, 1728)
SMALL: Final = (640, 480)
RGBA: Final = (1200, 900)
GIF: Final = (480, 360)
GIF_FRAMES: Final = 20
LONG_GIF_FRAMES: Final = 64
HELD: Final = 8
"""Frames for which a photograph is held in an animation that holds several."""
CLIP: Final = (1920, 1080)
CLIP_SECONDS, CLIP_RATE, SCENE_SECONDS = 10, 25, 2
DISPLAY_P3: Final = (12, 13)
"""The numbers of its primaries and its transfer curve in video standards."""


def photograph(number: int, size: tuple[int, int]) -> Pixels:
    """Return part of a photograph of scikit-image, enlarged, with noise as from a camera."""
    random = np.random.default_rng(number)
    path = Path(skimage.data.__file__).parent / PHOTOGRAPHS[number % len(PHOTOGRAPHS)]
    whole = np.asarray(Image.open(path).convert("RGB"))
    height, width = whole.shape[:2]
    share = random.uniform(0.7, 0.95)
    rows = int(share * min(height, width * size[1] / size[0]))
    columns = rows * size[0] // size[1]
    top, left = (int(random.integers(0, 1 + n)) for n in (height - rows, width - columns))
    part = cv2.resize(
        whole[top : top + rows, left : left + columns], size, interpolation=cv2.INTER_CUBIC
    )
    grain = random.normal(0, 4, (size[1], size[0], 1))
    return np.clip(part + grain, 0, 255).astype(np.uint8)


def _jpeg(number: int, size: tuple[int, int], icc: bytes | None = None) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(photograph(number, size))
    image.save(out, "JPEG", quality=88, **({"icc_profile": icc} if icc else {}))
    return out.getvalue()


def _srgb() -> bytes:
    return bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def _p3() -> bytes:
    found = profile_of_cicp(*DISPLAY_P3)
    assert found
    return found


def _rgba(number: int) -> bytes:
    width, height = RGBA
    alpha = np.clip(np.minimum(np.arange(width), np.arange(width)[::-1]) * 4, 0, 255)
    layers = np.dstack([photograph(number, RGBA), np.tile(alpha.astype(np.uint8), (height, 1))])
    out = io.BytesIO()
    Image.fromarray(layers, "RGBA").save(out, "PNG", compress_level=1)
    return out.getvalue()


def _panned(number: int, count: int = GIF_FRAMES) -> bytes:
    """Return an animation that pans over a photograph."""
    width, height = GIF
    whole = photograph(number, (width + 8 * count, height))
    return _gif([whole[:, 8 * step : 8 * step + width] for step in range(count)])


def _held(number: int) -> bytes:
    """Return an animation that holds several photographs, with noise of its own in each frame."""
    random = np.random.default_rng(number)
    frames = []
    for scene in range(LONG_GIF_FRAMES // HELD):
        shown = photograph(100 * number + scene, GIF)
        noise = random.normal(0, 3, (HELD, GIF[1], GIF[0], 1))
        frames += [np.clip(shown + one, 0, 255).astype(np.uint8) for one in noise]
    return _gif(frames)


def _gif(frames: Sequence[Pixels]) -> bytes:
    first, *others = (
        Image.fromarray(frame).quantize(128, Image.Quantize.FASTOCTREE) for frame in frames
    )
    out = io.BytesIO()
    first.save(out, "GIF", save_all=True, append_images=others, duration=80, loop=0)
    return out.getvalue()


def _clip(number: int) -> bytes:
    out = io.BytesIO()
    width, height = CLIP
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=CLIP_RATE, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for scene in range(CLIP_SECONDS // SCENE_SECONDS):
            steps = SCENE_SECONDS * CLIP_RATE
            whole = photograph(10 * number + scene, (width + 4 * steps, height))
            for step in range(steps):
                shown = np.ascontiguousarray(whole[:, 4 * step : 4 * step + width])
                file.mux(stream.encode(av.VideoFrame.from_ndarray(shown, "rgb24")))
        file.mux(stream.encode())
    return out.getvalue()


Maker = Callable[[int], bytes]

KINDS: Final[Mapping[str, tuple[str, int, Maker]]] = {
    "photograph of 4 MP": ("jpg", 3, lambda n: _jpeg(n, MEGAPIXELS_4)),
    "the same with the profile of sRGB": ("jpg", 3, lambda n: _jpeg(n, MEGAPIXELS_4, _srgb())),
    "the same with Display P3": ("jpg", 3, lambda n: _jpeg(n, MEGAPIXELS_4, _p3())),
    "JPEG of 640 × 480": ("jpg", 6, lambda n: _jpeg(n, SMALL)),
    "PNG of 1 MP, transparent": ("png", 3, _rgba),
    "GIF of 20 frames": ("gif", 2, _panned),
    "GIF of 64 frames, 8 pictures": ("gif", 1, _held),
    "GIF of 64 frames, all differ": ("gif", 1, lambda n: _panned(n, LONG_GIF_FRAMES)),
    "clip of 10 s, 1080p": ("mp4", 1, _clip),
}
"""Kind → file name ending, files per round, and the function that makes the n-th file."""


def made(rounds: int, only: str = "") -> Iterator[tuple[str, list[list[bytes]]]]:
    """Yield each kind with the files of each round. No two kinds show the same picture.

    ``only``: the kinds with this text in their name.
    """
    for place, (kind, (_, each, make)) in enumerate(KINDS.items(), 1):
        if only not in kind:
            continue
        # Such a file has more frames than the cache holds, and takes seconds to make.
        distinct = 2 if each == 1 else rounds * each
        first = 1000 * place
        files = [make(first + number) for number in range(min(distinct, rounds * each))]
        yield (
            kind,
            [
                [files[(each * round + n) % len(files)] for n in range(each)]
                for round in range(rounds)
            ],
        )
