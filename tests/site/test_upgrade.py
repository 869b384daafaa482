"""Rows of the first version of each table survive all migrations, and the service works on."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pytest
from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.core.management import call_command
from django.db import IntegrityError, connection, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import StateApps
from django.utils import timezone
from pgvector.django import BitField, VectorField

from gallery.imaging.descriptors.stored_patterns import PatternQuery

pytestmark = pytest.mark.slow

OURS = ("imgsmlr_site", "gallery", "videos", "moderation")
NAME = "upgrade_from_the_first"


@pytest.fixture(scope="module")
def old_database(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """An empty database of its own, to which the default connection leads for the module."""
    with django_db_blocker.unblock():
        name = connection.settings_dict["NAME"]
        _execute(f"CREATE DATABASE {NAME} TEMPLATE template0")
        _connect(NAME)
        _execute("CREATE EXTENSION vector")
        yield
        _connect(name)
        _execute(f"DROP DATABASE {NAME}")


def _execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def _connect(name: str) -> None:
    connection.close()
    connection.settings_dict["NAME"] = name


def first_state() -> StateApps:
    """Migrate our apps to their first migrations, the others to their last."""
    executor = MigrationExecutor(connection)
    leaves = executor.loader.graph.leaf_nodes()
    targets = [node for node in leaves if node[0] not in OURS]
    targets += [(app, "0001_initial") for app in OURS]
    return executor.migrate(targets).apps


class Filler:
    """Makes one row of each model, with the smallest values that its columns accept."""

    OWN: dict[str, dict[str, Any]] = {
        "gallery.image": {"status": "quarantined", "format": "png", "sha256": "a" * 64},
        "gallery.imagedetail": {"pattern": [0.5] * 4096},
        "moderation.bannedhash": {"kind": "md5", "value": "0" * 32},
        "moderation.webhook": {"events": ["verdict"]},
        "imgsmlr_site.apikey": {"scopes": ["search"]},
    }

    def __init__(self, old: StateApps) -> None:
        self.old = old
        self.rows: dict[str, models.Model] = {}

    def row(self, model: type[models.Model]) -> models.Model:
        label = model._meta.label_lower
        if label not in self.rows:
            values = {
                field.attname: self.value(field)
                for field in model._meta.local_concrete_fields
                if self.needs(field)
            }
            self.rows[label] = model._base_manager.create(**{**values, **self.OWN.get(label, {})})
        return self.rows[label]

    def needs(self, field: models.Field[Any, Any]) -> bool:
        if isinstance(field, models.AutoField | models.GeneratedField) or field.has_default():
            return False
        if isinstance(field, models.ForeignKey) and field.null:
            # A row is about an image or a video; nothing is undone, and nobody holds a lock.
            return field.name in ("image", "list", "item", "case")
        return not (field.null or (field.empty_strings_allowed and field.blank))

    def value(self, field: models.Field[Any, Any]) -> Any:
        match field:
            case models.ForeignKey():
                target = field.related_model
                return self.row(self.old.get_model(target._meta.label)).pk  # type: ignore[union-attr]
            case VectorField():
                return [0.5] * field.dimensions
            case BitField():
                return "01" * (field.length // 2)
            case ArrayField():
                return []
            case models.UUIDField():
                return uuid.UUID(int=1)
            case models.DateTimeField():
                return timezone.now()
            case models.DateField():
                return date(2026, 1, 1)
            case models.CharField() | models.TextField():
                return next(iter(field.flatchoices), ("x",))[0]
            case _:
                return 1


def contents(model: type[models.Model], columns: list[str]) -> list[dict[str, Any]]:
    return list(model._base_manager.order_by("pk").values(*columns))


@pytest.mark.usefixtures("old_database")
def test_rows_of_the_first_version(django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        old = first_state()
        filler = Filler(old)
        mine = [
            model
            for name in OURS
            for model in old.get_app_config(name).get_models()
            if model._meta.label != "gallery.DuplicatePair"  # needs two images
        ]
        for model in mine:
            filler.row(model)
        before = {
            model._meta.label: contents(model, [f.attname for f in model._meta.concrete_fields])
            for model in mine
        }
        assert len(before) > 20
        assert all(len(rows) == 1 for rows in before.values())

        call_command("migrate", interactive=False, verbosity=0)
        (detail,) = before.pop("gallery.ImageDetail")
        packed = apps.get_model("gallery.ImageDetail").objects.get()
        whole = PatternQuery.of(np.array(detail["pattern"]))
        assert whole.distances([bytes(packed.pattern)]) == pytest.approx(0, abs=1e-6)
        for label, rows in before.items():
            assert contents(apps.get_model(label), list(rows[0])) == rows
        # What later versions need of these rows is there.
        image = apps.get_model("gallery.Image").objects.get()
        assert image.quarantined_at is not None
        call_command("check", database=["default"])
        call_command("migrate", check_unapplied=True, verbosity=0)


class Stopped(Exception):
    pass


@pytest.mark.usefixtures("old_database")
def test_packing_patterns_is_resumed(
    django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped after two batches. Meanwhile the old service goes on."""
    packing = importlib.import_module("gallery.migrations.0013_packed_patterns")
    copy, copied = packing._copy, []

    def stops(cursor: Any, ids: list[int]) -> None:
        if len(copied) == 2:
            raise Stopped
        copied.append(ids)
        copy(cursor, ids)

    with django_db_blocker.unblock():
        _execute("DROP TABLE gallery_imagedetail")
        _execute(
            "CREATE TABLE gallery_imagedetail (fingerprint_id bigint PRIMARY KEY REFERENCES "
            "gallery_imagefingerprint DEFERRABLE INITIALLY DEFERRED, "
            "pattern vector(4096), local_features bytea)"
        )
        _execute(
            "INSERT INTO gallery_imagefingerprint (id, item_id, view, version) "
            "SELECT n, (SELECT min(id) FROM gallery_image), 'view ' || n, 'v' "
            "FROM generate_series(100, 109) n"
        )
        _add_details(100, 101, 103, 104, 105, 106, 107, 108)
        _execute(
            "UPDATE gallery_imagedetail SET pattern = NULL, local_features = '\\x0102' "
            "WHERE fingerprint_id IN (101, 105)"
        )
        monkeypatch.setattr(packing, "ROWS", 2)
        monkeypatch.setattr(packing, "_copy", stops)
        with pytest.raises(Stopped):
            packing.pack(None, None)
        assert copied == [[100, 101], [103, 104]]
        _execute("DELETE FROM gallery_imagedetail WHERE fingerprint_id IN (100, 106)")
        _add_details(102, 109)
        monkeypatch.setattr(packing, "_copy", copy)
        for _ in range(2):  # the second time it finds nothing to do
            packing.pack(None, None)
        rows = apps.get_model("gallery.ImageDetail").objects.order_by("pk")
        assert [row.pk for row in rows] == [101, 102, 103, 104, 105, 107, 108, 109]
        for row in rows:
            if row.pk in (101, 105):
                assert (row.pattern, bytes(row.local_features)) == (None, b"\x01\x02")
            else:
                query = PatternQuery.of(np.full(4096, row.pk / 200, np.float32))
                assert query.distances([bytes(row.pattern)]) == pytest.approx(0, abs=1e-6)
        with pytest.raises(IntegrityError):
            _execute("INSERT INTO gallery_imagedetail VALUES (999, NULL, NULL)")


def _add_details(*ids: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO gallery_imagedetail SELECT n, array_fill(n / 200::real, ARRAY[4096])"
            "::vector FROM unnest(%s) n",
            [list(ids)],
        )
