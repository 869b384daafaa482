"""Read the database of the original imgsmlr-server, in one snapshot.

Its types ``pattern`` and ``signature`` are read in their text form: all numbers with six decimals,
the pattern as 64 rows, shuffled already. So they become what ``Haar`` stores, and distances differ
from the original's by at most 0.00003.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
import psycopg2
from numpy.typing import NDArray

from gallery.imaging.descriptors.base import Columns
from gallery.imaging.descriptors.haar import SIDE, columns_of
from gallery.items.item import NO_MD5
from gallery.shared.errors import UserError

NEEDED: Final = ("id", "url", "md5", "pattern", "signature")
OPTIONAL: Final = ("data_id", "remark", "meta")
SIGNATURE_SIZE: Final = 16
_BARE: Final = str.maketrans("", "", "()")

_KEY: Final = f"""
    CASE WHEN md5 ~* '^[0-9a-f]{{32}}$' THEN lower(md5)
    ELSE '{NO_MD5}' || left(md5(coalesce(url, '') || ' ' || coalesce(pattern::text, '')), 31) END
"""
"""Rows with the same key are the same picture: by md5, or by link and pattern without a md5."""


@dataclass(frozen=True)
class SourceRow:
    """A row without its vectors. ``meta`` is JSON as text."""

    id: int
    key: str
    url: str | None
    data_id: str | None
    remark: str | None
    meta: str | None


@dataclass(frozen=True)
class Contents:
    """``highest_id``: that any row had. ``clip``: rows with a CLIP vector."""

    rows: int
    highest_id: int
    clip: int


class Source:
    """A database of the original server. Use it as a context manager."""

    def __init__(self, dsn: str) -> None:
        """``dsn``: a libpq connection string or URL. The original's own setting is accepted too.

        Raises ``UserError`` if it cannot be read, or is no database of the original server.
        """
        dsn = re.sub(r"^postgres(ql)?\+\w+://", "postgresql://", dsn)
        try:
            self._connection = psycopg2.connect(dsn, client_encoding="utf8")
        except psycopg2.Error as error:
            raise UserError(f"The database cannot be opened: {str(error).strip()}.") from error
        self._connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        try:
            self._columns = self._find_columns()
            self._read_later_rows()
        except UserError:
            self._connection.close()
            raise

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def contents(self) -> Contents:
        clip = "count(clip)" if "clip" in self._columns else "0"
        (row,) = self._query(
            f"SELECT count(*), coalesce(max(id), 0), {clip} FROM image"  # noqa: S608
        )
        last = self._query(
            "SELECT last_value FROM pg_sequences WHERE format('%%I.%%I', schemaname, sequencename) "
            "= pg_get_serial_sequence('image', 'id')"
        )
        given = max((value or 0 for (value,) in last), default=0)
        return Contents(row[0], max(row[1], given), row[2])

    def rows(self, size: int) -> Iterator[list[SourceRow]]:
        """Yield the first row of each key, by id, without vectors."""
        last = -(2**63)
        while rows := self._facts("id > %s ORDER BY id LIMIT %s", [last, size]):
            last = rows[-1].id
            yield [row for row in rows if row.id not in self._later]

    def later_rows(self, row: SourceRow) -> list[SourceRow]:
        """Return the other rows with the key of a first row, by id."""
        return self._others.get(row.key, [])

    def vectors(self, ids: Sequence[int]) -> dict[int, Columns]:
        """Return what is stored of these rows. Rows without usable vectors are left out."""
        rows = self._query(
            "SELECT id, signature::text, pattern::text FROM image WHERE id = ANY(%s) "
            "AND signature IS NOT NULL AND pattern IS NOT NULL",
            [list(ids)],
        )
        read = {pk: _columns(signature, pattern) for pk, signature, pattern in rows}
        return {pk: columns for pk, columns in read.items() if columns is not None}

    def _find_columns(self) -> set[str]:
        rows = self._query(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('image') "
            "AND attnum > 0 AND NOT attisdropped"
        )
        names = {name for (name,) in rows}
        if lacking := [name for name in NEEDED if name not in names]:
            raise UserError(
                "This is no database of imgsmlr-server: "
                + (
                    f"its table image has no column {lacking[0]}."
                    if names
                    else "it has no table image that this role sees."
                )
            )
        return names

    def _read_later_rows(self) -> None:
        later = self._query(
            "SELECT id FROM (SELECT id, min(id) OVER (PARTITION BY key) AS first "  # noqa: S608
            f"FROM (SELECT id, {_KEY} AS key FROM image) AS keys) AS firsts WHERE id <> first"
        )
        self._later = {pk for (pk,) in later}
        self._others: dict[str, list[SourceRow]] = {}
        for row in self._facts("id = ANY(%s) ORDER BY id", [list(self._later)]):
            self._others.setdefault(row.key, []).append(row)

    def _facts(self, condition: str, params: list[Any]) -> list[SourceRow]:
        optional = ", ".join(
            f"{name}::text" if name in self._columns else "NULL" for name in OPTIONAL
        )
        sql = f"SELECT id, {_KEY}, url, {optional} FROM image WHERE {condition}"  # noqa: S608
        return [SourceRow(*row) for row in self._query(sql, params)]

    def _query(self, sql: str, params: list[Any] | None = None) -> list[tuple[Any, ...]]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, params or [])
                return cursor.fetchall()
        except psycopg2.Error as error:
            raise UserError(f"The database cannot be read: {str(error).strip()}.") from error


def _columns(signature: str, pattern: str) -> Columns | None:
    """Return what is stored of a row, or None if its text is not 16 and 64×64 finite numbers."""
    try:
        of_signature, of_pattern = _numbers(signature), _numbers(pattern)
    except ValueError:
        return None
    if of_signature.shape != (SIGNATURE_SIZE,) or of_pattern.shape != (SIDE * SIDE,):
        return None
    return columns_of(of_signature, of_pattern.reshape(SIDE, SIDE))


def _numbers(text: str) -> NDArray[np.float64]:
    # orjson reads 4,096 numbers in a fifth of numpy's time, and refuses nan and inf.
    return np.array(orjson.loads(f"[{text.translate(_BARE)}]"), np.float64)
