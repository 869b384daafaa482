"""Locking many rows, in the one order in which nobody can wait for one another in a circle.

Whoever locks rows of several tables in one transaction locks them in this order, and within a table
by id:

1. the advisory lock of something that has no row yet, such as bytes that are being checked
2. a batch that is being undone
3. images, then videos
4. cases, with what hangs on them (decisions, matches, claims)
5. lists, then their items
6. webhooks and their messages
7. the audit, whose lock is held to the end of the transaction

Whoever only takes what is free (``skip_locked``) waits for nobody and may do so at any point.
"""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)


def locked(rows: QuerySet[Row], *, no_key: bool = False) -> list[Row]:
    """The rows, locked by id to the end of the transaction, whatever order the query has.

    ``no_key``: rows that refer to these can be inserted meanwhile; not for those to be deleted.
    """
    return list(rows.order_by("pk").select_for_update(of=("self",), no_key=no_key))
