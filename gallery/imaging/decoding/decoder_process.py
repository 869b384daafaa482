"""A decoder: a process that decodes picture files, one after the other.

It ends after a damaged file, so that a file which took it over does not see the next ones; after
``MAX_FILES``, when it had nothing to do for ``IDLE_SECONDS``, and with the service process.
"""

from __future__ import annotations

import json
import math
import os
import resource
import select
import socket
import sys
import traceback
from collections.abc import Iterable, Iterator
from typing import Any, Final

import cv2
import numpy as np

from gallery.imaging.decoding import memory, reading
from gallery.imaging.decoding.budget import UNIT
from gallery.imaging.decoding.decoder_protocol import GO, MAX_MESSAGE, Job
from gallery.imaging.decoding.embedded_pictures import may_have_pictures
from gallery.imaging.decoding.frames import Frame
from gallery.imaging.decoding.limits import NotAnImage, PictureLimits, TooMuchMemory
from gallery.imaging.decoding.opening import OpenedFile
from gallery.imaging.decoding.pictures import CELLS, ImageInfo, Rendering, Rest
from gallery.imaging.decoding.reading import FileFrame
from gallery.imaging.pixels import Pixels
from gallery.shared import confinement
from gallery.shared.errors import UserError

IDLE_SECONDS: Final = 60
TIDY_SECONDS: Final = 1
MAX_FILES: Final = 500
_MAX_OPEN: Final = 64
_DAMAGED: Final = "The file is damaged so that it cannot be decoded; save it again and retry."

cv2.setNumThreads(1)  # in the process that forks, so that it never starts threads


def main(file: int) -> None:
    """Answer the requests on the socket with this number until it closes."""
    for kind, value in (
        (resource.RLIMIT_NOFILE, _MAX_OPEN),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))
    # Readers print there what they find wrong with a file; it does not belong into the log.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    service = _Service(socket.socket(fileno=file))
    left = MAX_FILES
    while service.serve(stays=left > 1):
        left -= 1


class _Gone(Exception):
    """The service has closed the socket."""


class _Service:
    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._poll = select.poll()
        self._poll.register(link, select.POLLIN)
        # Written again for each picture: fresh memory costs five times as much as copying.
        self._pixels = _empty_file()

    def serve(self, *, stays: bool) -> bool:
        """Do one job. Return whether to take another one."""
        if not self._poll.poll(TIDY_SECONDS * 1000):
            # Another file: the service may still read the last pixels, which a cut would lose.
            os.close(self._pixels)
            self._pixels = _empty_file()
            confinement.return_free_memory()
            if not self._poll.poll(IDLE_SECONDS * 1000):
                return False
        text = GO
        while text == GO:  # for more of the last file, which had no more
            text, files, _, _ = socket.recv_fds(self._link, MAX_MESSAGE, 1)
        if not text:
            return False
        data = _content(files[0])
        try:
            for message, pixels in self._answers(Job.from_json(text), data):
                self._send(message, pixels)
            last: dict[str, Any] = {"kind": "end"}
        except (_Gone, BrokenPipeError):
            return False
        except Exception as error:
            last = {"kind": "error", **_problem(error)}
            stays = stays and not isinstance(error, NotAnImage) and isinstance(error, UserError)
        self._send({**last, "stays": stays})
        return stays

    def _answers(self, job: Job, data: bytes) -> Iterator[tuple[dict[str, Any], list[Pixels]]]:
        limits = job.limits
        _limit(limits, 1.0)
        file = reading.open_data(data, limits)
        needed, info = memory.needed(file, job.wanted), file.info
        yield {"kind": "opened", "info": _info(info), "memory": needed}, []
        if job.wanted == "info":
            return
        if needed >= UNIT:
            self._await_go()
        _limit(limits, info.frames * info.width * info.height / limits.max_pixels)
        for at, found in enumerate(_found(job, file)):
            if at:
                self._await_go()
            yield _described(found, file, all_renderings=job.wanted != "first")
            if job.wanted == "first":
                return

    def _await_go(self) -> None:
        if self._link.recv(len(GO)) != GO:
            raise _Gone

    def _send(self, message: dict[str, Any], pixels: Iterable[Pixels] = ()) -> None:
        at = 0
        for array in pixels:
            left = np.ascontiguousarray(array).data.cast("B")
            while left:
                count = os.pwrite(self._pixels, left, at)
                at, left = at + count, left[count:]
        files = [self._pixels] if at else []
        socket.send_fds(self._link, [json.dumps(message).encode()], files)


def _empty_file() -> int:
    return os.memfd_create("pixels", os.MFD_CLOEXEC)


def _limit(limits: PictureLimits, share: float) -> None:
    """``share``: of the pixels for which ``cpu_seconds`` are meant."""
    confinement.allow_more_memory(limits.memory_bytes)
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = used.ru_utime + used.ru_stime + limits.cpu_seconds * max(1.0, share)
    # The soft limit sends SIGXCPU, which ends the process; the service sees the signal.
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), resource.RLIM_INFINITY))


def _found(job: Job, file: OpenedFile) -> Iterator[FileFrame]:
    if job.wanted == "first":
        yield FileFrame(file.load(0, job.limits), "full", 0)
    elif job.wanted == "all":
        yield from reading.file_frames(file, job.limits)
    else:
        glimpse = np.frombuffer(bytes.fromhex(job.glimpse), np.uint8).reshape(CELLS, CELLS, 3)
        yield from reading.other_frames(file, glimpse, job.orientation, job.limits)


def _described(
    found: FileFrame, file: OpenedFile, *, all_renderings: bool
) -> tuple[dict[str, Any], list[Pixels]]:
    frame = found.frame
    renderings = frame.renderings() if all_renderings else [Rendering("white", frame.rgb)]
    pixels = [one.rgb for one in renderings]
    own_legacy = frame.legacy_rgb is not frame.rgb
    if own_legacy:
        pixels.append(frame.legacy_rgb)
    return {
        "kind": "picture",
        "renderings": [[one.name, *one.rgb.shape[:2]] for one in renderings],
        "legacy": list(frame.legacy_rgb.shape[:2]) if own_legacy else None,
        "doubt": frame.doubt,
        "orientation": frame.orientation,
        "place": found.place,
        "number": found.number,
        "duration_ms": found.duration_ms,
        "rest": "nothing" if all_renderings else _rest(frame, file),
    }, pixels


def _rest(frame: Frame, file: OpenedFile) -> Rest:
    if file.info.frames > 1 or not frame.has_one_rendering:
        return "all"
    return "others" if may_have_pictures(file) else "nothing"


def _info(info: ImageInfo) -> list[Any]:
    return [info.format, info.width, info.height, info.frames]


def _content(file: int) -> bytes:
    try:
        return os.pread(file, os.fstat(file).st_size, 0)
    finally:
        os.close(file)


def _problem(error: Exception) -> dict[str, Any]:
    if isinstance(error, UserError):
        format = getattr(error, "format", None)
        return {"code": error.code, "message": error.message, "format": format}
    if isinstance(error, MemoryError):
        return _problem(TooMuchMemory())
    # A fault of a reader that is not known yet.
    traceback.print_exception(error)
    return {"code": NotAnImage.code, "message": _DAMAGED, "format": None}
