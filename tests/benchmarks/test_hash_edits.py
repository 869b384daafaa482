"""The benchmark of edited copies runs, on few pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.hash_edits import __main__ as running
from benchmarks.hash_edits import corpus, measure
from benchmarks.hash_edits.edits import EDITS
from benchmarks.hash_edits.measure import Place
from moderation.lists import hash_index
from moderation.lists.hash_index import HashIndex
from tests.factories import jpeg, wheel_photo

NAMES = ("chelsea.png", "coffee.png", "rocket.jpg")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Each picture as if it were of a package of its own."""
    found = []
    for name in NAMES:
        path = tmp_path / name.split(".")[0] / f"{name}.jpg"
        path.parent.mkdir()
        path.write_bytes(jpeg(wheel_photo(name).resize((320, 240)), 95))
        found.append(path)
    return found


def test_copies_are_found_and_strangers_are_not(paths: list[Path], tmp_path: Path) -> None:
    copies = measure.copies(paths[0], photograph=True)
    assert [copy.edit for copy in copies] == list(EDITS)
    found = {copy.edit for copy in copies if copy.plain or copy.edited}
    assert {"negative", "turned 3°, canvas kept", "crop to 97 %, centred"} <= found
    assert {copy.edit for copy in copies if copy.blocks} <= {"negative", "negative, mirrored"}
    hashes, rows = running._list(paths[:2])
    index = running._index(hashes, tmp_path / "list.pdq")
    shown = measure.stranger(Place(paths[2]), index, rows)
    assert shown is not None and not shown.plain and not shown.edited
    assert "| negative | 0.000 | 1.000 | 1.000 | 0.000 | 1.000 |" in running._recall(copies)
    assert "| all | 1 | all rows | 0 | 0 | - |" in running._false_hits([shown])


def test_what_shows_the_same_is_told_apart(paths: list[Path], tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "copy.jpg"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(paths[0].read_bytes())
    hashes, rows = running._list(paths[:1])
    shown = measure.stranger(Place(elsewhere), running._index(hashes, tmp_path / "l.pdq"), rows)
    assert shown is not None
    assert (shown.plain, shown.plain_others) == (1, 0)


def test_times_are_of_a_long_list(paths: list[Path], tmp_path: Path) -> None:
    hashes = measure.padded(hash_index.pack([bytes(32)]), 5_000)
    assert hashes.shape == (5_000, 32)
    hash_index.build(tmp_path / "long.pdq", np.arange(5_000), hashes, watermark=0)
    took = measure.times([measure.load(paths[0])], HashIndex(tmp_path / "long.pdq"))
    assert min(took.variants, took.likely) > 0


def test_the_halves_share_nothing() -> None:
    digests = [Path(f"{first:x}{second:x}.jpg") for first in range(16) for second in range(16)]
    parts = {(corpus.on_list(path), corpus.held_out(path)) for path in digests}
    assert len(parts) == 4
