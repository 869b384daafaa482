"""Processes that look for duplicates. Imports no models: a fresh process comes here first."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import django
from django.db import connection

from gallery.items.processes import obey_parent


def pool(workers: int) -> ProcessPoolExecutor:
    """Processes that use this one's database, and end when this one ends in whichever way."""
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
