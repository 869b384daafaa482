"""Decodes an untrusted video into small frames with exact times, in a separate process.

The file is alone in a directory, under a random name. The process has limits of processor time,
memory and open files, no inherited environment and one demuxer. Whatever happens to it, the caller
gets frames or one of the errors of ``videos.decode.errors``; if it cannot start, ``CannotStart``.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import select
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from gallery.shared import fork_server
from videos.decode import decoder_protocol
from videos.decode.decoder_protocol import DecodedFrame, VideoInfo, VideoLimits
from videos.decode.errors import (
    BY_CODE,
    NotAVideo,
    VideoTooLarge,
    VideoTooSlow,
)
from videos.decode.sniffing import HEAD_BYTES, sniff, why_unknown

_MODULE: Final = "videos.decode.decode_child"
_COPY_BYTES: Final = 1024 * 1024
_LATEST_MS: Final = 2**31 - 1
"""The largest value of the database's columns of times: 24 days."""


class OpenVideo:
    """An open video. ``info`` is known at once; iterate once for the frames, in order of time.

    Iterating raises NotAVideo, VideoTooLarge or VideoTooSlow, also after some frames.
    """

    def __init__(self, process: _Process, limits: VideoLimits, long_side: int) -> None:
        self._messages = _Messages(process, limits)
        self._max_body = decoder_protocol.FRAME_HEAD.size + 3 * long_side**2
        kind, body = self._next()
        if kind != decoder_protocol.INFO:
            raise _damaged()
        self.info = _info(body)

    def __iter__(self) -> Iterator[DecodedFrame]:
        while True:
            kind, body = self._next()
            if kind == decoder_protocol.END:
                return
            if kind != decoder_protocol.FRAME:
                raise _damaged()
            yield _frame(body)

    def _next(self) -> tuple[bytes, bytearray]:
        kind, body = self._messages.read(self._max_body)
        if kind == decoder_protocol.ERROR:
            raise _error(body)
        return kind, body


@contextmanager
def decode(
    source: Path | BinaryIO,
    limits: VideoLimits,
    *,
    fps: float | None = None,
    phase: float = 0.0,
    screening: bool = False,
    start_ms: int = 0,
    end_ms: int | None = None,
    long_side: int = 512,
) -> Iterator[OpenVideo]:
    """Open a video and decode what is on the screen from ``start_ms`` to ``end_ms``.

    Yields the frames selected by ``TimeGrid(fps, start_ms, phase)`` with their own times. They
    are at most ``long_side`` pixels (≤ 2048) wide and high, and of the size of the first frame of
    their layer. One frame is in memory at a time. Seeks to the start where the container allows.
    ``screening``: also yields frames between the points that differ from the last one yielded,
    and then all other layers: other picture streams, covers, and other renderings of transparent
    videos.

    Raises NotAVideo, VideoTooLarge, VideoTooSlow, and ``CannotStart`` if no process can start. The
    process and its directory are removed when the block ends.
    """
    if not 0 < long_side <= decoder_protocol.MAX_LONG_SIDE:
        raise ValueError(f"long_side must be 1 to {decoder_protocol.MAX_LONG_SIDE}")
    head = _head(source)
    container = sniff(head)
    if container is None:
        raise NotAVideo(why_unknown(head))
    with tempfile.TemporaryDirectory(prefix="video-") as directory:
        name = secrets.token_hex(16)
        # Started before the file is placed: it removes the directory if this process is killed.
        with _process(directory) as process:
            _place(source, head, Path(directory, name), limits)
            job = decoder_protocol.DecodingJob(
                name, container, fps, phase, screening, start_ms, end_ms, long_side, limits
            )
            _send_job(process, job)
            yield OpenVideo(process, limits, long_side)


def _head(source: Path | BinaryIO) -> bytes:
    if isinstance(source, Path):
        with source.open("rb") as file:
            return file.read(HEAD_BYTES)
    return source.read(HEAD_BYTES)


def _place(source: Path | BinaryIO, head: bytes, target: Path, limits: VideoLimits) -> None:
    """Link or copy the file to where it is decoded. ``head``: what was read of ``source``."""
    if isinstance(source, Path):
        target.symlink_to(source.resolve())
        size = target.stat().st_size
    else:
        with target.open("wb") as copy:
            size = copy.write(head)
            while size <= limits.max_bytes and (chunk := source.read(_COPY_BYTES)):
                size += copy.write(chunk)
    if size > limits.max_bytes:
        raise VideoTooLarge(
            f"The file has more than the {limits.max_bytes:,} bytes accepted; send a shorter or "
            "smaller version."
        )


@dataclass(frozen=True, slots=True)
class _Process:
    """``orders`` and ``messages``: pipes to it and from it."""

    child: fork_server.Child
    orders: BinaryIO
    messages: BinaryIO


@contextmanager
def _process(directory: str) -> Iterator[_Process]:
    their_orders, our_orders = os.pipe()
    our_messages, their_messages = os.pipe()
    with os.fdopen(our_orders, "wb", 0) as orders, os.fdopen(our_messages, "rb", 0) as messages:
        try:
            child = fork_server.start_child(_MODULE, [their_orders, their_messages], directory)
        finally:
            os.close(their_orders)
            os.close(their_messages)
        try:
            yield _Process(child, orders, messages)
        finally:
            child.kill()
            child.wait()


def _send_job(process: _Process, job: decoder_protocol.DecodingJob) -> None:
    # If the process has ended already, ``_Messages`` reports it.
    with contextlib.suppress(BrokenPipeError):
        process.orders.write(job.to_json().encode())
        process.orders.close()


class _Messages:
    """Reads the process's messages. Waits at most ``wall_seconds`` in total."""

    def __init__(self, process: _Process, limits: VideoLimits) -> None:
        self._child, self._pipe = process.child, process.messages
        self._left = limits.wall_seconds
        self._limits = limits
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)

    def read(self, max_body: int) -> tuple[bytes, bytearray]:
        """Return (kind, body). Raises VideoTooSlow, NotAVideo."""
        kind, size = decoder_protocol.HEADER.unpack(self._exactly(decoder_protocol.HEADER.size))
        if size > (max_body if kind == decoder_protocol.FRAME else decoder_protocol.MAX_JSON_BYTES):
            raise _damaged()
        return kind, self._exactly(size)

    def _exactly(self, size: int) -> bytearray:
        body = bytearray(size)
        view, filled = memoryview(body), 0
        while filled < size:
            self._wait()
            count = self._pipe.readinto(view[filled:])  # type: ignore[attr-defined]
            if not count:
                raise self._ended()
            filled += count
        return body

    def _wait(self) -> None:
        started = time.monotonic()
        ready = self._poll.poll(max(0.0, self._left) * 1000)
        self._left -= time.monotonic() - started
        if not ready:
            raise VideoTooSlow(
                f"Decoding the video takes longer than {self._limits.wall_seconds:g} seconds; "
                "send a shorter or smaller version."
            )

    def _ended(self) -> Exception:
        status = self._child.wait()
        if status in (None, fork_server.NOT_BEGUN):
            return fork_server.CannotStart()
        if status in (-signal.SIGXCPU, -signal.SIGKILL):
            return VideoTooSlow(
                f"Decoding the video takes more than {self._limits.cpu_seconds:,} seconds of "
                "processor time; send a shorter or smaller version."
            )
        return _damaged()


def _damaged() -> NotAVideo:
    return NotAVideo("The decoder failed on the video; convert it to MP4 (H.264) and try again.")


def _error(body: bytearray) -> Exception:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        values = json.loads(body)
        return BY_CODE[values["code"]](str(values["message"]))
    return _damaged()


def _info(body: bytearray) -> VideoInfo:
    try:
        return VideoInfo(**json.loads(body))
    except (ValueError, TypeError) as exc:
        raise _damaged() from exc


def _frame(body: bytearray) -> DecodedFrame:
    head = decoder_protocol.FRAME_HEAD.size
    if len(body) < head:
        raise _damaged()
    t, until, progress, layer, height, width = decoder_protocol.FRAME_HEAD.unpack_from(body)
    if height * width == 0 or len(body) != head + height * width * 3 or not math.isfinite(progress):
        raise _damaged()
    if not 0 <= t <= until <= _LATEST_MS:
        raise _damaged()
    rgb = np.frombuffer(body, np.uint8, offset=head).reshape(height, width, 3)
    rgb.flags.writeable = False
    return DecodedFrame(t, until, rgb, progress, layer)
