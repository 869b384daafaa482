"""Keeps this machine's index files of hashes and vectors up to date, in a worker."""

from __future__ import annotations

import time
from typing import Any

from django_q.tasks import async_task

from moderation.lists import banned_hashes, item_vectors
from moderation.lists.shared_rows import SharedRows

LOOK_EVERY = 60.0
"""Seconds between two checks by a process whether a refresh is due."""

_next_look = 0.0


def is_due() -> bool:
    """Return whether a file is damaged or lacks many rows."""
    return any(rows.is_due() for rows in _every())


def ask_if_due() -> None:
    """Queue a refresh, in the current transaction, if one is due."""
    global _next_look
    if time.monotonic() < _next_look:
        return
    _next_look = time.monotonic() + LOOK_EVERY
    if is_due():
        async_task("moderation.tasks.refresh_hash_index")


def refresh(*, always: bool = False) -> int:
    """Rewrite the files that lack many rows or differ from the database. Returns their rows."""
    return sum(rows.refresh(always=always) for rows in _every())


def _every() -> list[SharedRows[Any]]:
    return [banned_hashes.rows, *item_vectors.shared()]
