"""FFmpeg's containers → frames. Runs only in the decoding process (``videos.decode_child``).

FFmpeg is a program that files can steer: the one demuxer that the magic bytes name is forced, no
other may be opened from it, and no protocol but ``file``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from videos.errors import NotAVideo, VideoTooLarge, clock
from videos.wire import Due, Frame, Info, Job, fitted

DEMUXERS: Final = {
    "mp4": "mov",
    "mov": "mov",
    "mkv": "matroska",
    "webm": "matroska",
    "avi": "avi",
    "mpegts": "mpegts",
    "ogg": "ogg",
}

CODECS: Final = frozenset(
    [
        *("h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg"),
        *("theora", "h263", "msmpeg4v2", "msmpeg4v3", "prores", "dnxhd", "dvvideo", "ffv1"),
        *("huffyuv", "rawvideo"),
    ]
)
"""What cameras, phones, browsers and editors write. FFmpeg has hundreds more, rarely attacked by
anyone but attackers."""

_STATE_THEIR_DURATION: Final = frozenset({"mp4", "mov", "mkv", "webm"})
_THREADS: Final = 2


def read(job: Job) -> Iterator[Info | Frame]:
    """``Info`` once, then the frames wanted. Raises NotAVideo, VideoTooLarge."""
    if job.start_ms > 0:
        sought = _read(job, seek=True)
        # An index may lead past the window's start, or nowhere: then all is read up to there.
        if (first := next(sought, None)) is not None:
            yield first
            yield from sought
            return
    yield from _read(job, seek=False)


def _read(job: Job, *, seek: bool) -> Iterator[Info | Frame]:
    """Nothing at all if seeking did not lead to a frame at or before the window's start."""
    with _open(job) as container:
        stream = _picture_stream(container, job)
        if seek:
            try:
                container.seek(job.start_ms * 1000 + (container.start_time or 0))
            except av.error.FFmpegError:
                return
        reading = _Reading(container, stream, job)
        pictures = reading.pictures()
        first = next(pictures, None)
        if first is None or (seek and first[0] > job.start_ms):
            if seek:
                return
            raise NotAVideo(
                "No frame of the video could be decoded: it is empty, damaged or encrypted. "
                "Convert it to MP4 (H.264) and send it again."
            )
        shown = _Shown.of(stream, first[1])
        codec = stream.codec.canonical_name
        fps = float(stream.average_rate) if stream.average_rate else None
        yield Info(job.container, codec, shown.width, shown.height, _claimed_ms(container), fps)
        size = fitted(shown.width, shown.height, job.long_side)
        due = Due(job.fps, job.start_ms)
        t, frame = first
        while job.end_ms is None or t <= job.end_ms:
            if due.take(t):
                yield Frame(t, shown.picture(frame, size), reading.progress)
            following = next(pictures, None)
            if following is None:
                break
            t, frame = following


def _open(job: Job) -> InputContainer:
    demuxer = DEMUXERS[job.container]
    options = {
        "format_whitelist": demuxer,
        "protocol_whitelist": "file",
        "max_streams": str(job.limits.max_streams + 1),
    }
    try:
        return av.open(job.name, format=demuxer, options=options, metadata_errors="replace")
    except MemoryError:
        raise
    except (av.error.FFmpegError, ValueError) as exc:
        raise NotAVideo(
            f"The file begins like {job.container.upper()} but is damaged or incomplete; "
            "upload it again, or convert it to MP4."
        ) from exc


def _picture_stream(container: InputContainer, job: Job) -> VideoStream:
    """The stream to decode, all that its header claims within the limits, its codec set up."""
    limits = job.limits
    # FFmpeg stops counting there, so that there may be more.
    if len(container.streams) > limits.max_streams:
        raise VideoTooLarge(
            f"The file has more than {limits.max_streams} streams; save the picture alone."
        )
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise NotAVideo("The file has sound or other data but no moving picture; send a video.")
    best = container.streams.best("video")
    stream = next((s for s in streams if s is best), streams[0])
    claimed = _claimed_ms(container) or 0
    if claimed > limits.max_duration_ms or stream.frames > limits.max_frames:
        raise VideoTooLarge(
            f"The video claims to last {clock(claimed)} with {stream.frames:,} frames; at most "
            f"{clock(limits.max_duration_ms)} and {limits.max_frames:,} frames are accepted. "
            "Cut it into parts."
        )
    context = stream.codec_context
    if context is None or stream.codec.canonical_name not in CODECS:
        name = "unknown" if context is None else stream.codec.canonical_name
        raise NotAVideo(
            f"The video's codec ({name}) is not accepted; convert the video to MP4 (H.264)."
        )
    _check_size(context.width, context.height, job)
    context.thread_type = "AUTO"
    context.thread_count = _THREADS
    context.options = {"max_pixels": str(limits.max_pixels)}
    return stream


def _check_size(width: int, height: int, job: Job) -> None:
    if width * height > job.limits.max_pixels:
        raise VideoTooLarge(
            f"The video has {width:,} × {height:,} pixels a frame; at most "
            f"{job.limits.max_pixels:,} pixels are accepted. Send a smaller version."
        )


def _claimed_ms(container: InputContainer) -> int | None:
    return None if container.duration is None else round(container.duration / 1000)


class _Reading:
    """One pass over the packets: pictures with their times, and how far the file was read."""

    def __init__(self, container: InputContainer, stream: VideoStream, job: Job) -> None:
        self.progress = 0.0
        self._container = container
        self._stream = stream
        self._job = job
        self._bytes = max(1, Path(job.name).stat().st_size)
        self._end_ms = 0.0
        # Players count from the earliest stream's start; MPEG-TS begins at any time.
        self._start_ms: float | None = (
            None if container.start_time is None else container.start_time / 1000
        )

    def pictures(self) -> Iterator[tuple[int, VideoFrame]]:
        """(ms, picture) in order of presentation. Raises NotAVideo if the file ends early."""
        count, t = 0, -1
        for frame in self._frames():
            count += 1
            if frame.pts is None or frame.time_base is None:
                continue
            at = float(frame.pts * frame.time_base * 1000)
            if self._start_ms is None:
                self._start_ms = at
            t = max(0, round(at - self._start_ms))
            limits = self._job.limits
            if count > limits.max_frames or t > limits.max_duration_ms:
                raise VideoTooLarge(
                    f"The video goes on beyond {clock(limits.max_duration_ms)} or "
                    f"{limits.max_frames:,} frames; cut it into parts."
                )
            _check_size(frame.width, frame.height, self._job)
            yield t, frame
        if self._job.start_ms == 0 and t >= 0:
            self._check_complete()

    def _frames(self) -> Iterator[VideoFrame]:
        """Decoded frames; damaged packets are passed over, as players do."""
        packets = self._container.demux()
        while True:
            try:
                packet = next(packets, None)
            except MemoryError:
                raise
            except av.error.FFmpegError:
                return  # what is missing shows in ``_check_complete``
            if packet is None:
                return
            if packet.pts is not None and packet.time_base is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base * 1000)
                self._end_ms = max(self._end_ms, end)
            if packet.stream is not self._stream:
                continue
            # Of this stream alone: the sound of a file may all lie at its end.
            if packet.pos is not None:
                self.progress = max(self.progress, min(1.0, packet.pos / self._bytes))
            try:
                frames = packet.decode()
            except MemoryError:
                raise
            except av.error.FFmpegError:
                continue
            yield from (frame for frame in frames if isinstance(frame, VideoFrame))

    def _check_complete(self) -> None:
        if self._job.container == "avi" and _avi_bytes(self._job.name) > 1.05 * self._bytes:
            raise NotAVideo("The AVI file ends early; upload it again.")
        claimed = _claimed_ms(self._container)
        if claimed is None or self._job.container not in _STATE_THEIR_DURATION:
            return
        read = self._end_ms - (self._start_ms or 0.0)
        if read < 0.9 * claimed - 1000:
            raise NotAVideo(
                f"The video ends early: {clock(round(read))} of the {clock(claimed)} that it "
                "announces could be read. Upload it again."
            )


def _avi_bytes(name: str) -> int:
    """How long the file says it is; FFmpeg corrects an AVI's duration to what is there. Programs
    that write as they record may leave 0 or all ones."""
    with Path(name).open("rb") as file:
        size = int.from_bytes(file.read(8)[4:], "little")
    return 0 if size == 0xFFFFFFFF else size


@dataclass(frozen=True, slots=True)
class _Shown:
    """How stored pictures are shown: size in pixels, after turning; axes swapped, then reversed."""

    width: int
    height: int
    swapped: bool
    x_step: int
    y_step: int

    @classmethod
    def of(cls, stream: VideoStream, frame: VideoFrame) -> _Shown:
        """The display matrix says where the stored axes go: x' = a·x + c·y, y' = b·x + d·y."""
        ratio = float(stream.sample_aspect_ratio or 1)
        width = max(1, round(frame.width * ratio)) if 0.1 < ratio < 10 else frame.width
        side_data = frame.side_data.get("DISPLAYMATRIX")
        if not isinstance(side_data, SideData):
            return cls(width, frame.height, False, 1, 1)
        a, b, _, c, d, *_ = np.frombuffer(bytes(side_data), "<i4").tolist()
        if abs(b) > abs(a):
            return cls(frame.height, width, True, -1 if c < 0 else 1, -1 if b < 0 else 1)
        return cls(width, frame.height, False, -1 if a < 0 else 1, -1 if d < 0 else 1)

    def picture(self, frame: VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Turned, width × height = ``size``, whatever size this one frame is stored in."""
        width, height = reversed(size) if self.swapped else size
        reduced = frame.reformat(width, height, format="rgb24", interpolation="AREA").to_ndarray()
        turned = reduced.transpose(1, 0, 2) if self.swapped else reduced
        return np.ascontiguousarray(turned[:: self.y_step, :: self.x_step])
