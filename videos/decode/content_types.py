"""How each container, as sniffed, is announced to a browser."""

from __future__ import annotations

from typing import Final

CONTENT_TYPES: Final = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
    "avi": "video/x-msvideo",
    "mpegts": "video/mp2t",
    "ogg": "video/ogg",
    "asf": "video/x-ms-wmv",
    "flv": "video/x-flv",
    "mpegps": "video/mpeg",
    "heics": "image/heic-sequence",
    "gif": "image/gif",
    "webp": "image/webp",
    "png": "image/png",
    "avif": "image/avif",
}
