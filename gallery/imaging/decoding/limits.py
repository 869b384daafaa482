"""Limits of pictures, and the errors for pictures that are not accepted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gallery.shared.errors import UserError

MAX_SIDE: Final = 65_535  # JPEG's own limit; Pillow's BMP reader allocates up to 255 rows at once.


class NotAnImage(UserError):
    """Not a picture, or a damaged one. ``format``: the format that the magic bytes claim."""

    code = "not_an_image"

    def __init__(self, message: str, *, format: str | None = None) -> None:
        super().__init__(message)
        self.format = format


class TooLarge(UserError):
    """The picture exceeds a limit (bytes, pixels, frames, scans)."""

    code = "image_too_large"


class TooMuchMemory(TooLarge):
    """The reader asked for more memory than it may have, more than the header announced."""

    def __init__(self) -> None:
        super().__init__("Decoding the picture needs too much memory; send a smaller version.")


class TooSlow(TooLarge):
    """Decoding the picture takes too long."""

    code = "image_too_slow"


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """``max_pixels`` is of one frame, ``max_total_pixels`` of all frames.

    ``cpu_seconds``: processor time for decoding ``max_pixels``; files with more pixels in all
    frames get more. ``memory_bytes``: for decoding one file.
    """

    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 64_000_000
    max_frames: int = 5_000
    max_total_pixels: int = 512_000_000
    cpu_seconds: int = 30
    memory_bytes: int = 2 * 2**30


def check_bytes(data: bytes, limits: PictureLimits) -> None:
    if len(data) > limits.max_bytes:
        raise TooLarge(
            f"The file has {len(data):,} bytes, more than the {limits.max_bytes:,} accepted; "
            "send a smaller version."
        )


def check_size(size: tuple[int, int], limits: PictureLimits) -> None:
    """Check the pixels of one frame. Raises TooLarge."""
    width, height = size
    if width * height > limits.max_pixels or max(size) > MAX_SIDE:
        raise TooLarge(
            f"The picture has {width:,} × {height:,} pixels; at most {limits.max_pixels:,} pixels "
            f"and {MAX_SIDE:,} a side are accepted. Send a smaller version."
        )


def check_frames(count: int, pixels: int, limits: PictureLimits) -> None:
    """Check the number and pixels of all frames. Raises TooLarge."""
    if count > limits.max_frames or pixels > limits.max_total_pixels:
        raise TooLarge(
            f"The file has more than {limits.max_frames:,} frames or pages, or more than "
            f"{limits.max_total_pixels:,} pixels in all; send a shorter or smaller version."
        )
