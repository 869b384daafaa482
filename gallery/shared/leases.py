"""Leases: a worker takes a row for a limited time. If it dies, another worker takes the row.

A lease is a time in a column of the row, ``claimed_until`` by default. The worker owns the row
as long as the column holds the time that this worker wrote.
"""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

Row = TypeVar("Row", bound=Model)


class LeaseLost(Exception):
    """The row was deleted, or another worker took it over."""


def is_free() -> Q:
    """Return the condition that no lease of a row is running."""
    return Q(claimed_until=None) | Q(claimed_until__lt=timezone.now())


def take(
    due: QuerySet[Row],
    lease: timedelta,
    *,
    count: int = 1,
    column: str = "claimed_until",
    **values: Any,
) -> list[Row]:
    """Lease and return up to ``count`` of the due rows. ``values`` are set too.

    Commits at once, and counts the attempt if the rows have ``attempts``. Skips rows that
    another worker is taking now.
    """
    with transaction.atomic():
        rows = list(due.select_for_update(skip_locked=True, of=("self",))[:count])
        values[column] = timezone.now() + lease
        for row in rows:
            if hasattr(row, "attempts"):
                values["attempts"] = row.attempts + 1
            for name, value in values.items():
                setattr(row, name, value)
        if rows:
            type(rows[0])._default_manager.bulk_update(rows, list(values))
    return rows


def _own(row: Row) -> QuerySet[Row]:
    rows = type(row)._default_manager
    return rows.filter(pk=row.pk, claimed_until=row.claimed_until)  # type: ignore[attr-defined]


def save(row: Model, **values: Any) -> None:
    """Change columns of a row that this worker has leased. Raises ``LeaseLost``."""
    if not _own(row).update(**values):
        raise LeaseLost
    for name, value in values.items():
        setattr(row, name, value)


def renew(row: Model, lease: timedelta, **values: Any) -> None:
    """Renew the lease from now on, and change columns. Raises ``LeaseLost``."""
    save(row, claimed_until=timezone.now() + lease, **values)


def give_back(row: Model) -> None:
    """Undo ``take``: what failed was not the row's fault, so the attempt does not count."""
    attempts = row.attempts - 1  # type: ignore[attr-defined]
    with contextlib.suppress(LeaseLost):
        save(row, claimed_until=None, attempts=attempts)


def locked(row: Row) -> Row:
    """Lock and return the row as it is stored now. Raises ``LeaseLost``."""
    stored = _own(row).select_for_update().first()
    if stored is None:
        raise LeaseLost
    return stored


class Renewal:
    """Call it often: it renews the lease after each quarter of its length. Raises ``LeaseLost``."""

    def __init__(self, row: Model, lease: timedelta) -> None:
        self._row, self._lease = row, lease
        self._due = time.monotonic() + lease.total_seconds() / 4

    def __call__(self) -> None:
        if time.monotonic() > self._due:
            renew(self._row, self._lease)
            self._due = time.monotonic() + self._lease.total_seconds() / 4
