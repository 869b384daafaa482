"""A few real videos, indexed by the real services, that the tests of a module search together."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import io
import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from django.core.files.base import ContentFile
from django.db import connection
from django.test import override_settings
from PIL import Image

from tests import migrated
from tests.environment import DATA_DIR
from tests.videos import clips
from tests.videos.clips import Pixels, encode, moving, timed
from videos.index import indexing
from videos.items import adding
from videos.models import Frame, ScreenedHashes, Video

RATE = 25
SHOTS = {
    "travel": ("astronaut", "chelsea", "coffee", "rocket"),
    "museum": ("coins", "immunohistochemistry", "retina"),
    "again": ("camera", "text", "camera"),
    "remix": ("page", "chelsea", "coffee"),
}
"""Name of each video → the photographs in it, four seconds each; never shown: brick, gravel…"""

SHOT_SECONDS = 4


def footage(name: str) -> list[Pixels]:
    """All frames of one of the videos, 25 a second."""
    return [frame for shot in SHOTS[name] for frame in _shot(shot)]


@functools.lru_cache(maxsize=4)
def _shot(photograph: str) -> list[Pixels]:
    # The same each time, so that what two videos share is the same footage.
    shot = moving(photograph, SHOT_SECONDS, rate=RATE, start=(0.0, 1.0, 0.5), end=(1.0, 0.0, 0.7))
    return list(shot)


def frame_at(name: str, seconds: float) -> Pixels:
    """The picture that is on the screen then."""
    return footage(name)[round(seconds * RATE)]


def clip_of(name: str, start: float, end: float) -> list[Pixels]:
    """The frames from ``start`` to ``end`` seconds."""
    return footage(name)[round(start * RATE) : round(end * RATE)]


def add_ready(data: bytes, **fields: Any) -> Video:
    """A video that was uploaded, indexed and published."""
    video = adding.add_video(file=ContentFile(data), by="tests", **fields)
    indexing.index_videos([video.pk])
    video.refresh_from_db()
    assert video.status == "ready", video.failure
    return video


@dataclass(frozen=True)
class Library:
    """Rows and files of the videos of ``SHOTS``."""

    videos: dict[str, Video]
    frames: list[Frame]
    screened: list[ScreenedHashes]
    media: Path

    def link_files(self, media: Path) -> None:
        shutil.copytree(self.media, media, copy_function=os.link, dirs_exist_ok=True)

    def store_rows(self) -> dict[str, Video]:
        """Fill the empty tables; the videos by name."""
        Video.objects.bulk_create(self.videos.values())
        Frame.objects.bulk_create(self.frames, batch_size=100)
        ScreenedHashes.objects.bulk_create(self.screened)
        return dict(self.videos)


@functools.cache
def built() -> Library:
    """Added and indexed by the real services, once until a source file changes; the tables are left
    empty."""
    places = DATA_DIR / "results" / "library"
    places.mkdir(exist_ok=True)
    own = b"".join(Path(file).read_bytes() for file in (__file__, clips.__file__))
    place = places / f"{migrated.sources()}-{hashlib.sha256(own).hexdigest()}"
    media = DATA_DIR / "library"
    with (places / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            _build(place)
        shutil.copytree(place / "media", media)
    made = Library(*pickle.loads((place / "rows").read_bytes()), media)
    _keep_numbers(made)
    return made


def _build(place: Path) -> None:
    for outdated in place.parent.iterdir():
        if outdated.is_dir():
            shutil.rmtree(outdated)
    part = place.with_suffix(".part")
    with override_settings(MEDIA_ROOT=part / "media"):
        clear()
        videos = {name: add_ready(encode(timed(footage(name), RATE))) for name in SHOTS}
        rows = videos, list(Frame.objects.all()), list(ScreenedHashes.objects.all())
        clear()
    for row in rows[2]:
        row.packed = bytes(row.packed)
    (part / "rows").write_bytes(pickle.dumps(rows))
    part.rename(place)


def _keep_numbers(library: Library) -> None:
    """No other row gets the id of one that is stored later."""
    with connection.cursor() as cursor:
        for rows in ([*library.videos.values()], library.frames, library.screened):
            sequence = f"{rows[0]._meta.db_table}_id_seq"
            last = max(row.pk for row in rows)
            cursor.execute(
                "SELECT setval(%s, greatest(nextval(%s), %s))", [sequence, sequence, last]
            )


@contextmanager
def library(media: Path, blocker: Any) -> Iterator[dict[str, Video]]:
    """The videos of ``SHOTS`` by name, stored for as long as the block lasts."""
    with blocker.unblock(), override_settings(MEDIA_ROOT=media):
        all_of_it = built()
        clear()
        all_of_it.link_files(media)
        yield all_of_it.store_rows()
        clear()


def clear() -> None:
    """Also of what was audited and queued. What other tests rolled back stays in the graph until a
    VACUUM, or this."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE videos_video, moderation_auditevent, django_q_ormq CASCADE")


def file_of(rgb: Pixels, format: str = "PNG", **options: Any) -> bytes:
    """A still picture."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, format, **options)
    return out.getvalue()


def mirrored(rgb: Pixels) -> Pixels:
    return np.ascontiguousarray(rgb[:, ::-1])


def letterboxed(rgb: Pixels) -> Pixels:
    return np.pad(rgb, ((40, 40), (0, 0), (0, 0)))


def cropped(rgb: Pixels) -> Pixels:
    """Without a tenth of its width and height at each side."""
    height, width = rgb.shape[:2]
    return np.ascontiguousarray(rgb[height // 10 : -(height // 10), width // 10 : -(width // 10)])


def halved(rgb: Pixels) -> Pixels:
    height, width = rgb.shape[:2]
    size = width // 2, height // 2
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def played(rgb: Pixels) -> Pixels:
    """On a player's page: margins, a bar of controls, a subtitle."""
    height, width = rgb.shape[:2]
    page = np.full((height + 90, width + 60, 3), 32, np.uint8)
    page[30 : 30 + height, 30 : 30 + width] = rgb
    cv2.putText(
        page, "- a subtitle", (90, height + 18), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255,) * 3, 2
    )
    cv2.rectangle(page, (30, height + 45), (30 + width // 3, height + 50), (220, 30, 30), -1)
    cv2.circle(page, (30 + width // 3, height + 47), 7, (240, 240, 240), -1)
    return page


def title(text: str) -> Pixels:
    """White words on black."""
    card = np.zeros((180, 320, 3), np.uint8)
    cv2.putText(card, text, (90, 100), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255,) * 3, 2)
    return card
