"""Processes that look for duplicates. Imports no models: a fresh process comes here first."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from threading import Thread

import django
from django.db import connection


def pool(workers: int) -> ProcessPoolExecutor:
    """Processes that use this one's database, and end when this one ends in whichever way."""
    return ProcessPoolExecutor(
        workers,
        multiprocessing.get_context("spawn"),
        _start,
        (connection.settings_dict["NAME"],),
    )


def _start(database: str) -> None:
    # Ctrl-C at a terminal reaches it too, but its parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    django.setup()
    connection.settings_dict["NAME"] = database


def _end_with_parent() -> None:
    """Left alone, it would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
