"""Describes the spans of a video: their views with times, hashes and vectors, in batches."""

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
from gallery.imaging.descriptors.pdq import describe_pdq
from gallery.imaging.pixels import Pixels
from videos.index.sampling import Span

Vector = NDArray[np.float32]
Embed = Callable[[Sequence[Pixels]], Vector]
"""256 × 256 squares → float32 n × 512 of unit length."""

FULL_VIEW: Final = "full"
TRIMMED_VIEW: Final = "trimmed"

_SPANS_PER_BATCH: Final = 16
"""Spans whose pictures are in memory at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class SpanView:
    """One view of one span; ``t0`` and ``t1`` in ms.

    ``pdq``: 256 binary digits, None if featureless. ``cnn``: None if it may not vote.
    """

    t0: int
    t1: int
    view: str
    pdq: str | None
    pdq_quality: int | None
    cnn: Vector | None

    @property
    def votes(self) -> bool:
        """Return whether it shows enough to identify its video."""
        return self.cnn is not None


def describe_spans(spans: Iterable[Span], embed: Embed) -> Iterator[list[SpanView]]:
    """Yield the views of all spans of a video, in batches. Raises what ``embed`` raises."""
    rest = iter(spans)
    with ThreadPoolExecutor(1) as pool:
        waiting: _Batch | None = None
        # The model processes one batch while the next one is decoded and sampled.
        while batch := list(islice(rest, _SPANS_PER_BATCH)):
            following = _Batch(batch, embed, pool)
            if waiting is not None:
                yield waiting.span_views()
            waiting = following
        if waiting is not None:
            yield waiting.span_views()


class _Batch:
    """The views of some spans. Their vectors are computed in another thread."""

    def __init__(self, spans: Sequence[Span], embed: Embed, pool: ThreadPoolExecutor) -> None:
        self._seen = [(span, view, rgb) for span in spans for view, rgb in _views(span)]
        squares = [square(rgb) if span.votes else None for span, _, rgb in self._seen]
        described = {n: s for n, s in enumerate(squares) if s is not None and not is_flat(s)}
        self._described = list(described)
        self._vectors = pool.submit(embed, list(described.values()))

    def span_views(self) -> list[SpanView]:
        vectors = dict(zip(self._described, self._vectors.result(), strict=True))
        return [_span_view(*one, vectors.get(n)) for n, one in enumerate(self._seen)]


def _views(span: Span) -> Iterator[tuple[str, Pixels]]:
    yield FULL_VIEW, span.rgb
    if span.box is not None and span.votes:
        yield TRIMMED_VIEW, span.picture


def _span_view(span: Span, view: str, rgb: Pixels, vector: Vector | None) -> SpanView:
    hashed = describe_pdq(rgb) or {}
    return SpanView(span.t0, span.t1, view, hashed.get("pdq"), hashed.get("pdq_quality"), vector)
