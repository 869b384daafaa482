"""The benchmark's code runs, on a tiny size: against a live server and the tests' database."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from benchmarks import client, fileserver, gates, pictures, report, scale, service, speed
from gallery.imaging.decoding import decode
from gallery.imaging.decoding.limits import PictureLimits
from gallery.items.models import Image
from gallery.items.versions import ClipVersion


def test_pictures_are_many_small_and_the_same() -> None:
    files = pictures.jpegs(40)
    assert files == pictures.jpegs(40)
    assert len(set(files)) == 40
    sides = [
        max(decode(data, PictureLimits()).info.width, decode(data, PictureLimits()).info.height)
        for data in files
    ]
    assert min(sides) >= 160
    assert max(sides) <= pictures.LARGEST


@pytest.mark.django_db(transaction=True)
def test_speed(live_server: Any, open_api: None, tmp_path: Path) -> None:
    files = pictures.jpegs(6)
    address = urlsplit(live_server.url)
    assert address.hostname
    assert address.port
    with fileserver.serving(files) as urls:
        target = speed.Target(address.hostname, address.port, speed.issue_key())
        for api in ("legacy", "v1"):
            measured = speed.add(target, api, urls, clients=2)
            assert measured.rate > 0
            assert 0 < measured.p50 <= measured.p95
            assert Image.objects.ready().count() == 6
            assert speed.search(target, api, "imgsmlr", urls, clients=1).rate > 0
        assert speed.search(target, "v1", "pdq", urls, clients=1).rate > 0
        assert speed.bulk(urls, workers=1) > 0
        paths = [tmp_path / f"{number}.jpg" for number in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        assert speed.bulk(paths, workers=1) > 0
        assert all(rate > 0 for rate in speed.floor(files).values())
        wrong = target.load("/imgsmlr/search", [{"url": urls[0], "matchType": "nonsense"}])
        with pytest.raises(RuntimeError, match="nonsense"):
            client.run(wrong, 1)


@pytest.mark.django_db(transaction=True)
def test_scale() -> None:
    random = np.random.default_rng(0)
    base = [
        {"haar": random.random(16, np.float32), "pattern": random.random(4096, np.float32)}
        for _ in range(5)
    ]
    world = scale.World(base, 120)
    scale.fill(world)
    assert Image.objects.ready().count() == 120
    found = scale.measure(world, queries=4)
    assert set(found) == set(scale.MATCH_TYPES)
    assert all(result.recall == 1 for result in found.values())
    assert {"imagefingerprint_haar_hnsw", "gallery_imagedetail"} <= set(scale.sizes())
    for version in ClipVersion.objects.all():
        drop_index(version.version)


def drop_index(version: str) -> None:
    """Indexes outlive the rows that a transactional test leaves to be truncated."""
    from django.db import connection

    from gallery.items.versions import _index_name

    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX {_index_name(version)}")


@pytest.mark.django_db(transaction=True)
def test_gates(live_server: Any, open_api: None, settings: Any) -> None:
    import os

    files = pictures.jpegs(3)
    address = urlsplit(live_server.url)
    with gates.storage(files[1:]) as store:
        settings.ROOT_URLCONF = "tests.site.hma_urls"
        for name, value in gates.settings(store).items():
            setattr(settings, name, [value] if name == "S3_BUCKETS" else value)
        started = service.Service(address.port or 0, os.getpid(), {}, address.hostname or "")
        rows = list(gates.measured(started, store, files[:1], files[1:], count=1, warm_up=0))
    assert len({row.name for row in rows}) == 6
    assert all(row.seconds[0] > 0 for row in rows)


def test_memory_and_processor_time_of_a_family() -> None:
    import os

    pss, rss = map(sum, zip(*service.memory(os.getpid()).values(), strict=True))
    assert 0 < pss <= rss
    assert service.cpu_seconds(os.getpid()) > 0


@pytest.mark.django_db
def test_sections_of_the_page_are_replaced_one_by_one(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "benchmarks.md"
    report.write("speed", "Speed", "a", report.table(["x", "y"], [["one", 1.234]]), page)
    report.write("scale", "Scale", "b", "big", page)
    report.write("speed", "Speed", "c", "fast", page)
    text = page.read_text()
    assert text.startswith("# Benchmarks")
    assert text.count("## Speed") == text.count("## Scale") == 1
    assert "fast" in text
    assert "big" in text
    assert "| one | 1.2 |" not in text
    assert "pgvector 0." in text
