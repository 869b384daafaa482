"""What is screened: a file's hashes and its pictures, from bytes or from what is stored."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice
from typing import IO, BinaryIO, Final, TypeVar

import av
import numpy as np
from django.conf import settings
from django.core.files.storage import default_storage

from gallery import conf as gallery_conf
from gallery import decoding
from gallery import sniffing as picture_sniffing
from gallery.decoding import NotAnImage
from gallery.descriptors.pdq import LOW_QUALITY, dihedral, to_hex
from gallery.models import Image, ImageFingerprint
from gallery.services import storing
from gallery.services.preparing import Hashes
from gallery.shown_pictures import FULL, VIDEO, place_of
from gallery.trimming import Box
from moderation.matching import Pixels, View, as_array
from moderation.picture_files import PictureFile, hashed_view
from moderation.verdicts import HASH_TYPES
from videos import conf as video_conf
from videos.borders import Borders
from videos.decoding import decode
from videos.describing import TRIMMED
from videos.errors import NotAVideo
from videos.models import Frame, Video
from videos.sampling import SAMPLES_PER_SECOND, spans
from videos.services.searching import QUERY_SECONDS

LONG_SIDE: Final = 384
"""Of a video's pictures, as they are indexed."""

STRETCH: Final = 20
"""Pictures of a video whose borders are looked for together."""

NOTHING: Final = np.empty((0, 0, 3), np.uint8)
"""The pixels of a picture of which only a hash is known."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Subject:
    """``hashes``: kind → lower-case hex, of the whole file. ``views``: read once, raising what
    decoding raises, also midway. ``chosen``: read after them, those of them that are compared by
    models, too, where that are not all. ``doubts``: why colours cannot be relied upon, known when
    all is read."""

    hashes: Mapping[str, str]
    views: Iterable[View]
    chosen: Iterable[View] = ()
    doubts: Sequence[str] = ()


def of_bytes(data: bytes) -> Subject:
    """A file of a picture or an animation, or a video that is small enough to be in memory."""
    hashes = vars(Hashes.of(data))
    if picture_sniffing.sniff(data) is not None:
        return _of_picture(hashes, data)
    return Subject(hashes, _clip(io.BytesIO(data)))


def of_hash(kind: str, value: str, quality: int | None = None) -> Subject:
    """Nothing but a hash, in lower-case hex, with its quality if it is a pdq and that is known."""
    if kind in HASH_TYPES:
        return Subject({kind: value}, ())
    good = quality is None or quality >= LOW_QUALITY
    hashes = [bytes.fromhex(value)] if good else []
    return Subject({}, [View(NOTHING, NOTHING, hashes, quality)])


def of_image(image: Image) -> Subject:
    """An image of the gallery: its original, else what is left of it."""
    hashes = {kind: getattr(image, kind) for kind in HASH_TYPES}
    if image.original:
        try:
            return _of_picture(hashes, storing.read_original(image))
        except FileNotFoundError:
            pass
    return Subject(hashes, _left_of(image))


def of_video(video: Video) -> Subject:
    """A video that is indexed: the pictures that were stored, turned as its small copy shows."""
    hashes = {kind: getattr(video, kind) for kind in HASH_TYPES}
    return Subject(hashes, _stored_frames(video))


def _of_picture(hashes: Mapping[str, str], data: bytes) -> Subject:
    file = PictureFile(data)
    return Subject(hashes, chain(file.views(), _motion(data)), file.chosen(), file.doubts)


def _motion(data: bytes) -> Iterator[View]:
    """The video at the end of a photograph that moves."""
    video = decoding.appended_video(data)
    for view in _clip(io.BytesIO(video)) if video else ():
        yield replace(view, rendering=VIDEO)


def _left_of(image: Image) -> Iterator[View]:
    """The thumbnail, with the hash and the vectors that were made of the original.

    Raises ``NotAnImage`` where there is none.
    """
    rgb = storing.thumbnail_rgb(image)
    if rgb is None:
        raise NotAnImage("Neither the original nor the thumbnail is stored any more.")
    whole = hashedhashed_view(rgb, rgb, in_parts=True)
    # What was made of the original; the thumbnail's own hashes are a few bits off.
    rows = list(ImageFingerprint.objects.filter(item=image, pdq__isnull=False).order_by("id"))
    still = not any(place_of(row.view)[0] for row in rows)
    for row in rows:
        own = [_packed(row.pdq)] if row.pdq and (row.pdq_quality or 0) >= LOW_QUALITY else []
        frame, rendering = place_of(row.view)
        if row.view == FULL:
            whole = replace(whole, hashes=[*own, *whole.hashes], quality=row.pdq_quality)
        else:
            place = None if still else frame
            yield View(
                NOTHING, NOTHING, own, row.pdq_quality, frame=place, rendering=rendering
            )
    yield whole


def _stored_frames(video: Video) -> Iterator[View]:
    rows = Frame.objects.filter(item=video).order_by("t0", "view").iterator(chunk_size=200)
    moments = groupby(rows, key=lambda row: row.t0)
    with default_storage.open(video.proxy.name or "") as file:
        shown = _at(file, (list(rows) for _, rows in moments))
        for stretch in _stretches(shown):
            borders = Borders()
            for _, rgb in stretch:
                borders.add(rgb)
            box = borders.box()
            for rows_then, rgb in stretch:
                for row in rows_then:
                    yield _stored_frame(row, rgb, box)


def _stored_frame(row: Frame, rgb: Pixels, box: Box | None) -> View:
    """A stored picture as it was hashed, and turned as the small copy shows it."""
    if row.view == TRIMMED and box is not None:
        left, top, right, bottom = box
        rgb = rgb[top:bottom, left:right]
    hashes: list[bytes] = []
    if row.pdq and (row.pdq_quality or 0) >= LOW_QUALITY:
        turned = dihedral(rgb)
        hashes = [_packed(row.pdq), *(turned[0] if turned else ())]
    vectors = [] if row.cnn is None else [as_array(row.cnn)]
    return View(rgb, rgb, hashes, row.pdq_quality, vectors, time_ms=row.t0)


def _at(file: IO[bytes], moments: Iterable[list[Frame]]) -> Iterator[tuple[list[Frame], Pixels]]:
    """For each moment its rows, and what a small copy shows then. Reads it once, in order."""
    with av.open(file, "r", format="mov") as container:
        frames = container.decode(video=0)
        frame = next(frames, None)
        for rows in moments:
            while frame is not None and round((frame.time or 0.0) * 1000) < rows[0].t0:
                following = next(frames, None)
                if following is None:
                    break
                frame = following
            if frame is None:
                raise NotAVideo("The small copy of the video shows nothing.")
            yield rows, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _clip(file: BinaryIO) -> Iterator[View]:
    """Of a video that was sent to be asked about: each picture that lasts, with its time."""
    limits = replace(
        video_conf.limits(),
        max_bytes=settings.MAX_UPLOAD_BYTES,
        cpu_seconds=QUERY_SECONDS,
        wall_seconds=float(QUERY_SECONDS),
    )
    with decode(file, limits, fps=SAMPLES_PER_SECOND, long_side=LONG_SIDE) as video:
        for span in spans(video):
            yield replace(hashed_view(span.rgb, span.rgb), time_ms=span.t0)
            if span.box is not None and span.votes:
                yield replace(hashed_view(span.picture, span.picture), time_ms=span.t0)


def _stretches(shown: Iterator[T]) -> Iterator[list[T]]:
    while stretch := list(islice(shown, STRETCH)):
        yield stretch


def _packed(bits: str) -> bytes:
    return bytes.fromhex(to_hex(bits))
