"""Child processes that end with their parent, however it ends (Linux)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def signal_when_parent_dies(signum: int) -> Callable[[], None]:
    """Return a ``preexec_fn``: the child gets ``signum`` when its parent ends for any reason.

    The kernel watches the *thread* that started the child, so start it from the main thread.
    """
    parent = os.getpid()
    libc = ctypes.CDLL(None)  # loaded before the fork, because little is safe after it

    def ask_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signum)
        if os.getppid() != parent:
            os.kill(os.getpid(), signum)

    return ask_kernel
