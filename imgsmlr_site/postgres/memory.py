"""Settings of the embedded PostgreSQL that follow from the memory and the cores of the machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

MIB: Final = 2**20

KEPT_FOR_OTHERS: Final = 1024 * MIB
"""What web, workers and the system need beside PostgreSQL."""

SMALLEST_SHARE, LARGEST_SHARE = 128 * MIB, 32 * 1024 * MIB


def memory_options(memory: int, cores: int, shared_memory: int) -> Mapping[str, str]:
    """Return the settings of PostgreSQL. ``memory``: bytes that may be used. ``shared_memory``:
    bytes free in /dev/shm.

    A quarter of what others leave is for pages that searches read, and as much for building one
    index. PostgreSQL takes neither before it needs it: a machine that does little stays light. With
    2 GB of memory both are 256 MB.
    """
    share = min(max((memory - KEPT_FOR_OTHERS) // 4, SMALLEST_SHARE), LARGEST_SHARE)
    # The processes that build an index together hold all of its memory in /dev/shm.
    parallel = min(cores - 1, 7) if shared_memory > share else 0
    return {
        "shared_buffers": f"{share // MIB}MB",
        "effective_cache_size": f"{max(memory // 2, share) // MIB}MB",
        # An HNSW build is fast while its graph fits in this memory; it takes what that needs.
        "maintenance_work_mem": f"{share // MIB}MB",
        # Several may run at a time.
        "autovacuum_work_mem": "64MB",
        "max_parallel_maintenance_workers": str(parallel),
        "work_mem": f"{min(max(share // 128 // MIB, 16), 64)}MB",
    }


def options_of_this_machine() -> Mapping[str, str]:
    try:
        shared_memory = shutil.disk_usage("/dev/shm").free  # noqa: S108 (nothing is written)
    except OSError:
        shared_memory = 0
    return memory_options(memory_limit(), len(os.sched_getaffinity(0)), shared_memory)


def memory_limit(root: Path = Path("/")) -> int:
    """Return the bytes of memory that this process may use: the machine's, or the least limit of
    the control groups (containers) that it is in."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *_limits(root)])


def _limits(root: Path) -> Iterator[int]:
    mounted = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, name = mounted, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = mounted / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = top / path.lstrip("/")
        # Inside a container the path may be the host's: then only the top is there.
        for directory in (group, *group.parents):
            if not directory.is_relative_to(top):
                break
            try:
                yield int((directory / name).read_text())
            except (OSError, ValueError):  # it is not there, or there is no limit: "max"
                continue
