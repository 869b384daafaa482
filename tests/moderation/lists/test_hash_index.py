"""Exact search among 256-bit hashes: complete at every distance, and safe while it is replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pdqhash
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gallery.imaging.descriptors.pdq import turned_hashes
from gallery.shared.errors import Unavailable, UserError
from moderation.lists import hash_index, hash_words
from moderation.lists.hash_index import (
    BITS,
    HashIndex,
    InvalidHashes,
    InvalidThreshold,
    build,
    pack,
    scan,
    scan_likely,
)
from moderation.lists.index_file import IndexUnusable
from tests.examples import fuzz

THRESHOLDS = (0, 31, 32, 47, 48, 52)
COUNT = 100_000
PAIRS = 200
FARTHEST = 60
CHUNK = 32768

Hashes = NDArray[np.uint8]


def bits(hashes: Hashes) -> NDArray[np.float32]:
    return np.unpackbits(hashes, axis=1).astype(np.float32)


def true_distances(queries: Hashes, hashes: Hashes) -> NDArray[np.int64]:
    """By scalar products, so that nothing is shared with the code under test: shape (q, n)."""
    a, b = bits(queries), bits(hashes)
    both = a @ b.T
    return np.asarray(a.sum(1)[:, None] + b.sum(1)[None, :] - 2 * both, np.int64)


def expected(distances: NDArray[np.int64], items: NDArray[np.int64], threshold: int) -> list[tuple]:
    query, row = np.nonzero(distances <= threshold)
    found = zip(items[row].tolist(), query.tolist(), distances[query, row].tolist(), strict=True)
    return sorted(found, key=lambda hit: (hit[2], hit[0], hit[1]))


def random_hashes(count: int, seed: int = 1) -> Hashes:
    return np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)


def flipped(one: Hashes, positions: NDArray[np.int64]) -> Hashes:
    """The hash with the bits at these positions inverted."""
    changed = np.unpackbits(one)
    changed[positions] ^= 1
    return np.packbits(changed)


def numbered(count: int) -> NDArray[np.int64]:
    """Ids that are no row numbers, some negative or above 32 bits."""
    return np.random.default_rng(9).permutation(count).astype(np.int64) * 1_000_003 - 5_000


def listed(hashes: Hashes) -> list[bytes]:
    return [row.tobytes() for row in hashes]


def made(tmp_path: Path, hashes: Hashes, items: NDArray[np.int64] | None = None) -> HashIndex:
    path = tmp_path / "banned.idx"
    build(path, numbered(len(hashes)) if items is None else items, hashes, watermark=1)
    return HashIndex(path)


@pytest.fixture(scope="module")
def planted() -> tuple[Hashes, Hashes, NDArray[np.int64]]:
    """200 queries; 100,000 hashes with one at each distance 0 to 60 of each query; the truth."""
    random = np.random.default_rng(7)
    queries = random_hashes(PAIRS, 2)
    hashes = random_hashes(COUNT, 3)
    places = random.permutation(COUNT)
    for number, query in enumerate(queries):
        for distance in range(FARTHEST + 1):
            # Every third query has its changes side by side: all in one or two words.
            run = (random.integers(BITS) + np.arange(distance)) % BITS
            apart = random.permutation(BITS)[:distance]
            at = places[number * (FARTHEST + 1) + distance]
            hashes[at] = flipped(query, run if number % 3 == 0 else apart)
    return queries, hashes, true_distances(queries, hashes)


def test_the_planted_pairs_are_there(planted: tuple[Hashes, Hashes, NDArray[np.int64]]) -> None:
    _, _, distances = planted
    counts = np.bincount(distances[distances <= FARTHEST], minlength=FARTHEST + 1)
    assert counts[: FARTHEST + 1].min() >= PAIRS


@pytest.mark.slow
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_all_within_the_threshold_are_found_and_nothing_beyond(
    planted: tuple[Hashes, Hashes, NDArray[np.int64]], tmp_path: Path, threshold: int
) -> None:
    queries, hashes, distances = planted
    items = numbered(COUNT)
    hits = made(tmp_path, hashes, items).search(listed(queries), threshold)
    assert hits.tolist() == expected(distances, items, threshold)
    per_distance = np.bincount(hits["distance"], minlength=threshold + 1)
    assert len(per_distance) == threshold + 1
    assert per_distance.min() >= PAIRS


def test_distances_are_those_of_plain_integers(tmp_path: Path) -> None:
    hashes, queries = random_hashes(50), random_hashes(3, 4)
    hits = made(tmp_path, hashes, np.arange(50)).search(listed(queries), BITS)
    numbers = [int.from_bytes(row) for row in listed(hashes)]
    asked = [int.from_bytes(row) for row in listed(queries)]
    assert len(hits) == 150
    for item, query, distance in hits.tolist():
        assert distance == (numbers[item] ^ asked[query]).bit_count()


def clustered(count: int) -> Hashes:
    """Near-duplicates of few centres, many of them of little variety as flat pictures have."""
    random = np.random.default_rng(11)
    centres = random_hashes(40, 12)
    centres[:8] = 0
    centres[8:12] = 255
    centres[12:16] = 0b01010101
    centres[16:24, 8:] = centres[0, 8:]
    centres[24:30] = np.tile(centres[24:30, :2], 16)
    rows = centres[random.integers(len(centres), size=count)]
    changes = random.random((count, BITS)) < random.beta(0.5, 4, (count, 1))
    return rows ^ np.packbits(changes, axis=1)


@pytest.mark.parametrize("threshold", [*THRESHOLDS, 100, 128, 255, 256])
def test_near_duplicates_and_hashes_of_little_variety(tmp_path: Path, threshold: int) -> None:
    hashes = clustered(4_000)
    queries = np.concatenate([clustered(8), hashes[:4], hashes[:1]])
    items = numbered(len(hashes))
    hits = made(tmp_path, hashes, items).search(listed(queries), threshold)
    assert hits.tolist() == expected(true_distances(queries, hashes), items, threshold)


def picture() -> NDArray[np.uint8]:
    noise = np.random.default_rng(5).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (280, 240), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_the_variant_that_matches_is_named(tmp_path: Path) -> None:
    turns = [np.rot90(picture(), turn) for turn in range(4)]
    banned = [pdqhash.compute(np.ascontiguousarray(turn))[0] for turn in turns]
    variants = pdqhash.compute_dihedral(picture())[0]
    queries = [np.packbits(variant).tobytes() for variant in variants]
    index = made(tmp_path, np.stack([np.packbits(each) for each in banned]), np.arange(4))
    hits = index.search(queries, 31)
    assert hits["item"].tolist().count(0) == 1
    assert set(hits["item"].tolist()) == {0, 1, 2, 3}
    assert len(set(hits["query"].tolist())) == 4


@pytest.mark.parametrize("count", [1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 1])
def test_the_first_and_last_rows_of_every_chunk(tmp_path: Path, count: int) -> None:
    hashes = random_hashes(count)
    rows = sorted({0, count - 1, *(edge for edge in (CHUNK - 1, CHUNK) if edge < count)})
    hits = made(tmp_path, hashes, np.arange(count)).search(listed(hashes[rows]), 31)
    assert hits.tolist() == [(row, number, 0) for number, row in enumerate(rows)]


@fuzz(20)
@given(
    stored=st.lists(st.binary(min_size=32, max_size=32), max_size=20),
    asked=st.lists(st.binary(min_size=32, max_size=32), max_size=5),
    threshold=st.integers(0, BITS),
)
def test_scan_agrees_with_the_definition(
    stored: list[bytes], asked: list[bytes], threshold: int
) -> None:
    items = np.arange(len(stored), dtype=np.int64)
    truth = [
        (row, query, distance)
        for row, hashed in enumerate(stored)
        for query, wanted in enumerate(asked)
        if (distance := (int.from_bytes(hashed) ^ int.from_bytes(wanted)).bit_count()) <= threshold
    ]
    hits = scan(items, pack(stored), asked, threshold)
    assert hits.tolist() == sorted(truth, key=lambda hit: (hit[2], hit[0], hit[1]))


def turned(random: np.random.Generator, one: Hashes) -> Hashes:
    """The hashes of a picture in all eight turns, each but the first a few bits beside its rule."""
    hashes = np.frombuffer(b"".join(turned_hashes(one.tobytes())), np.uint8).reshape(8, 32).copy()
    for number in range(1, 8):
        hashes[number] = flipped(hashes[number], random.permutation(BITS)[: random.integers(25)])
    return hashes


def test_words_of_a_hash_are_inverted_by_mirroring() -> None:
    hashes = random_hashes(500)
    assert (hash_words.plain(hash_words.arranged(hashes)) == hashes).all()
    plain, _, both, _, down, across, _, _ = (
        hash_words.arranged(np.frombuffer(one, np.uint8)[np.newaxis])
        for one in turned_hashes(hashes[0].tobytes())
    )
    forms = (plain.T ^ hash_words.MIRRORED).tolist()
    assert forms == [one[:, 0].tolist() for one in (plain, across, down, both)]


@pytest.mark.parametrize("threshold", [0, 31, 52, 90, 100])
def test_pictures_in_eight_turns_are_found_in_each(tmp_path: Path, threshold: int) -> None:
    random = np.random.default_rng(11)
    originals = random_hashes(12, 5)
    queries = np.concatenate([turned(random, one) for one in originals])
    hashes = random_hashes(40_000, 6)
    places = iter(random.permutation(len(hashes)))
    for query in queries:
        for distance in range(0, threshold + 10, 7):
            hashes[next(places)] = flipped(query, random.permutation(BITS)[:distance])
    # Queries without turns among them, and one of which only two turns are asked.
    asked = np.concatenate([queries[:-5], random_hashes(3, 8)])[
        random.permutation(len(queries) - 2)
    ]
    items = numbered(len(hashes))
    hits = made(tmp_path, hashes, items).search(listed(asked), threshold)
    assert hits.tolist() == expected(true_distances(asked, hashes), items, threshold)
    assert len(hits) >= len(queries) * (threshold // 7)


def test_a_list_of_near_equal_hashes_is_not_compared_query_by_query(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows near to a picture are measured; the others cost few words, for four turns at once."""
    random = np.random.default_rng(3)
    centre = random_hashes(1, 4)[0]
    hashes = random_hashes(3 * CHUNK, 5)
    for row in range(CHUNK):
        hashes[row] = flipped(centre, random.permutation(BITS)[: row % 9])
    counted = 0
    count = np.bitwise_count

    def counting(words: NDArray[np.uint64], **given: object) -> NDArray[np.uint8]:
        nonlocal counted
        counted += words.size
        return np.asarray(count(words, **given))

    index = made(tmp_path, hashes)
    away = turned(random, random_hashes(1, 9)[0])
    for queries, near in ((turned(random, centre), CHUNK), (away, 0)):
        counted = 0
        monkeypatch.setattr(np, "bitwise_count", counting)
        hits = index.search(listed(queries), 52)
        monkeypatch.setattr(np, "bitwise_count", count)
        assert len(hits) == near
        # At most three words of each row in two groups, and all of the near ones in four turns.
        assert counted <= 2 * 3 * len(hashes) + (2 + 4) * 4 * near + 30_000


def test_scan_and_index_answer_alike(tmp_path: Path) -> None:
    hashes, items = clustered(500), numbered(500)
    queries = listed(hashes[::100])
    found = made(tmp_path, hashes, items).search(queries, 52)
    scanned = scan(items, hashes, queries, 52)
    assert len(found) > 500
    np.testing.assert_array_equal(found, scanned)


def test_rows_of_a_wider_array_are_read_rightly(tmp_path: Path) -> None:
    wide = random_hashes(40).reshape(20, 64)
    hashes, items = wide[::2, ::2], np.arange(20)[::-2]
    query = [hashes[3].tobytes()]
    assert scan(items, hashes, query, 31).tolist() == [(13, 0, 0)]
    assert made(tmp_path, hashes, items).search(query, 31).tolist() == [(13, 0, 0)]


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    index = made(tmp_path, random_hashes(0))
    assert len(index) == 0
    assert index.search(listed(random_hashes(8)), BITS).tolist() == []


def test_no_queries_find_nothing(tmp_path: Path) -> None:
    assert made(tmp_path, random_hashes(3)).search([], BITS).tolist() == []


def test_an_item_with_many_hashes_and_a_hash_of_many_items(tmp_path: Path) -> None:
    hashes = np.concatenate([np.repeat(random_hashes(1), 3, axis=0), random_hashes(1, 8)])
    index = made(tmp_path, hashes, np.array([7, 8, 7, 7]))
    assert index.search([hashes[0].tobytes()], 0).tolist() == [(7, 0, 0), (7, 0, 0), (8, 0, 0)]


def test_a_query_given_twice_is_answered_twice(tmp_path: Path) -> None:
    hashes = random_hashes(5)
    query = hashes[2].tobytes()
    hits = made(tmp_path, hashes, np.arange(5)).search([query, query], 31)
    assert hits.tolist() == [(2, 0, 0), (2, 1, 0)]


@pytest.mark.parametrize("item", [-(2**63), -1, 0, 2**63 - 1])
def test_extreme_ids_and_watermarks_come_back(tmp_path: Path, item: int) -> None:
    path = tmp_path / "banned.idx"
    hashes = random_hashes(1)
    build(path, np.array([item]), hashes, watermark=item)
    index = HashIndex(path)
    assert index.watermark == item
    assert index.search(listed(hashes), 0)["item"].tolist() == [item]


@pytest.mark.parametrize("query", [b"", bytes(31), bytes(33), b"0" * 64])
def test_a_query_of_another_length_is_refused(tmp_path: Path, query: bytes) -> None:
    index = made(tmp_path, random_hashes(3))
    with pytest.raises(InvalidHashes, match="32 bytes"):
        index.search([bytes(32), query], 31)


def test_lengths_that_make_up_for_each_other_are_refused() -> None:
    with pytest.raises(InvalidHashes):
        pack([bytes(31), bytes(33)])


@pytest.mark.parametrize("threshold", [-1, BITS + 1, 10**9])
def test_a_threshold_out_of_range_is_refused(tmp_path: Path, threshold: int) -> None:
    index = made(tmp_path, random_hashes(3))
    with pytest.raises(InvalidThreshold, match="0 to 256") as refused:
        index.search([bytes(32)], threshold)
    assert isinstance(refused.value, UserError)
    assert refused.value.field == "threshold"


@pytest.mark.parametrize(
    ("items", "hashes"),
    [
        (np.arange(4), random_hashes(3)),
        (np.arange(3), random_hashes(3)[:, :31]),
        (np.arange(3), random_hashes(3).view(np.uint64)),
        (np.arange(3.0), random_hashes(3)),
        (np.arange(3).reshape(3, 1), random_hashes(3)),
        (np.arange(32), random_hashes(1)[0]),
    ],
)
def test_arrays_that_do_not_fit_are_refused_and_the_old_index_stays(
    tmp_path: Path, items: NDArray[np.int64], hashes: Hashes
) -> None:
    index = made(tmp_path, random_hashes(2))
    with pytest.raises(InvalidHashes):
        build(index.path, items, hashes, watermark=2)
    with pytest.raises(InvalidHashes):
        scan(items, hashes, [bytes(32)], 31)
    assert len(HashIndex(index.path)) == 2


def refused(path: Path) -> str:
    with pytest.raises(IndexUnusable) as error:
        HashIndex(path)
    assert isinstance(error.value, Unavailable)
    assert error.value.code == "index_unusable"
    assert error.value.message.endswith("build it again.")
    assert str(path.parent) not in error.value.message
    return error.value.message


def test_a_missing_file_a_directory_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "missing.idx")
    (tmp_path / "directory.idx").mkdir()
    assert "directory" in refused(tmp_path / "directory.idx")
    (tmp_path / "empty.idx").touch()
    assert "truncated" in refused(tmp_path / "empty.idx")


def test_a_foreign_file_and_another_format_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "banned.idx"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
    assert "some other file" in refused(path)
    build(path, numbered(3), random_hashes(3), watermark=1)
    data = bytearray(path.read_bytes())
    data[8] = 3
    path.write_bytes(data)
    assert "format 3" in refused(path)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_every_shorter_or_longer_file_is_refused(tmp_path: Path, count: int) -> None:
    path = made(tmp_path, random_hashes(count)).path
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        refused(path)
    path.write_bytes(data + b"\0")
    assert "another size" in refused(path)
    path.write_bytes(data)
    assert len(HashIndex(path)) == count


def test_a_changed_bit_in_any_byte_is_noticed(tmp_path: Path) -> None:
    path = made(tmp_path, random_hashes(3)).path
    data = path.read_bytes()
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        refused(path)


def test_a_reader_keeps_its_hashes_until_it_opens_the_new_file(tmp_path: Path) -> None:
    old, new = random_hashes(100, 1), random_hashes(70_000, 2)
    before = made(tmp_path, old, np.arange(100))
    assert not before.replaced()
    build(before.path, np.arange(70_000), new, watermark=2)
    assert before.replaced()
    assert before.search(listed(old[:1]), 31).tolist() == [(0, 0, 0)]
    assert before.search(listed(new[-1:]), 31).tolist() == []
    after = HashIndex(before.path)
    assert (before.watermark, after.watermark, after.replaced()) == (1, 2, False)
    assert after.search(listed(old[:1]), 31).tolist() == []
    assert after.search(listed(new[-1:]), 31).tolist() == [(69_999, 0, 0)]
    after.path.unlink()
    assert after.replaced()
    assert after.search(listed(new[-1:]), 31).tolist() == [(69_999, 0, 0)]


def test_the_mapped_hashes_cannot_be_written_to(tmp_path: Path) -> None:
    index = made(tmp_path, random_hashes(3))
    with pytest.raises(ValueError, match="read-only"):
        index.columns[1][0, 0] = 0


GENERATION = """
import sys, time
from pathlib import Path
import numpy as np
from moderation.lists.hash_index import HashIndex, build

def generation(number):
    count = 500 + number * 7919 % 40_000
    hashes = np.random.default_rng(number).integers(0, 256, (count, 32), dtype=np.uint8)
    return np.full(count, number, np.int64), hashes

def write(number):
    build(path, *generation(number), watermark=number)

def check(index):
    items, hashes = generation(index.watermark)
    assert len(index) == len(items)
    asked = [hashes[row].tobytes() for row in (0, len(hashes) // 2, -1)]
    expected = [(index.watermark, query, 0) for query in range(3)]
    assert index.search(asked, 31).tolist() == expected, index.watermark
"""

TO_PATH = """
path = Path(sys.argv[1])
"""

READER = """
seen, index = set(), HashIndex(path)
print("ready", flush=True)
while index.watermark < int(sys.argv[2]):
    check(index)
    seen.add(index.watermark)
    if index.replaced():
        check(index)
        index = HashIndex(path)
check(index)
print(len(seen), flush=True)
"""

WRITER = """
number = HashIndex(path).watermark
print("ready", flush=True)
while True:
    number += 1
    write(number)
"""


def started(script: str, *arguments: object) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", GENERATION + TO_PATH + script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def in_this_process(path: Path) -> dict:
    scope: dict = {}
    exec(GENERATION, scope)
    scope["path"] = path
    return scope


def test_processes_search_while_it_is_built_again_and_again(tmp_path: Path) -> None:
    path, last = tmp_path / "banned.idx", 40
    here = in_this_process(path)
    here["write"](1)
    readers = [started(READER, path, last) for _ in range(2)]
    for number in range(2, last + 1):
        here["write"](number)
    for reader in readers:
        output, _ = reader.communicate(timeout=60)
        assert reader.returncode == 0
        assert int(output) >= 2
    assert sorted(each.name for each in tmp_path.iterdir()) == ["banned.idx", "banned.idx.lock"]


def test_a_killed_builder_leaves_the_last_complete_index(tmp_path: Path) -> None:
    path = tmp_path / "banned.idx"
    here = in_this_process(path)
    here["write"](1)
    for attempt in range(3):
        writer = started(WRITER, path)
        time.sleep(0.03 + 0.017 * attempt)
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
        here["check"](HashIndex(path))
    path.with_name("banned.idx.new").write_bytes(b"left behind" * 10_000_000)
    here["write"](1000)
    here["check"](HashIndex(path))
    assert HashIndex(path).watermark == 1000


def test_builders_in_several_processes_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "banned.idx"
    here = in_this_process(path)
    here["write"](1)
    writers = [started(WRITER, path) for _ in range(2)]
    until = time.monotonic() + 1
    while time.monotonic() < until:
        here["check"](HashIndex(path))
    for writer in writers:
        assert writer.poll() is None
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
    here["check"](HashIndex(path))


def test_a_full_disk_leaves_the_old_index(tmp_path: Path) -> None:
    index = made(tmp_path, random_hashes(10))
    script = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
print("ready", flush=True)
try:
    write(5)
except OSError as error:
    print(error.strerror)
"""
    output, _ = started(script, index.path).communicate(timeout=30)
    assert output == "File too large\n"
    assert len(HashIndex(index.path)) == 10


def test_threads_share_an_instance(tmp_path: Path) -> None:
    hashes, items = clustered(3_000), numbered(3_000)
    index = made(tmp_path, hashes, items)
    queries = [listed(hashes[start : start + 3]) for start in range(0, 60, 3)]
    alone = [index.search(each, 31).tolist() for each in queries]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda each: index.search(each, 31).tolist(), queries)) == alone


def by_the_rule(hashes: Hashes, queries: Hashes, threshold: int) -> list[int]:
    """What ``likely`` is to find: within the threshold, and two bits in two of the last bands."""
    rows = np.arange(len(hashes))[:, None], np.arange(len(queries))[None]
    differing = bits(hashes)[rows[0]] != bits(queries)[rows[1]]
    near = differing.sum(axis=2) <= threshold
    bands = differing.reshape(*near.shape, 16, 16).sum(axis=3)[..., 8:]
    return np.flatnonzero((near & ((bands <= 2).sum(axis=2) >= 2)).any(axis=1)).tolist()


@pytest.mark.parametrize("threshold", [31, 72, 256])
def test_likely_rows_are_those_of_its_rule(tmp_path: Path, threshold: int) -> None:
    hashes = np.concatenate([clustered(1_500), random_hashes(500)])
    queries = np.concatenate([clustered(60), random_hashes(70, 8)])
    items = numbered(len(hashes))
    expected_rows = by_the_rule(hashes, queries, threshold)
    assert 0 < len(expected_rows) < len(hashes)
    found, rows = made(tmp_path, hashes, items).likely(listed(queries), threshold)
    assert found.tolist() == items[expected_rows].tolist()
    assert (rows == hashes[expected_rows]).all()
    again = scan_likely(items, hashes, listed(queries), threshold)
    assert again[0].tolist() == found.tolist()


def test_likely_rows_beyond_a_chunk_and_of_nothing(tmp_path: Path) -> None:
    hashes = random_hashes(CHUNK + 3)
    index = made(tmp_path, hashes, np.arange(len(hashes)))
    items, rows = index.likely(listed(hashes[[CHUNK + 1, 5]]), 0)
    assert items.tolist() == [5, CHUNK + 1]
    assert (rows == hashes[[5, CHUNK + 1]]).all()
    assert len(index.likely([], 72)[0]) == 0
    none = np.empty(0, np.int64), np.empty((0, 32), np.uint8)
    assert len(scan_likely(*none, listed(hashes[:2]), 72)[0]) == 0


def test_most_near_rows_are_likely(planted: tuple[Hashes, Hashes, NDArray[np.int64]]) -> None:
    queries, hashes, distances = planted
    near = np.unique(np.nonzero(distances <= 31)[1])
    found, _ = scan_likely(np.arange(COUNT), hashes, listed(queries), 31)
    assert set(found.tolist()) <= set(near.tolist())
    assert len(found) > 0.98 * len(near)


def test_the_module_imports_no_django() -> None:
    script = "import sys, moderation.lists.hash_index; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    ).stdout.split()
    assert hash_index.__name__ in loaded
    assert not {"django", "psycopg2", "cv2"} & set(loaded)
