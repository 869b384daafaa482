"""What is wrong with a video, as its sender is told."""

from __future__ import annotations

from gallery.shared.errors import UserError


class NotAVideo(UserError):
    """The bytes are no video that is read here, or a damaged one."""

    code = "not_a_video"


class VideoTooLarge(UserError):
    """The video is beyond a limit (bytes, duration, frames, pixels, memory)."""

    code = "video_too_large"


class VideoTooSlow(UserError):
    """Decoding the video takes longer than is allowed."""

    code = "video_too_slow"


class AnotherFile(UserError):
    """The link of a video that was not kept holds something else now."""

    code = "another_file"


BY_CODE = {error.code: error for error in (NotAVideo, VideoTooLarge, VideoTooSlow)}


def clock(ms: int) -> str:
    """3723400 → 1:02:03."""
    minutes, seconds = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
