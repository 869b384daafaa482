"""Build new items from hashes, files, gallery images and videos.

An item gets no vectors from a model that is not installed. ``describing`` adds them later, if the
item has a picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from django.core.files.base import File
from django.utils.translation import gettext

from gallery.imaging import decoding, descriptors
from gallery.imaging.decoding.rendered_pictures import FULL_VIEW, rendered_pictures
from gallery.imaging.descriptors import pdq
from gallery.imaging.descriptors.base import (
    COPY_VERSION,
    HASHES_VERSION,
    Columns,
    DescribablePicture,
    Descriptor,
)
from gallery.imaging.descriptors.pdq import LOW_QUALITY, to_hex
from gallery.imaging.descriptors.stored_patterns import unpack_pattern
from gallery.imaging.frame_selection import TimedHash, select_frames
from gallery.items import conf, file_storage, versions
from gallery.items.item import Item, Status
from gallery.items.models import Image, ImageFingerprint
from gallery.items.preprocessing import Hashes
from gallery.items.vectors import DESCRIPTOR_COLUMNS
from gallery.shared.errors import Conflict, UserError
from moderation.access.words import word
from moderation.lists.formats.rows import HashKind
from moderation.lists.formats.values import BadValue, parse_hash
from moderation.lists.models import BannedFingerprint, BannedItem
from videos.index import reading
from videos.models import Frame, Video

LONGEST_SIDE: Final = 1024
"""Longest side of an item's stored picture, in pixels."""

DESCRIBED: Final = 64
"""Frames of one file that models describe. The other frames get only hashes."""

_IN_OUR_COLUMNS: Final = {"local_features": "features"}


class InvalidHash(UserError):
    """The text is not a hash, or the kind of hash is unknown."""

    code = "invalid_hash"


@dataclass(frozen=True, slots=True)
class NewHash:
    """A hash to be stored.

    ``value``: lower-case hex. ``quality``: 0 to 100, only for pdq. ``time_ms``: position in the
    video.
    """

    kind: str
    value: str
    quality: int | None = None
    time_ms: int | None = None


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to be stored.

    ``vectors``: fingerprints whose ``item`` is not set yet. ``picture``: a JPEG.
    """

    media: str
    hashes: Sequence[NewHash]
    vectors: Sequence[BannedFingerprint] = ()
    picture: bytes = b""
    facts: dict[str, Any] = field(default_factory=dict)

    def without_media(self) -> NewItem:
        return NewItem(self.media, self.hashes, facts=self.facts)


def of_hashes(hashes: Iterable[tuple[str, str, int | None]], facts: dict[str, Any]) -> NewItem:
    """Build an item from tuples of kind, hash, and pdq quality or None.

    Raises ``InvalidHash``.
    """
    media = facts.pop("media", BannedItem.Media.UNKNOWN)
    read = {(kind, hash_value(kind, text)): quality for kind, text, quality in hashes}
    if not read:
        raise InvalidHash(gettext("Give at least one hash."), field="hashes")
    for (kind, _), quality in read.items():
        if quality is not None and (kind != HashKind.PDQ or not 0 <= quality <= 100):
            raise InvalidHash(gettext("Only a pdq has a quality, from 0 to 100."), field="quality")
    return NewItem(media, [NewHash(*one, quality) for one, quality in read.items()], facts=facts)


def hash_value(kind: str, text: str) -> str:
    """Return the hash as lower-case hex. Raises ``InvalidHash``."""
    if kind not in set(HashKind):
        raise InvalidHash(
            gettext("%(kind)r is none of %(choices)s.")
            % {"kind": kind, "choices": ", ".join(HashKind)},
            field="kind",
        )
    try:
        return parse_hash(HashKind(kind), text)
    except BadValue as error:
        problem = str(error)
        raise InvalidHash(f"{problem[0].upper()}{problem[1:]}.", field="hash") from error


def of_bytes(data: bytes, facts: dict[str, Any]) -> NewItem:
    """Build an item from a picture file, with every picture that the file shows.

    Raises ``NotAnImage`` and ``TooLarge``.
    """
    limits = conf.limits()
    first = decoding.decode(data, limits)
    hashes, seen = _exact(Hashes.of(data)), dict[str, TimedHash]()
    for picture in rendered_pictures(data, limits, first=first):
        columns = pdq.describe_pdq(picture.rgb) or {}
        own = _pdq(columns.get("pdq"), columns.get("pdq_quality"))
        hashes += own
        hash = bytes.fromhex(own[0].value) if own else None
        seen[picture.view] = TimedHash(picture.duration_ms, hash)
    telling = select_frames(list(seen.values()), DESCRIBED)
    wanted = {FULL_VIEW, *(list(seen)[at] for at in telling)}
    vectors = [
        row
        for picture in rendered_pictures(data, limits, first=first)
        if picture.view in wanted
        for row in described(picture, picture.view)
    ]
    jpeg = first.thumbnail(LONGEST_SIDE)
    return NewItem(BannedItem.Media.IMAGE, _each_once(hashes), vectors, jpeg, facts)


def described(
    picture: DescribablePicture, view: str, lacking: Iterable[str] = descriptors.REGISTRY
) -> Iterator[BannedFingerprint]:
    """Yield one fingerprint for each model version of the available match types in ``lacking``."""
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


def of_image(image: Image, facts: dict[str, Any], *, decodes: bool = True) -> NewItem:
    """Build an item from a gallery image: from its original, or else from its stored descriptors.

    Without ``decodes``, its stored descriptors come first, if they are what the original would
    give; the picture is then a thumbnail. Raises ``Conflict`` if the image is not described yet.
    """
    if image.original and (decodes or not _is_known_whole(image)):
        try:
            return of_bytes(file_storage.read_original(image), facts)
        except FileNotFoundError:
            pass
    if image.status in (Status.PENDING, Status.FAILED):
        raise Conflict(
            gettext("Image %(number)s is %(status)s: it has no descriptors.")
            % {"number": image.pk, "status": word(image.status)}
        )
    hashes, vectors = _exact(image), []
    for row in ImageFingerprint.objects.filter(item=image).select_related("detail"):
        hashes += _pdq(row.pdq, row.pdq_quality)
        if row.version == HASHES_VERSION:
            continue
        detail = getattr(row, "detail", None)
        values = {name: getattr(row, name) for name in DESCRIPTOR_COLUMNS}
        if detail is not None:
            pattern = detail.pattern and unpack_pattern(bytes(detail.pattern))
            values |= {"pattern": pattern, "features": detail.local_features}
        vectors.append(_fingerprint(row.version, row.view, values))
    return NewItem(BannedItem.Media.IMAGE, _each_once(hashes), vectors, _thumbnail(image), facts)


def _is_known_whole(image: Image) -> bool:
    """Whether all models described the image, and it shows one picture. Of further pictures only
    hashes and patterns are stored."""
    known = set(ImageFingerprint.objects.filter(item=image).values_list("view", "version"))
    names = descriptors.available_names()
    wanted = {(FULL_VIEW, model.version) for name in names for model in _models(name)}
    return wanted <= known and {view for view, _ in known} == {FULL_VIEW}


def large_picture(image: Image) -> bytes:
    """Return what an item made of the original has as its picture. Raises ``NotAnImage``,
    ``TooLarge`` and ``FileNotFoundError``."""
    data = file_storage.read_original(image)
    return decoding.decode(data, conf.limits()).thumbnail(LONGEST_SIDE)


def _thumbnail(image: Image | Video) -> bytes:
    try:
        with image.thumbnail.open() as stream:
            content: bytes = stream.read()
    except (FileNotFoundError, ValueError):
        return b""
    return content


def of_video(video: Video, facts: dict[str, Any]) -> NewItem:
    """Build an item from an indexed video. Raises ``Conflict`` if the video is not indexed."""
    if video.status in (Status.PENDING, Status.FAILED):
        raise Conflict(
            gettext("Video %(number)s is %(status)s: its frames are not indexed.")
            % {"number": video.pk, "status": word(video.status)}
        )
    frames = list(video.frames.filter(weight__gt=0).order_by("t0", "view"))
    return _of_frames(_exact(video), frames, _thumbnail(video), facts)


def of_stored(item: Item, facts: dict[str, Any], *, decodes: bool = True) -> NewItem:
    """Build an item from a stored image or video. Raises ``Conflict`` if it is not described."""
    if isinstance(item, Video):
        return of_video(item, facts)
    return of_image(cast(Image, item), facts, decodes=decodes)


def of_file(file: File, facts: dict[str, Any]) -> NewItem:
    """Build an item from a video file. Reads the whole file, which takes as long as indexing it.

    Raises ``NotAVideo`` and its subclasses, and ``Unavailable`` if the model is missing.
    """
    own = Hashes.of_all(file.chunks())
    hashes = _exact(own)
    file.seek(0)
    name = getattr(file.file, "name", None)
    place = Path(name) if isinstance(name, str) and Path(name).is_file() else None
    source = place or cast(BinaryIO, file)
    # No stored video has the id 0, so all stored videos count for how common a frame is.
    with reading.read_video(source, lambda share: None, video_id=0) as indexed:
        frames = [frame for frame in indexed.frames if frame.weight > 0]
        return _of_frames(hashes, frames, indexed.thumbnail, facts)


def _of_frames(
    exact: list[NewHash],
    frames: Iterable[Frame | reading.StoredFrame],
    jpeg: bytes,
    facts: dict[str, Any],
) -> NewItem:
    hashes, vectors = exact, []
    for frame in frames:
        if frame.pdq is None or (frame.pdq_quality or 0) < LOW_QUALITY:
            continue
        hashes.append(NewHash("pdq", to_hex(frame.pdq), frame.pdq_quality, frame.t0))
        view = f"{frame.t0} {'cut' if frame.view == 'trimmed' else frame.view}"
        vectors.append(
            BannedFingerprint(version=COPY_VERSION, view=view, time_ms=frame.t0, cnn=frame.cnn)
        )
    return NewItem(BannedItem.Media.VIDEO, _each_once(hashes), vectors, jpeg, facts)


def _exact(of: Hashes | Image | Video) -> list[NewHash]:
    known = vars(of) if isinstance(of, Hashes) else of.known_hashes
    return [NewHash(kind, value) for kind, value in known.items()]


def _pdq(bits: str | None, quality: int | None) -> list[NewHash]:
    return [NewHash("pdq", to_hex(bits), quality)] if bits else []


def _each_once(hashes: Iterable[NewHash]) -> list[NewHash]:
    first: dict[tuple[str, str], NewHash] = {}
    for one in hashes:
        first.setdefault((one.kind, one.value), one)
    return list(first.values())
