"""What a process of a pool does first."""

from __future__ import annotations

import multiprocessing
import os
import signal
from threading import Thread


def obey_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it ends in whichever way.

    A terminal sends Ctrl-C to both, but the parent decides. Left alone by a parent that was
    killed, a process would wait for work forever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
