"""The index in Milvus: proposes rows by the vectors that ``index_feeding`` has put there."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import orjson

from gallery.search import milvus
from gallery.search.models import IndexCollection
from gallery.search.vector_index import PGVECTOR, Proposal, Question, VectorIndex, dimensions
from gallery.shared import counters

MARGIN: Final = 2
"""Rows are asked for this many times over: some may be withheld or deleted since."""

FILTERED: Final = 1_000
"""Rows that are asked for if filters apply, of which Milvus knows nothing. If fewer than wanted of
them pass, the filter leaves few images, and PostgreSQL compares all of those."""

MOST: Final = 2_000
"""Above so many wanted rows PostgreSQL compares all."""

PAUSE: Final = 30.0
"""Seconds for which Milvus is not asked after it failed: searches must not wait for it each."""

KNOWN_SECONDS: Final = 2.0
logger = logging.getLogger(__name__)


class MilvusIndex:
    """Asks Milvus. pgvector answers what Milvus does not know, and all if it does not answer."""

    def __init__(self) -> None:
        self._silent_until = 0.0
        self._known: tuple[float, Mapping[tuple[str, str, int], str]] = (0.0, {})

    def propose(self, questions: Sequence[Question]) -> list[Proposal]:
        proposals = PGVECTOR.propose(questions)
        asked = defaultdict[str, list[int]](list)
        collections = self._collections()
        for place, question in enumerate(questions):
            key = (question.match_type, question.version, _size(question))
            if question.wanted <= MOST and (name := collections.get(key)):
                asked[name].append(place)
        if not asked:
            return proposals
        if not self.answers():
            counters.count("index_failures", "not asked")
            return proposals
        calls = [(name, [questions[place] for place in places]) for name, places in asked.items()]
        try:
            answers = _nearest(calls)
        except milvus.MilvusUnavailable as error:
            self._silent_until = time.monotonic() + PAUSE
            counters.count("index_failures", "failed")
            logger.warning("PostgreSQL searches for %d s: %s", PAUSE, error.message)
            return proposals
        for places, found in zip(asked.values(), answers, strict=True):
            for place, rows in zip(places, found, strict=True):
                proposals[place] = Proposal(rows=rows)
        return proposals

    def answers(self) -> bool:
        """Return whether this process asks Milvus, which has not just failed."""
        return time.monotonic() >= self._silent_until

    def forget(self) -> None:
        """Ask Milvus again, and read which collections there are."""
        self._silent_until, self._known = 0.0, (0.0, {})

    def _collections(self) -> Mapping[tuple[str, str, int], str]:
        """Return the complete ones; the newest of those that hold the same."""
        until, known = self._known
        if time.monotonic() > until:
            rows = IndexCollection.objects.filter(complete_at__isnull=False).order_by("id")
            known = {(row.match_type, row.version, row.dimensions): row.name for row in rows}
            self._known = (time.monotonic() + KNOWN_SECONDS, known)
        return known


MILVUS: Final = MilvusIndex()


def index_in_use() -> VectorIndex:
    return MILVUS if milvus.is_on() else PGVECTOR


def _nearest(calls: Sequence[tuple[str, Sequence[Question]]]) -> list[list[list[int]]]:
    if len(calls) == 1:
        return [_of_collection(*calls[0])]
    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(lambda call: _of_collection(*call), calls))


def _of_collection(name: str, questions: Sequence[Question]) -> list[list[int]]:
    return milvus.nearest(
        name,
        [_vector(question) for question in questions],
        wanted=max(
            FILTERED if question.filtered else MARGIN * question.wanted for question in questions
        ),
        effort=questions[0].space.ef_search,
    )


def _size(question: Question) -> int:
    if question.match_type == "pdq":
        return len(question.vector)
    return dimensions(question.vector)


def _vector(question: Question) -> list[float]:
    """Milvus compares numbers; ``index_feeding`` stores bits as -1 and 1, too."""
    if question.match_type == "pdq":
        return [1.0 if bit == "1" else -1.0 for bit in question.vector]
    numbers: list[float] = orjson.loads(question.vector)
    return numbers
