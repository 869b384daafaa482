"""Evidence that a hash is the hash of a picture before an edit, and how much evidence is enough.

A hash is compared with all variants of the picture. It counts as the hash of the picture before the
edit if few bits differ from one variant, and only uncertain bits. Each kind of edit has its own
limits, chosen on real and unrelated pictures (docs/adr/0020-edited-copies.md). The search for rows
to compare finds many rows but not all: see ``FARTHEST`` and ``likely_hashes``. This module uses
neither Django nor the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from gallery.imaging.descriptors.pdq_variants import Hashes, Variants

FARTHEST: Final = 72
"""A row within this distance in bits of a searched variant is compared with all variants."""

NEVER: Final = -1
"""A distance that no hash meets."""

PLAIN, DETAILED = 0.1, 0.25
"""Detail of a variant: up to ``PLAIN`` it shows little and looks like many others, from
``DETAILED`` on the full limits apply. Between them the limits are interpolated.
"""

_AT_ONCE: Final = 64
"""Hashes that are compared together. Limits memory: 60 MB if all are near."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one kind of edit, for a list with the default ``pdq`` threshold.

    ``review``: bits up to which a picture leads to review. ``block``: bits up to which it may
    block, if it is detailed. ``denial``: how much the hash may contradict the variant
    (``Variants.contradictions``). ``plain``: the same if the variant shows little.
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
    """Scale a limit for a list whose ``pdq`` threshold is this share of the default.

    A stricter list is stricter with edits in the same proportion. A laxer list is not laxer with
    edits, because nothing was measured there.
    """
    # The small term corrects rounding errors: a third of 3 must be 1.
    return calibrated if calibrated < 0 else int(calibrated * min(1.0, share) + 1e-9)


@dataclass(frozen=True, slots=True)
class EditEvidence:
    """The variant that a hash supports: its number, and how many bits differ.

    ``detailed``: whether the variant differs enough from most other pictures.
    """

    variant: int
    distance: int
    detailed: bool

    def blocks(self, seen: Variants, share: float = 1.0) -> bool:
        limit = CALIBRATED[seen.tried[self.variant].edit.kind].block
        return self.detailed and self.distance <= scaled(limit, share)


def evidence(seen: Variants, hashes: Hashes, share: float = 1.0) -> list[EditEvidence | None]:
    """Return for each of m × 32 hashes the variant it contradicts least, if near enough.

    ``share``: as in ``scaled``.
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
    # The best variant, which the hash contradicts least, is written last.
    for at in np.argsort(-denied / allowed, kind="stable").tolist():
        if denied[at] <= allowed[at]:
            row, number = int(rows[at]), int(numbers[at])
            found[row] = EditEvidence(number, int(distances[row, number]), bool(part[at] >= 1))
    return found
