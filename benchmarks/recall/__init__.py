"""``python -m benchmarks.recall``: how many edited copies are found, and how many others.

The original search, perceptual hashes, this service's match types and two libraries, over the same
gallery and the same questions. See ``docs/benchmarks.md``.
"""

from __future__ import annotations

import os

# Before numpy is imported: each process computes on one thread, and as many run as are wanted.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
