"""The process that decodes one video, forked by ``gallery.shared.fork_server``.

It limits its resources before it opens the video, reads only the file in its working directory, and
writes messages (``videos.decode.decoder_protocol``) to a pipe.
"""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from dataclasses import asdict
from typing import BinaryIO

import cv2

from gallery.shared.errors import UserError

# Imported here, so that they are loaded once, by the process that forks.
from videos.decode import decoder_protocol, ffmpeg_reader
from videos.decode.errors import VideoTooLarge

_OPEN_FILES = 32

cv2.setNumThreads(1)  # in the process that forks, so that it never starts threads


def main(orders: int, messages: int) -> None:
    """Decode the job that is read from the pipe ``orders``, which ends before one if the service
    process gave up."""
    with os.fdopen(orders) as pipe:
        text = pipe.read()
    if not text:
        return
    job = decoder_protocol.DecodingJob.from_json(text)
    _restrict(job.limits)
    out = os.fdopen(messages, "wb")
    try:
        for item in _read(job):
            _write(out, item)
        _send(out, decoder_protocol.END)
    except UserError as exc:
        _send(out, decoder_protocol.ERROR, _json({"code": exc.code, "message": exc.message}))
    except MemoryError:
        error = VideoTooLarge(
            f"Decoding the video needs more than {job.limits.memory_bytes // 1024**2:,} MB of "
            "memory; send a smaller version."
        )
        _send(out, decoder_protocol.ERROR, _json({"code": error.code, "message": error.message}))
    except BrokenPipeError:
        os._exit(0)


def _restrict(limits: decoder_protocol.VideoLimits) -> None:
    for kind, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))
    # The soft limit sends SIGXCPU; the parent sees the signal as the reason.
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))


def _read(
    job: decoder_protocol.DecodingJob,
) -> Iterator[decoder_protocol.VideoInfo | decoder_protocol.DecodedFrame]:
    if job.container in decoder_protocol.ANIMATIONS:
        from videos.decode import animations

        return animations.read(job)

    return ffmpeg_reader.read(job)


def _write(out: BinaryIO, item: decoder_protocol.VideoInfo | decoder_protocol.DecodedFrame) -> None:
    if isinstance(item, decoder_protocol.VideoInfo):
        _send(out, decoder_protocol.INFO, _json(asdict(item)))
        return
    height, width, _ = item.rgb.shape
    head = decoder_protocol.FRAME_HEAD.pack(
        item.t, item.until, item.progress, item.layer, height, width
    )
    _send(out, decoder_protocol.FRAME, head, item.rgb.data)


def _send(out: BinaryIO, kind: bytes, *parts: bytes | memoryview) -> None:
    out.write(decoder_protocol.HEADER.pack(kind, sum(memoryview(part).nbytes for part in parts)))
    for part in parts:
        out.write(part)
    out.flush()


def _json(values: dict[str, object]) -> bytes:
    return json.dumps(values).encode()
