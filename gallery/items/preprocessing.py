"""Turn bytes into what is stored of a picture. Runs without Django, also in other processes.

A bulk import runs ``prepare`` in its processes. A picture may kill its process: a decoder
crashes, or takes too long and an alarm ends it. ``importing`` handles that.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from gallery.imaging import decoding, descriptors
from gallery.imaging.decoding import decode
from gallery.imaging.decoding.limits import NotAnImage, PictureLimits, TooLarge
from gallery.imaging.decoding.pictures import ImageInfo, Picture, ReadFile
from gallery.imaging.decoding.rendered_pictures import FULL_VIEW, VIDEO_VIEW, rendered_pictures
from gallery.imaging.decoding.sniffing import sniff
from gallery.imaging.descriptors import pdq
from gallery.imaging.descriptors.base import HASHES_VERSION, Columns, ColumnsByVersion, Descriptor
from gallery.imaging.descriptors.pdq import to_hex
from gallery.imaging.frame_selection import TimedHash, select_frames
from gallery.items.processes import obey_parent
from gallery.net.fetching import fetch
from gallery.net.s3 import BucketObject
from gallery.net.transport import FetchPolicy
from gallery.shared.errors import UserError

FETCH_THREADS = 8

HEAD_BYTES = 4096
"""Number of bytes needed to recognise a picture."""

NO_PICTURE = "This is not a picture in a format read here."
"""Why an object of a bucket is passed over."""

MAX_PATTERNS = 64
"""Later frames of a file that get an imgsmlr pattern, which takes 2 KB. All frames get a hash."""


class Hashed(Protocol):
    md5: str
    sha256: str


@dataclass(frozen=True)
class Hashes:
    """Hex digests of the unchanged bytes."""

    md5: str
    sha1: str
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> Hashes:
        return cls.of_all([data])

    @classmethod
    def of_all(cls, chunks: Iterable[bytes]) -> Hashes:
        """Hash a file in chunks. md5 identifies files here and protects nothing."""
        md5 = hashlib.md5(usedforsecurity=False)
        sha1 = hashlib.sha1(usedforsecurity=False)
        sha256 = hashlib.sha256()
        for chunk in chunks:
            for digest in (md5, sha1, sha256):
                digest.update(chunk)
        return cls(md5.hexdigest(), sha1.hexdigest(), sha256.hexdigest())

    def are_of(self, item: Hashed) -> bool:
        """Return whether the item has this file. Of one that moved in only the md5 is known."""
        return self.sha256 == item.sha256 if item.sha256 else self.md5 == item.md5


@dataclass(frozen=True)
class Description:
    """What is stored of a picture: columns by version, and a JPEG thumbnail.

    ``further``: view → columns by version, for the other pictures in the file
    (``rendered_pictures``).
    """

    columns: Mapping[str, Mapping[str, Any]]
    thumbnail: bytes
    further: Mapping[str, ColumnsByVersion] = field(default_factory=dict)

    def has(self, column: str) -> bool:
        return any(column in values for values in self.columns.values())


def describe(
    pictures: Sequence[Picture], kinds: Iterable[Descriptor], thumbnail_size: int
) -> list[Description]:
    """Compute descriptors and thumbnails. ``thumbnail_size``: longer side in pixels."""
    columns: list[dict[str, dict[str, Any]]] = [{} for _ in pictures]
    for kind in kinds:
        for mine, result in zip(columns, kind.describe(pictures), strict=True):
            mine.setdefault(kind.version, {}).update(result or {})
    return [
        Description(mine, picture.thumbnail(thumbnail_size))
        for mine, picture in zip(columns, pictures, strict=True)
    ]


def describe_file(
    file: ReadFile, kinds: Sequence[Descriptor], limits: PictureLimits, thumbnail_size: int
) -> Description:
    """Describe a file: its first picture by all ``kinds``, the others only by those that need no
    model."""
    (first,) = describe([file.picture], kinds, thumbnail_size)
    pixels = [kind for kind in kinds if kind.name in descriptors.PIXELS]
    return replace(first, further=_further(file, pixels, limits))


def _further(
    file: ReadFile, kinds: Sequence[Descriptor], limits: PictureLimits
) -> dict[str, ColumnsByVersion]:
    """Describe the other pictures of the file, up to the first damaged one.

    Searches find frames and pages. Most viewers do not show the other pictures: only their hash
    is stored, in rows that only the filter reads.
    """
    frames: dict[str, dict[str, Columns]] = {}
    told: list[TimedHash] = []
    further: dict[str, ColumnsByVersion] = {}
    try:
        for picture in rendered_pictures(file.data, limits, first=file.picture) if kinds else ():
            if picture.rendering:
                further[picture.view] = {HASHES_VERSION: pdq.describe_pdq(picture.rgb) or {}}
            elif picture.view != FULL_VIEW:
                columns = {kind.name: kind.describe([picture])[0] or {} for kind in kinds}
                bits = columns.get("pdq", {}).get("pdq")
                frames[picture.view] = columns
                told.append(TimedHash(picture.duration_ms, bits and bytes.fromhex(to_hex(bits))))
    except (NotAnImage, TooLarge):
        pass
    patterned = set(select_frames(told, MAX_PATTERNS))
    for at, (view, columns) in enumerate(frames.items()):
        further[view] = _by_version(kinds, columns, patterned=at in patterned)
    if decoding.appended_video(file.data):
        # The pictures of the video are unknown here. This row records that there are some.
        further[VIDEO_VIEW] = {HASHES_VERSION: {}}
    return further


def _by_version(
    kinds: Iterable[Descriptor], columns: Mapping[str, Columns], *, patterned: bool
) -> ColumnsByVersion:
    by_version: dict[str, dict[str, Any]] = {}
    for kind in kinds:
        values = columns[kind.name] if patterned or kind.name != "imgsmlr" else {}
        by_version.setdefault(kind.version, {}).update(values)
    return by_version


@dataclass(frozen=True)
class Plan:
    """How a worker prepares pictures.

    ``models``: the directory of models. ``keep_bytes``: also return the file's bytes.
    ``seconds``: time limit for decoding and describing one picture.
    """

    match_types: tuple[str, ...]
    models: Path
    budget_file: Path
    limits: PictureLimits
    policy: FetchPolicy
    thumbnail_size: int
    keep_bytes: bool
    seconds: int


@dataclass(frozen=True)
class Prepared:
    """A picture ready to be stored. ``size`` in bytes; ``data`` only with ``Plan.keep_bytes``."""

    hashes: Hashes
    info: ImageInfo
    size: int
    description: Description
    data: bytes


def start(plan: Plan) -> None:
    """Set up a new process for ``prepare``."""
    obey_parent()
    descriptors.configure(models=plan.models)
    decoding.configure(budget_file=plan.budget_file, memory_bytes=plan.limits.memory_bytes)


def prepare(plan: Plan, places: Sequence[Path | str | BucketObject]) -> list[Prepared | str]:
    """Read files (``Path``), links (``str``) or objects of S3, decode and describe them.

    Return the results in order; a text is the reason for a failure. Call it in a process's main
    thread.
    """

    def read(place: Path | str | BucketObject) -> bytes | str:
        try:
            if isinstance(place, str):
                return fetch(place, plan.policy).data
            if isinstance(place, BucketObject):
                data = place.read(plan.policy)
                return data if sniff(data[:HEAD_BYTES]) is not None else NO_PICTURE
            return place.read_bytes()
        except UserError as error:
            return error.message
        except OSError as error:
            return f"The file cannot be read: {error.strerror}."

    if not all(isinstance(place, Path) for place in places):
        with ThreadPoolExecutor(FETCH_THREADS) as pool:
            contents = list(pool.map(read, places))
    else:
        contents = list(map(read, places))
    return [
        content if isinstance(content, str) else _prepare_one(plan, content) for content in contents
    ]


def _prepare_one(plan: Plan, data: bytes) -> Prepared | str:
    # The signal's default action ends the process, even in a decoder's endless loop.
    signal.alarm(plan.seconds)
    try:
        file = ReadFile(data, decode(data, plan.limits))
        kinds = [descriptors.get(name) for name in plan.match_types]
        description = describe_file(file, kinds, plan.limits, plan.thumbnail_size)
    except UserError as error:
        return error.message
    finally:
        signal.alarm(0)
    kept = data if plan.keep_bytes else b""
    return Prepared(Hashes.of(data), file.picture.info, len(data), description, kept)
