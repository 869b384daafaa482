"""Matching is complete, and as the rows are at this moment: whatever the index of hashes holds."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg2
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django_q.models import OrmQ

from moderation import tasks
from moderation.lists import (
    banned_hashes,
    index_refresh,
    item_adding,
    item_changing,
    list_writes,
    policies,
    shared_rows,
)
from moderation.lists.hash_index import HashIndex
from moderation.lists.models import BannedHash, BannedItem, BannedList, ListMethod
from moderation.lists.verdicts import Action
from moderation.screening import exact, pdq, verdict_rules
from moderation.screening.types import NO_PIXELS, ContentFrame
from tests.environment import DATA_DIR
from tests.moderation.factories import ADMIN, make_item, make_list

QUERIES, DISTANCES, STRANGERS = 200, 53, 100_000


@pytest.fixture(autouse=True)
def _no_index() -> Iterator[None]:
    def remove() -> None:
        for path in (settings.DATA_DIR / "hashes").glob("*"):
            path.unlink()
        banned_hashes.rows.forget()

    remove()
    yield
    remove()


def load(item: BannedItem, hashes: list[bytes]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO moderation_bannedhash (item_id, kind, value, quality) "
            "SELECT %s, 'pdq', value, 90 FROM unnest(%s) AS value",
            [item.pk, [hash.hex() for hash in hashes]],
        )


def planted(random: np.random.Generator) -> tuple[list[bytes], list[tuple[int, int, bytes]]]:
    """Queries, and one hash at each distance of each: (query, distance, hash)."""
    queries = [random.bytes(32) for _ in range(QUERIES)]
    pairs = []
    for number, query in enumerate(queries):
        for distance in range(DISTANCES):
            bits = np.zeros(256, np.uint8)
            bits[random.permutation(256)[:distance]] = 1
            mask = np.packbits(bits)
            pairs.append((number, distance, (np.frombuffer(query, np.uint8) ^ mask).tobytes()))
    return queries, pairs


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_everything_within_the_threshold_is_found_and_nothing_beyond() -> None:
    random = np.random.default_rng(7)
    queries, pairs = planted(random)
    strangers = [random.bytes(32) for _ in range(STRANGERS)]
    every = [hash for _, _, hash in pairs] + strangers
    order = random.permutation(len(every))
    parts = [[every[at] for at in part] for part in np.array_split(order, 3)]
    on = make_list(observe_share=0)
    in_file, settled, running = (make_item(on) for _ in range(3))
    load(in_file, parts[0])
    assert banned_hashes.rows.refresh(always=True) == len(parts[0])
    load(settled, parts[1])
    # As the frames of one animation, which are asked about at once.
    views = [
        ContentFrame(NO_PIXELS, NO_PIXELS, [query], 90, frame=number)
        for number, query in enumerate(queries)
    ]
    with transaction.atomic():
        load(running, parts[2])
        kept, fresh = banned_hashes.rows.current()
        assert kept.index is not None
        assert (len(kept.index), len(kept), len(fresh)) == tuple(map(len, parts))
        numbers = dict(BannedHash.objects.values_list("pk", "value"))
        for threshold in (0, 31, 32, 47, 48, 52):
            ListMethod.objects.filter(list=on, match_type="pdq").update(
                threshold=threshold, observe=threshold
            )
            found = [
                (match.frame, int(match.distance), bytes.fromhex(numbers[match.item_place]))
                for match in pdq.matches(views, policies.current())
            ]
            expected = [pair for pair in pairs if pair[1] <= threshold]
            assert len(expected) == QUERIES * (threshold + 1)
            assert sorted(found) == sorted(expected)


@contextmanager
def another_process() -> Iterator[Any]:
    """A function that asks another process which items a hash matches."""
    script = Path(__file__).with_name("other_process.py")
    process = subprocess.Popen(
        [sys.executable, str(script), str(connection.settings_dict["NAME"])],
        env={**os.environ, "DATA_DIR": str(DATA_DIR), "PYTHONPATH": str(settings.BASE_DIR)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None

    def ask(value: str) -> tuple[str, list[int]]:
        print(value, file=process.stdin, flush=True)
        assert process.stdout is not None
        verdict, *found = process.stdout.readline().split()
        return verdict, [int(pk) for pk in found]

    try:
        yield ask
    finally:
        process.stdin.close()
        process.wait(20)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_changes_hold_for_the_next_question_in_another_process() -> None:
    on = list_writes.create_list(by=ADMIN, name=secrets.token_hex(4), action=Action.BLOCK)
    load(make_item(on), [secrets.token_bytes(32) for _ in range(100)])
    banned_hashes.rows.refresh(always=True)
    value = secrets.token_hex(32)
    beside = f"{int(value, 16) ^ 0xFFFFFFFFFF:064x}"  # 40 bits away
    with another_process() as ask:
        assert ask(value) == ("allow", [])
        item = item_adding.add_hashes(by=ADMIN, list_id=on.pk, hashes=[("pdq", value, 90)])
        assert ask(value) == ("block", [item.pk])
        # Also once it is in the file, which is replaced while the process has it open.
        banned_hashes.rows.refresh(always=True)
        assert ask(value) == ("block", [item.pk])
        chosen = BannedItem.objects.filter(pk=item.pk)
        item_changing.retire(by=ADMIN, items=chosen, reason="test")
        assert ask(value) == ("allow", [])
        item_changing.activate(by=ADMIN, items=chosen, reason="test")
        assert ask(value) == ("block", [item.pk])
        assert ask(beside) == ("allow", [])
        list_writes.change_method(by=ADMIN, list_id=on.pk, match_type="pdq", threshold=40)
        assert ask(beside) == ("block", [item.pk])
        list_writes.change_method(by=ADMIN, list_id=on.pk, match_type="pdq", threshold=39)
        assert ask(beside) == ("allow", [])
        list_writes.change_list(by=ADMIN, list_id=on.pk, action=Action.REVIEW)
        assert ask(value) == ("review", [item.pk])
        item_changing.give_opinion(by=ADMIN, items=chosen, opinion="false_positive", reason="test")
        assert ask(value) == ("allow", [])
        item_changing.give_opinion(by=ADMIN, items=chosen, opinion="confirmed", reason="test")
        list_writes.change_list(by=ADMIN, list_id=on.pk, enabled=False)
        assert ask(value) == ("allow", [])


def hits(value: bytes) -> list[int]:
    return [int(hit["item"]) for hit in banned_hashes.near([value], 0)]


@pytest.mark.django_db(transaction=True)
def test_a_row_whose_transaction_took_long_is_not_missed() -> None:
    on = make_list()
    item = make_item(on)
    slow, quick = secrets.token_bytes(32), secrets.token_bytes(32)
    other = psycopg2.connect(
        host=connection.settings_dict["HOST"],
        port=connection.settings_dict["PORT"],
        user=connection.settings_dict["USER"],
        password=connection.settings_dict["PASSWORD"],
        dbname=connection.settings_dict["NAME"],
    )
    try:
        with other.cursor() as cursor:
            cursor.execute(
                "INSERT INTO moderation_bannedhash (item_id, kind, value) VALUES (%s, 'pdq', %s) "
                "RETURNING id",
                [item.pk, slow.hex()],
            )
            (row,) = cursor.fetchone() or (0,)
        load(item, [quick])
        # The file, and this process's memory, are both of a time when it was not to be seen.
        banned_hashes.rows.refresh(always=True)
        assert hits(quick) and not hits(slow)
        load(item, [secrets.token_bytes(32)])
        assert not hits(slow)
        other.commit()
    finally:
        other.close()
    assert hits(slow) == [row]
    banned_hashes.rows.refresh(always=True)
    assert hits(slow) == [row] and hits(quick)
    assert len(HashIndex(banned_hashes.rows.path())) == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("harm", ["missing", "damaged", "cut short"])
def test_without_a_file_everything_is_found_and_the_file_comes_back(harm: str) -> None:
    item = make_item(make_list())
    hashes = [secrets.token_bytes(32) for _ in range(50)]
    load(item, hashes)
    banned_hashes.rows.refresh(always=True)
    path = banned_hashes.rows.path()
    content = bytearray(path.read_bytes())
    path.unlink()
    if harm == "damaged":
        content[-1] ^= 1
        path.write_bytes(content)
    elif harm == "cut short":
        path.write_bytes(content[:20])
    assert all(hits(hash) for hash in hashes)
    assert banned_hashes.rows.is_due() == (harm != "missing")
    banned_hashes.rows.refresh(always=harm == "missing")
    assert len(HashIndex(path)) == 50 and not banned_hashes.rows.is_due()
    assert all(hits(hash) for hash in hashes)


@pytest.mark.django_db(transaction=True)
def test_a_long_tail_is_written_into_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banned_hashes.rows, "most_newer", 30)
    item = make_item(make_list())
    load(item, [secrets.token_bytes(32) for _ in range(30)])
    assert not banned_hashes.rows.is_due() and banned_hashes.rows.refresh() == 0
    load(item, [secrets.token_bytes(32)])
    assert banned_hashes.rows.is_due()
    # A question has it written, by a worker; the next one does not look again.
    monkeypatch.setattr(index_refresh, "_next_look", 0.0)
    for _ in range(2):
        index_refresh.ask_if_due()
    assert [task.func() for task in OrmQ.objects.all()] == ["moderation.tasks.refresh_hash_index"]
    assert tasks.refresh_hash_index() == 31
    assert not banned_hashes.rows.is_due()


@pytest.mark.django_db(transaction=True)
def test_newer_rows_are_added_to_the_file_without_reading_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(banned_hashes.rows, "most_newer", 3)
    item = make_item(make_list())
    hashes = [secrets.token_bytes(32) for _ in range(40)]
    load(item, hashes[:20])
    banned_hashes.rows.refresh()
    read = []
    original = banned_hashes.rows.read

    def reading(condition: str) -> Any:
        found = original(condition)
        read.append(len(found))
        return found

    monkeypatch.setattr(banned_hashes.rows, "read", reading)
    load(item, hashes[20:])
    assert banned_hashes.rows.refresh() == 40
    assert max(read) == 20 and all(hits(hash) for hash in hashes)
    # Rows that are gone cannot be taken out, so all others are read.
    BannedHash.objects.filter(value=hashes[0].hex()).delete()
    assert banned_hashes.rows.refresh() == 39 == max(read)
    assert not hits(hashes[0]) and all(hits(hash) for hash in hashes[1:])
    # A file of many rows is rewritten for a part of them.
    monkeypatch.setattr(shared_rows, "NEWER_PART", 2)
    load(item, [secrets.token_bytes(32) for _ in range(19)])
    assert not banned_hashes.rows.is_due()
    load(item, [secrets.token_bytes(32)])
    assert banned_hashes.rows.is_due() and banned_hashes.rows.refresh() == 59


def _mixed_list(random: np.random.Generator, query: bytes, on: BannedList) -> None:
    """Items of all kinds around a query, some with many hashes."""
    kinds: list[dict[str, Any]] = [
        {},
        {"opinion": "disputed"},
        {"suspended_at": timezone.now()},
        {"media": "video"},
        {"media": "video", "opinion": "disputed"},
        {"opinion": "false_positive"},
    ]
    for number in range(120):
        item = make_item(on, **kinds[number % len(kinds)])
        rows = []
        for place in range(random.integers(1, 7)):
            bits = np.zeros(256, np.uint8)
            bits[random.permutation(256)[: random.integers(10, 60)]] = 1
            value = (np.frombuffer(query, np.uint8) ^ np.packbits(bits)).tobytes().hex()
            quality = [None, 20, 90][random.integers(3)]
            time_ms = place * 1000 if item.media == "video" else None
            rows.append(
                BannedHash(item=item, kind="pdq", value=value, quality=quality, time_ms=time_ms)
            )
        BannedHash.objects.bulk_create(rows)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("action", [Action.BLOCK, Action.REVIEW])
@pytest.mark.parametrize("quality", [90, None])
def test_of_very_many_matches_those_that_decide_and_are_recorded_are_looked_at(
    action: Action, quality: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(5)
    query = random.bytes(32)
    for _ in range(2):
        _mixed_list(random, query, make_list(action=action))
    far = (np.frombuffer(query, np.uint8) ^ np.uint8(3)).tobytes()
    frames = [
        ContentFrame(NO_PIXELS, NO_PIXELS, [one], quality, frame=number)
        for number, one in enumerate([query, far, query, query])
    ]
    # Few, so that most could be left out.
    monkeypatch.setattr(verdict_rules, "RECORDED", 10)
    monkeypatch.setattr(pdq, "MANY", 0)
    uses = policies.current()
    every = verdict_rules.decide_verdicts(pdq.matches(frames, uses), uses)
    some = verdict_rules.decide_verdicts(pdq.matches(frames, uses, 10), uses)
    assert len(some) < len(every) / 1.5
    assert verdict_rules.recorded(some) == verdict_rules.recorded(every)
    assert verdict_rules.verdict_of(some) == verdict_rules.verdict_of(every)
    assert verdict_rules.withholds(some) == verdict_rules.withholds(every)


@pytest.mark.django_db(transaction=True)
def test_a_file_that_is_not_of_what_the_database_has_now_is_written_anew() -> None:
    item = make_item(make_list())
    hashes = [secrets.token_bytes(32) for _ in range(20)]
    load(item, hashes[:10])
    banned_hashes.rows.refresh(always=True)
    # As a restored backup has them: rows of transactions that ended long ago elsewhere.
    load(item, hashes[10:])
    BannedHash.objects.filter(value__in=[hash.hex() for hash in hashes[10:]]).update(tx=3)
    assert banned_hashes.rows.refresh() == 20
    assert all(hits(hash) for hash in hashes)
    # And a file of a later time than the database was set back to counts for nothing.
    from moderation.lists import hash_index

    nothing = np.empty(0, np.int64), np.empty((0, 32), np.uint8)
    hash_index.build(banned_hashes.rows.path(), *nothing, watermark=2**62)
    assert all(hits(hash) for hash in hashes)
    assert banned_hashes.rows.is_due() and banned_hashes.rows.refresh() == 20


@pytest.mark.django_db
def test_the_index_of_exact_hashes_is_used() -> None:
    on = make_list()
    item = make_item(on, ("md5", "0" * 32))
    load(item, [secrets.token_bytes(32) for _ in range(3000)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE moderation_bannedhash")
        cursor.execute("SET LOCAL enable_seqscan = off")
    rows = BannedHash.objects.exclude(kind="pdq").filter(value__in=["0" * 32])
    assert "bannedhash_exact" in rows.explain()
    found = exact.matches({"md5": "0" * 32}, policies.current())
    assert [match.item_id for match in found] == [item.pk]
    assert BannedList.objects.count() == 1
