"""The directory for files that the benchmarks can make again."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def directory() -> Path:
    """Return ``BENCH_DIR``, or ``var/bench``."""
    found = Path(os.environ.get("BENCH_DIR") or ROOT / "var" / "bench").resolve()
    found.mkdir(parents=True, exist_ok=True)
    return found
