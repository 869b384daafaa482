"""The indexes of vectors on a real server: what they need, and how they are built anew."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from gallery.imaging.descriptors.base import PIXELS_VERSION
from gallery.items import index_building, vector_indexes
from gallery.search.nearest import nearest_images, stored_columns
from gallery.shared.locking import Lock
from imgsmlr_site import health
from tests import factories as make

HAAR = "imagefingerprint_haar_hnsw"


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def files() -> dict[str, int]:
    """The file of each index: another one after it was built anew."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, c.relfilenode FROM pg_class c "
            "JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'hnsw'"
        )
        return dict(cursor.fetchall())


@contextmanager
def allowed(megabytes: int) -> Iterator[None]:
    """What the server allows for building, in sessions of its role that begin now."""
    execute(f"ALTER ROLE CURRENT_USER SET maintenance_work_mem = '{megabytes}MB'")
    connection.close()
    try:
        yield
    finally:
        execute("ALTER ROLE CURRENT_USER RESET maintenance_work_mem")
        connection.close()


def build_memory() -> int:
    return vector_indexes.server_bytes("maintenance_work_mem") // 2**20


@pytest.mark.django_db
def test_every_index_of_vectors_is_known() -> None:
    found = {index.name: index for index in vector_indexes.hnsw_indexes()}
    assert {index.table for index in found.values()} == {"gallery_imagefingerprint", "videos_frame"}
    kinds = {name: found[f"imagefingerprint_{name}_hnsw"].kind for name in ("haar", "pdq", "cnn")}
    assert kinds == {"haar": "vector(16)", "pdq": "bit(256)", "cnn": "halfvec(512)"}
    assert all(index.valid for index in found.values())


@pytest.mark.django_db
def test_the_memory_for_a_build_is_that_of_its_graph() -> None:
    of_vectors = vector_indexes.build_bytes(1000, "vector(16)")
    assert of_vectors - vector_indexes.build_bytes(1000, "bit(256)") == 1000 * (64 - 32)
    assert vector_indexes.build_bytes(2000, "vector(16)") == 2 * of_vectors


@pytest.mark.django_db(transaction=True)
def test_a_build_takes_what_it_needs_and_no_more_than_is_allowed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with allowed(200):
        with vector_indexes.memory_to_build(10, "halfvec(512)"):
            assert build_memory() == 64
        with vector_indexes.memory_to_build(100_000, "vector(16)"):
            assert 64 < build_memory() < 200
        assert not caplog.records
        with (
            caplog.at_level(logging.WARNING),
            pytest.raises(ZeroDivisionError),
            vector_indexes.memory_to_build(1_000_000, "halfvec(512)"),
        ):
            assert build_memory() == 200
            _ = 1 / 0
        assert build_memory() == 200
    (record,) = caplog.records
    assert "maintenance_work_mem of PostgreSQL is 209.7 MB" in record.getMessage()
    assert "Set maintenance_work_mem to " in record.getMessage()


@pytest.mark.django_db
def test_outgrown_memory_is_a_warning_that_says_what_to_set() -> None:
    def said() -> list[str]:
        checks = run_checks(databases=["default"])
        return [str(one.msg) for one in checks if one.id == "imgsmlr_site.W001"]

    assert said() == []
    assert vector_indexes.outgrown() == []
    # As PostgreSQL counts them after a million images were added.
    execute(f"UPDATE pg_class SET reltuples = 1e6 WHERE relname = '{HAAR}'")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
    (sentence,) = said()
    assert HAAR in sentence
    assert "Set maintenance_work_mem to 1030MB" in sentence


@pytest.mark.django_db
@pytest.mark.parametrize(
    "before",
    [
        pytest.param("DROP TABLE django_migrations, gallery_clipversion", id="an empty database"),
        pytest.param(
            "ALTER TABLE gallery_clipversion DROP replaced_at; "
            "DELETE FROM django_migrations WHERE name = '0014_replaced_versions'",
            id="an earlier version",
        ),
    ],
)
def test_checks_before_a_migration_do_not_need_what_it_makes(
    before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_migrated", False)
    execute(before)
    assert run_checks(databases=["default"]) == []


@pytest.mark.django_db(transaction=True)
def test_an_index_that_was_missing_is_not_built_twice() -> None:
    execute(f"DROP INDEX {HAAR}")

    def nothing(done: int, total: int) -> None:
        pass

    built = index_building.build_missing(lambda index: nothing)
    assert built == [HAAR]
    before = files()
    vector_indexes.maintain(lambda index: nothing, fresh=built)
    after = files()
    assert {name for name in before if before[name] == after[name]} == {HAAR}


@pytest.mark.django_db(transaction=True)
def test_indexes_are_built_anew_and_leftovers_are_removed() -> None:
    image = make.add_ready_image()
    columns = stored_columns(image.pk, "imgsmlr", PIXELS_VERSION)
    assert columns
    before = files()
    execute(
        f"CREATE INDEX {HAAR}_ccnew ON gallery_imagefingerprint USING hnsw (haar vector_l2_ops)"
    )
    execute(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{HAAR}_ccnew'::regclass")
    said = io.StringIO()
    call_command("maintain_indexes", stdout=said, stderr=io.StringIO())
    after = files()
    assert after.keys() == before.keys()
    assert all(after[name] != file for name, file in before.items())
    assert all(index.valid for index in vector_indexes.hnsw_indexes())
    assert "as if they were new" in said.getvalue()
    (match,) = nearest_images("imgsmlr", PIXELS_VERSION, columns, threshold=1, limit=5)
    assert match.image.pk == image.pk


@pytest.mark.django_db(transaction=True)
def test_only_one_maintains() -> None:
    with closing(connection.copy()) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [Lock.VECTOR_INDEXES])
        with pytest.raises(CommandError, match="maintained already"):
            call_command("maintain_indexes")
