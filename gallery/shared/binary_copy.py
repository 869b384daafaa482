"""``COPY (FORMAT binary)``: read rows as arrays, and insert long values.

https://www.postgresql.org/docs/current/sql-copy.html
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

BIGINT: Final = np.dtype(">i8")
DOUBLE: Final = np.dtype(">f8")
BITS_256: Final = np.dtype([("head", ">i4"), ("values", "u1", (32,))])
"""A column of type ``bit(256)``."""

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_END: Final = struct.pack(">h", -1)


def vector(dimensions: int) -> np.dtype[np.void]:
    """A column of that many single-precision numbers; they are in the field ``values``."""
    return np.dtype([("head", ">i2", 2), ("values", ">f4", (dimensions,))])


def halfvec(dimensions: int) -> np.dtype[np.void]:
    """A column of that many half-precision numbers; they are in the field ``values``."""
    return np.dtype([("head", ">i2", 2), ("values", ">f2", (dimensions,))])


def read_rows(
    select: str,
    params: Mapping[str, Any],
    columns: Mapping[str, np.dtype[Any]],
    database: BaseDatabaseWrapper | None = None,
) -> NDArray[np.void]:
    """Return the rows of a query, which must hold no null. ``columns`` are in the query's order.

    ``params`` as for ``cursor.execute``. The array is a view of the received bytes.
    """
    fields: list[tuple[str, Any]] = [("fields", ">i2")]
    for name, kind in columns.items():
        # Each value is preceded by its size.
        fields += [(f"size of {name}", ">i4"), (name, kind)]
    out = io.BytesIO()
    with (database or connection).cursor() as cursor:
        query = cursor.mogrify(select, params).decode()
        cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT binary)", out)
    return np.frombuffer(out.getbuffer()[len(_HEADER) : -len(_END)], fields)


def write_rows(table: str, columns: str, rows: Iterable[tuple[int, bytes]]) -> None:
    """Insert (bigint, bytea) rows. As text each byte of a bytea would be two."""
    out = io.BytesIO()
    out.write(_HEADER)
    for key, value in rows:
        out.write(struct.pack(">hiqi", 2, 8, key, len(value)) + value)
    out.write(_END)
    out.seek(0)
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN (FORMAT binary)", out)
