"""Processes that search for duplicates. Imports no models: a new process imports this first."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import django
from django.db import connection

from gallery.items.processes import obey_parent


def start_pool(workers: int) -> ProcessPoolExecutor:
    """Return worker processes on the same database. They stop when this process ends."""
    return ProcessPoolExecutor(
        workers,
        multiprocessing.get_context("spawn"),
        _start,
        (connection.settings_dict["NAME"],),
    )


def _start(database: str) -> None:
    obey_parent()
    django.setup()
    connection.settings_dict["NAME"] = database
