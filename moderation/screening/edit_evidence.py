"""Whether a hash is that of a picture before it was edited: the evidence, and how much is enough.

A hash is compared with all variants of the picture. It is taken for that of the picture before the
edit if few bits differ from one of them, and only uncertain ones. Each kind of edit has limits of
its own, chosen on real pictures and strangers (docs/adr/0020-edited-copies.md). The search for rows
that are worth the comparison is generous, and not complete: ``FARTHEST``, ``likely_hashes``.

This module knows no Django and no database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from gallery.imaging.descriptors.pdq_variants import Hashes, Variants

FARTHEST: Final = 72
"""Bits from the variants that are asked up to which a row is compared with all of them."""

NEVER: Final = -1
"""As a distance: no hash is so near."""

PLAIN, DETAILED = 0.1, 0.25
"""Detail of a variant up to which it shows little and looks like many others, and from which on
nothing more is asked of it; between them a part."""

_AT_ONCE: Final = 64
"""Hashes that are compared together, for the memory it takes: 60 MB if all are near."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one kind of edit, for a list that compares by ``pdq`` up to the default threshold.

    ``review``: bits up to which a picture leads to review, ``block``: up to which it may block, if
    it is detailed.
    ``denial``: how much of what the variant says the hash may deny (``Variants.contradictions``),
    ``plain``: how much if the variant shows little.
    """

    review: int
    denial: float
    plain: float = 0.0
    block: int = NEVER


CALIBRATED: Final[Mapping[str, Limits]] = {
    "negative": Limits(31, 20, plain=2, block=16),
    "border": Limits(56, 12),
    "crop": Limits(52, 23),
    "deep crop": Limits(52, 12),
    "turn": Limits(56, 25),
    "steep turn": Limits(56, 20),
}


def scaled(calibrated: int, share: float) -> int:
    """A calibrated limit for a list whose threshold for ``pdq`` is this share of the default.

    A list that is stricter than the default is stricter with edits in the same proportion; one
    that is laxer is not, as nothing was measured there.
    """
    # Against rounding errors: a third of three is one.
    return calibrated if calibrated < 0 else int(calibrated * min(1.0, share) + 1e-9)


@dataclass(frozen=True, slots=True)
class EditEvidence:
    """The variant of a picture that a hash speaks for: its number, and the bits that differ.

    ``detailed``: whether the variant differs enough from most other pictures.
    """

    variant: int
    distance: int
    detailed: bool

    def blocks(self, seen: Variants, share: float = 1.0) -> bool:
        """Whether it is enough to block."""
        limit = CALIBRATED[seen.tried[self.variant].edit.kind].block
        return self.detailed and self.distance <= scaled(limit, share)


def evidence(seen: Variants, hashes: Hashes, share: float = 1.0) -> list[EditEvidence | None]:
    """For each of m × 32 hashes the variant of which it denies least, if it is near enough.

    ``share``: as ``scaled`` has it.
    """
    chunks = (hashes[start : start + _AT_ONCE] for start in range(0, len(hashes), _AT_ONCE))
    return [one for chunk in chunks for one in _evidence(seen, chunk, share)]


def _evidence(seen: Variants, hashes: Hashes, share: float) -> list[EditEvidence | None]:
    limits = [CALIBRATED[variant.edit.kind] for variant in seen.tried]
    reaches = np.array([scaled(limit.review, share) for limit in limits])
    distances = seen.distances(hashes)
    rows, numbers = np.nonzero(distances <= reaches)
    detail = {number: seen.detail(number) for number in np.unique(numbers).tolist()}
    part = np.array([(detail[number] - PLAIN) / (DETAILED - PLAIN) for number in numbers.tolist()])
    plain, full = np.array([(limit.plain, limit.denial) for limit in limits]).T[:, numbers]
    allowed = (plain + (full - plain) * np.clip(part, 0, 1)) * min(1.0, share)
    worth = allowed > 0
    rows, numbers, part, allowed = rows[worth], numbers[worth], part[worth], allowed[worth]
    denied = seen.contradictions(numbers, hashes[rows])
    found: list[EditEvidence | None] = [None] * len(hashes)
    # The best variant, with the least denied, is written last.
    for at in np.argsort(-denied / allowed, kind="stable").tolist():
        if denied[at] <= allowed[at]:
            row, number = int(rows[at]), int(numbers[at])
            found[row] = EditEvidence(number, int(distances[row, number]), bool(part[at] >= 1))
    return found
