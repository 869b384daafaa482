"""The memory that all processes of a host may use at once for decoding pictures.

A share is a number of locked bytes of one file, a byte for each ``UNIT``. The kernel frees them
when the process ends, however it ends, so that nothing is lost.

Whoever waits for a large share does so in front of a door, so that small shares behind it cannot
keep it waiting for ever. A thread that holds a share already gets more without waiting, as far as
there is some: it could wait for itself.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import struct
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gallery.imaging.decoding.limits import TooLarge
from gallery.shared.errors import Busy

UNIT: Final = 16 * 2**20
"""Bytes. A picture that needs less is not counted: the number of threads bounds these."""

RETRY_AFTER: Final = 5
_DOOR: Final = 0
_POLL_SECONDS: Final = 0.02


@dataclass(slots=True)
class Caller:
    """For whom pictures are decoded. ``patience``: seconds to wait for memory, None for as long as
    it takes. ``spent``: bytes for all frames decoded so far, each file counted each time."""

    patience: float | None = None
    spent: int = 0


_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)


@contextmanager
def decoding_for(caller: Caller) -> Iterator[None]:
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)


class Share:
    """Memory taken from the budget. It returns when the object is no longer referenced."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._units: set[int] = set()
        self.give_back = weakref.finalize(self, os.close, file)

    def collect(self, wanted: int, total: int) -> bool:
        """Lock free units, up to ``wanted`` in all. Return whether there were enough."""
        for unit in range(1, 1 + total):
            if len(self._units) == wanted:
                break
            if unit not in self._units and _lock(self._file, unit):
                self._units.add(unit)
        return len(self._units) == wanted

    def keep(self, cost: int) -> None:
        """Return all but ``cost`` bytes."""
        while len(self._units) > math.ceil(cost / UNIT):
            _unlock(self._file, self._units.pop())


class Budget:
    """``total``: bytes. ``path``: a file that all processes of the host can write."""

    def __init__(self, path: Path, total: int) -> None:
        self._path, self._total = path, total
        self._held = threading.local()

    def take(self, cost: int, frames: int = 1) -> Share | None:
        """Wait for ``cost`` bytes; None if they are too few to be counted.

        Raises ``TooLarge`` if it is more than there is, ``Busy`` if it is not free in time.
        """
        if cost > self._total:
            raise TooLarge(
                f"Decoding the picture needs {cost >> 20:,} MB of memory, more than the "
                f"{self._total >> 20:,} MB allowed; send a smaller version."
            )
        caller = _caller.get() or Caller()
        caller.spent += cost * frames
        if cost < UNIT:
            return None
        held = self._held.__dict__.setdefault("shares", weakref.WeakSet())
        patience = 0.0 if held else caller.patience
        share = self._wait(cost // UNIT, patience, anyway=bool(held))
        held.add(share)
        return share

    def _wait(self, units: int, patience: float | None, *, anyway: bool) -> Share:
        until = None if patience is None else time.monotonic() + patience
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        share, at_door = Share(file), False
        while True:
            at_door = at_door or _lock(file, _DOOR)
            if at_door or anyway:
                enough = share.collect(units, self._total // UNIT)
                if enough or anyway:
                    _unlock(file, _DOOR)
                    return share
            if until is not None and time.monotonic() >= until:
                share.give_back()  # a traceback could keep it
                raise Busy(
                    "Other pictures take the memory for decoding at the moment: "
                    f"try again in {RETRY_AFTER} s.",
                    wait=RETRY_AFTER,
                )
            time.sleep(_POLL_SECONDS)


def _lock(file: int, at: int) -> bool:
    """Lock a byte, if nobody else has. These locks belong to the open file, not to the process."""
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _range(fcntl.F_WRLCK, at))
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True


def _unlock(file: int, at: int) -> None:
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, _range(fcntl.F_UNLCK, at))


def _range(kind: int, at: int) -> bytes:
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, at, 1, 0)  # struct flock
