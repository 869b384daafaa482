"""The gallery: an embedded PostgreSQL below the cache, filled by the product's import.

It is kept for the next run. Other pictures or other descriptor code get a new gallery.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import pictures
from benchmarks.cache import ROOT
from benchmarks.recall import corpus
from benchmarks.recall.corpus import Source

DESCRIBING = (
    *(
        "gallery/imaging/decoding/*.py",
        "gallery/imaging/local_features.py",
        "gallery/items/vectors.py",
    ),
    *(
        "gallery/imaging/descriptors/*.py",
        "gallery/imaging/descriptors/*.npz",
        "gallery/migrations/*.py",
    ),
)
TABLES = ("gallery_imagefingerprint", "gallery_imagedetail", "gallery_image")


def digest(patterns: Sequence[str], *more: str) -> str:
    """Return 12 digits that change with the matching files below the project's root."""
    found = hashlib.sha256("\n".join(more).encode())
    for pattern in patterns:
        paths = sorted(ROOT.glob(pattern))
        if not paths:
            raise FileNotFoundError(f"no file is called {pattern}")
        for path in paths:
            found.update(path.read_bytes())
    return found.hexdigest()[:12]


def gallery_digest(sources: Sequence[Source]) -> str:
    return digest(DESCRIBING, *(source.key for source in sources))


@contextmanager
def running(name: str) -> Iterator[None]:
    """Start and migrate the database of that name, and connect Django to it.

    Processes spawned inside use it too. Call it before anything else uses Django's settings. It
    deletes galleries of other names.
    """
    home = corpus.directory() / "galleries"
    home.mkdir(exist_ok=True)
    for old in home.iterdir():
        if old.name.partition("-")[0] == name.partition("-")[0] and old.name != name:
            shutil.rmtree(old)
    data = home / name
    data.mkdir(exist_ok=True)
    models = corpus.directory() / "models"
    models.mkdir(exist_ok=True)
    if not (data / "models").exists():
        (data / "models").symlink_to(models)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "imgsmlr_site.settings",
        "DATA_DIR": str(data),
        "DATABASE_URL": "",
        "CLIP_PRETRAINED": os.environ.get("CLIP_PRETRAINED", "none"),
        "KEEP_ORIGINALS": "none",
    }
    from imgsmlr_site.postgres.server import EmbeddedPostgres

    with EmbeddedPostgres(data):
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        call_command("prepare_models", "copy")
        yield


def fill(sources: Sequence[Source], workers: int) -> None:
    """Add missing pictures with the product's own import; data_id is the key."""
    from gallery.items.import_sources import Source as Picture

    _add(
        [
            Picture(source.key, corpus.working_copy(source), {"data_id": source.key})
            for source in sources
        ],
        workers,
    )


def pad(count: int, workers: int) -> None:
    from gallery.items.import_sources import Source as Picture
    from gallery.items.models import Image

    missing = count - Image.objects.exclude(data_id__startswith="generated").count()
    inside = corpus.directory() / "generated"
    inside.mkdir(exist_ok=True)
    paths = [inside / f"{number}.jpg" for number in range(missing)]
    for number, path in enumerate(paths):
        if not path.exists():
            path.write_bytes(pictures.jpeg(number))
    _add([Picture(p.name, p, {"data_id": f"generated {p.name}"}) for p in paths], workers)


def _add(sources: Sequence[object], workers: int) -> None:
    from gallery.items.importing import import_images

    outcomes = import_images(sources=sources, by="benchmark", workers=workers, embed=True)  # type: ignore[arg-type]
    for done, outcome in enumerate(outcomes, 1):
        if outcome.kind not in ("added", "exists"):
            raise RuntimeError(str(outcome))
        if done % 1000 == 0:
            print(f"{done} of {len(sources)} pictures are in the gallery", flush=True)


def bytes_per_image() -> dict[str, float]:
    """Return the KB per image of each table (with its out-of-line values) and each index."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "VACUUM ANALYZE gallery_image, gallery_imagefingerprint, gallery_imagedetail"
        )
        cursor.execute("SELECT count(*) FROM gallery_image")
        (count,) = cursor.fetchone()
        cursor.execute(
            "SELECT c.relname, CASE c.relkind WHEN 'i' THEN pg_relation_size(c.oid) "
            "ELSE pg_table_size(c.oid) END FROM pg_class c LEFT JOIN pg_index x "
            "ON x.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = x.indrelid "
            "WHERE c.relname = ANY(%(t)s) OR t.relname = ANY(%(t)s) ORDER BY 2 DESC",
            {"t": list(TABLES)},
        )
        return {name: size / 1024 / count for name, size in cursor.fetchall()}


def images() -> int:
    from gallery.items.models import Image

    return Image.objects.ready().count()


def rmtree(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
