"""``python -m benchmarks.videos``: does the search find the right video and the right moment?

The questions are screenshots, animations and clips of stored and of other videos. See
``docs/benchmarks.md``.
"""

from __future__ import annotations

import os

# Before numpy is imported: each process uses one thread, and the caller sets their number.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
    os.environ.setdefault(_name, "1")
# The cache holds the files; the gallery only keeps their proxies.
os.environ.setdefault("KEEP_VIDEOS", "none")
