"""Lets background work give way to requests when both want the processors."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def give_way(nice: int) -> None:
    """Lower the priority of this process and of the processes that it will start.

    ``nice``: as in ``nice(1)``. With 5, each gets a third of what a busy web server gets.

    Linux shares out the time between sessions before it looks at the processes of each, so the
    session gets the priority too, if this process leads it (``sched(7)``, autogroup).
    """
    os.nice(nice)
    if os.getsid(0) == os.getpid():
        # No such file without autogroups. The kernel may refuse a change just after another.
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(nice))
