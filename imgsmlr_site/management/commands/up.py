"""``manage.py up``, behind ``make run``: database, web server and workers in one terminal."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sys
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connections

from imgsmlr_site.accounts import create_first_admin
from imgsmlr_site.postgres.programs import PostgresError
from imgsmlr_site.postgres.server import EmbeddedPostgres
from imgsmlr_site.supervisor import PortTaken, Supervisor, require_free_port, wait_healthy

LOOPBACK = "127.0.0.0/8,::1/128"
CHILD_DEFAULTS = {
    # A program of the same machine may use the service without a key, serve it pictures, and
    # be told its news.
    "OPEN_API": LOOPBACK,
    "FETCH_ALLOW_PRIVATE": LOOPBACK,
    "WEBHOOK_ALLOW_PRIVATE": LOOPBACK,
    # Threads of BLAS beside those of the web server make both slower.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
}
WORKERS = {
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
"""Process → its cluster of django-q2, and what it does (docs/processes.md)."""


class Command(BaseCommand):
    """Starts everything, prints where it is, and stops it in order on Ctrl-C or SIGTERM."""

    help = "Run PostgreSQL (unless DATABASE_URL is set), web server and workers, until Ctrl-C."
    # Some checks ask the database, which does not run yet.
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit code 0 when asked to stop, else that of the command that ended by itself."""
        self.verbosity = options["verbosity"]
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            require_free_port(settings.HOST, settings.PORT)
            with contextlib.ExitStack() as stack:
                postgres = None
                if not settings.DATABASE_URL:
                    postgres = stack.enter_context(EmbeddedPostgres(settings.DATA_DIR))
                self.prepare()
                code = self.supervise(postgres)
        except (PostgresError, PortTaken) as error:
            raise CommandError(error.message) from error
        except KeyboardInterrupt:
            code = 0
        sys.exit(code)

    def prepare(self) -> None:
        """Bring database, models and static files up to date; make the first administrator."""
        try:
            connections["default"].ensure_connection()
        except OperationalError as error:
            raise CommandError(
                f"The database of DATABASE_URL does not answer: {str(error).strip()}"
            ) from error
        call_command("migrate", interactive=False, verbosity=self.verbosity)
        call_command("prepare_models", "copy", stdout=self.stdout)
        if not settings.DEBUG:
            collect_static_files()
        password = create_first_admin()
        if password is not None:
            self.stdout.write(
                self.style.WARNING(
                    f"First start: log in as 'admin' with the password {password}\n"
                    "It is shown this once; change it in the admin."
                )
            )
        # The commands are forked: they must not share a connection with this process.
        connections.close_all()

    def supervise(self, postgres: EmbeddedPostgres | None) -> int:
        """Run web server and workers until they end; the exit code."""
        manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
        gunicorn = [sys.executable, "-m", "gunicorn", "-c", "python:imgsmlr_site.gunicorn_conf"]
        env = {**CHILD_DEFAULTS, **os.environ}
        supervisor = Supervisor(postgres)
        metrics = {"PROMETHEUS_MULTIPROC_DIR": str(settings.DATA_DIR / "metrics")}
        supervisor.add_command("web", [*gunicorn, "imgsmlr_site.wsgi"], {**metrics, **env})
        for process, (cluster, _) in WORKERS.items():
            name = {} if cluster == settings.Q_CLUSTER["name"] else {"Q_CLUSTER_NAME": cluster}
            command = [*manage, "qcluster"]
            if process == "embed":
                if settings.CLIP_PRETRAINED == "none":
                    continue
                script = '"$@" prepare_models clip; exec "$@" qcluster'
                command = ["sh", "-c", script, "sh", *manage]
            supervisor.add_command(process, command, {**env, **name})
        return supervisor.run(self.announce)

    def announce(self) -> None:
        """Print where the service is, once it answers."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.HOST, settings.HOST)  # noqa: S104
        wait_healthy(host, settings.PORT)
        site = f"http://{f'[{host}]' if ':' in host else host}:{settings.PORT}"
        self.stdout.write(
            self.style.SUCCESS(f"Ready: {site}/imgsmlr/ (search) · {site}/admin/ · Ctrl-C stops it")
        )
        self.stdout.flush()


def collect_static_files() -> None:
    """Run collectstatic if a source file has changed since the last time."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list([]):
            digest.update(
                f"{name}\0{storage.size(name)}\0{storage.get_modified_time(name)}\n".encode()
            )
    stamp = settings.STATIC_ROOT / ".collected"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    stamp.write_text(digest.hexdigest())
