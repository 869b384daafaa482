"""Notices that PostgreSQL has lost the process that recovers, and waits for it for ever.

After the loss of a process PostgreSQL restarts the others and recovers. If the process that
recovers is killed then, PostgreSQL 18.4 starts no other one. Its main process lives and refuses
connections, so nothing else tells that the server is lost.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Final

LOST_AFTER: Final = 10.0
"""Seconds. Between the loss of a process and the recovery PostgreSQL takes up to five."""
LONGEST_LOOK: Final = 6.0
"""Seconds that count between two looks, as this process may have been stopped as well."""
LOOK_EVERY: Final = 2.0

_WORKS: Final = (b": startup", b": walwriter")
"""In the titles of the process that recovers, and of one that runs from then on."""


class RecoveryWatch:
    def __init__(self) -> None:
        self._looked = time.monotonic()
        self._lost = 0.0

    def hangs(self, main: int) -> bool:
        """Return whether the server with this main process is lost, once. Ask every few seconds."""
        now = time.monotonic()
        passed = now - self._looked
        if passed >= LOOK_EVERY:
            self._looked = now
            self._lost = 0.0 if _works(main) else self._lost + min(passed, LONGEST_LOOK)
        if self._lost < LOST_AFTER:
            return False
        self._lost = 0.0  # the next question is about another server
        return True


def _works(main: int) -> bool:
    """Return whether it recovers or serves, also if that cannot be told."""
    try:
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
    except OSError:
        return True
    for pid in children:
        with contextlib.suppress(OSError):  # it has ended
            title = Path(f"/proc/{pid}/cmdline").read_bytes()
            if any(word in title for word in _WORKS):
                return True
    return False
