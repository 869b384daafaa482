"""Where benchmarks keep everything that can be made again."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def directory() -> Path:
    """``BENCH_DIR``, or ``var/bench``."""
    found = Path(os.environ.get("BENCH_DIR") or ROOT / "var" / "bench").resolve()
    found.mkdir(parents=True, exist_ok=True)
    return found
