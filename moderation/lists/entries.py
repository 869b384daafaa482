"""What an item is made of, read from bytes, from a gallery image, or from a video.

Whatever a model has to say is left out where the model is not available: ``describing`` adds it
to the items that have a picture once it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from django.core.files.base import File

from gallery.imaging import decoding, descriptors
from gallery.imaging.descriptors import Columns, Descriptor, pdq
from gallery.imaging.descriptors.base import COPY_VERSION, HASHES_VERSION, Picture
from gallery.imaging.descriptors.pdq import LOW_QUALITY, to_hex
from gallery.imaging.frame_choice import TimedHash, most_telling
from gallery.imaging.shown_pictures import FULL, shown_pictures
from gallery.items import conf, file_storage, versions
from gallery.items.item import Status
from gallery.items.models import Image, ImageFingerprint
from gallery.items.preprocessing import Hashes
from gallery.shared.errors import Conflict, UserError
from moderation.lists.formats.rows import Kind
from moderation.lists.formats.values import BadValue, parse_hash
from moderation.lists.models import BannedFingerprint, BannedItem
from videos.index import reading
from videos.models import Frame, Video

LONGEST_SIDE: Final = 1024
"""Pixels of the picture that is kept of an item."""

DESCRIBED: Final = 64
"""Pictures of one file that models describe; of the others there are hashes."""

_IN_OUR_COLUMNS: Final = {"local_features": "features"}


class InvalidHash(UserError):
    """A hash of another length, with other characters, or of nothing at all."""

    code = "invalid_hash"


@dataclass(frozen=True, slots=True)
class Hash:
    """``value``: lower-case hex. ``quality`` of pdq, 0 to 100. ``time_ms`` in the video."""

    kind: str
    value: str
    quality: int | None = None
    time_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An item that is not stored yet. ``vectors``: fingerprints without item. ``picture``: JPEG."""

    media: str
    hashes: Sequence[Hash]
    vectors: Sequence[BannedFingerprint] = ()
    picture: bytes = b""
    facts: dict[str, Any] = field(default_factory=dict)

    def without_media(self) -> Entry:
        """The hashes and facts alone."""
        return Entry(self.media, self.hashes, facts=self.facts)


def of_hashes(hashes: Iterable[tuple[str, str, int | None]], facts: dict[str, Any]) -> Entry:
    """Of (kind, hash, quality of a pdq or None). Raises ``InvalidHash``."""
    media = facts.pop("media", BannedItem.Media.UNKNOWN)
    read = {(kind, _value(kind, text)): quality for kind, text, quality in hashes}
    if not read:
        raise InvalidHash("Give at least one hash.", field="hashes")
    for (kind, _), quality in read.items():
        if quality is not None and (kind != Kind.PDQ or not 0 <= quality <= 100):
            raise InvalidHash("A quality is of a pdq, from 0 to 100.", field="quality")
    return Entry(media, [Hash(*one, quality) for one, quality in read.items()], facts=facts)


def _value(kind: str, text: str) -> str:
    if kind not in set(Kind):
        raise InvalidHash(f"{kind!r} is none of {', '.join(Kind)}.", field="kind")
    try:
        return parse_hash(Kind(kind), text)
    except BadValue as error:
        problem = str(error)
        raise InvalidHash(f"{problem[0].upper()}{problem[1:]}.", field="hash") from error


def of_bytes(data: bytes, facts: dict[str, Any]) -> Entry:
    """Of a picture's file, with every picture that it shows.

    Raises ``NotAnImage`` and ``TooLarge``.
    """
    limits = conf.limits()
    first = decoding.decode(data, limits)
    hashes, seen = _exact(Hashes.of(data)), dict[str, TimedHash]()
    for picture in shown_pictures(data, limits, first=first):
        columns = pdq.describe(picture.rgb) or {}
        own = _pdq(columns.get("pdq"), columns.get("pdq_quality"))
        hashes += own
        hash = bytes.fromhex(own[0].value) if own else None
        seen[picture.view] = TimedHash(picture.duration_ms, hash)
    telling = most_telling(list(seen.values()), DESCRIBED)
    wanted = {FULL, *(list(seen)[at] for at in telling)}
    vectors = [
        row
        for picture in shown_pictures(data, limits, first=first)
        if picture.view in wanted
        for row in described(picture, picture.view)
    ]
    jpeg = first.thumbnail(LONGEST_SIDE)
    return Entry(BannedItem.Media.IMAGE, _each_once(hashes), vectors, jpeg, facts)


def described(
    picture: Picture, view: str, lacking: Iterable[str] = descriptors.REGISTRY
) -> Iterator[BannedFingerprint]:
    """A fingerprint for each version of the available match types of ``lacking``."""
    columns: dict[str, dict[str, Any]] = {}
    for kind in (kind for name in lacking for kind in _models(name)):
        (values,) = kind.describe([picture])
        columns.setdefault(kind.version, {}).update(values or {})
    for version, values in columns.items():
        yield _fingerprint(version, view, values)


def _models(match_type: str) -> list[Descriptor]:
    return versions.written(match_type)


def _fingerprint(version: str, view: str, values: Columns) -> BannedFingerprint:
    ours = {_IN_OUR_COLUMNS.get(name, name): value for name, value in values.items()}
    return BannedFingerprint(version=version, view=view, **ours)


def of_image(image: Image, facts: dict[str, Any]) -> Entry:
    """Of a gallery image: from its original, else from what is stored of it.

    Raises ``Conflict`` for an image that is not described yet.
    """
    if image.original:
        try:
            return of_bytes(file_storage.read_original(image), facts)
        except FileNotFoundError:
            pass
    if image.status in (Status.PENDING, Status.FAILED):
        raise Conflict(f"Image {image.pk} is {image.status}: nothing is known of it yet.")
    hashes, vectors = _exact(image), []
    for row in ImageFingerprint.objects.filter(item=image).select_related("detail"):
        hashes += _pdq(row.pdq, row.pdq_quality)
        if row.version == HASHES_VERSION:
            continue
        detail = getattr(row, "detail", None)
        names = ("haar", "pdq", "pdq_quality", "cnn", "clip")
        values = {name: getattr(row, name) for name in names}
        if detail is not None:
            values |= {"pattern": detail.pattern, "features": detail.local_features}
        vectors.append(_fingerprint(row.version, row.view, values))
    return Entry(BannedItem.Media.IMAGE, _each_once(hashes), vectors, _thumbnail(image), facts)


def _thumbnail(image: Image | Video) -> bytes:
    try:
        with image.thumbnail.open() as stream:
            content: bytes = stream.read()
    except (FileNotFoundError, ValueError):
        return b""
    return content


def of_video(video: Video, facts: dict[str, Any]) -> Entry:
    """Of a video that is indexed here. Raises ``Conflict`` for one that is not."""
    if video.status in (Status.PENDING, Status.FAILED):
        raise Conflict(f"Video {video.pk} is {video.status}: nothing is known of its pictures yet.")
    frames = list(video.frames.filter(weight__gt=0).order_by("t0", "view"))
    return _of_frames(_exact(video), frames, _thumbnail(video), facts)


def of_file(file: File, facts: dict[str, Any]) -> Entry:
    """Of a video's file, read whole: that takes as long as indexing it would.

    Raises ``NotAVideo`` and its kin, and ``Unavailable`` where the model is missing.
    """
    own = Hashes.of_all(file.chunks())
    hashes = _exact(own)
    file.seek(0)
    name = getattr(file.file, "name", None)
    place = Path(name) if isinstance(name, str) and Path(name).is_file() else None
    source = place or cast(BinaryIO, file)
    # No stored video has this id, so that all of them count for how common a frame is.
    with reading.read(source, lambda share: None, video_id=0) as indexed:
        frames = [frame for frame in indexed.frames if frame.weight > 0]
        return _of_frames(hashes, frames, indexed.thumbnail, facts)


def _of_frames(
    exact: list[Hash],
    frames: Iterable[Frame | reading.StoredFrame],
    jpeg: bytes,
    facts: dict[str, Any],
) -> Entry:
    """Frames that say which video they are from, and whose hash can be relied on."""
    hashes, vectors = exact, []
    for frame in frames:
        if frame.pdq is None or (frame.pdq_quality or 0) < LOW_QUALITY:
            continue
        hashes.append(Hash("pdq", to_hex(frame.pdq), frame.pdq_quality, frame.t0))
        view = f"{frame.t0} {'cut' if frame.view == 'trimmed' else frame.view}"
        vectors.append(
            BannedFingerprint(version=COPY_VERSION, view=view, time_ms=frame.t0, cnn=frame.cnn)
        )
    return Entry(BannedItem.Media.VIDEO, _each_once(hashes), vectors, jpeg, facts)


def _exact(of: Hashes | Image | Video) -> list[Hash]:
    return [Hash(kind, getattr(of, kind)) for kind in ("md5", "sha1", "sha256")]


def _pdq(bits: str | None, quality: int | None) -> list[Hash]:
    return [Hash("pdq", to_hex(bits), quality)] if bits else []


def _each_once(hashes: Iterable[Hash]) -> list[Hash]:
    """The first of each kind and value."""
    first: dict[tuple[str, str], Hash] = {}
    for one in hashes:
        first.setdefault((one.kind, one.value), one)
    return list(first.values())
