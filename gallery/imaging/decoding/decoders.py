"""Sends files to decoder processes and returns the pictures that they read.

Decoders are started when they are needed and kept for the next file. As many run at a time as
threads ask for one; the budget of memory limits what they decode at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from gallery.imaging.decoding.budget import UNIT, Budget, Share
from gallery.imaging.decoding.decoder_protocol import GO, MAX_MESSAGE, Job
from gallery.imaging.decoding.limits import NotAnImage, PictureLimits, TooLarge, TooSlow
from gallery.imaging.decoding.pictures import ImageInfo, Picture, Rendering
from gallery.imaging.decoding.sniffing import accepted_format
from gallery.imaging.pixels import Pixels
from gallery.shared import fork_server
from gallery.shared.errors import UserError

WALL_FACTOR: Final = 4
"""Seconds on the clock for each second of processor time that is allowed."""

_MODULE: Final = "gallery.imaging.decoding.decoder_process"
_ERRORS: Final = {error.code: error for error in (NotAnImage, TooLarge, TooSlow)}
_MAX_RENDERINGS: Final = 6
_LOST_AT_ONCE: Final = 3
"""New decoders, one after the other, that may be lost with their server before they answer."""

_budget: Budget | None = None


def configure(*, budget_file: Path, memory_bytes: int) -> None:
    """Share ``memory_bytes`` with all processes that use the same file."""
    global _budget
    _budget = Budget(budget_file, memory_bytes)


class _Ended(Exception):
    """The decoder ended without an answer. ``status``: see ``fork_server.Child.wait``."""

    def __init__(self, status: int | None) -> None:
        self.status = status


class _Decoder:
    def __init__(self) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._child = fork_server.start_child(_MODULE, [theirs.fileno()])
        self._poll = select.poll()
        self._poll.register(self._link, select.POLLIN)
        self.is_new = True

    def is_idle(self) -> bool:
        return not self._poll.poll(0)  # an idle decoder says something only when it ends

    def send(self, message: bytes, files: list[int]) -> None:
        """Never fails: if the decoder has ended, the next ``receive`` reports it."""
        with contextlib.suppress(OSError):
            socket.send_fds(self._link, [message], files)

    def receive(self, seconds: float) -> tuple[dict[str, Any], int | None]:
        """Return a message and its file. Raises ``_Ended``, ``TimeoutError``."""
        if not self._poll.poll(max(0.0, seconds) * 1000):
            raise TimeoutError
        try:
            text, files, _, _ = socket.recv_fds(self._link, MAX_MESSAGE, 1)
        except ConnectionResetError:  # told once, if it ended before it read all; its words follow
            text, files, _, _ = socket.recv_fds(self._link, MAX_MESSAGE, 1)
        if not text:
            raise _Ended(self._child.wait())
        message = json.loads(text)
        if not isinstance(message, dict):
            raise ValueError("not a message")
        return message, files[0] if files else None

    def end(self) -> None:
        self._child.kill()
        self._child.wait()
        self._link.close()


class _Pool:
    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Decoder] = []

    def take(self) -> _Decoder:
        while True:
            with self._lock:
                decoder = self._idle.pop() if self._idle else None
            if decoder is None:
                return _Decoder()
            if decoder.is_idle():
                decoder.is_new = False
                return decoder
            decoder.end()

    def give_back(self, decoder: _Decoder) -> None:
        with self._lock:
            if len(self._idle) < (os.cpu_count() or 1):
                self._idle.append(decoder)
                return
        decoder.end()


_pool = _Pool()


def inspect(data: bytes, limits: PictureLimits) -> ImageInfo:
    """See ``gallery.imaging.decoding``."""
    with contextlib.closing(_Reading(Job("info", limits), data)) as reading:
        return reading.info


def pictures(job: Job, data: bytes) -> Iterator[Picture]:
    """Yield what the job wants of a file.

    Raises NotAnImage, TooLarge, TooSlow, ``Busy``, and ``CannotStart`` if there are no decoders.
    """
    with contextlib.closing(_Reading(job, data)) as reading:
        yield from reading


class _Reading:
    """One file at one decoder. ``close`` it."""

    def __init__(self, job: Job, data: bytes) -> None:
        self._format = accepted_format(data, job.limits)  # before a decoder is bothered
        self._job, self._data = job, data
        self._left = float(WALL_FACTOR * job.limits.cpu_seconds)
        self._share: Share | None = None
        self._decoder: _Decoder | None = None
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._decoder is not None:  # in the middle of the file
            self._decoder.end()
            self._decoder = None
        self._share = None  # a traceback could keep this object; pixels have their own reference

    def __iter__(self) -> Iterator[Picture]:
        first = True
        while self._decoder is not None:
            if not first:
                self._decoder.send(GO, [])
            message, file = self._receive()
            if file is None:
                if first and self._job.wanted != "others":
                    raise self._failed()
                return
            try:
                picture = self._picture(message, file)
            except (KeyError, TypeError, ValueError, OSError) as error:
                raise self._failed() from error
            finally:
                os.close(file)
            first = False
            if self._job.wanted == "first":
                self._receive()
                if self._share is not None:
                    self._share.keep(_size_of(picture))
            yield picture
            del picture
            if self._job.wanted == "first":
                return

    def _begin(self) -> None:
        """Give the job to a decoder, and read what the headers say."""
        message = self._ask()
        try:
            format, *numbers = message["info"]
            width, height, frames = map(int, numbers)
            needed = int(message["memory"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._failed() from error
        self.info = ImageInfo(str(format), width, height, frames)
        if self._job.wanted == "info":
            self._receive()
            return
        pixels = frames * width * height / self._job.limits.max_pixels
        self._left = max(self._left, WALL_FACTOR * self._job.limits.cpu_seconds * pixels)
        self._share = _budget.take(needed, frames) if _budget else None
        if needed >= UNIT:
            cast(_Decoder, self._decoder).send(GO, [])

    def _ask(self) -> dict[str, Any]:
        file = os.memfd_create("picture", os.MFD_CLOEXEC)
        lost = 0
        try:
            os.write(file, self._data)
            while lost < _LOST_AT_ONCE:
                self._decoder = _pool.take()
                try:
                    self._decoder.send(self._job.to_json(), [file])
                    return self._receive_or_end()[0]
                except _Ended as ended:
                    decoder, self._decoder = self._decoder, None
                    decoder.end()
                    # One that waited may have ended by itself, and all end with their server.
                    if decoder.is_new and ended.status is not None:
                        raise self._why(ended) from None
                    lost += decoder.is_new
            raise fork_server.CannotStart
        finally:
            os.close(file)

    def _receive(self) -> tuple[dict[str, Any], int | None]:
        try:
            return self._receive_or_end()
        except _Ended as ended:
            raise self._why(ended) from None

    def _receive_or_end(self) -> tuple[dict[str, Any], int | None]:
        """Return the next message and its file. At the last one the decoder is given back."""
        decoder = cast(_Decoder, self._decoder)
        started = time.monotonic()
        try:
            message, file = decoder.receive(self._left)
        except TimeoutError:
            raise self._too_slow() from None
        except ValueError as error:
            raise self._failed() from error
        self._left -= time.monotonic() - started
        if message.get("kind") not in ("end", "error"):
            return message, file
        if message.get("stays") is True:
            self._decoder = None
            _pool.give_back(decoder)
        else:
            self.close()
        if message["kind"] == "error":
            raise self._error(message)
        return message, None

    def _picture(self, message: dict[str, Any], file: int) -> Picture:
        shapes = [(int(height), int(width)) for _, height, width in message["renderings"]]
        if message["legacy"] is not None:
            height, width = message["legacy"]
            shapes.append((int(height), int(width)))
        if not 0 < len(message["renderings"]) < len(shapes) + 1 <= _MAX_RENDERINGS + 2:
            raise ValueError
        arrays = _arrays(file, shapes, self._job.limits, self._share)
        names = [str(name) for name, _, _ in message["renderings"]]
        duration = message["duration_ms"]
        return Picture(
            info=self.info,
            renderings=tuple(map(Rendering, names, arrays)),
            legacy_rgb=arrays[0] if message["legacy"] is None else arrays[-1],
            doubt=None if message["doubt"] is None else str(message["doubt"]),
            orientation=int(message["orientation"]),
            place=message["place"],
            number=int(message["number"]),
            duration_ms=None if duration is None else int(duration),
            rest=message["rest"],
        )

    def _error(self, message: dict[str, Any]) -> UserError:
        kind = _ERRORS.get(str(message.get("code")))
        text = str(message.get("message"))
        if kind is NotAnImage:
            format = message.get("format")
            return NotAnImage(text, format=None if format is None else str(format))
        return self._failed() if kind is None else kind(text)

    def _why(self, ended: _Ended) -> UserError | fork_server.CannotStart:
        if ended.status in (None, fork_server.NOT_BEGUN):
            return fork_server.CannotStart()
        return self._too_slow() if ended.status == -signal.SIGXCPU else self._failed()

    def _too_slow(self) -> UserError:
        return TooSlow("Decoding the picture takes too long; send a smaller or simpler version.")

    def _failed(self) -> UserError:
        return NotAnImage(
            "The decoder failed on the picture; save it again as JPEG or PNG and retry.",
            format=self._format,
        )


def _arrays(
    file: int, shapes: list[tuple[int, int]], limits: PictureLimits, share: Share | None
) -> list[Pixels]:
    """Read the pixels. Raises ``ValueError`` or ``OSError`` if the file does not hold them."""
    if any(min(shape) < 1 or shape[0] * shape[1] > limits.max_pixels for shape in shapes):
        raise ValueError
    size = sum(height * width * 3 for height, width in shapes)
    # Read, not mapped: a decoder that was taken over could change a mapping, or cut it off.
    pixels = np.empty(size, np.uint8)
    weakref.finalize(pixels, _let_go, share)
    filled = 0
    while filled < size:
        count = os.preadv(file, [pixels.data[filled:]], filled)
        if not count:
            raise ValueError
        filled += count
    pixels.flags.writeable = False
    arrays, at = [], 0
    for height, width in shapes:
        count = height * width * 3
        arrays.append(pixels[at : at + count].reshape(height, width, 3))
        at += count
    return arrays


def _size_of(picture: Picture) -> int:
    return sum(one.nbytes for one in {id(a): a for a in (picture.rgb, picture.legacy_rgb)}.values())


def _let_go(share: Share | None) -> None:
    """The finalizer of the pixels held the share until now."""
