"""Errors of videos, with messages for their senders."""

from __future__ import annotations

from gallery.shared.errors import UserError


class NotAVideo(UserError):
    code = "not_a_video"


class VideoTooLarge(UserError):
    """The video exceeds a limit (bytes, duration, frames, pixels, memory)."""

    code = "video_too_large"


class VideoTooSlow(UserError):
    code = "video_too_slow"


class AnotherFile(UserError):
    """The link of a video whose file was not kept now leads to another file."""

    code = "another_file"


BY_CODE = {error.code: error for error in (NotAVideo, VideoTooLarge, VideoTooSlow)}


def clock(ms: int) -> str:
    minutes, seconds = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
