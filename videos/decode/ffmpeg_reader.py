"""Reads frames with FFmpeg. Runs only in the decoding process (``videos.decode.decode_child``).

Files can make FFmpeg open other formats and addresses. So only the demuxer that the magic bytes
name is allowed, and only the protocol ``file``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, cast

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from gallery.imaging.pixels import Pixels, fitted_size
from videos.decode.decoder_protocol import (
    DecodedFrame,
    DecodingJob,
    TimeGrid,
    VideoInfo,
    layer_number,
)
from videos.decode.errors import NotAVideo, VideoTooLarge, clock
from videos.decode.frame_novelty import NoveltyFilter, luma_thumbnail

DEMUXERS: Final = {
    "mp4": "mov",
    "mov": "mov",
    "mkv": "matroska",
    "webm": "matroska",
    "avi": "avi",
    "mpegts": "mpegts",
    "ogg": "ogg",
    "asf": "asf",
    "flv": "flv",
    "mpegps": "mpeg",
    "heics": "mov",
}

CODECS: Final = frozenset(
    [
        *("h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg"),
        *("theora", "h263", "msmpeg4v2", "msmpeg4v3", "prores", "dnxhd", "dvvideo", "ffv1"),
        *("huffyuv", "rawvideo", "wmv1", "wmv2", "wmv3", "vc1", "flv1", "vp6", "vp6f", "vp6a"),
        *("cinepak", "svq1", "svq3", "qtrle", "png"),
    ]
)
"""Codecs of cameras, phones, browsers and editors. FFmpeg has hundreds that hardly anyone uses."""

COVER_CODECS: Final = frozenset({"mjpeg", "png", "bmp"})
_SEE_ALPHA: Final = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders of these ignore WebM's transparency."""

_STATE_THEIR_DURATION: Final = frozenset({"mp4", "mov", "mkv", "webm", "asf", "heics"})
_THREADS: Final = 2
_USUAL_MS: Final = 40.0
_LATEST_MS: Final = 2**31 - 1
_JUMP_MS: Final = 1000
"""If times go back by more, the file consists of several recordings."""

OPAQUE: Final = 250
"""Alpha below which a pixel counts as transparent; compression changes opaque pixels a little."""

FOOTAGE_RENDERINGS: Final = 3
"""Videos have the first ones of ``RENDERINGS``."""

_WHITE, _BLACK = 0, 1


def read(job: DecodingJob) -> Iterator[VideoInfo | DecodedFrame]:
    """Yield ``VideoInfo`` once, then the frames wanted. Raises NotAVideo, VideoTooLarge."""
    if job.start_ms > 0:
        sought = _LayerReader(job, seek=True).read()
        # Seeking may lead past the start, or fail; then the file is read from its beginning.
        if (first := next(sought, None)) is not None:
            yield first
            yield from sought
            return
    shown = _LayerReader(job)
    yield from shown.read()
    if not job.screening:
        return
    for stream in range(shown.streams):
        over_white = _LayerReader(job, stream) if stream else shown
        if stream:
            yield from over_white.read()
        if over_white.transparent:
            for rendering in range(1, FOOTAGE_RENDERINGS):
                yield from _LayerReader(job, stream, rendering).read()


class _LayerReader:
    """One pass over the file for one of its picture streams, in one rendering.

    ``streams`` (their number) and ``transparent`` (whether any frame is) are known after ``read``.
    """

    def __init__(
        self, job: DecodingJob, stream: int = 0, rendering: int = 0, *, seek: bool = False
    ) -> None:
        self.streams, self.transparent = 0, False
        self._job, self._stream, self._rendering, self._seek = job, stream, rendering, seek
        self._number = layer_number(stream, rendering)

    def read(self) -> Iterator[VideoInfo | DecodedFrame]:
        """Yield ``VideoInfo`` (of the first layer only), then frames.

        Yields nothing if seeking found no frame at or before the window's start, or if a stream
        other than the first has no frames.
        """
        job = self._job
        with _open(job) as container:
            streams = _picture_streams(container, job)
            self.streams, stream = len(streams), streams[self._stream]
            if self._seek:
                try:
                    container.seek(job.start_ms * 1000 + (container.start_time or 0))
                except av.error.FFmpegError:
                    return
            reading = _PacketReader(container, stream, job)
            pictures = reading.pictures()
            first = next(pictures, None)
            if first is None or (self._seek and first[0] > job.start_ms):
                if self._seek or self._stream:
                    return
                raise NotAVideo(
                    "No frame of the video could be decoded: it is empty, damaged or encrypted. "
                    "Convert it to MP4 (H.264) and send it again."
                )
            shown = _Display.of(stream, first[2])
            if self._number == 0:
                yield _info(job, container, stream, shown)
            yield from self._frames(reading, chain([first], pictures), shown)

    def _frames(
        self,
        reading: _PacketReader,
        pictures: Iterator[tuple[int, int, VideoFrame]],
        shown: _Display,
    ) -> Iterator[DecodedFrame]:
        job = self._job
        size = fitted_size(shown.width, shown.height, job.long_side)
        due, cuts = (
            TimeGrid(job.fps, job.start_ms, job.phase),
            NoveltyFilter() if job.screening else None,
        )
        for t, until, frame in pictures:
            if job.end_ms is not None and t > job.end_ms:
                return
            wanted = due.take(t, until)
            if cuts is not None:
                wanted = cuts.deliver(t, luma_thumbnail(frame), wanted)
            if wanted:
                rgb, alpha = shown.picture(frame, size, self._rendering)
                self.transparent = self.transparent or alpha
                progress = 1.0 if self._number else reading.progress
                yield DecodedFrame(t, until, rgb, progress, self._number)


class _PacketReader:
    def __init__(self, container: InputContainer, stream: VideoStream, job: DecodingJob) -> None:
        self.progress = 0.0
        self._container = container
        self._stream = stream
        self._job = job
        self._bytes = max(1, Path(job.name).stat().st_size)
        self._end_ms = 0.0
        # Times count from the start of the earliest stream, as in players. MPEG-TS begins at any
        # time.
        self._start_ms: float | None = (
            None if container.start_time is None else container.start_time / 1000
        )
        self._alpha = _alpha_decoder(stream, job)

    def pictures(self) -> Iterator[tuple[int, int, VideoFrame]]:
        """Yield (from, until, picture) in ms, in order of presentation; the last picture stays to
        the end of the file. Raises NotAVideo if the file ends early."""
        waiting: tuple[int, VideoFrame] | None = None
        for t, frame in self._timed():
            if waiting is not None:
                yield waiting[0], t, waiting[1]
            waiting = t, frame
        if waiting is not None:
            yield waiting[0], self._end_of(waiting[0]), waiting[1]
            if self._job.start_ms == 0 and not _is_cover(self._stream):
                self._check_complete()

    def _timed(self) -> Iterator[tuple[int, VideoFrame]]:
        count, t, shift = 0, -1, 0
        limits = self._job.limits
        for frame in self._frames():
            count += 1
            if frame.pts is not None and frame.time_base is not None:
                at = float(frame.pts * frame.time_base * 1000)
            elif _is_cover(self._stream):
                at = self._start_ms or 0.0
            else:
                continue
            if self._start_ms is None:
                self._start_ms = at
            read = max(0, round(at - self._start_ms)) + shift
            if read <= t - _JUMP_MS:
                shift += t + round(self._step_ms()) - read
            t = max(t + 1, read if read > t - _JUMP_MS else t + round(self._step_ms()))
            if count > limits.max_frames or t > limits.max_duration_ms:
                raise VideoTooLarge(
                    f"The video goes on beyond {clock(limits.max_duration_ms)} or "
                    f"{limits.max_frames:,} frames; cut it into parts."
                )
            _check_size(frame.width, frame.height, self._job)
            yield t, frame

    def _step_ms(self) -> float:
        rate = float(self._stream.average_rate or 0)
        return 1000 / rate if rate > 0 else _USUAL_MS

    def _end_of(self, t: int) -> int:
        claimed = 0 if self._ends_early() else self._stated_ms()
        return min(max(t + 1, self._read_ms() or t + round(self._step_ms()), claimed), _LATEST_MS)

    def _stated_ms(self) -> int:
        """0 if the container's duration is not reliable."""
        stated = self._job.container in _STATE_THEIR_DURATION and _claimed_ms(self._container)
        return stated or 0

    def _read_ms(self) -> int:
        return round(self._end_ms - (self._start_ms or 0.0))

    def _ends_early(self) -> bool:
        return self._read_ms() < 0.9 * self._stated_ms() - 1000

    def _frames(self) -> Iterator[VideoFrame]:
        """Damaged packets are skipped, as players do."""
        packets = self._container.demux()
        while True:
            try:
                packet = next(packets, None)
            except MemoryError:
                raise
            except av.error.FFmpegError:
                return  # ``_check_complete`` detects what is missing
            if packet is None:
                return
            if packet.pts is not None and packet.time_base is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base * 1000)
                self._end_ms = max(self._end_ms, end)
            if packet.stream is not self._stream:
                continue
            # Packets of other streams do not count: all sound may be at the end of the file.
            if packet.pos is not None:
                self.progress = max(self.progress, min(1.0, packet.pos / self._bytes))
            try:
                frames = packet.decode() if self._alpha is None else self._alpha.decode(packet)
            except MemoryError:
                raise
            except av.error.FFmpegError:
                continue
            yield from (frame for frame in frames if isinstance(frame, VideoFrame))

    def _check_complete(self) -> None:
        if self._job.container == "avi" and _avi_bytes(self._job.name) > 1.05 * self._bytes:
            raise NotAVideo("The AVI file ends early; upload it again.")
        if self._ends_early():
            raise NotAVideo(
                f"The video ends early: {clock(self._read_ms())} of the "
                f"{clock(self._stated_ms())} in its header could be read. Upload it again."
            )


@dataclass(frozen=True, slots=True)
class _Display:
    """How stored pictures are shown: size after turning; axes are swapped, then reversed."""

    width: int
    height: int
    swapped: bool
    x_step: int
    y_step: int

    @classmethod
    def of(cls, stream: VideoStream, frame: VideoFrame) -> _Display:
        """Read the display matrix: x' = a·x + c·y, y' = b·x + d·y."""
        ratio = float(stream.sample_aspect_ratio or 1)
        width = max(1, round(frame.width * ratio)) if 0.1 < ratio < 10 else frame.width
        side_data = frame.side_data.get("DISPLAYMATRIX")
        if not isinstance(side_data, SideData):
            return cls(width, frame.height, False, 1, 1)
        a, b, _, c, d, *_ = np.frombuffer(bytes(side_data), "<i4").tolist()
        if abs(b) > abs(a):
            return cls(frame.height, width, True, -1 if c < 0 else 1, -1 if b < 0 else 1)
        return cls(width, frame.height, False, -1 if a < 0 else 1, -1 if d < 0 else 1)

    def picture(
        self, frame: VideoFrame, size: tuple[int, int], rendering: int
    ) -> tuple[NDArray[np.uint8], bool]:
        """Turn and reduce the frame to ``size`` (width, height). Also return whether any of it is
        transparent."""
        width, height = reversed(size) if self.swapped else size
        alpha = any(component.is_alpha for component in frame.format.components)
        layout = "rgba" if alpha else "rgb24"
        small = frame.reformat(width, height, format=layout, interpolation="AREA")
        reduced = np.asarray(small.to_ndarray(), np.uint8)
        rgb, transparent = reduced, False
        if alpha:
            transparent = bool((reduced[..., 3] < OPAQUE).any())
            rgb = composed_over(reduced, rendering)
        turned = rgb.transpose(1, 0, 2) if self.swapped else rgb
        return np.ascontiguousarray(turned[:: self.y_step, :: self.x_step]), transparent


def _info(
    job: DecodingJob, container: InputContainer, stream: VideoStream, shown: _Display
) -> VideoInfo:
    codec = stream.codec.canonical_name
    fps = float(stream.average_rate) if stream.average_rate else None
    return VideoInfo(job.container, codec, shown.width, shown.height, _claimed_ms(container), fps)


def _open(job: DecodingJob) -> InputContainer:
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


def _picture_streams(container: InputContainer, job: DecodingJob) -> list[VideoStream]:
    """Return all picture streams that players may show, the best first, covers last.

    Checks their headers against the limits, and configures their codecs.
    """
    limits = job.limits
    # FFmpeg stops counting at this number.
    if len(container.streams) > limits.max_streams:
        raise VideoTooLarge(
            f"The file has more than {limits.max_streams} streams; save only the picture."
        )
    moving = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not moving:
        raise NotAVideo("The file has sound or other data but no moving picture; send a video.")
    best = container.streams.best("video")
    moving.sort(key=lambda stream: stream is not best)
    streams = moving + [stream for stream in container.streams.video if _is_cover(stream)]
    if len(streams) > limits.max_pictures:
        raise VideoTooLarge(
            f"The file has {len(streams)} streams of pictures; at most {limits.max_pictures} are "
            "accepted. Save only one of them."
        )
    claimed = _claimed_ms(container) or 0
    frames = max(stream.frames for stream in streams)
    if claimed > limits.max_duration_ms or frames > limits.max_frames:
        raise VideoTooLarge(
            f"The video claims to last {clock(claimed)} with {frames:,} frames; at most "
            f"{clock(limits.max_duration_ms)} and {limits.max_frames:,} frames are accepted. "
            "Cut it into parts."
        )
    for stream in streams:
        _configure(stream, job)
    return streams


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _configure(stream: VideoStream, job: DecodingJob) -> None:
    context, cover = stream.codec_context, _is_cover(stream)
    name = "unknown" if context is None else stream.codec.canonical_name
    if context is None or name not in (COVER_CODECS if cover else CODECS):
        raise NotAVideo(
            f"The cover in the file ({name}) is not accepted; send the video without it."
            if cover
            else f"The video's codec ({name}) is not accepted; convert the video to MP4 (H.264)."
        )
    _check_size(context.width, context.height, job)
    context.thread_type = "AUTO"
    context.thread_count = _THREADS
    context.options = {"max_pixels": str(job.limits.max_pixels)}


def _check_size(width: int, height: int, job: DecodingJob) -> None:
    if width * height > job.limits.max_pixels:
        raise VideoTooLarge(
            f"The video has {width:,} × {height:,} pixels a frame; at most "
            f"{job.limits.max_pixels:,} pixels are accepted. Send a smaller version."
        )


def _claimed_ms(container: InputContainer) -> int | None:
    return None if container.duration is None else round(container.duration / 1000)


def _alpha_decoder(stream: VideoStream, job: DecodingJob) -> VideoCodecContext | None:
    """Some streams' usual decoder ignores transparency."""
    codec = _SEE_ALPHA.get(stream.codec.canonical_name)
    if codec is None or job.container not in ("mkv", "webm") or not _says_alpha(stream):
        return None
    context = cast(VideoCodecContext, VideoCodecContext.create(codec, "r"))
    context.extradata = stream.codec_context.extradata
    context.thread_count = _THREADS
    return context


def _says_alpha(stream: VideoStream) -> bool:
    return stream.metadata.get("alpha_mode", "0") != "0"


def _avi_bytes(name: str) -> int:
    """Return the length in the AVI's header; FFmpeg corrects an AVI's duration to what is there.

    Programs that write while recording may leave 0 or all ones.
    """
    with Path(name).open("rb") as file:
        size = int.from_bytes(file.read(8)[4:], "little")
    return 0 if size == 0xFFFFFFFF else size


def composed_over(rgba: Pixels, rendering: int) -> Pixels:
    colour = rgba[..., :3]
    if rendering not in (_WHITE, _BLACK):
        return np.ascontiguousarray(colour)
    share = rgba[..., 3:].astype(np.uint16)
    behind = 255 * (255 - share) if rendering == _WHITE else 0
    return np.asarray((colour * share + behind + 127) // 255, np.uint8)
