"""How gunicorn serves the site (``gunicorn -c python:imgsmlr_site.gunicorn_conf``)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "imgsmlr_site.settings")

from django.conf import settings

_host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
bind = f"{_host}:{settings.PORT}"
worker_class = "gthread"
workers = settings.WEB_PROCESSES
threads = settings.WEB_THREADS
# The modules are loaded once and their memory is shared by the processes.
preload_app = True
# Less than the supervisor's KILL_WAIT: requests under way end before it loses patience.
graceful_timeout = 15
accesslog = None
# Each process touches a file there every second; on a busy disk that could stall it.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
control_socket_disable = True

if settings.PROMETHEUS_MULTIPROC_DIR:
    # Counts of an earlier run would be added to those of this one.
    shutil.rmtree(settings.PROMETHEUS_MULTIPROC_DIR, ignore_errors=True)
    Path(settings.PROMETHEUS_MULTIPROC_DIR).mkdir(parents=True)


def child_exit(server: Any, worker: Any) -> None:
    """Keep the totals of a process that ended, and forget its gauges."""
    if settings.PROMETHEUS_MULTIPROC_DIR:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)
