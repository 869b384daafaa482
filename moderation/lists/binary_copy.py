"""Rows of the database as arrays, by way of ``COPY (FORMAT binary)``."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from django.db import connection
from numpy.typing import NDArray

INTEGER: Final = np.dtype(">i8")


def halfvec(dimensions: int) -> np.dtype[np.void]:
    """A column of that many half-precision numbers, which are in ``values``."""
    return np.dtype([("head", ">i2", 2), ("values", ">f2", dimensions)])


def copied(
    select: str, params: Mapping[str, Any], columns: Mapping[str, np.dtype[Any]]
) -> NDArray[np.void]:
    """What a query answers, which must hold no null; ``columns`` are in its order.

    ``params`` as for ``cursor.execute``. The answer refers to the bytes as they came.
    """
    fields: list[tuple[str, Any]] = [("fields", ">i2")]
    for name, kind in columns.items():
        # Before each value comes its size.
        fields += [(f"size of {name}", ">i4"), (name, kind)]
    out = io.BytesIO()
    with connection.cursor() as cursor:
        query = cursor.mogrify(select, params).decode()
        cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT binary)", out)
    # Without what is before the first row and after the last one.
    return np.frombuffer(out.getbuffer()[19:-2], fields)
