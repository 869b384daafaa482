"""The clusters of workers that ``manage.py up`` runs, all below one process that loads the code."""

from __future__ import annotations

import gc
import importlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from django.conf import settings
from django.utils.module_loading import autodiscover_modules

from gallery.shared.low_priority import give_way
from imgsmlr_site.parent_death import kill_forks_with_their_parents, signal_when_parent_dies
from imgsmlr_site.quick_end import end_now
from imgsmlr_site.supervisor import GAVE_UP, Part, Supervisor, fork

PROCESSES = {
    "worker": (
        "light",
        "Describes and publishes images, makes the vectors of `copy`, does the small daily tasks.",
    ),
    "video": ("video", "Indexes videos; a process of its own decodes each."),
    "lists": (
        "lists",
        "Imports hash lists, scans what is stored for new items, sends webhooks, checks links.",
    ),
    "embed": ("embed", "Makes CLIP vectors. Absent with `CLIP_PRETRAINED=none`."),
}
"""Process → its cluster, and what it does (docs/processes.md)."""


def run(names: Sequence[str], prepare: str | None = None) -> NoReturn:
    """Run one cluster in this process, or several in processes that share its memory.

    ``prepare``: a match type, whose cluster makes or fetches its model first.
    """
    kill_forks_with_their_parents()
    # Whatever all of them need: what each loads by itself is not shared.
    importlib.import_module("imgsmlr_site.worker_cluster")
    autodiscover_modules("tasks")
    gc.collect()
    gc.freeze()  # so that a collection in a child does not copy all memory
    if len(names) == 1:
        run_cluster(names[0], prepare)
    parts = [
        Part(process, fork(partial(run_cluster, cluster, prepare)))
        for process, (cluster, _) in PROCESSES.items()
        if cluster in names
    ]
    end_now(GAVE_UP if Supervisor(parts, lambda: True).run() else 0)


def run_cluster(name: str, prepare: str | None) -> NoReturn:
    from gallery.items.embedding import CLUSTERS
    from imgsmlr_site.worker_cluster import Cluster

    give_way(settings.WORKER_NICE)
    if prepare is not None and (CLUSTERS[prepare] or settings.Q_CLUSTER["name"]) == name:
        # In a process of its own, because workers are forked from this one and must not inherit a
        # model. If it fails, its match type is unavailable, and the cluster runs.
        manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
        subprocess.run(  # noqa: S603
            [*manage, "prepare_models", prepare],
            preexec_fn=signal_when_parent_dies(signal.SIGKILL),
        )
    Cluster(name).run()
