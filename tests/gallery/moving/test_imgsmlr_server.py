"""``manage.py import_imgsmlr_server``, from a database of the original's schema."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from gallery.imaging.descriptors.base import COPY_VERSION, PIXELS_VERSION
from gallery.items import link_checks
from gallery.items.models import Image, ImageFingerprint
from tests import factories as make
from tests.gallery.moving.original import Original, original_database, text_of, vectors_of
from tests.httpserver import HttpServer

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT / "tests" / "data" / "imgsmlr"
ORACLE = json.loads((DATA / "oracle.json").read_text())
OPAQUE = sorted(
    name
    for name, facts in ORACLE["images"].items()
    if "error" not in facts and name != "i_alpha_160.png"
)
ROWS = 900
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]


@pytest.fixture(scope="module")
def database(django_db_setup: None, django_db_blocker: Any) -> Iterator[Original]:
    with django_db_blocker.unblock(), original_database("original_server") as source:
        yield source


@pytest.fixture
def original(database: Original) -> Original:
    database.run("TRUNCATE image RESTART IDENTITY")
    return database


def run(original: Original, **options: Any) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command("import_imgsmlr_server", original.dsn, stdout=out, stderr=out, **options)
    return out.getvalue()


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def add_photos(original: Original, *seeds: int) -> list[bytes]:
    files = [make.jpeg(make.photo(seed, (40, 30))) for seed in seeds]
    for seed, data in zip(seeds, files, strict=True):
        original.add(data, url=f"http://old.example/{seed}.jpg", md5=md5(data))
    return files


def search(client: Client, url: str, threshold: float) -> dict[int, dict[str, Any]]:
    body = {"url": url, "matchType": "imgsmlr", "threshold": threshold, "limit": 100}
    answer = client.post("/imgsmlr/search", json.dumps(body), content_type="application/json")
    return {found["id"]: found for found in answer.json()["data"]["images"]}


def test_the_originals_distances_and_fields(
    original: Original, client: Client, open_api: None
) -> None:
    clip = "[" + ", ".join(["0.5"] * 512) + "]"
    for number, name in enumerate(OPAQUE):
        data = (DATA / name).read_bytes()
        original.add(
            data,
            url=f"http://old.example/{name}",
            md5=md5(data).upper(),
            data_id=f"id {number}",
            remark="说明",
            meta={"name": name, "long": 2**63},
            clip=clip,
        )
    out = run(original)
    assert f"{len(OPAQUE)} added." in out
    assert f"{len(OPAQUE)} CLIP vectors were skipped: another model made them" in out
    ids = dict(Image.objects.values_list("meta__name", "id"))
    assert ids == {name: number for number, name in enumerate(OPAQUE, 1)}
    distances = {(d["a"], d["b"]): d["pattern"] for d in ORACLE["distances"]}
    with HttpServer({f"/{name}": (DATA / name).read_bytes() for name in OPAQUE}) as web:
        for name in OPAQUE:
            found = search(client, f"{web.url}/{name}", 100)
            assert len(found) == len(OPAQUE)
            assert found[ids[name]]["simr"] == pytest.approx(0, abs=1e-3)
            for other in OPAQUE:
                if (name, other) in distances:
                    expected = distances[name, other]
                    assert found[ids[other]]["simr"] == pytest.approx(expected, abs=1e-3)
        whole = search(client, f"{web.url}/{OPAQUE[0]}", 0.001)[1]
        whole.pop("simr")
    assert whole == {
        "id": 1,
        "url": f"http://old.example/{OPAQUE[0]}",
        "dataId": "id 0",
        "md5": md5((DATA / OPAQUE[0]).read_bytes()),
        "remark": "说明",
        "meta": {"name": OPAQUE[0], "long": 2**63},
    }
    image = Image.objects.get(pk=1)
    assert (image.status, image.added_by) == ("ready", "command:import_imgsmlr")


def test_equal_rows_are_merged_and_what_is_not_kept_is_told(
    original: Original, tmp_path: Path
) -> None:
    a, b, c = (make.jpeg(make.photo(seed, (40, 30))) for seed in range(3))
    original.add(a, url="http://old.example/a", md5=md5(a), remark="")
    original.add(b, url="http://old.example/b")
    original.add(b, url="http://old.example/b", data_id="b")
    original.add(a, url="http://old.example/a2", md5=md5(a).upper(), remark="late", data_id="a")
    original.add(a, url="http://old.example/a", md5=md5(a), data_id="again")
    original.add(b, url="http://old.example/elsewhere", md5="unknown")
    original.add(c, url="http://old.example/" + "c" * 2048, md5=md5(c))
    original.add(None, url="http://old.example/d", md5="d" * 32)
    original.add(None, url="http://old.example/e", md5="e" * 32, pattern="((nan))", signature="()")
    original.add(c, url="http://old.example/f", md5="f" * 32, meta=[1])
    report = tmp_path / "report.csv"
    before = Image.objects.count()
    foretold = run(original, dry_run=True)
    assert "It would be: 5 added, 3 merged into another row, 2 left out." in foretold
    assert Image.objects.count() == before
    assert "5 added, 3 merged into another row, 2 left out." in run(original, report=report)
    rows = list(Image.objects.order_by("id").values_list("id", "url", "data_id", "remark"))
    assert rows == [
        (1, "http://old.example/a", "a", "late"),
        (2, "http://old.example/b", "b", None),
        (6, "http://old.example/elsewhere", None, None),
        (8, "http://old.example/d", None, None),
        (9, "http://old.example/e", None, None),
    ]
    with report.open() as stream:
        told = {line["row"]: (line["outcome"], line["reason"]) for line in csv.DictReader(stream)}
    unusable = "It has no usable pattern: no search finds it until its picture is fetched."
    same = "It is the same picture as row"
    assert told == {
        "3": ("merged", f"{same} 2."),
        "4": ("merged", f"{same} 1. Not kept: url http://old.example/a2."),
        "5": ("merged", f"{same} 1. Not kept: data_id again."),
        "7": ("failed", "Its url has more than 2,048 characters."),
        "8": ("added", unusable),
        "9": ("added", unusable),
        "10": ("failed", "Its meta is no JSON object."),
    }
    known = [image.known_md5 for image in Image.objects.order_by("id")]
    assert known == [md5(a), None, None, "d" * 32, "e" * 32]


def test_again_it_changes_nothing_and_ids_never_collide(original: Original) -> None:
    here = make.add_ready_image(make.photo(77))
    same = make.add_ready_image(data=make.jpeg(make.photo(4, (40, 30))))
    original.run("SELECT setval('image_id_seq', %s, false)", [here.pk + 10_000])
    add_photos(original, *range(5))
    original.run("UPDATE image SET id = %s WHERE url LIKE '%%/2.jpg'", [here.pk])
    last = here.pk + 20_000
    original.run("SELECT setval('image_id_seq', %s)", [last])
    out = run(original)
    moved = Image.objects.get(url="http://old.example/2.jpg")
    assert "4 added, 1 already here." in out
    assert f"row {here.pk}: Its id is taken here: it is image {moved.pk} now." in out
    assert f"row {here.pk + 10_004}: It is here as image {same.pk}." in out
    assert Image.objects.get(url="http://old.example/3.jpg").pk == here.pk + 10_003
    assert moved.pk > last
    assert make.add_ready_image(make.photo(78)).pk > moved.pk
    before = list(Image.objects.order_by("id").values())
    assert "5 already here." in run(original)
    assert list(Image.objects.order_by("id").values()) == before


def test_databases_that_are_not_the_originals(original: Original) -> None:
    with pytest.raises(CommandError, match="cannot be opened"):
        call_command("import_imgsmlr_server", "postgresql+asyncpg://u@127.0.0.1:1/none")
    original.run("ALTER TABLE image RENAME COLUMN signature TO s")
    try:
        with pytest.raises(CommandError, match="its table image has no column signature"):
            run(original)
    finally:
        original.run("ALTER TABLE image RENAME COLUMN s TO signature")
    original.run("ALTER TABLE image RENAME TO pictures")
    try:
        with pytest.raises(CommandError, match="it has no table image"):
            run(original)
    finally:
        original.run("ALTER TABLE pictures RENAME TO image")


def test_the_first_schema_without_clip_and_data_ids(original: Original) -> None:
    columns = ("clip", "phash", "data_id", "remark", "meta")
    original.run("ALTER TABLE image " + ", ".join(f"DROP COLUMN {name}" for name in columns))
    try:
        add_photos(original, 1)
        assert "1 added." in run(original)
    finally:
        original.run(
            "ALTER TABLE image ADD clip vector(512), ADD phash vector(512), ADD data_id text, "
            "ADD remark text, ADD meta jsonb"
        )


def test_without_its_picture(
    original: Original, client: Client, admin_client: Client, open_api: None
) -> None:
    """What an image may and may not do until its picture is fetched, and then."""
    (data,) = add_photos(original, 1)
    unknown, stranger = (make.jpeg(make.photo(seed, (40, 30))) for seed in (2, 9))
    with HttpServer({"/1.jpg": data, "/2.jpg": unknown, "/3.jpg": data, "/4.jpg": stranger}) as web:
        original.run("UPDATE image SET url = %s", [f"{web.url}/1.jpg"])
        original.add(unknown, url=f"{web.url}/2.jpg")
        original.add(make.jpeg(make.photo(3)), url=f"{web.url}/3.jpg", md5="3" * 32)
        original.add(make.jpeg(make.photo(4)), url=f"{web.url}/4.jpg")
        run(original)
        first = client.get("/api/v1/images/1/").json()
        assert (first["status"], first["thumbnail"], first["file"]) == ("ready", None, None)
        assert client.get("/media/images/1/original").status_code == 404
        assert client.get("/media/images/1/thumbnail").status_code == 404
        found = client.post("/api/v1/images/search/", {"id": 1, "match_type": "copy"})
        assert found.json()["results"] == []
        found = client.post("/api/v1/images/search/", {"id": 1, "match_type": "imgsmlr"})
        assert found.status_code == 200
        page = admin_client.get(reverse("admin:gallery_image_change", args=[1])).content.decode()
        assert "It was moved in without its picture." in page
        assert "unknown: its file was never here" in page
        listed = admin_client.get(reverse("admin:gallery_image_changelist")).content.decode()
        assert "moved in" in listed
        dashboard = admin_client.get("/admin/").content.decode()
        assert "4 images were moved in without their pictures" in dashboard
        out = io.StringIO()
        call_command("describe_missing", stdout=out, stderr=out, dry_run=True)
        assert "4 images were moved in without their pictures." in out.getvalue()
        assert f"{PIXELS_VERSION}: 0 images lack it" in out.getvalue()
        assert "0 images were not read again" in out.getvalue()
        Image.objects.update(created_at="2020-01-01T00:00Z")
        # A link is checked by the md5 that is known; without one it is left alone.
        assert link_checks.check_links() == {"same": 1, "changed": 1}

        out = io.StringIO()
        call_command("describe_missing", stdout=out, stderr=out, fetch_pictures=True)
        assert "2 pictures fetched, 2 stale, 0 failed." in out.getvalue()
        whole = client.get("/api/v1/images/1/").json()
        assert (whole["format"], whole["width"], whole["bytes"]) == ("jpeg", 40, len(data))
        assert whole["thumbnail"]
        assert Image.objects.get(pk=2).md5 == md5(unknown)
        stale = dict(Image.objects.values_list("pk", "stale_at"))
        assert [bool(stale[pk]) for pk in (1, 2, 3, 4)] == [False, False, True, True]
        rows = ImageFingerprint.objects.filter(item=1).order_by("version")
        versions = list(rows.values_list("version", flat=True))
        assert versions == [COPY_VERSION, PIXELS_VERSION]
        assert ImageFingerprint.objects.get(item=1, version=PIXELS_VERSION).pdq is not None
        near = search(client, f"{web.url}/1.jpg", 1)
        assert near[1]["simr"] == 0


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_killed_and_resumed(database: Original, settings: Any) -> None:
    database.run("TRUNCATE image RESTART IDENTITY")
    _, pattern = vectors_of(make.jpeg(make.photo(1)))
    numbers = np.random.default_rng(1).uniform(0, 1, (ROWS, 16))
    database.run(
        "INSERT INTO image (url, md5, signature, pattern) SELECT 'http://old.example/' || n, "
        "md5(n::text), (%s::text[])[n], %s FROM generate_series(1, %s) n",
        [[text_of(signature) for signature in numbers], pattern, ROWS],
    )
    code = (
        "import sys, django; from django.conf import settings; django.setup();"
        "settings.DATABASES['default']['NAME'] = sys.argv[1];"
        "from django.core.management import call_command;"
        "call_command('import_imgsmlr_server', sys.argv[2])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(connection.settings_dict["NAME"]), database.dsn],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "imgsmlr_site.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not Image.objects.exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    done = Image.objects.count()
    assert 0 < done < ROWS
    assert ImageFingerprint.objects.count() == done
    assert f"{ROWS - done:,} added, {done:,} already here." in run(database)
    ids = list(Image.objects.order_by("id").values_list("id", flat=True))
    assert ids == list(range(1, ROWS + 1))
    assert ImageFingerprint.objects.exclude(detail__pattern=None).count() == ROWS
