"""The parts of the corpus: by the picture's SHA-256, even for calibration and odd for tests.

Nothing was fitted on a test picture: the whitening and the confidence were fitted on even ones.
Negatives are in no gallery. They are taken without selection, so the gallery has similar pictures:
flags of the same layout, other stamps of a series, icons by the same artist.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.recall.corpus import Source

LEAST_QUALITY = 50


@dataclass(frozen=True)
class Sizes:
    """The number of pictures of each part; ``distractors`` None = all that are left."""

    test_originals: int = 300
    test_negatives: int = 1050
    calibration_originals: int = 150
    calibration_negatives: int = 1350
    distractors: int | None = None


FULL = Sizes()
QUICK = Sizes(100, 200, 0, 300, 1000)


@dataclass(frozen=True)
class Split:
    """The parts. Originals are in the gallery, and their edited copies are searched for."""

    test_originals: Sequence[Source]
    test_negatives: Sequence[Source]
    calibration_originals: Sequence[Source]
    calibration_negatives: Sequence[Source]
    distractors: Sequence[Source]

    @property
    def gallery(self) -> list[Source]:
        parts = (*self.test_originals, *self.calibration_originals, *self.distractors)
        return sorted(parts, key=lambda source: source.key)


def calibrates(source: Source) -> bool:
    """Whether models may be fitted on the picture. The others are only for tests."""
    return int(source.key, 16) % 2 == 0


def split(sources: Sequence[Source], sizes: Sizes = FULL) -> Split:
    """Divide unique pictures into the parts.

    Originals come from all packages in equal numbers while these last, and have at least the PDQ
    quality that PDQ's authors require for a hash.
    """
    ordered = sorted(sources, key=lambda source: source.key)
    odd = [source for source in ordered if not calibrates(source)]
    even = [source for source in ordered if calibrates(source)]
    tests, strangers, odd_left = _dealt(odd, sizes.test_originals, sizes.test_negatives)
    fits, outsiders, even_left = _dealt(
        even, sizes.calibration_originals, sizes.calibration_negatives
    )
    # Sorted by the other half of the key, so that the first ones are a fair sample.
    left = sorted([*odd_left, *even_left], key=lambda source: source.key[32:])
    return Split(tests, strangers, fits, outsiders, left[: sizes.distractors])


def _dealt(
    sources: Sequence[Source], originals: int, negatives: int
) -> tuple[list[Source], list[Source], list[Source]]:
    chosen = _by_turns([s for s in sources if s.quality >= LEAST_QUALITY], originals)
    taken = set(chosen)
    rest = [source for source in sources if source not in taken]
    return chosen, rest[:negatives], rest[negatives:]


def _by_turns(sources: Sequence[Source], count: int) -> list[Source]:
    """Take one picture of each package in turn, and skip packages that have run out."""
    packages = defaultdict(list)
    for source in sources:
        packages[source.package].append(source)
    turns = max(map(len, packages.values()), default=0)
    dealt = [
        packages[name][turn]
        for turn in range(turns)
        for name in sorted(packages)
        if turn < len(packages[name])
    ]
    return dealt[:count]
