"""Finds among many pictures those that share local features with a query, by voting.

Each feature has a code: the signs of its descriptor's numbers. A feature of the query votes for
the pictures that have a feature with nearly the same code, together with the turn and the scale
that would lead from one to the other. Votes of features that really show the same agree in both;
those by chance do not. (An inverted file with weak geometric consistency: Jégou, Douze and Schmid,
2008.)

Few pictures are left to be verified (``geometry``), whatever their number: for 1,000 pictures a
query takes 2 ms of one core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gallery.imaging.local_features import MAX_STORED, LocalFeatures

CODE_BITS: Final = 25
"""Numbers of a descriptor whose signs are compared: so many that few features share a code by
chance, even of 100,000 pictures."""

UNCERTAIN: Final = 5
"""Of these the numbers of a query's feature, nearest to their mean, of which both signs count."""

MEANS: Final = np.array(
    [24, 28, -10, 6, 0, 1, -21, 0, 5, 2, 0, 0, 0, 0, 0, 8, 0, -9, 0, -23, 9, 0, 0, 0, 0], np.float32
)
"""Of the numbers, in the descriptors of 500 pictures."""

COMMON: Final = 4
"""A code that more features have than these counts less, in proportion."""

TURNS, SCALES = 16, 8
"""Into how many ranges turns and scales are divided. A scale is an octave."""

COUNTED: Final = 2048
"""Pictures with the most votes, of which is counted how many votes agree."""

CODE: Final = np.dtype(np.uint32)
PLACE: Final = np.dtype([("row", np.uint32), ("angle", np.uint8), ("size", np.uint8)])
"""A feature: its picture's number, its orientation and size as ``LocalFeatures`` has them."""

FIELDS: Final = [
    ("features", np.uint16),
    ("codes", CODE, (MAX_STORED,)),
    ("angles", np.uint8, (MAX_STORED,)),
    ("sizes", np.uint8, (MAX_STORED,)),
]
"""Fields for a row's features: their number, and what is known of each."""

Codes = NDArray[np.uint32]
Rows = NDArray[np.void]
Floats = NDArray[np.float64]


def fill(row: np.void, features: LocalFeatures) -> None:
    """Set the ``FIELDS`` of a row."""
    records = features.records[:MAX_STORED]
    count = len(records)
    row["features"] = count
    row["codes"][:count] = _codes(records["descriptor"])
    row["angles"][:count] = records["angle"]
    row["sizes"][:count] = records["size"]


@dataclass(frozen=True, eq=False)
class FeatureVotes:
    """The features of ``count`` pictures: ``codes``, ascending, and ``places``, as they are."""

    count: int
    codes: Codes
    places: NDArray[np.void]

    @classmethod
    def of(cls, rows: Rows) -> FeatureVotes:
        """Sort the features of rows with ``FIELDS``. A row's number is its picture's number."""
        there = np.arange(MAX_STORED) < rows["features"][:, None]
        codes = rows["codes"][there]
        order = np.argsort(codes)
        places = np.empty(len(codes), PLACE)
        numbers = np.repeat(np.arange(len(rows), dtype=np.uint32), rows["features"])
        for name, values in (
            ("row", numbers),
            ("angle", rows["angles"][there]),
            ("size", rows["sizes"][there]),
        ):
            places[name] = values[order]
        return cls(len(rows), codes[order], places)

    def joined(self, later: FeatureVotes) -> FeatureVotes:
        """Return the features of both, the pictures of ``later`` numbered after these."""
        codes = np.concatenate([self.codes, later.codes])
        order = np.argsort(codes, kind="stable")
        places = np.concatenate([self.places, later.places])
        places["row"][len(self.codes) :] += self.count
        return FeatureVotes(self.count + later.count, codes[order], places[order])

    def votes(self, query: LocalFeatures) -> Floats:
        """Return how strongly the query's features vote for each picture, mirrored or not.

        Four features that agree, and of which no other has the codes, count 1.
        """
        if not (len(self.codes) and len(query)):
            return np.zeros(self.count)
        return np.maximum(self._votes(query), self._votes(query.mirrored()))

    def _votes(self, query: LocalFeatures) -> Floats:
        asked = _probes(query.records["descriptor"])
        # In ascending order, so that neighbours are looked up one after the other.
        order = np.argsort(asked, axis=None)
        codes = asked.ravel()[order]
        first = np.searchsorted(self.codes, codes)
        there = np.flatnonzero(self.codes[np.minimum(first, len(self.codes) - 1)] == codes)
        order, codes, first = order[there], codes[there], first[there]
        found = np.searchsorted(self.codes, codes, "right") - first
        at = np.arange(found.sum()) + np.repeat(first - np.cumsum(found) + found, found)
        asking = query.records[["angle", "size"]][np.repeat(order // asked.shape[1], found)]
        weights = np.repeat(1.0 / np.maximum(found, COMMON), found)
        return self._agreeing(self.places[at], asking, weights)

    def _agreeing(
        self, places: NDArray[np.void], asking: NDArray[np.void], weights: Floats
    ) -> Floats:
        """Return for each picture the weight of its votes that agree most."""
        rows = places["row"]
        total = np.bincount(rows, weights, minlength=self.count)
        if self.count > COUNTED:
            kept = np.sort(np.argpartition(-total, COUNTED)[:COUNTED])
            number = np.full(self.count, -1)
            number[kept] = np.arange(COUNTED)
            rows = number[rows]
            chosen = rows >= 0
            rows, places = rows[chosen], places[chosen]
            asking, weights = asking[chosen], weights[chosen]
        else:
            kept = np.arange(self.count)
        turn = (places["angle"] - asking["angle"]).astype(np.uint8) // (256 // TURNS)
        octave = (places["size"].astype(np.int16) - asking["size"] + 12 * SCALES) // 24
        key = (rows.astype(np.int64) * SCALES + np.clip(octave, 0, SCALES - 1)) * TURNS + turn
        cells = np.bincount(key, weights, minlength=len(kept) * SCALES * TURNS)
        cells = cells.reshape(len(kept), SCALES, TURNS)
        # A vote near the edge of a range agrees with those of the next one.
        cells = cells + np.roll(cells, 1, axis=2)
        cells = cells[:, 1:] + cells[:, :-1]
        best = np.zeros(self.count)
        best[kept] = cells.reshape(len(kept), -1).max(axis=1)
        return best


_WORTH: Final = np.uint32(1) << np.arange(CODE_BITS, dtype=np.uint32)[::-1]
_FLIPS: Final = (np.arange(1 << UNCERTAIN)[:, None] >> np.arange(UNCERTAIN)) & 1


def _codes(descriptors: NDArray[np.int8]) -> Codes:
    return np.asarray((descriptors[:, :CODE_BITS] > MEANS) @ _WORTH, np.uint32)


def _probes(descriptors: NDArray[np.int8]) -> Codes:
    """Return the codes that each feature asks for, shape (features, codes)."""
    certain = np.abs(descriptors[:, :CODE_BITS] - MEANS)
    bits = _WORTH[np.argpartition(certain, UNCERTAIN, axis=1)[:, :UNCERTAIN]]
    flips = (bits @ _FLIPS.T.astype(np.uint32)).astype(np.uint32)
    return np.asarray(_codes(descriptors)[:, None] ^ flips)
