"""``python -m benchmarks.recall``: how many edited copies are found, and how many other pictures.

It compares the original search, perceptual hashes, this service's match types and two libraries on
the same gallery and the same questions. See ``docs/benchmarks.md``.
"""

from __future__ import annotations

import os

# Before numpy is imported: each process uses one thread, and the caller sets their number.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
    os.environ.setdefault(_name, "1")
