"""The ``pdq`` match type: Meta's 256-bit perceptual hash, bit by bit as its reference code.

In Python a hash is a ``str`` of 256 digits 0 and 1, as ``bit(256)`` columns take and return; in
lists of hashes it is 64 lowercase hexadecimal digits. Customary limits: distances up to 31 match,
hashes of quality below 50 are not used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from gallery.imaging.descriptors import pdq_transform
from gallery.imaging.descriptors.base import Columns, DescribablePicture, PixelsDescriptor
from gallery.imaging.pixels import Pixels
from gallery.shared.errors import UserError

BITS = 256

LOW_QUALITY = 50
"""Hashes of a lower quality are customarily not used."""

_SMALLEST_SIDE = 5
"""The reference code returns all zeros below this, which would match each other."""


class NotAPdqHash(UserError):
    code = "not_a_pdq_hash"


class Pdq(PixelsDescriptor):
    """Stores ``pdq`` (256 binary digits) and ``pdq_quality`` (0, featureless, to 100)."""

    name = "pdq"

    def describe(self, pictures: Sequence[DescribablePicture]) -> list[Columns | None]:
        """``pdq`` and ``pdq_quality`` of each picture; None if featureless or under 5 pixels."""
        return [describe_pdq(picture.rgb) for picture in pictures]

    def distance(self, a: Columns, b: Columns) -> float:
        """Hamming distance, 0 to 256."""
        return float(hamming(a["pdq"], b["pdq"]))

    def explain(self, a: Columns, b: Columns) -> dict[str, Any]:
        return {
            "distance": self.distance(a, b),
            "quality": [a["pdq_quality"], b["pdq_quality"]],
        }


def describe_pdq(rgb: Pixels) -> Columns | None:
    """``pdq`` and ``pdq_quality``; None if featureless or under 5 pixels."""
    samples, quality = _samples(rgb)
    if quality == 0:  # the hash of a featureless picture is noise
        return None
    bits = np.unpackbits(pdq_transform.hashes(samples[np.newaxis])[0])
    return {"pdq": "".join(map(str, bits.tolist())), "pdq_quality": quality}


def dihedral_hashes(rgb: Pixels) -> tuple[list[bytes], int] | None:
    """(hashes of the picture turned and mirrored in all eight ways, its own first, 32 bytes each;
    quality). None where ``describe_pdq`` returns None."""
    samples, quality = _samples(rgb)
    if quality == 0:
        return None
    frequencies = pdq_transform.frequencies(samples[np.newaxis])
    hashes = pdq_transform.packed(pdq_transform.turned_margins(frequencies))[0]
    return [row.tobytes() for row in hashes], quality


def _samples(rgb: Pixels) -> tuple[pdq_transform.Floats, int]:
    """The samples that are hashed, and their quality; 0 also if the picture is too small."""
    if min(rgb.shape[:2]) < _SMALLEST_SIDE:
        return np.empty((0, 0), np.float32), 0
    samples = pdq_transform.sampled(pdq_transform.luma(rgb))
    return samples, pdq_transform.quality(samples)


def turned_hashes(hash: bytes) -> list[bytes]:
    """Nearly what ``dihedral_hashes`` returns for a picture, in its order, from its hash alone.

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
"""Bits by which a result of ``turned_hashes`` may be wrong; at most 20 were measured."""


def hamming(a: str, b: str) -> int:
    return (int(a, 2) ^ int(b, 2)).bit_count()


def to_hex(bits: str) -> str:
    """256 binary digits → 64 lowercase hexadecimal digits."""
    return f"{int(bits, 2):064x}"


def from_hex(text: str) -> str:
    """64 hexadecimal digits, either case → 256 binary digits. Raises ``NotAPdqHash``."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise NotAPdqHash("A PDQ hash must be 64 hexadecimal digits (0-9, a-f).")
    return f"{int(text, 16):0256b}"
