"""Which stored vectors are near to those of a query: the engine that proposes them.

An engine only says where to look. The statement of the search measures, filters and checks all
of it by the rows of PostgreSQL. What an engine remembers wrongly can lose a result, and never shows
one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

EXACT_ABOVE: Final = 500
"""HNSW (ef_search ≤ 1,000) is not used for more candidates."""


@dataclass(frozen=True)
class VectorSpace:
    """The column and the distance operator of one match type's vectors.

    ``ef_search``: how many vectors the index looks at; ``ef_search_near``: the same where only
    distances up to the first number count.
    """

    column: str
    operator: str
    cast: str
    ef_search: int
    ef_search_near: tuple[float, int] | None = None

    def looked_at(self, threshold: float) -> int:
        """Return how many vectors the index looks at for matches within a threshold."""
        if self.ef_search_near and threshold <= self.ef_search_near[0]:
            return self.ef_search_near[1]
        return self.ef_search

    def distance_sql(self, parameter: str, vector: str) -> str:
        """Return the distance of a row ``f`` to a vector, in the form that the index covers."""
        column, cast = f"f.{self.column}", self.cast
        if cast == "halfvec":
            # Only this cast matches the partial index of one model's version.
            cast = f"halfvec({dimensions(vector)})"
            column = f"{column}::{cast}"
        return f"{column} {self.operator} %({parameter})s::{cast}"


VECTOR_SPACES: Final[Mapping[str, VectorSpace]] = {
    "imgsmlr": VectorSpace("haar", "<->", "vector(16)", 200),
    # Unrelated hashes are all about as far from each other, which leads a graph astray: of the ten
    # nearest of 300,000, at 94 bits, 400 find 94 % and 1,000 find 99 %. Copies are found by 200.
    "pdq": VectorSpace("pdq", "<~>", "bit(256)", 1000, ef_search_near=(64, 400)),
    "copy": VectorSpace("cnn", "<=>", "halfvec(512)", 400),
    "clip": VectorSpace("clip", "<=>", "halfvec", 400),
}
"""By match type."""


def dimensions(vector: str) -> int:
    return vector.count(",") + 1


@dataclass(frozen=True)
class Question:
    """A vector in SQL's text form, and how many of the stored ones nearest to it are wanted.

    ``version``: of the stored vectors. ``filtered``: images must be more than ready to be found.
    """

    match_type: str
    version: str
    vector: str
    wanted: int
    filtered: bool = False

    @property
    def space(self) -> VectorSpace:
        return VECTOR_SPACES[self.match_type]


@dataclass(frozen=True)
class Proposal:
    """Where the statement looks: at every row if ``exact``, else at these, and those that changed
    last; None: at those of pgvector's index.

    ``rows``: ids of fingerprints, of which some may be gone or withheld.
    """

    exact: bool = False
    rows: Sequence[int] | None = None


class VectorIndex(Protocol):
    def propose(self, questions: Sequence[Question]) -> list[Proposal]:
        """Return where each question's nearest vectors are. Never fails."""
        ...


class PgVector:
    """The indexes of PostgreSQL. The statement asks them while it runs."""

    def propose(self, questions: Sequence[Question]) -> list[Proposal]:
        return [Proposal(exact=question.wanted > EXACT_ABOVE) for question in questions]


class EveryRow:
    """No index: all rows are compared."""

    def propose(self, questions: Sequence[Question]) -> list[Proposal]:
        return [Proposal(exact=True)] * len(questions)


PGVECTOR: Final = PgVector()
EVERY_ROW: Final = EveryRow()


LAST_CHANGED: Final = 500
"""Changes of which an outer index may not know yet: these rows are always looked at, so that what
was just added is found at once."""

_LAST_CHANGED = f"SELECT fingerprint FROM gallery_indexchange ORDER BY id DESC LIMIT {LAST_CHANGED}"  # noqa: S608


def near_sql(
    question: Question, proposal: Proposal, name: str, where: str
) -> tuple[str, dict[str, Any]]:
    """Return a SELECT of the rows nearest to a question's vector, with its parameters.

    Its columns are ``fingerprint_id``, ``item_id`` and ``distance``. ``name`` begins the names of
    the parameters; ``where``: conditions on the image ``i``.

    ``+ 0`` keeps the planner from using the index, which makes the scan exact. An index scan checks
    each image by its id, in a subquery that the planner cannot turn into a join: before the tables
    are analysed it would join all ready images each time.
    """
    space = question.space
    distance = space.distance_sql(f"{name}_vector", question.vector)
    source, order = "", " + 0"
    condition = f"(SELECT {where} FROM gallery_image i WHERE i.id = f.item_id)"  # noqa: S608
    if proposal.exact:
        source, condition = "JOIN gallery_image i ON i.id = f.item_id", where
    elif proposal.rows is None:
        order = ""
    else:
        known = f"%({name}_rows)s::bigint[] || ARRAY({_LAST_CHANGED})"
        condition = f"f.id = ANY({known}) AND {condition}"
    sql = (
        f"SELECT f.id AS fingerprint_id, f.item_id, {distance} AS distance "  # noqa: S608
        f"FROM gallery_imagefingerprint f {source} "
        f"WHERE f.version = %({name}_version)s AND f.{space.column} IS NOT NULL AND {condition} "
        f"ORDER BY ({distance}){order} LIMIT {question.wanted}"
    )
    params = {f"{name}_vector": question.vector, f"{name}_version": question.version}
    return sql, {**params, f"{name}_rows": proposal.rows}


def settings_sql(ef_search: int) -> str:
    """Return statements to send before a search's own, as one text: so the three are one
    transaction and one round trip."""
    return f"SET LOCAL hnsw.ef_search = {ef_search}; SET LOCAL hnsw.iterative_scan = strict_order; "
