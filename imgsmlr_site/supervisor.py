"""Runs the parts of the service side by side, starts again what ends, and stops all in order.

One thread waits for signals, of which the end of a child is one. docs/adr/0029-supervisor.md says
why this is not a program of others.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import logging
import math
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

from gallery.shared.errors import UserError
from imgsmlr_site.parent_death import signal_when_parent_dies

logger = logging.getLogger(__name__)

STOP_WAIT = 20.0
"""Seconds that the parts have to stop in order, before they are killed."""
SETTLED = 10.0
"""A part that has run for so many seconds has been brought back."""
LONGEST_PAUSE = 10.0
"""Seconds; pauses before the next start are 0, 1, 2, 4, 8 and then these."""
MOST_STARTS = 12
"""Starts in a row that did not last until the part is given up."""
LONGEST_WAIT = 5.0
"""Seconds without a signal after which the parts are looked at all the same."""
GAVE_UP = 69
"""Exit code of a part that is a supervisor itself and has given up one of its own parts."""
PORT_WAIT = 2.0
"""Seconds that a killed web server may hold its port."""


class PortTaken(UserError):
    """The address of the web server cannot be used. The message says why."""

    code = "port"


def require_free_port(host: str, port: int) -> None:
    """Raise PortTaken unless a server can listen on ``host``:``port``."""
    deadline = time.monotonic() + PORT_WAIT
    while (error := _bind_error(host, port)) is not None:
        if error.errno != errno.EADDRINUSE:
            raise PortTaken(
                f"Cannot listen on {host} port {port} ({error.strerror}): set HOST and PORT."
            ) from error
        if time.monotonic() > deadline:
            raise PortTaken(
                f"Port {port} on {host} is taken: stop the program that listens there, "
                "or set PORT to another number."
            ) from error
        time.sleep(0.1)


def _bind_error(host: str, port: int) -> OSError | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As gunicorn does: connections that are being closed do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


class Process(Protocol):
    """A child; ``subprocess.Popen`` is one."""

    @property
    def pid(self) -> int: ...

    def terminate(self) -> None: ...

    def wait(self) -> int: ...


class Fork:
    """A child without a program of its own."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@dataclass
class Part:
    """A process that is started again when it ends."""

    name: str
    launch: Callable[[], Process]
    """Starts the process. It may raise OSError or UserError, which counts as an end."""
    stops_with_others: bool = True
    """False for a part that the others need until they have stopped; its owner stops it."""
    process: Process | None = None
    hangs: Callable[[], bool] = lambda: False
    """Whether its process runs and will never do its work again."""
    started: float = 0.0
    next_start: float = 0.0
    short_lives: int = 0
    """How many processes in a row ended before they settled."""

    @property
    def hopeless(self) -> bool:
        return self.process is None and self.short_lives >= MOST_STARTS

    def tend(self) -> None:
        """Notice the end of the process, and start the next one when it is time."""
        if self.process is not None and not has_ended(self.process) and self.hangs():
            logger.critical("%s hangs: it is killed", self.name)
            os.kill(self.process.pid, signal.SIGKILL)
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        if self.process is not None and has_ended(self.process):
            code = end_session(self.process)
            self.process = None
            if code == GAVE_UP:
                self.short_lives = MOST_STARTS
                logger.error("%s gave up", self.name)
            else:
                self._plan(f"ended ({_how(code)})")
        if self.process is None and not self.hopeless and time.monotonic() >= self.next_start:
            self.started = time.monotonic()
            try:
                self.process = self.launch()
            except (OSError, UserError) as error:
                self._plan(f"does not start ({error})")
            else:
                logger.info("%s started (pid %s)", self.name, self.process.pid)

    def _plan(self, why: str) -> None:
        now = time.monotonic()
        self.short_lives = 1 if now - self.started >= SETTLED else self.short_lives + 1
        pause = min(2.0 ** (self.short_lives - 2), LONGEST_PAUSE) if self.short_lives > 1 else 0.0
        self.next_start = now + pause
        logger.error("%s %s: it is started again in %g s", self.name, why, pause)


def command(argv: Sequence[str], env: Mapping[str, str]) -> Callable[[], Process]:
    """Return a ``Part.launch`` for a program. It is killed if the supervisor dies."""

    def launch() -> Process:
        return subprocess.Popen(  # noqa: S603
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            # The terminal's Ctrl-C must reach only the supervisor, which passes it on in order.
            start_new_session=True,
            preexec_fn=signal_when_parent_dies(signal.SIGKILL),
        )

    return launch


def fork(run: Callable[[], NoReturn]) -> Callable[[], Process]:
    """Return a ``Part.launch`` for a function. It shares the memory of this process, so this
    process has no threads and no connections. See ``kill_forks_with_their_parents``."""

    def launch() -> Process:
        pid = os.fork()
        if pid:
            return Fork(pid)
        try:
            os.setsid()
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            run()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(1)

    return launch


class Supervisor:
    """Keeps ``parts`` running until a signal to stop, or until one cannot be brought back."""

    def __init__(self, parts: Sequence[Part], ready: Callable[[], bool]) -> None:
        """``ready`` is called again and again until it is true."""
        self.parts = parts
        self.ready = ready

    def run(self) -> int:
        """Return the exit code: 0 after a signal, 1 if a part was given up."""
        stops = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        # nohup and the like
        stops = {signum for signum in stops if signal.getsignal(signum) != signal.SIG_IGN}
        signal.pthread_sigmask(signal.SIG_BLOCK, stops | {signal.SIGCHLD})
        is_ready = False
        try:
            while True:
                for part in self.parts:
                    part.tend()
                if hopeless := next((part for part in self.parts if part.hopeless), None):
                    logger.critical(
                        "%s ended %s times in a row: everything is stopped",
                        hopeless.name,
                        MOST_STARTS,
                    )
                    return 1
                is_ready = is_ready or self.ready()
                pause = self._pause() if is_ready else 0.2
                got = signal.sigtimedwait(stops | {signal.SIGCHLD}, pause)
                if got is not None and got.si_signo in stops:
                    return 0
        finally:
            self._stop()

    def _pause(self) -> float:
        """Seconds until the next start. A signal tells of the end of a part."""
        starts = [part.next_start for part in self.parts if part.process is None]
        left = min(starts, default=math.inf) - time.monotonic()
        return min(max(left, 0.0), LONGEST_WAIT)

    def _stop(self) -> None:
        """Ask the main process of each part to stop, wait, and kill what is left of them.

        Only the main process: a cluster of workers whose children get the signal too never ends.
        """
        left = {
            part.name: part.process
            for part in self.parts
            if part.process is not None and part.stops_with_others
        }
        for process in left.values():
            process.terminate()
        deadline = time.monotonic() + STOP_WAIT
        while left:
            for name, process in list(left.items()):
                late = time.monotonic() > deadline
                if late or has_ended(process):
                    logger.info("%s stopped (%s)", name, _how(end_session(process)))
                    del left[name]
            signal.sigtimedwait({signal.SIGCHLD}, 0.1)


def has_ended(process: Process) -> bool:
    """Whether it has ended, without forgetting its number."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, flags) is not None


def end_session(process: Process) -> int:
    """Kill the process and every process of its session. Return its exit code.

    The number of an ended process still belongs to it here, so that no stranger can have it.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def answers(host: str, port: int) -> bool:
    """Whether the web server answers at ``/healthz``, whatever the status."""
    connection = http.client.HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True
