"""Child processes that end with their parent, however it ends (Linux)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from gallery.shared.confinement import ask_for_signal_of_death, end_with_parent


def signal_when_parent_dies(signum: int) -> Callable[[], None]:
    """Return a ``preexec_fn``: the child gets ``signum`` when its parent ends for any reason.

    No signal is blocked in the child. The kernel watches the *thread* that started the child, so
    start it from the main thread.
    """
    parent = os.getpid()

    def ask_kernel() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        ask_for_signal_of_death(signum)
        if os.getppid() != parent:
            os.kill(os.getpid(), signum)

    return ask_kernel


def kill_forks_with_their_parents() -> None:
    """From now on, what this process and its forks fork is killed when its parent ends.

    It does not reach programs that are executed: those end when their pipes close.
    """
    parent = 0

    def remember_parent() -> None:
        nonlocal parent
        parent = os.getpid()

    os.register_at_fork(before=remember_parent, after_in_child=lambda: end_with_parent(parent))
