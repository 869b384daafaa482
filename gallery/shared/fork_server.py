"""Starts child processes in milliseconds, by forking one process that has loaded their modules.

A fresh Python takes a quarter of a second to load the libraries of a decoder. So one process per
service process loads them once, and forks. It is a program of its own, not a fork of the service:
it has none of its memory, secrets, files, environment and threads. It starts when it is first
needed, and ends when it had nothing to do for ``IDLE_SECONDS``.

When the service process ends, however it ends, this process kills its children, removes their
directories and ends.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gallery.shared import confinement

IDLE_SECONDS: Final = 300

_ENVIRONMENT: Final = {
    # One thread each: a thread needs address space.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    # Keep what was freed for the next picture: fresh memory costs a third of decoding a photograph.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
}
_ROOT: Final = Path(__file__).resolve().parents[2]
_MESSAGE_BYTES: Final = 4096
_MAX_FILES: Final = 8
NOT_BEGUN: Final = 70
"""Exit status of a child that could not load its modules or confine itself."""
_STATUS_BYTES: Final = 4


class CannotStart(OSError):
    """A child or its server could not start, or the server was killed. Says nothing about a file.

    Not a ``UserError``: as for a full disk, what was asked for is to be tried again.
    """

    def __init__(self) -> None:
        super().__init__("The service cannot start its decoders; its log says why.")


class Child:
    """A started process. ``wait`` it, once it has ended or was killed."""

    def __init__(self, server: ForkServer, number: int, status: int) -> None:
        self._server, self._number, self._status = server, number, status
        self._ended: int | None = None

    def kill(self) -> None:
        """Kill the process, if it still runs."""
        self._server.send({"kill": self._number})

    def wait(self) -> int | None:
        """Wait for the end. Return the exit status, or minus the number of the signal that ended
        it; None if the fork server was killed, which ends its children too."""
        if self._status >= 0:
            told = os.read(self._status, _STATUS_BYTES)
            os.close(self._status)
            self._status = -1
            if len(told) == _STATUS_BYTES:
                self._ended = int.from_bytes(told, sys.byteorder, signed=True)
        return self._ended


class ForkServer:
    """The service's side. Any thread may use it; a fork of the service gets a server of its own."""

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._last = 0

    def start(self, module: str, files: list[int], directory: str | None = None) -> Child:
        """See ``start_child``."""
        told, status = os.pipe()
        with self._lock:
            self._last += 1
            number = self._last
        order = {"start": number, "module": module, "directory": directory}
        try:
            if not self.send(order, [status, *files]):
                self._restart()
                self.send(order, [status, *files])
        finally:
            os.close(status)
        return Child(self, number, told)

    def send(self, order: dict[str, Any], files: list[int] | None = None) -> bool:
        """Return whether there is a server to receive it."""
        control = self._control
        if control is None:
            return False
        try:
            socket.send_fds(control, [json.dumps(order).encode()], files or [])
        except OSError:
            return False
        return True

    def _restart(self) -> None:
        with self._lock:
            if self._process is not None:
                if self._process.poll() is None and self.send({}):  # another thread was faster
                    return
                self._process.kill()
                self._process.wait()
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-s", "-m", "gallery.shared.fork_server"],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    cwd="/",
                    env={"PYTHONPATH": str(_ROOT), **_ENVIRONMENT},
                )
            self._control = ours


_server = ForkServer()


def start_child(module: str, files: list[int], directory: str | None = None) -> Child:
    """Fork a process that calls ``module.main`` with ``files``, its own file descriptors.

    ``directory``: where it works; removed if this process ends. Blocks only while the fork server
    starts.
    """
    return _server.start(module, files, directory)


@dataclass(frozen=True, slots=True)
class _Running:
    number: int
    status: int
    directory: str | None


class _Server:
    """The process that forks."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, _Running] = {}  # by process id
        self._woken, self._wakes = socket.socketpair()
        self._wakes.setblocking(False)

    def run(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all processes
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while True:
            ready = poll.poll(None if self._children else IDLE_SECONDS * 1000)
            if not ready and not self._children:
                return
            for file, _ in ready:
                if file == self._woken.fileno():
                    self._woken.recv(1024)
                    self._reap()
                elif not self._obey():
                    self._end_all()
                    return

    def _obey(self) -> bool:
        """Follow one order. Return False if the service process has ended."""
        text, files, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, _MAX_FILES)
        if not text:
            return False
        order = json.loads(text)
        if "start" in order:
            self._start(order, files)
        for pid, child in self._children.items():
            if child.number == order.get("kill"):
                os.kill(pid, signal.SIGKILL)
        return True

    def _start(self, order: dict[str, Any], files: list[int]) -> None:
        status, *own = files
        parent = os.getpid()
        with contextlib.suppress(Exception):  # the child reports it
            importlib.import_module(order["module"])
        gc.freeze()  # so that a collection in a child does not copy all memory
        pid = os.fork()
        if pid == 0:
            self._become(parent, order["module"], own, order["directory"])
        for file in own:
            os.close(file)
        self._children[pid] = _Running(order["start"], status, order["directory"])

    def _become(self, parent: int, module: str, own: list[int], directory: str | None) -> None:
        code = NOT_BEGUN
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            Path("/proc/self/comm").write_text(module.rpartition(".")[2])  # for ps
            confinement.end_with_parent(parent)
            _close_all_but(own)
            confinement.forbid_network_and_programs()
            if directory is not None:
                os.chdir(directory)
            main = importlib.import_module(module).main
            code = 1
            main(*own)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._report(pid, os.waitstatus_to_exitcode(status))

    def _report(self, pid: int, code: int) -> None:
        child = self._children.pop(pid)
        with contextlib.suppress(BrokenPipeError):
            os.write(child.status, code.to_bytes(_STATUS_BYTES, sys.byteorder, signed=True))
        os.close(child.status)

    def _end_all(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        for pid, child in self._children.items():
            os.waitpid(pid, 0)
            if child.directory is not None:
                shutil.rmtree(child.directory, ignore_errors=True)


def _close_all_but(own: list[int]) -> None:
    """Close what the child would share with the server and with other children."""
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    first = 3
    for file in sorted(own):
        os.closerange(first, file)
        first = file + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


if __name__ == "__main__":
    _Server(socket.socket(fileno=0)).run()
