"""What a bulk import's processes may meet. Apart, because they import it without Django."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from gallery.items.preprocessing import Plan, Prepared, prepare

DEADLY = b"deadly"


def die(plan: Plan, places: Sequence[Path]) -> list[Prepared | str]:
    """One file ends its process, as a decoder that crashes does."""
    if any(place.read_bytes().endswith(DEADLY) for place in places):
        os.kill(os.getpid(), signal.SIGKILL)
    return prepare(plan, places)


def linger(plan: Plan, places: Sequence[Path]) -> list[Prepared | str]:
    """A decoder that never ends."""
    from gallery.items import preprocessing

    def decode(data: bytes, limits: object) -> None:
        while True:
            pass

    preprocessing.decode = decode  # type: ignore[assignment]
    return prepare(plan, places)
