"""Having this machine's file of banned hashes written anew when it is due."""

from __future__ import annotations

import time
from typing import Final

from django_q.tasks import async_task

from moderation.lists import banned_hashes

EVERY: Final = 60.0
"""Seconds between two looks of a process."""

_next_look = 0.0


def ask_if_due() -> None:
    """Queue the task, in this transaction, if the file is damaged or lacks many rows."""
    global _next_look
    if time.monotonic() < _next_look:
        return
    _next_look = time.monotonic() + EVERY
    if banned_hashes.is_due():
        async_task("moderation.tasks.refresh_hash_index")
