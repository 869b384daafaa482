"""The process that decodes one video: ``python -m videos.decode.decode_child``.

It reads its job from standard input and limits its resources before it loads a decoder. It reads
only the file in its working directory, and writes messages (``videos.decode.decoder_protocol``) to
standard output.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from gallery.shared.errors import UserError
from videos.decode import decoder_protocol
from videos.decode.errors import VideoTooLarge

_OPEN_FILES = 32


def main() -> None:
    """Decode the job from standard input. The exit status is 0 also if the video is refused."""
    text = sys.stdin.read()
    if not text:
        _remove_directory()
        return
    job = decoder_protocol.DecodingJob.from_json(text)
    _restrict(job.limits)
    # Libraries that print must not write into the stream of messages.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
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
        _remove_directory()
        os._exit(0)


def _remove_directory() -> None:
    """A broken pipe means that the caller was killed, since it ends this process before it closes a
    pipe. So this process cleans up."""
    with contextlib.suppress(OSError):
        for path in Path.cwd().iterdir():
            path.unlink()
        Path.cwd().rmdir()


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
    from videos.decode import ffmpeg_reader

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


if __name__ == "__main__":
    main()
