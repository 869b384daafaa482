"""``bulk_load`` on a real server: killed while it loads and while it builds, and damaged files."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from gallery.imaging.descriptors.base import PIXELS_VERSION
from gallery.items import index_building
from gallery.items.models import Image, ImageFingerprint
from gallery.moving import archive
from gallery.search.nearest import nearest_images, stored_columns
from tests import factories as make

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[3]
COPIES = 500
PIXELS = {"haar", "pdq"}


def run(name: str, *args: Any) -> str:
    out = io.StringIO()
    call_command(name, *map(str, args), stdout=out, stderr=out)
    return out.getvalue()


def missing() -> set[str]:
    return {index.column for index in index_building.missing()}


@pytest.fixture(scope="module")
def export(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> Path:
    """Two images, each many times: with other ids, hashes and signatures."""
    directory = tmp_path_factory.mktemp("export") / "files"
    with django_db_blocker.unblock():
        for seed in range(2):
            make.add_ready_image(make.photo(seed))
        run("export_gallery", directory)
        Image.objects.all().delete()
    (path,) = directory.glob("*.jsonl")
    images, arrays = archive.read_items(path), archive.read_arrays(path)
    random = np.random.default_rng(1)
    for part in range(2):
        lines, rows = [], np.tile(np.arange(len(arrays["item"])), COPIES)
        items = np.arange(2 * COPIES) + 1 + part * 2 * COPIES
        for pk in items.tolist():
            lines.append(images[pk % 2] | {"id": pk, "md5": f"{pk:032x}", "sha256": f"{pk:064x}"})
        many = {name: values for name, values in arrays.items() if name.endswith("_rows")}
        many = {name: np.arange(len(rows)) if len(v) else v for name, v in many.items()}
        for name, values in arrays.items():
            if name not in many:
                many[name] = np.tile(values, (COPIES, *[1] * (values.ndim - 1)))
        many["haar"] = random.uniform(0, 1, many["haar"].shape).astype(np.float32)
        many["item"] = items
        archive.write_part(archive.part_path(directory, part + 1, "images"), lines, many)
    manifest = orjson.loads((directory / "manifest.json").read_bytes())
    manifest |= {"images": 4 * COPIES, "parts": 2}
    (directory / "manifest.json").write_bytes(orjson.dumps(manifest))
    return directory


@contextmanager
def loading(export: Path) -> Iterator[subprocess.Popen[bytes]]:
    code = (
        "import sys, django; from django.conf import settings; django.setup();"
        "settings.DATABASES['default']['NAME'] = sys.argv[1];"
        "from django.core.management import call_command;"
        "call_command('bulk_load', sys.argv[2])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(connection.settings_dict["NAME"]), str(export)],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "imgsmlr_site.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def finds_copies(pk: int) -> bool:
    """Half of the images have the same pattern."""
    columns = stored_columns(pk, "imgsmlr", PIXELS_VERSION)
    assert columns is not None
    found = nearest_images("imgsmlr", PIXELS_VERSION, columns, threshold=0, limit=5)
    return {(match.image.pk % 2, match.distance) for match in found} == {(pk % 2, 0)}


def whole() -> bool:
    ids = list(Image.objects.order_by("id").values_list("id", flat=True))
    rows = ImageFingerprint.objects.exclude(detail__pattern=None).count()
    return ids == list(range(1, 4 * COPIES + 1)) and rows == len(ids) and not missing()


@pytest.mark.slow
def test_killed_while_it_loads_and_while_it_builds(export: Path) -> None:
    with loading(export) as process:
        while Image.objects.count() < 300 and process.poll() is None:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    done = Image.objects.count()
    assert 300 <= done < 4 * COPIES
    assert missing() >= PIXELS
    assert finds_copies(1)
    assert "searches compare every image" in index_building.problems()[0]

    # A transaction that began before holds up the build, after all is loaded.
    with closing(connection.copy()) as other, other.cursor() as beside, loading(export) as process:
        beside.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        beside.execute("SELECT count(*) FROM gallery_imagefingerprint")
        while not _is_building() and process.poll() is None:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert Image.objects.count() == 4 * COPIES
        assert missing() >= {"haar"}
        assert finds_copies(4 * COPIES)
        beside.execute("ROLLBACK")
    _wait_for_the_server()
    out = run("bulk_load", export)
    assert f"{4 * COPIES:,} already here." in out
    assert whole()
    assert finds_copies(7)


def _is_building() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid "
            "WHERE c.relname = 'imagefingerprint_haar_hnsw' AND NOT x.indisvalid"
        )
        return cursor.fetchone() == (1,)


def _wait_for_the_server() -> None:
    """Until it noticed that the command is gone."""
    with connection.cursor() as cursor:
        for _ in range(2000):
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
                "AND query LIKE 'CREATE INDEX CONCURRENTLY%%'"
            )
            if cursor.fetchone() == (0,):
                return
            time.sleep(0.01)
    raise AssertionError("the server still builds")


@pytest.mark.slow
def test_the_indexes_are_dropped_only_if_there_is_much_to_load(
    export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[int] = []
    drop = index_building.drop
    monkeypatch.setattr(
        index_building, "drop", lambda: (dropped.append(Image.objects.count()), drop())
    )
    assert f"{4 * COPIES:,} added." in run("bulk_load", export)
    assert len(dropped) == 1
    assert 0 < dropped[0] <= 1000
    assert whole()
    run("bulk_load", export)  # nothing is added
    few = tmp_path / "few"
    few.mkdir()
    lines = archive.read_items(export / "images-000001.jsonl")[:5]
    lines = [line | {"md5": f"f{line['id']:031x}"} for line in lines]
    archive.write_part(archive.part_path(few, 1, "images"), lines, _first_rows(export))
    manifest = orjson.loads((export / "manifest.json").read_bytes())
    (few / "manifest.json").write_bytes(orjson.dumps(manifest | {"images": 5, "parts": 1}))
    assert "5 added." in run("bulk_load", few)
    assert len(dropped) == 1
    assert not missing()


def _first_rows(export: Path) -> dict[str, Any]:
    """Arrays without vectors."""
    arrays = archive.read_arrays(export / "images-000001.npz")
    return {name: values[:0] for name, values in arrays.items()}


@pytest.mark.slow
def test_a_damaged_file_leaves_no_index_out(export: Path, tmp_path: Path) -> None:
    for path in export.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    vectors = tmp_path / "images-000002.npz"
    vectors.write_bytes(vectors.read_bytes()[:1000])
    with pytest.raises(CommandError, match="cannot be read"):
        run("bulk_load", tmp_path)
    assert Image.objects.count() == 2 * COPIES
    assert not missing()
    vectors.write_bytes((export / vectors.name).read_bytes())
    assert f"{2 * COPIES:,} added, {2 * COPIES:,} already here." in run("bulk_load", tmp_path)
    assert whole()


def test_another_version_changes_nothing(export: Path, tmp_path: Path) -> None:
    manifest = orjson.loads((export / "manifest.json").read_bytes())
    (tmp_path / "manifest.json").write_bytes(orjson.dumps(manifest | {"format": 3}))
    with pytest.raises(CommandError, match="formats up to 2 are read here"):
        run("bulk_load", tmp_path)
    assert not Image.objects.exists()
    assert not missing()


def test_other_doors_build_what_is_missing() -> None:
    index_building.drop()
    assert missing() == {"haar", "pdq", "cnn"}
    run("maintain_indexes")
    assert not missing()
    assert not any("missing" in sentence for sentence in index_building.problems())
