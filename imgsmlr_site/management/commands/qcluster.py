"""``manage.py qcluster``: one cluster of workers. It takes the place of django-q2's command."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from imgsmlr_site.low_priority import give_way
from imgsmlr_site.parent_death import signal_when_parent_dies
from imgsmlr_site.quick_end import end_now


class Command(BaseCommand):
    """Runs until SIGTERM or Ctrl-C. Exit code 1 if the cluster cannot go on."""

    help = "Run the cluster of workers that Q_CLUSTER_NAME names ('light' if it is unset)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--prepare", metavar="MODEL", help="run prepare_models for it first")

    def handle(self, *args: Any, **options: Any) -> None:
        give_way(settings.WORKER_NICE)
        if options["prepare"]:
            # In a process of its own, because workers are forked from this one and must not inherit
            # a model. If it fails, its match type is unavailable, and the cluster runs.
            manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
            subprocess.run(  # noqa: S603
                [*manage, "prepare_models", options["prepare"]],
                preexec_fn=signal_when_parent_dies(signal.SIGKILL),
            )
        from imgsmlr_site.worker_cluster import Cluster

        Cluster()
        end_now(0)
