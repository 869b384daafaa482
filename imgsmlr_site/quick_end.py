"""Ends a process at once: to take its modules apart, as Python does, takes half a second."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import NoReturn


def end_now(code: int) -> NoReturn:
    """End this process after its last line is written. No ``atexit`` and no ``finally`` runs."""
    logging.shutdown()
    with contextlib.suppress(OSError):  # nobody reads it any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
