"""The benchmark's code runs, on a tiny size: against a live server and the tests' database."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from benchmarks import client, fileserver, gates, pictures, report, service, speed
from benchmarks.recall.corpus import Source
from benchmarks.scale import __main__ as scale
from benchmarks.scale import loading, measuring, real
from benchmarks.scale.truth import Truth
from benchmarks.scale.world import Rows, World
from gallery.imaging import descriptors
from gallery.imaging.decoding import decode
from gallery.imaging.decoding.limits import PictureLimits
from gallery.imaging.descriptors.base import CNN_DIMENSIONS
from gallery.items.models import Image
from tests import tiny_clip


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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_scale() -> None:
    loading.register()
    gallery = described(pictures.jpegs(12))
    shown = World(gallery).take(4)
    found = [measuring.Query(None, columns_of(shown, at), at) for at in range(4)]
    world, truth = World(gallery), Truth(measuring.asked(found))
    _, indexes = loading.load(world, 120, truth)
    assert Image.objects.ready().count() == 120
    assert sorted(map(scale.column_of, (index.name for index in indexes))) == sorted(scale.KINDS)
    for index in indexes:
        loading.build(index, 120)
    assert_all_found(found, truth)
    loading.rewrite(world, 120, truth)
    assert Image.objects.ready().count() == 120
    assert_all_found(found, truth)
    names = {str(row[0]) for row in scale.sizes(120, {})}
    assert {"imagefingerprint_haar_hnsw", "gallery_imagedetail", "all"} <= names
    tiny_clip.drop_indexes()


def described(files: list[bytes]) -> real.Pictures:
    decoded = [decode(data, PictureLimits()) for data in files]
    haar = [columns or {} for columns in descriptors.get("imgsmlr").describe(decoded)]
    random = np.random.default_rng(0)
    vectors = random.standard_normal((len(files), CNN_DIMENSIONS)).astype(np.float32)
    return real.Pictures(
        [Source(str(number), "package", "path", f"{number}.jpg") for number in range(len(files))],
        np.stack([columns["haar"] for columns in haar]),
        np.stack([columns["pattern"] for columns in haar]),
        random.standard_normal((len(files), 256)).astype(np.float32),
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        [b""] * len(files),
        [b""] * len(files),
    )


def columns_of(rows: Rows, at: int) -> dict[str, dict[str, Any]]:
    return {
        "imgsmlr": {"haar": rows.haar[at], "pattern": rows.pattern[at]},
        "pdq": {"pdq": "".join(map(str, np.unpackbits(rows.bits[at]).tolist()))},
        "copy": {"cnn": rows.cnn[at].astype(np.float32)},
        "clip": {"clip": rows.clip[at].astype(np.float32)},
    }


def assert_all_found(found: list[measuring.Query], truth: Truth) -> None:
    for kind in measuring.MATCH_TYPES:
        assert measuring.measure_nearest(kind, found, truth).recall == 1, kind


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


@pytest.mark.slow
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
