"""Child processes of a pool."""

from __future__ import annotations

import multiprocessing
import os
import signal
from threading import Thread


def obey_parent() -> None:
    """Ignore Ctrl-C, and exit when the parent process ends.

    A terminal sends Ctrl-C to both processes, and the parent handles it. Without this, a process
    whose parent died would wait for work forever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
