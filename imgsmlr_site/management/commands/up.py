"""``manage.py up``, used by ``make run``: database, web server and workers in one terminal."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connections
from django.utils.log import configure_logging

from gallery.shared.confinement import end_with_parent
from imgsmlr_site.clusters import PROCESSES
from imgsmlr_site.postgres.programs import PostgresError
from imgsmlr_site.postgres.server import EmbeddedPostgres
from imgsmlr_site.quick_end import end_now
from imgsmlr_site.supervisor import (
    Part,
    PortTaken,
    Supervisor,
    answers,
    command,
    require_free_port,
)

LOOPBACK = "127.0.0.0/8,::1/128"
CHILD_DEFAULTS = {
    # Threads of libraries beside the threads of the web server make both slower.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    "PYTHONUNBUFFERED": "1",
}
AT_A_TERMINAL = {
    # Programs on the same machine may serve it pictures and receive its webhooks.
    "FETCH_ALLOW_PRIVATE": LOOPBACK,
    "WEBHOOK_ALLOW_PRIVATE": LOOPBACK,
}
"""Defaults for somebody who tries the service out. Under systemd or in a container they are off."""


class Command(BaseCommand):
    """Starts everything, prints the address, starts again what ends, and stops everything in order
    on Ctrl-C or SIGTERM."""

    help = "Run PostgreSQL (unless DATABASE_URL is set), web server and workers, until Ctrl-C."
    # Some checks query the database, which does not run yet.
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit with code 0 after a signal, 1 if a part cannot be brought back."""
        self.verbosity = options["verbosity"]
        configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            require_free_port(settings.HOST, settings.PORT)
            with contextlib.ExitStack() as stack:
                postgres = None
                if not settings.DATABASE_URL:
                    postgres = stack.enter_context(EmbeddedPostgres(settings.DATA_DIR))
                code = apart(self.prepare) or self.supervise(postgres)
        except (PostgresError, PortTaken) as error:
            raise CommandError(error.message) from error
        except KeyboardInterrupt:
            code = 0
        end_now(code)

    def prepare(self) -> None:
        """Update the database, models and static files; create the first administrator."""
        from imgsmlr_site.accounts.first_admin import create_first_admin, hand_over

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
            self.stdout.write(self.style.WARNING(hand_over(password)))

    def supervise(self, postgres: EmbeddedPostgres | None) -> int:
        manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
        gunicorn = [sys.executable, "-m", "gunicorn", "-c", "python:imgsmlr_site.gunicorn_conf"]
        env = {**CHILD_DEFAULTS, **(AT_A_TERMINAL if self.stdout.isatty() else {}), **os.environ}
        metrics = {"PROMETHEUS_MULTIPROC_DIR": str(settings.DATA_DIR / "metrics")}
        parts = []
        if postgres is not None:
            parts.append(
                Part("PostgreSQL", postgres.launch, False, postgres.process, postgres.hangs)
            )
        parts.append(Part("web", command([*gunicorn, "imgsmlr_site.wsgi"], {**metrics, **env})))
        names = [cluster for cluster, _ in PROCESSES.values()]
        prepare = ["--prepare", "clip"]
        if settings.CLIP_PRETRAINED == "none":
            names.remove("embed")
            prepare = []
        parts.append(Part("workers", command([*manage, "qcluster", *names, *prepare], env)))
        return Supervisor(parts, self.announce).run()

    def announce(self) -> bool:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.HOST, settings.HOST)  # noqa: S104
        if not answers(host, settings.PORT):
            return False
        site = f"http://{f'[{host}]' if ':' in host else host}:{settings.PORT}"
        ready = f"Ready: {site}/imgsmlr/ (search) · {site}/admin/ · Ctrl-C stops it"
        if self.stdout.isatty():
            return apart(lambda: self.welcome(site, ready)) == 0
        self.say(ready, "Clients need a key or a login. For this machine: manage.py login_link")
        return True

    def welcome(self, site: str, ready: str) -> None:
        from imgsmlr_site import local_access

        try:
            self.say(ready, local_access.welcome(site))
        except OperationalError:  # PostgreSQL is being started again
            end_now(1)

    def say(self, ready: str, more: str) -> None:
        with contextlib.suppress(OSError):  # nobody reads it any more
            self.stdout.write(self.style.SUCCESS(ready))
            self.stdout.write(more)
            self.stdout.flush()


def apart(work: Callable[[], None]) -> int:
    """Call a function that needs the applications in a process of its own. Return its exit code.

    This process runs as long as the service, and all that they load would stay in its memory.
    """
    parent = os.getpid()
    child = os.fork()
    if child:
        try:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        except KeyboardInterrupt:
            os.kill(child, signal.SIGKILL)
            raise
    end_with_parent(parent)
    try:
        django.setup()
        work()
    except CommandError as error:
        sys.stderr.write(f"CommandError: {error}\n")
    except KeyboardInterrupt:
        pass
    except Exception:
        traceback.print_exc()
    else:
        end_now(0)
    end_now(1)


def collect_static_files() -> None:
    """Run collectstatic if a source file has changed since the last run."""
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
