"""The ``pdq`` match type: Meta's 256-bit perceptual hash.

Nearly always the bits are those of Meta's reference code. Measured against the Python package
pdqhash on 334 pictures (those of scikit-image, crops, noise): at least one bit differs for 80 pairs
of a picture and a turn. In chessboards, for example, many frequencies are nearly equal to the
median, so rounding decides their bits: 62 bits differ in one crop.

In Python a hash is a ``str`` of 256 digits 0 and 1, as ``bit(256)`` columns take and return; in
lists of hashes it is 64 lowercase hexadecimal digits. Customary limits: distances up to 31 match,
hashes of quality below 50 are not used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from gallery.imaging.cache_keys import remember_last
from gallery.imaging.descriptors import pdq_transform
from gallery.imaging.descriptors.base import Columns, DescribablePicture, PixelsDescriptor
from gallery.imaging.pixels import Pixels
from gallery.shared.errors import UserError

BITS = 256

LOW_QUALITY = 50

SMALLEST_SIDE = 5
"""The reference code returns all zeros below this, which would match each other."""


class NotAPdqHash(UserError):
    code = "not_a_pdq_hash"


class Pdq(PixelsDescriptor):
    """Stores ``pdq`` (256 binary digits) and ``pdq_quality`` (0, featureless, to 100)."""

    name = "pdq"

    def describe(self, pictures: Sequence[DescribablePicture]) -> list[Columns | None]:
        """Describe each picture; None if it is featureless or under 5 pixels."""
        return [describe_pdq(picture.rgb) for picture in pictures]

    def distance(self, a: Columns, b: Columns) -> float:
        return float(hamming(a["pdq"], b["pdq"]))

    def explain(self, a: Columns, b: Columns) -> dict[str, Any]:
        return {
            "distance": self.distance(a, b),
            "quality": [a["pdq_quality"], b["pdq_quality"]],
        }


def describe_pdq(rgb: Pixels) -> Columns | None:
    """Return ``pdq`` and ``pdq_quality``; None if featureless or under 5 pixels."""
    samples, quality = _samples(rgb)
    if quality == 0:  # the hash of a featureless picture is noise
        return None
    bits = np.unpackbits(pdq_transform.hashes(samples[np.newaxis])[0])
    return {"pdq": "".join(map(str, bits.tolist())), "pdq_quality": quality}


def dihedral_hashes(rgb: Pixels) -> tuple[list[bytes], int] | None:
    """Return the hashes of the picture turned and mirrored in all eight ways (its own first, 32
    bytes each), and the quality. None if featureless or under 5 pixels."""
    samples, quality = _samples(rgb)
    if quality == 0:
        return None
    frequencies = pdq_transform.frequencies(samples[np.newaxis])
    hashes = pdq_transform.packed(pdq_transform.turned_margins(frequencies))[0]
    return [row.tobytes() for row in hashes], quality


def pdq_quality(rgb: Pixels) -> int:
    """Return the quality of the hash, 0 (featureless, or under 5 pixels) to 100."""
    return _samples(rgb)[1]


@remember_last
def _samples(rgb: Pixels) -> tuple[pdq_transform.Floats, int]:
    """Return the samples that are hashed, and their quality; 0 also if the picture is too small."""
    if min(rgb.shape[:2]) < SMALLEST_SIDE:
        return np.empty((0, 0), np.float32), 0
    samples = pdq_transform.sampled_rgb(rgb)
    return samples, pdq_transform.quality(samples)


def turned_hashes(hash: bytes) -> list[bytes]:
    """Estimate ``dihedral_hashes`` of a picture, in its order, from its hash alone.

    Turning and mirroring a picture swaps the axes of its frequencies and the signs of the odd ones,
    and moves their median, the threshold of the bits. 7 bits of 256 are wrong on average, at most
    20 (83 pictures of all kinds). The first and the transposed hash are exact.
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
    return f"{int(bits, 2):064x}"


def from_hex(text: str) -> str:
    """Return 256 binary digits. Raises ``NotAPdqHash`` unless ``text`` is 64 hexadecimal digits."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise NotAPdqHash("A PDQ hash must be 64 hexadecimal digits (0-9, a-f).")
    return f"{int(text, 16):0256b}"
