"""How far an import is, committed while its own transaction is still open."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.db import connection

from moderation.imports.models import ListImport

EVERY = 0.5
"""Seconds between two UPDATEs of the row."""
Teller = Callable[[int], None]
"""Called with per cent, from 0 to 100, never with less than before."""


class Progress:
    """Writes per cent to the row, over a connection of its own. Close it."""

    def __init__(self, import_id: int, tell: Teller | None) -> None:
        self._id, self._tell = import_id, tell
        self._connection = connection.copy()
        self._last, self._at = 0, 0.0

    def __call__(self, percent: int) -> None:
        """Say how far it is; the row may hear of it later, or not at all."""
        if percent <= self._last:
            return
        self._last = percent
        if self._tell:
            self._tell(percent)
        if time.monotonic() - self._at >= EVERY:
            self._at = time.monotonic()
            self._write(percent)

    def _write(self, percent: int) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(
                "UPDATE moderation_listimport SET progress = %s WHERE id = %s AND state = %s",
                [percent, self._id, ListImport.State.RUNNING],
            )

    def close(self) -> None:
        """The connection goes."""
        self._connection.close()
