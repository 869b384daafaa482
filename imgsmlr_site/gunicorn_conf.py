"""Settings of gunicorn (``gunicorn -c python:imgsmlr_site.gunicorn_conf``)."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "imgsmlr_site.settings")

import django
from django.conf import settings

from imgsmlr_site.parent_death import kill_forks_with_their_parents
from imgsmlr_site.private_files import close_to_others

close_to_others()
django.setup()

# A killed main process takes the others along: otherwise they hold the port while they finish.
kill_forks_with_their_parents()
_host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
bind = f"{_host}:{settings.PORT}"
worker_class = "imgsmlr_site.web_worker.WebWorker"
workers = settings.WEB_PROCESSES
# Links that are fetched slowly leave WEB_THREADS for all else.
threads = settings.WEB_THREADS + settings.WEB_LINKS
# Load the modules once; the processes share their memory.
preload_app = True
# Less than the supervisor's STOP_WAIT, so that running requests can finish before it kills.
graceful_timeout = 15
accesslog = None
logconfig_dict = settings.LOGGING
# Each process touches a file there every second, which could block on a busy disk.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
control_socket_disable = True

if settings.PROMETHEUS_MULTIPROC_DIR:
    # Otherwise counts of an earlier run would be added to those of this run.
    shutil.rmtree(settings.PROMETHEUS_MULTIPROC_DIR, ignore_errors=True)
    Path(settings.PROMETHEUS_MULTIPROC_DIR).mkdir(parents=True)


def when_ready(server: Any) -> None:
    """Prepare memory for the first fork. Say aloud that the API is open, because a proxy in front
    would open it to everybody."""
    # A collection that looks at all that was loaded stops every thread for 70 ms, and copies the
    # memory that processes share.
    gc.collect()
    gc.freeze()
    for name, may in (("OPEN_API", "to delete as well"), ("HMA_OPEN", "to edit lists as well")):
        if opened := getattr(settings, name):
            server.log.warning(
                "%s: clients in %s need no key. A proxy there opens the service to everybody "
                "who reaches the proxy, %s, unless it sets X-Forwarded-For.",
                name,
                ", ".join(map(str, opened)),
                may,
            )


def child_exit(server: Any, worker: Any) -> None:
    """Keep the totals of a process that ended, and drop its gauges."""
    if settings.PROMETHEUS_MULTIPROC_DIR:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)
