"""Each operation as a value: what is sent, and when it may be sent again. No input or output."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from imgsmlr_client.answers import (
    Check,
    Image,
    ImageSearch,
    Notice,
    Statement,
    Video,
    VideoSearch,
)

Answer = TypeVar("Answer")
File = Path | bytes | BinaryIO
"""A path, the bytes, or an open file. Paths and files are sent as a stream."""


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """``repeatable``: it may be sent again although an answer was lost. ``stored_at``: the path of
    what an earlier attempt stored, if the service says that the same bytes are there."""

    method: str
    path: str
    body: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    file: File | None = None
    repeatable: bool = False
    stored_at: str = ""

    @property
    def rewinds(self) -> bool:
        """Whether the file can be read again from where it began."""
        return self.file is None or isinstance(self.file, Path | bytes) or self.file.seekable()

    @contextmanager
    def content(self) -> Iterator[dict[str, Any]]:
        """Yield the arguments of a request. A file is read from its beginning."""
        if self.file is None:
            yield {"json": dict(self.body)} if self.body else {}
            return
        fields = {name: _form_value(value) for name, value in self.body.items()}
        if isinstance(self.file, Path):
            with self.file.open("rb") as stream:
                yield {"data": fields, "files": {"file": (self.file.name, stream)}}
            return
        if not isinstance(self.file, bytes) and self.file.seekable():
            self.file.seek(0)
        yield {"data": fields, "files": {"file": ("file", self.file)}}


def _form_value(value: Any) -> str:
    """Return a value as the service reads it from a form."""
    return value if isinstance(value, str) else json.dumps(value)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def add_image(
    file: File | None, url: str | None, wait: float, fields: Mapping[str, Any]
) -> Call[Image]:
    body, query = _given(url=url, **fields), {"wait": wait} if wait else {}
    return Call("POST", "images/", body, query, file=file, stored_at="images/{}/")


def add_video(
    file: File | None, url: str | None, wait: float, fields: Mapping[str, Any]
) -> Call[Video]:
    body, query = _given(url=url, **fields), {"wait": wait} if wait else {}
    return Call("POST", "videos/", body, query, file=file, stored_at="videos/{}/")


def image(image_id: int) -> Call[Image]:
    return Call("GET", f"images/{image_id}/", repeatable=True)


def video(video_id: int) -> Call[Video]:
    return Call("GET", f"videos/{video_id}/", repeatable=True)


def delete_image(image_id: int) -> Call[None]:
    return Call("DELETE", f"images/{image_id}/")


def search_images(
    file: File | None, given: Mapping[str, Any], fields: Mapping[str, Any]
) -> Call[ImageSearch]:
    return Call("POST", "images/search/", _given(**given, **fields), file=file, repeatable=True)


def search_videos(file: File | None, url: str | None, limit: int | None) -> Call[VideoSearch]:
    body = _given(url=url, limit=limit)
    return Call("POST", "videos/search/", body, file=file, repeatable=True)


def check(file: File | None, given: Mapping[str, Any], key: str | None) -> Call[Check]:
    # The service answers a key that it knows as before, so nothing is opened twice.
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    body = _given(**given)
    return Call("POST", "moderation/check/", body, headers=headers, file=file, repeatable=True)


def statement(case_id: int) -> Call[Statement]:
    return Call("GET", f"moderation/cases/{case_id}/statement/", repeatable=True)


def send_notice(file: File | None, fields: Mapping[str, Any]) -> Call[Notice]:
    return Call("POST", "moderation/notices/", _given(**fields), file=file)


def notice(receipt: str) -> Call[Notice]:
    return Call("GET", f"moderation/notices/{receipt}/", repeatable=True)
