"""Spans of a video → what is stored of them: times, hashes, vectors. A few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gallery.imaging.descriptors.cnn import square
from gallery.imaging.descriptors.copy import is_flat
from gallery.imaging.descriptors.pdq import describe as describe_pdq
from videos.index.sampling import Span

Pixels = NDArray[np.uint8]
Vector = NDArray[np.float32]
Embed = Callable[[Sequence[Pixels]], Vector]
"""256 × 256 squares → float32 n × 512 of unit length."""

FULL: Final = "full"
TRIMMED: Final = "trimmed"

_BATCH: Final = 16
"""Spans whose pictures are in memory beside those that are still sampled."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One view of one span; ``t0`` and ``t1`` in ms.

    ``pdq``: 256 binary digits, None if featureless. ``cnn``: None of what never votes.
    """

    t0: int
    t1: int
    view: str
    pdq: str | None
    pdq_quality: int | None
    cnn: Vector | None

    @property
    def votes(self) -> bool:
        """Whether it shows enough to say which video it is from."""
        return self.cnn is not None


def describe(spans: Iterable[Span], embed: Embed) -> Iterator[list[Row]]:
    """The rows of a whole video, in batches; none overlaps another of its view.

    Raises what ``embed`` raises.
    """
    rest = iter(spans)
    with ThreadPoolExecutor(1) as pool:
        waiting: _Batch | None = None
        # The model works on one batch while the next one is decoded and sampled.
        while batch := list(islice(rest, _BATCH)):
            following = _Batch(batch, embed, pool)
            if waiting is not None:
                yield waiting.rows()
            waiting = following
        if waiting is not None:
            yield waiting.rows()


class _Batch:
    """The views of some spans, whose vectors are being made."""

    def __init__(self, spans: Sequence[Span], embed: Embed, pool: ThreadPoolExecutor) -> None:
        self._seen = [(span, view, rgb) for span in spans for view, rgb in _views(span)]
        squares = [square(rgb) if span.votes else None for span, _, rgb in self._seen]
        told = {n: s for n, s in enumerate(squares) if s is not None and not is_flat(s)}
        self._told = list(told)
        self._vectors = pool.submit(embed, list(told.values()))

    def rows(self) -> list[Row]:
        vectors = dict(zip(self._told, self._vectors.result(), strict=True))
        return [_row(*one, vectors.get(n)) for n, one in enumerate(self._seen)]


def _views(span: Span) -> Iterator[tuple[str, Pixels]]:
    yield FULL, span.rgb
    if span.box is not None and span.votes:
        yield TRIMMED, span.picture


def _row(span: Span, view: str, rgb: Pixels, vector: Vector | None) -> Row:
    hashed = describe_pdq(rgb) or {}
    return Row(span.t0, span.t1, view, hashed.get("pdq"), hashed.get("pdq_quality"), vector)
