"""A Pillow reader for JPEG XL. It reads the header, so limits are checked before libjxl decodes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from gallery.imaging.decoding.containers import boxes

CODESTREAM: Final = b"\xff\x0a"
CONTAINER: Final = b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a"
_RATIOS: Final = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIDE_BITS: Final = (9, 13, 18, 30)
_HEADER_BYTES: Final = 64


class JxlImageFile(ImageFile.ImageFile):
    """A still picture. Animations are refused, because the header does not state their size."""

    format = "JXL"
    format_description = "JPEG XL"

    def _open(self) -> None:
        if self.fp is None:
            raise SyntaxError("closed")
        self._data = self.fp.read()
        head = _Bits(_codestream_head(self._data))
        width, height = head.size()
        turned, self.is_animated = head.turned_animated()
        self._size = (height, width) if turned else (width, height)
        self._mode = "RGB"
        self.tile = []
        self._decoded = False

    def load(self) -> Image.core.PixelAccess | None:
        if not self._decoded:
            # Imported only when needed, because it is large.
            from imagecodecs import jpegxl_decode

            image = _as_image(jpegxl_decode(self._data, numthreads=1))
            if image.size != self.size:
                raise ValueError("not the size that the header says")
            self._mode, self.im, self._decoded = image.mode, image.im, True
        return super().load()


def _as_image(values: NDArray[Any]) -> Image.Image:
    if values.dtype == np.uint16:
        values = (values >> 8).astype(np.uint8)
    elif values.dtype != np.uint8:
        values = (
            (np.nan_to_num(values.astype(np.float32)).clip(0, 1) * 255).round().astype(np.uint8)
        )
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    return Image.fromarray(values)


def _codestream_head(data: bytes) -> bytes:
    if data.startswith(CODESTREAM):
        return data[2 : 2 + _HEADER_BYTES]
    parts = b""
    for kind, start, end in boxes.top_level(data):
        if kind == b"jxlc":
            parts = data[start : min(end, start + _HEADER_BYTES)]
            break
        if kind == b"jxlp":
            parts += data[start + 4 : min(end, start + 4 + _HEADER_BYTES)]
            if len(parts) >= _HEADER_BYTES:
                break
    if not parts.startswith(CODESTREAM):
        raise SyntaxError("no codestream")
    return parts[2:]


class _Bits:
    """Reads bits of a codestream, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), len(data) * 8

    def take(self, count: int) -> int:
        if count > self._left:
            raise SyntaxError("truncated header")
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return taken

    def size(self) -> tuple[int, int]:
        """Read SizeHeader: width, height."""
        small = self.take(1)
        height = self._side(small)
        ratio = self.take(3)
        if not ratio:
            return self._side(small), height
        across, down = _RATIOS[ratio - 1]
        return height * across // down, height

    def _side(self, small: int) -> int:
        if small:
            return (self.take(5) + 1) * 8
        return self.take(_SIDE_BITS[self.take(2)]) + 1

    def turned_animated(self) -> tuple[bool, bool]:
        """Read from ImageMetadata whether width and height are swapped and whether it is
        animated."""
        if self.take(1) or not self.take(1):  # all default, no extra fields
            return False, False
        orientation = self.take(3) + 1
        if self.take(1):
            self.size()  # the intrinsic size
        if self.take(1):
            self._preview()
        return orientation >= 5, bool(self.take(1))

    def _preview(self) -> None:
        by_eights = self.take(1)
        self._preview_side(by_eights)
        if not self.take(3):
            self._preview_side(by_eights)

    def _preview_side(self, by_eights: int) -> None:
        choice = self.take(2)
        if by_eights:
            if choice > 1:
                self.take((5, 9)[choice - 2])
        else:
            self.take((6, 8, 10, 12)[choice])


def register() -> None:
    Image.register_open(
        JxlImageFile.format, JxlImageFile, lambda head: head.startswith((CODESTREAM, CONTAINER))
    )
