"""The recall benchmark end to end, on a few pictures: corpus, duplicates, gallery, questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.recall import asking, corpus, database, duplicates, methods, peers, transforms
from benchmarks.recall.asking import AS_IT_IS, Question
from benchmarks.recall.corpus import Source
from benchmarks.recall.drawing import Pixels
from tests.benchmarks.test_recall_transforms import picture


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DIR", str(tmp_path / "bench"))


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that has been unpacked already, and is the only one."""
    inside = corpus.directory() / "packages" / "toys"
    inside.mkdir(parents=True)
    monkeypatch.setattr(corpus, "PACKAGES", ("toys",))
    monkeypatch.setattr(corpus, "_scikit_image", list)
    return inside


def store(path: Path, rgb: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))


def test_usable_pictures_are_copied_once_and_small(package: Path) -> None:
    store(package / "a.png", picture(1, 300, 2000))
    store(package / "large.jpg", picture(1, 1500, 2000))
    store(package / "b" / "small.png", picture(2))
    store(package / "b" / "again.png", picture(2))
    store(package / "tiny.png", picture(3, 64, 64))
    store(package / "flat.png", np.full((200, 200, 3), 90, np.uint8))
    (package / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (package / "notes.txt").write_text("no picture")
    (package / "link.png").symlink_to(package / "large.jpg")
    found = corpus.sources(workers=1)
    assert {source.path for source in found} == {"large.jpg", "b/again.png"}
    assert [source.key for source in found] == sorted(source.key for source in found)
    by_path = {source.path: source for source in found}
    assert corpus.pixels(by_path["large.jpg"]).shape == (768, 1024, 3)
    assert np.array_equal(corpus.pixels(by_path["b/again.png"]), picture(2))
    store(package / "late.png", picture(4))
    assert corpus.sources(workers=1) == found


def sources(*pictures: Pixels) -> list[Source]:
    """Working copies of these pictures."""
    found = []
    for number, rgb in enumerate(pictures):
        key = f"{number:x}" * 64
        found.append(Source(key, "toys", f"{number}.png", f"{key}.png"))
        store(corpus.working_copy(found[-1]), rgb)
    return found


def test_hashes_of_turned_pictures_are_recognised_as_duplicates() -> None:
    turned = np.ascontiguousarray(np.rot90(np.fliplr(picture(1, 320, 320))))
    described = [
        duplicates._described(source)[0]
        for source in sources(picture(1, 320, 320), picture(2, 320, 320), turned)
    ]
    ((i, j, how, bits),) = duplicates._by_pdq(described)
    assert (i, j, how) == (2, 0, "pdq")
    assert bits <= duplicates.PDQ_BITS


def test_the_list_of_duplicates_keeps_what_was_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = sources(*map(picture, range(1, 5)))
    monkeypatch.setattr(duplicates, "REMOVED", tmp_path / "list.csv")
    pairs = [
        duplicates.Pair(pictures[0], pictures[2], "pdq", 7),
        duplicates.Pair(pictures[1], pictures[3], "geometry", 21),
    ]
    duplicates.write(pairs, duplicates.REMOVED)
    assert set(duplicates.judgements().values()) == {"new"}
    text = duplicates.REMOVED.read_text()
    duplicates.REMOVED.write_text(text.replace("geometry,21,new", "geometry,21,template"))
    duplicates.write(pairs, tmp_path / "again.csv")
    assert sorted(duplicates.judgements(tmp_path / "again.csv").values()) == ["new", "template"]
    assert duplicates.unique(pictures) == pictures[:2]
    assert duplicates.siblings(pictures, pictures[:2]) == [pictures[3]]
    assert duplicates.siblings(pictures, pictures[:1]) == []
    duplicates.draw(pairs, tmp_path / "sheets")
    assert (tmp_path / "sheets" / "00.png").stat().st_size > 1000


def test_the_committed_list_is_judged_and_keeps_what_it_names() -> None:
    judged = duplicates.judgements()
    removed = [removed for removed, _ in judged]
    assert len(set(removed)) == len(removed)
    assert not {kept for _, kept in judged} & set(removed)
    assert set(judged.values()) == {"same", "template"}


@pytest.mark.slow
def test_peers_find_the_same_picture_and_answers_are_kept() -> None:
    pictures = sources(*map(picture, range(6)))
    hashes = corpus.directory() / "hashes.npz"
    peers.prepare(pictures[:4], hashes, workers=1)
    questions = [Question("jpeg q30", pictures[2]), Question(AS_IT_IS, pictures[5])]
    answers = asking.ask(questions, list(peers.PEERS), "g", hashes, workers=1)
    for name in peers.PEERS:
        found = answers[name]["jpeg q30", pictures[2].key[:16]].found
        assert found[0][0] == pictures[2].key[:16]
        assert found[0][1] <= 10
        assert [d for _, d in found] == sorted(d for _, d in found)
        assert answers[name][AS_IT_IS, pictures[5].key[:16]].found[0][1] > 31

    # A run that was stopped in the middle of a line goes on from there.
    file = asking._file("pdqhash", "g")
    lines = file.read_text().splitlines()
    forged = json.dumps([*questions[0].name, [["kept", 1.0]]])
    file.write_text(f"{forged}\n{lines[1][:20]}")
    again = asking.ask(questions, ["pdqhash"], "g", hashes, workers=1)["pdqhash"]
    assert again[questions[0].name].found == (("kept", 1.0),)
    assert again[questions[1].name] == answers["pdqhash"][questions[1].name]
    assert len(file.read_text().splitlines()) == 2


def test_other_code_and_other_galleries_have_other_answers() -> None:
    versions = {methods.version(name, "g") for name in ("imgsmlr", "pdq", "copy", "pdqhash")}
    assert len(versions) == 4
    assert methods.version("pdq", "g") not in (versions - {methods.version("pdq", "g")})
    assert methods.version("pdq", "other") not in versions
    one, two = sources(picture(1), picture(2))
    assert database.gallery_digest([one]) != database.gallery_digest([one, two])


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_product_is_filled_and_asked(settings: Any) -> None:
    pictures = sources(*map(picture, range(4)))
    database.fill(pictures[:3], workers=1)
    assert database.images() == 3
    database.pad(5, workers=1)
    assert database.images() == 5
    database.fill(pictures[:3], workers=1)
    assert database.images() == 5
    data = transforms.edited("jpeg q30", pictures[1].key, corpus.pixels(pictures[1]))
    for name in ("imgsmlr", "pdq"):
        found = methods.get(name, Path())(data)
        assert found[0][0] == pictures[1].key
        assert len(found) > 1
    copies = asking.copies(pictures[:3], ["grey", "mirror"], pictures[3:])
    latencies = asking.latency(copies, ["imgsmlr"], Path(), count=4)
    assert 0 < latencies["imgsmlr"][0] <= latencies["imgsmlr"][1]
    sizes = database.bytes_per_image()
    assert {"gallery_imagedetail", "imagefingerprint_pdq_hnsw"} <= set(sizes)
    assert all(size >= 0 for size in sizes.values())
