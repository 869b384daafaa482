"""Runs the web server and the workers side by side, and stops them in order.

honcho starts each command below a process of its own, here a ``Guardian``. If the starter dies, the
guardian asks its command to stop (SIGTERM only to the main process, which stops its own children in
order) and kills what is left after a time limit.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import multiprocessing
import os
import shlex
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import Any

import honcho.manager
from honcho.printer import Message, Printer
from honcho.process import Popen, Process

from gallery.shared.errors import UserError
from imgsmlr_site.parent_death import signal_when_parent_dies
from imgsmlr_site.postgres.server import EmbeddedPostgres

KILL_WAIT = 20
"""Seconds from the end of the first command until the others are killed."""
ORPHAN_KILL_WAIT = 10
"""The same after the death of the starter, when the database is already gone."""


class PortTaken(UserError):
    """The address of the web server cannot be used. The message says why."""

    code = "port"


def require_free_port(host: str, port: int) -> None:
    """Raise PortTaken unless a server can listen on ``host``:``port``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As gunicorn does: connections that are being closed do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(
                    f"Port {port} on {host} is taken: stop the program that listens there, "
                    "or set PORT to another number."
                ) from error
            raise PortTaken(
                f"Cannot listen on {host} port {port} ({error.strerror}): set HOST and PORT."
            ) from error


class Guardian(Process):
    """Runs one command, and stops it if the starter dies first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._child_ctor = self._start_child
        self._watch_starter = signal_when_parent_dies(signal.SIGUSR1)

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        """Run honcho's loop over the command's output."""
        # The terminal sends them to the starter too, which passes them on in order.
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, signal.SIG_IGN)
        super().run(events, ignore_signals)

    def _start_child(self, command: str, **kwargs: Any) -> Popen:
        die_with_guardian = signal_when_parent_dies(signal.SIGTERM)

        def prepare() -> None:
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(signum, signal.SIG_DFL)
            die_with_guardian()

        child = Popen(command, preexec_fn=prepare, **kwargs)
        signal.signal(signal.SIGCHLD, partial(self._command_ended, child))
        signal.signal(signal.SIGUSR1, partial(self._starter_died, child))
        self._watch_starter()
        return child

    def _command_ended(self, child: Popen, signum: int, frame: FrameType | None) -> None:
        """End the rest of a killed command, which would hold the output open and work on."""
        if child.poll() is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)

    def _starter_died(self, child: Popen, signum: int, frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + ORPHAN_KILL_WAIT
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        # The rest of its session, if any.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        # Skip Python's clean-up, which would wait for a reader of the last log lines.
        os._exit(1)


class CalmPrinter(Printer):
    """Ignores closed output while commands still stop: ``make run | tee log`` with Ctrl-C."""

    def write(self, message: Message) -> None:
        with contextlib.suppress(OSError):
            super().write(message)


class Supervisor(honcho.manager.Manager):
    """honcho's manager, with three differences.

    - SIGTERM goes only to the main process of a command, not to its whole session: a qcluster whose
      children get the signal too never ends.
    - A signal during the start is handled after all commands run.
    - The end of PostgreSQL ends everything.
    """

    def __init__(self, postgres: EmbeddedPostgres | None) -> None:
        # The guardians must be children of this process, not of a fork server.
        multiprocessing.set_start_method("fork", force=True)
        super().__init__(CalmPrinter())
        honcho.manager.KILL_WAIT = KILL_WAIT
        self.postgres = postgres
        self.postgres_ended = False
        self._process_ctor = Guardian
        self._procmgr.terminate = self._terminate_main
        self._stop_asked = False

    def add_command(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.add_process(name, f"exec {shlex.join(command)}", env=dict(env))

    def run(self, when_started: Callable[[], None]) -> int:
        """Run everything until a signal, or until a command or PostgreSQL ends.

        ``when_started`` runs in a thread once all commands are started. Return the exit code: 0
        after a signal.
        """
        self._when_started = when_started
        self.loop()
        if self.postgres_ended:
            return 1
        asked = {entry["rc"] for entry in honcho.manager.SIGNALS.values()}
        return 0 if self.returncode in asked else max(1, self.returncode)

    def terminate(self) -> None:
        if self._all_started():
            super().terminate()
        else:
            self._stop_asked = True

    def _start(self) -> None:
        super()._start()
        early = []
        while not self._all_started():
            message = self.events.get()
            if message.type == "start":
                self._processes[message.name]["pid"] = message.data["pid"]
                self._system_print(f"{message.name} started (pid={message.data['pid']})\n")
            else:
                early.append(message)
        for message in early:
            self.events.put(message)
        # Start threads only now, because a process must not fork once it has threads.
        threading.Thread(target=self._when_started, daemon=True).start()
        if self.postgres is not None:
            threading.Thread(target=self._watch, args=[self.postgres], daemon=True).start()
        if self._stop_asked:
            super().terminate()

    def _watch(self, postgres: EmbeddedPostgres) -> None:
        postgres.wait()
        if not self._terminating:
            self._system_print("PostgreSQL ended by itself: stopping everything\n")
            self.postgres_ended = True
            os.kill(os.getpid(), signal.SIGTERM)

    @staticmethod
    def _terminate_main(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def wait_healthy(host: str, port: int) -> None:
    """Return once the web server answers at ``/healthz``, whatever the status."""
    while True:
        connection = http.client.HTTPConnection(host, port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse()
            return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
