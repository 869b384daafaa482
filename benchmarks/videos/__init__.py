"""``python -m benchmarks.videos``: is the right video found, and the right moment?

Screenshots, animations and clips of videos that are stored, and of others that are not. See
``docs/benchmarks.md``.
"""

from __future__ import annotations

import os

# Before numpy is imported: each process computes on one thread, and as many run as are wanted.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# The cache holds the files; the gallery keeps its proxies alone.
os.environ.setdefault("KEEP_VIDEOS", "none")
