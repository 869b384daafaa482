"""The stored videos: the product's import, its speed, the storage, and the padding."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.cache import directory
from benchmarks.recall import database
from benchmarks.videos.corpus import Corpus, Film

DESCRIBING = (
    *("videos/migrations/*.py", "gallery/items/vectors.py"),
    *("gallery/imaging/descriptors/*.py", "gallery/imaging/descriptors/*.npz"),
)
SEARCHING = (
    *("videos/match/*.py", "videos/index/borders.py", "videos/index/sampling.py"),
    *("videos/decode/frame_quality.py", "videos/decode/thumbnails.py"),
    *("videos/decode/proxies.py", "gallery/imaging/geometry.py"),
    *("gallery/imaging/descriptors/c*.py", "gallery/imaging/descriptors/p*.py"),
    *("gallery/imaging/local_features.py", "gallery/imaging/trimming.py"),
    *("benchmarks/recall/drawing.py", "benchmarks/videos/edits.py", "benchmarks/videos/footage.py"),
    *("benchmarks/videos/queries.py", "benchmarks/videos/cutting.py"),
)
"""Code that an answer depends on besides the gallery: searching and asking."""
INDEXING = ("videos/decode/*.py", "videos/index/*.py", "videos/models.py")
PADDING = "synthetic"
FRAMES_OF_A_SYNTHETIC_VIDEO = 200
CHUNK = 2000


@dataclass(frozen=True)
class Cost:
    """Per second of video: rows with a vector, all rows, and bytes of rows, indexes and proxies."""

    vectors: float
    rows: float
    row_bytes: float
    index_bytes: float
    proxy_bytes: float


def digest(corpus: Corpus) -> str:
    return database.digest([*INDEXING, *DESCRIBING], *corpus.films)


def fill(corpus: Corpus) -> None:
    """Add missing films one at a time; data_id is the film's key."""
    from gallery.items.import_sources import Source
    from videos.items.importing import import_videos

    done = _stored()
    lacking = [film for film in corpus.films.values() if film.key not in done]
    for number, film in enumerate(lacking, 1):
        source = Source(film.key, directory() / film.path, {"data_id": film.key})
        (outcome,) = import_videos(sources=[source], by="benchmark")
        # An interrupted import has left a video for the workers, but no worker runs here.
        if outcome.kind == "exists":
            _index_left_over()
        if number % 10 == 0:
            print(f"{number} of {len(lacking)} videos are indexed", flush=True)


def refused(corpus: Corpus) -> list[Film]:
    done = _stored()
    return [film for film in corpus.films.values() if film.key not in done]


def _stored() -> set[str | None]:
    from videos.models import Video

    return set(Video.objects.ready().values_list("data_id", flat=True))


def _index_left_over() -> None:
    from videos.index import indexing
    from videos.models import Video

    indexing.index_videos(list(Video.objects.indexable().values_list("pk", flat=True)))


def cost() -> Cost:
    """Return the storage of the real videos. Call it before ``pad``, which enlarges indexes."""
    from django.core.files.storage import default_storage
    from django.db import connection

    from videos.models import Video

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE videos_frame")
        cursor.execute(
            "SELECT count(*), count(f.cnn), coalesce(sum(pg_column_size(f.*)), 0) "
            "FROM videos_frame f JOIN videos_video v ON v.id = f.item_id WHERE v.added_by <> %s",
            [PADDING],
        )
        rows, vectors, size = map(float, cursor.fetchone())
        cursor.execute("SELECT pg_indexes_size('videos_frame') / count(*) FROM videos_frame")
        (index,) = cursor.fetchone()
    real = Video.objects.ready().exclude(added_by=PADDING)
    seconds = sum(ms or 0 for ms in real.values_list("duration_ms", flat=True)) / 1000
    proxies = sum(default_storage.size(name) for name in real.values_list("proxy", flat=True))
    indexes = float(index) * rows
    return Cost(
        vectors / seconds, rows / seconds, size / seconds, indexes / seconds, proxies / seconds
    )


def frames() -> int:
    from videos.models import FRAME_VERSION, Frame

    return Frame.objects.filter(version=FRAME_VERSION, weight__gt=0, cnn__isnull=False).count()


def pad(count: int) -> None:
    """Add synthetic frames until the index has ``count`` vectors.

    They have a normal distribution with the mean and covariance of the real ones, so that they lie
    in the same region but resemble no frame.
    """
    from videos.models import FRAME_VERSION, Frame, Video

    voting = Frame.objects.filter(version=FRAME_VERSION, weight__gt=0, cnn__isnull=False)
    missing = count - voting.count()
    real = voting.exclude(item__added_by=PADDING).values_list("cnn", flat=True)
    if missing <= 0:
        return
    vectors = np.stack([np.array(one, np.float32) for one in real])
    random = np.random.default_rng(Video.objects.filter(added_by=PADDING).count())
    for first in range(0, missing, CHUNK):
        made = synthetic(vectors, min(CHUNK, missing - first), random)
        _copy(made, random)
        print(f"{first + len(made):,} of {missing:,} synthetic frames are in the index", flush=True)


def synthetic(
    vectors: NDArray[np.float32], count: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """Return ``count`` vectors of unit length with the distribution of ``vectors``."""
    mean = vectors.mean(axis=0)
    # Mixtures of centred samples have their covariance, whatever its rank.
    weights = random.normal(size=(count, len(vectors))).astype(np.float32)
    made = mean + weights @ (vectors - mean) / np.float32(np.sqrt(len(vectors)))
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def _copy(vectors: NDArray[np.float32], random: np.random.Generator) -> None:
    from django.db import connection, transaction

    from gallery.items.vectors import encode
    from videos.models import FRAME_VERSION, Video

    lines = []
    with transaction.atomic():
        for first in range(0, len(vectors), FRAMES_OF_A_SYNTHETIC_VIDEO):
            own = vectors[first : first + FRAMES_OF_A_SYNTHETIC_VIDEO]
            video = Video.objects.create(
                md5=random.bytes(16).hex(),
                added_by=PADDING,
                status="ready",
                format="mp4",
                width=640,
                height=360,
                bytes=1,
                duration_ms=1000 * len(own),
                keep_original=False,
            )
            for second, vector in enumerate(own):
                bits = np.unpackbits(np.frombuffer(random.bytes(32), np.uint8))
                pdq = "".join(map(str, bits.tolist()))
                t = 1000 * second
                lines.append(
                    f"{video.pk}\t{t}\t{t + 750}\tfull\t{FRAME_VERSION}\t{pdq}\t100\t"
                    f"{encode(vector)}\t1"
                )
        with connection.cursor() as cursor:
            cursor.copy_expert(
                "COPY videos_frame (item_id, t0, t1, view, version, pdq, pdq_quality, cnn, weight)"
                " FROM STDIN",
                io.StringIO("\n".join(lines)),
            )
