"""Notices a recovery of PostgreSQL that does nothing any more.

After the loss of a process PostgreSQL recovers by itself and refuses connections meanwhile. This
may take long. But one recovery after two losses within a second did nothing for ever, and nothing
else ends such a server: its main process lives and answers.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Final

STUCK_AFTER: Final = 120.0
"""Seconds in which the recovering process has not run at all."""
LONGEST_LOOK: Final = 60.0
"""Seconds that count between two looks, as this process may have been stopped as well."""
LOOK_EVERY: Final = 5.0


class RecoveryWatch:
    def __init__(self) -> None:
        self._looked = time.monotonic()
        self._seen: tuple[int, int] | None = None
        self._still = 0.0

    def hangs(self, main: int) -> bool:
        """Return whether the server with this main process hangs in a recovery. Ask it often."""
        now = time.monotonic()
        passed = now - self._looked
        if passed < LOOK_EVERY:
            return False
        seen = _recovering(main)
        if seen is None or seen != self._seen:
            self._seen, self._still = seen, 0.0
        else:
            self._still += min(passed, LONGEST_LOOK)
        self._looked = now
        return self._still >= STUCK_AFTER


def _recovering(main: int) -> tuple[int, int] | None:
    """Return the id of the process that recovers, and how often it was given a processor."""
    with contextlib.suppress(OSError):  # it has ended
        for pid in Path(f"/proc/{main}/task/{main}/children").read_text().split():
            process = Path("/proc", pid)
            if b": startup" in (process / "cmdline").read_bytes():
                lines = (process / "status").read_text().splitlines()
                switches = [line.split()[1] for line in lines if "ctxt_switches:" in line]
                return int(pid), sum(map(int, switches))
    return None
