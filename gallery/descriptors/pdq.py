"""The ``pdq`` match type: Meta's 256-bit perceptual hash, by its reference code (``pdqhash``).

In Python a hash is a ``str`` of 256 digits 0 and 1, which is what ``bit(256)`` columns take and
give; lists of hashes are exchanged as 64 lowercase hexadecimal digits, the same bits in order.
Customary limits: distances up to 31 match, hashes of quality below 50 are not used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pdqhash

from gallery.descriptors.base import Columns, Picture, Pixels, PixelsDescriptor
from gallery.errors import UserError

BITS = 256

LOW_QUALITY = 50
"""Hashes of a lower quality are not relied upon, by the custom of those who exchange them."""

_SMALLEST_SIDE = 5
"""The reference code answers all zeros below this, which would match each other."""

_LARGEST_PIXELS = 4_000_000
"""Above this the hash takes over 70 ms and 100 MB, so the picture is reduced first."""


class NotAPdqHash(UserError):
    """The text is not 64 hexadecimal digits."""

    code = "not_a_pdq_hash"


class Pdq(PixelsDescriptor):
    """Stores ``pdq`` (256 binary digits) and ``pdq_quality`` (0, featureless, to 100)."""

    name = "pdq"

    def describe(self, pictures: Sequence[Picture]) -> list[Columns | None]:
        """``pdq`` and ``pdq_quality`` of each picture; None if featureless or under 5 pixels."""
        return [describe(picture.rgb) for picture in pictures]

    def distance(self, a: Columns, b: Columns) -> float:
        """Hamming distance, 0 to 256."""
        return float(hamming(a["pdq"], b["pdq"]))

    def explain(self, a: Columns, b: Columns) -> dict[str, Any]:
        """The distance, and how much each hash can be relied on."""
        return {
            "distance": self.distance(a, b),
            "quality": [a["pdq_quality"], b["pdq_quality"]],
        }


def describe(rgb: Pixels) -> Columns | None:
    """``pdq`` and ``pdq_quality``; None if featureless or under 5 pixels."""
    if min(rgb.shape[:2]) < _SMALLEST_SIDE:
        return None
    bits, quality = pdqhash.compute(_reduced(rgb))
    if quality == 0:  # the hash of a featureless picture is noise
        return None
    return {"pdq": "".join(map(str, bits.tolist())), "pdq_quality": int(quality)}


def dihedral(rgb: Pixels) -> tuple[list[bytes], int] | None:
    """The hashes of a picture turned and mirrored in all eight ways, 32 bytes each, its own first,
    and their quality; None where ``describe`` answers None."""
    if min(rgb.shape[:2]) < _SMALLEST_SIDE:
        return None
    hashes, quality = pdqhash.compute_dihedral(_reduced(rgb))
    if quality == 0:
        return None
    return [np.packbits(bits.astype(np.uint8)).tobytes() for bits in hashes], int(quality)


def turned(hash: bytes) -> list[bytes]:
    """About what ``dihedral`` answers for the picture of a hash, in its order, from the hash alone.

    Turning and mirroring a picture swaps the axes of its frequencies and the signs of the odd ones,
    and moves the median that the hash cuts them at: 7 bits of 256 are wrong on average, at most 20
    (83 pictures of all kinds), and none of the first and of the transposed one.
    """
    upright = np.unpackbits(np.frombuffer(hash, np.uint8)).reshape(16, 16)
    transposed = upright.T
    down, across = np.indices((16, 16), np.uint8) % 2
    variants = (
        *(upright, transposed ^ down, upright ^ down ^ across, transposed ^ across),
        *(upright ^ down, upright ^ across, transposed, transposed ^ down ^ across),
    )
    return [np.packbits(bits).tobytes() for bits in variants]


TURNED_ERROR = 32
"""Bits by which a hash that ``turned`` answers may be wrong: at most 20 were measured."""


def _reduced(rgb: Pixels) -> Pixels:
    """The picture itself, or if it is huge the means of its f×f blocks, f a whole number.

    Lists of hashes are made from full-size pictures: whole blocks change 0 to 4 bits of 256
    (photographs of 4 to 18 megapixels), a resize to 512 pixels 4 to 18.
    """
    height, width = rgb.shape[:2]
    factor = math.ceil(math.sqrt(height * width / _LARGEST_PIXELS))
    if factor == 1 or min(height, width) < factor * _SMALLEST_SIDE:
        return np.ascontiguousarray(rgb)
    size = width // factor, height // factor
    whole_blocks = rgb[: size[1] * factor, : size[0] * factor]
    return np.asarray(cv2.resize(whole_blocks, size, interpolation=cv2.INTER_AREA), np.uint8)


def hamming(a: str, b: str) -> int:
    """Number of bits that differ."""
    return (int(a, 2) ^ int(b, 2)).bit_count()


def to_hex(bits: str) -> str:
    """256 binary digits → 64 lowercase hexadecimal digits."""
    return f"{int(bits, 2):064x}"


def from_hex(text: str) -> str:
    """64 hexadecimal digits, either case → 256 binary digits. Raises ``NotAPdqHash``."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise NotAPdqHash("A PDQ hash must be 64 hexadecimal digits (0-9, a-f).")
    return f"{int(text, 16):0256b}"
