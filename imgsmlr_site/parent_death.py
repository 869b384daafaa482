"""Children that end with their parent, whichever way it ends (Linux)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def signal_when_parent_dies(signum: int) -> Callable[[], None]:
    """A ``preexec_fn`` after which the child gets ``signum`` when its parent ends in any way.

    The kernel watches the *thread* that started the child: start it from the main thread.
    """
    parent = os.getpid()
    libc = ctypes.CDLL(None)  # loaded before the fork, where little is safe to do

    def ask_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signum)
        if os.getppid() != parent:
            os.kill(os.getpid(), signum)

    return ask_kernel
