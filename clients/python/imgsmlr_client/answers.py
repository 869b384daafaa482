"""The shapes of answers. A newer service may send more fields than these."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

Verdict = Literal["allow", "review", "block"]
Status = Literal["pending", "ready", "failed", "quarantined"]


class Item(TypedDict):
    """An image or a video."""

    id: int
    url: str | None
    data_id: str | None
    md5: str
    sha256: str
    remark: str | None
    meta: dict[str, Any] | None
    format: str
    bytes: int
    status: Status
    failure: str
    created_at: str


class Image(Item):
    width: int
    height: int
    file: str
    thumbnail: str | None


class Video(Item):
    progress: int


class ImageMatch(TypedDict):
    image: Image
    distance: float
    confidence: float | None
    certainty: Literal["sure", "likely", "unlikely"] | None
    geometry: dict[str, Any] | None


class ImageSearch(TypedDict):
    match_type: str
    threshold: float
    results: list[ImageMatch]
    low_information: bool
    unavailable: dict[str, str]


class VideoMatch(TypedDict):
    """Times are in seconds."""

    video: Video
    confidence: float
    start: float
    end: float
    mirrored: bool


class VideoSearch(TypedDict):
    results: list[VideoMatch]
    low_information: bool


class _Checked(TypedDict):
    verdict: Verdict


class Check(_Checked, total=False):
    """All but the verdict is only for callers who may see what is on the lists."""

    matches: list[dict[str, Any]]
    case: int | None
    missing: dict[str, str]


class Statement(TypedDict):
    """A statement of reasons, with the address at which the uploader may appeal."""

    case: int
    state: Literal["withheld", "restricted", "reviewed", "appealed", "upheld", "lifted"]
    text: str
    address: str
    may_appeal: bool
    appeal: str
    appealed_at: str | None


class Notice(TypedDict):
    """A notice. Its ``receipt`` is what ``notice()`` needs to return it again."""

    receipt: str
    page: str
    received_at: str
    due_at: str | None
    closed_at: str | None
    outcome: Literal["removed", "partly", "kept", "absent"] | None
