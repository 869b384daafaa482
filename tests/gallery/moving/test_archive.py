"""``export_gallery`` and ``import_gallery``: a round trip."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from gallery.imaging import descriptors
from gallery.imaging.descriptors import stored_patterns
from gallery.items import versions
from gallery.items.item import Status
from gallery.items.models import ClipVersion, Image, ImageDetail, ImageFingerprint
from gallery.moving import exporting, restoring
from gallery.moving.archive import Manifest, read_manifest
from gallery.search.image_search import (
    ImageQuery,
    compare_pictures,
    load_picture,
    search_images,
)
from tests import factories as make

pytestmark = pytest.mark.django_db


def run(name: str, *args: Any, **options: Any) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command(name, *map(str, args), stdout=out, stderr=out, **options)
    return out.getvalue()


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> list[Image]:
    """Five published images, one of them with several frames, and one that waits."""
    monkeypatch.setattr(exporting, "IMAGES_PER_PART", 2)
    monkeypatch.setattr(restoring, "IMAGES_PER_BATCH", 1)
    added = [
        make.add_ready_image(
            make.photo(seed),
            inline=descriptors.available_names(),
            data_id=f"id {seed}",
            remark="说明",
            meta={"seed": seed, "long": 2**63},
        )
        for seed in range(4)
    ]
    frames = [make.photo(seed) for seed in (20, 21)]
    moving = make.encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    added.append(make.add_ready_image(data=moving))
    make.add_pending_image(make.photo(50))
    return added


def state(*, files: bool) -> list[Any]:
    """All that must come back, with the contents of files."""
    facts = exporting.FIELDS if files else set(exporting.FIELDS) - {"original", "thumbnail"}
    rows: list[Any] = []
    for image in Image.objects.ready().order_by("id"):
        values = {name: getattr(image, name) for name in facts if name != "added_by"}
        for field in ("original", "thumbnail"):
            if field in values:
                values[field] = getattr(image, field).read()
        rows.append(values)
    keys = ("item_id", "view", "version")
    columns = (*keys, "haar", "pdq", "pdq_quality", "cnn", "clip")
    prints = ImageFingerprint.objects.filter(item__status="ready").order_by(*keys)
    for row in prints.values_list(*columns):
        rows.append([str(value) for value in row])
    details = ImageDetail.objects.filter(fingerprint__item__status="ready")
    for pattern, features in details.order_by(*(f"fingerprint__{key}" for key in keys)).values_list(
        "pattern", "local_features"
    ):
        rows.append((pattern and bytes(pattern), features and bytes(features)))
    return rows


def empty() -> None:
    ImageDetail.objects.all().delete()
    ImageFingerprint.objects.all().delete()
    Image.objects.all().delete()


def test_the_round_trip(images: list[Image], tmp_path: Path) -> None:
    out = run("export_gallery", tmp_path / "out", media=True)
    assert f"5 images exported to {tmp_path / 'out'}." in out
    assert "1 images are not ready" in out
    with pytest.raises(CommandError, match="holds a complete export"):
        run("export_gallery", tmp_path / "out")
    before = state(files=True)
    query = ImageQuery(data=make.png(make.photo(2)))
    found = search_images(query, match_type="auto", limit=5).matches
    empty()
    assert "5 added." in run("import_gallery", tmp_path / "out")
    assert state(files=True) == before
    assert "5 already here." in run("import_gallery", tmp_path / "out")
    assert state(files=True) == before
    again = search_images(query, match_type="auto", limit=5).matches
    assert [(m.image.pk, m.distance) for m in again] == [(m.image.pk, m.distance) for m in found]
    assert make.add_ready_image(make.photo(60)).pk > images[-1].pk


def test_others_can_read_it(images: list[Image], tmp_path: Path) -> None:
    run("export_gallery", tmp_path)
    first = tmp_path / "images-000001"
    lines = first.with_suffix(".jsonl").read_text().splitlines()
    assert [json.loads(line)["data_id"] for line in lines] == ["id 0", "id 1"]
    with np.load(first.with_suffix(".npz")) as arrays:
        patterns = arrays["pattern"]
        items = arrays["item"][arrays["pattern_rows"]]
        shapes = {name: arrays[name].shape[1:] for name in ("haar", "pattern", "pdq", "cnn")}
    assert shapes == {"haar": (16,), "pattern": (2752,), "pdq": (32,), "cnn": (512,)}
    assert items.tolist() == [images[0].pk, images[1].pk]
    expected = compare_pictures(*(load_picture(data=make.png(make.photo(n))) for n in (0, 1)))
    distance = np.linalg.norm(np.subtract(*patterns[:2], dtype=float)) / 2000
    assert distance == pytest.approx(expected["imgsmlr"]["distance"], abs=1e-3)
    assert not (tmp_path / "media").exists()


def test_an_archive_of_format_1(images: list[Image], tmp_path: Path) -> None:
    """It holds whole patterns."""
    run("export_gallery", tmp_path)
    details = ImageDetail.objects.exclude(pattern=None).order_by("fingerprint__item_id", "pk")
    before = [bytes(pattern) for pattern in details.values_list("pattern", flat=True)]
    for path in tmp_path.glob("*.npz"):
        with np.load(path) as stored:
            arrays = dict(stored)
        arrays["pattern"] = stored_patterns.decoded(arrays["pattern"])
        del arrays["pattern_error"]
        np.savez(path, **arrays)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 2', '"format": 1'))
    empty()
    assert "5 added." in run("import_gallery", tmp_path)
    after = [bytes(pattern) for pattern in details.values_list("pattern", flat=True)]
    codes, again = (stored_patterns.unpack(patterns)[0] for patterns in (before, after))
    np.testing.assert_array_equal(codes, again)


def test_interrupted_and_resumed(images: list[Image], tmp_path: Path) -> None:
    before = state(files=False)
    written = exporting.export(tmp_path, media=False, by="tests")
    assert next(written) == 2
    written.close()
    with pytest.raises(CommandError, match="export_gallery did not finish"):
        run("import_gallery", tmp_path)
    assert "5 images exported" in run("export_gallery", tmp_path)
    empty()
    manifest = read_manifest(tmp_path, Manifest)
    stored = list(itertools.islice(restoring.restore(tmp_path, manifest), 3))
    assert [outcome.kind for outcome in stored] == ["added"] * 3
    assert "2 added, 3 already here." in run("import_gallery", tmp_path)
    assert state(files=False) == before


def test_ids_that_are_taken_and_files_that_are_damaged(images: list[Image], tmp_path: Path) -> None:
    run("export_gallery", tmp_path / "out", media=True)
    damaged, lost = images[0], images[1]
    (tmp_path / "out" / "media" / str(damaged.original.name)).write_bytes(b"other")
    (tmp_path / "out" / "media" / str(lost.thumbnail.name)).unlink()
    empty()
    taken = images[2].pk
    here = make.add_ready_image(make.photo(70))
    here.fingerprints.all().delete()
    Image.objects.filter(pk=here.pk).update(id=taken)
    out = run("import_gallery", tmp_path / "out")
    assert "5 added." in out
    assert out.count("Its file is damaged or missing in the export") == 2
    moved = Image.objects.get(data_id="id 2")
    assert f"row {taken}: Its id is taken here: it is image {moved.pk} now." in out
    assert moved.pk > images[-1].pk
    assert Image.objects.get(pk=damaged.pk).original.name == ""
    assert Image.objects.get(pk=damaged.pk).status == Status.READY


def test_vectors_of_other_models_are_left(images: list[Image], tmp_path: Path) -> None:
    run("export_gallery", tmp_path)
    text = (tmp_path / "manifest.json").read_text().replace('"clip": null', '"clip": "other/1"')
    (tmp_path / "manifest.json").write_text(text)
    assert "CLIP vectors of other/1 were skipped" in run("import_gallery", tmp_path)
    (tmp_path / "manifest.json").write_text(text.replace('"format": 2', '"format": 3'))
    with pytest.raises(CommandError, match="has format 3"):
        run("import_gallery", tmp_path)


def test_clip_vectors_of_the_model_that_searches_use(
    images: list[Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vector = np.linspace(-1, 1, 8)
    for version, state in (("clip/a", "active"), ("clip/b", "filling")):
        ClipVersion.objects.create(
            version=version, model="a", pretrained="b", dimensions=8, state=state
        )
        ImageFingerprint.objects.create(item=images[0], version=version, clip=list(vector))
    monkeypatch.setattr(versions, "_cached", (0.0, None))
    run("export_gallery", tmp_path)
    empty()
    assert "CLIP vectors of clip/a were skipped" in run("import_gallery", tmp_path)
    assert not ImageFingerprint.objects.filter(version__startswith="clip").exists()
    empty()
    monkeypatch.setattr(restoring, "kept_versions", lambda _: {"clip/a", "clip/b"})
    run("import_gallery", tmp_path)
    (kept,) = ImageFingerprint.objects.all()
    assert (kept.item_id, kept.version) == (images[0].pk, "clip/a")
    assert kept.clip == pytest.approx(vector, abs=1e-3)
