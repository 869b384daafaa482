"""Restricts a process to what decoding a file needs (Linux).

Call these functions in the process itself, before it reads anything that a stranger sent.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_FILTER: Final = 2  # SECCOMP_MODE_FILTER

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # linux/bpf_common.h
_NUMBER_AT, _ARCH_AT = 0, 4  # in struct seccomp_data
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | 1  # the call fails with EPERM
_X32: Final = 0x40000000  # numbers of another ABI of x86_64

_CALLS: Final = {
    # socket, connect, bind, execve, ptrace, process_vm_readv, process_vm_writev, io_uring_setup,
    # execveat
    "x86_64": (0xC000003E, (41, 42, 49, 59, 101, 310, 311, 425, 322)),
    "aarch64": (0xC00000B7, (198, 203, 200, 221, 117, 270, 271, 425, 281)),
}
"""Machine → (architecture, numbers of the system calls that are refused)."""

_libc = ctypes.CDLL(None, use_errno=True)  # loaded before a fork, because little is safe after it


def ask_for_signal_of_death(signum: int) -> None:
    """Let the kernel send ``signum`` to this process when the thread that forked it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0)


def end_with_parent(parent: int) -> None:
    """Let the kernel kill this process when the thread that forked it ends."""
    ask_for_signal_of_death(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def forbid_network_and_programs() -> None:
    """Refuse connections, starting programs and looking into other processes, for good.

    Does nothing where the kernel has no filters of system calls, or on other machines.
    """
    known = _CALLS.get(platform.machine())
    if known is None:
        return
    architecture, refused = known
    count = len(refused)
    # A jump counts the lines that it skips; these lead to the last line.
    program = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 0, count + 3, architecture),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, count + 1, 0, _X32),
        *((_EQUAL, count - at, 0, number) for at, number in enumerate(refused)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    lines = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(program), ctypes.addressof(lines))
    )
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _libc.prctl(_PR_SET_SECCOMP, _FILTER, header, 0, 0)


def allow_more_memory(extra: int) -> None:
    """Limit the address space to what the process uses now and ``extra`` bytes."""
    with open("/proc/self/statm") as file:  # noqa: PTH123 (a hundred times a second)
        pages = int(file.read().split()[0])
    resource.setrlimit(
        resource.RLIMIT_AS, (pages * resource.getpagesize() + extra, resource.RLIM_INFINITY)
    )


def return_free_memory() -> None:
    """Give memory that was freed back to the system (glibc)."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
