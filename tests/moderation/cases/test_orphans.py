"""Files that no row names go a day after they were written; what anything names stays."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import FileField, Model

from gallery.items import orphans
from gallery.items.models import Image
from gallery.items.retention import Act
from gallery.tasks import remove_orphans
from moderation.cases import facts, retention
from moderation.cases.models import ReviewCase
from moderation.imports.models import ListImport
from tests.environment import DATA_DIR
from tests.factories import add_pending_image, add_ready_image, jpeg, photo, png, stored_files
from tests.moderation.factories import make_case, make_item, make_list
from tests.videos.index.test_indexing import SHORT
from tests.videos.index.test_indexing import ready as ready_video

pytestmark = pytest.mark.django_db


@pytest.fixture
def _a_day_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file's time of creation can be set: a day is no time instead."""
    monkeypatch.setattr(orphans, "GRACE", timedelta(0))


def files_here(settings: Any) -> list[str]:
    return stored_files(settings.MEDIA_ROOT)


def kept(case: ReviewCase, image: Any) -> ReviewCase:
    facts.keep_picture(case, jpeg(image))
    case.save()
    return case


@pytest.fixture
def everything(db: None) -> list[Model]:
    """A row of every kind that has files."""
    on = make_list()
    item = make_item(on, ("md5", "a" * 32))
    item.picture = default_storage.save("banned/aa/a.jpg", ContentFile(jpeg(photo(7))))
    item.save()
    file = default_storage.save("imports/b", ContentFile(b"hash"))
    made = ListImport.objects.create(
        list=on, file=file, file_name="b", sha256="", format="", size=4, added_by="test"
    )
    case = kept(make_case(make_item(on, ("md5", "b" * 32)), cluster="c" * 64), photo(8))
    pending = add_pending_image(photo(2))
    return [add_ready_image(photo(1)), pending, ready_video(SHORT), case, made, item]


def test_every_kind_of_row_that_has_files_is_tried(everything: list[Model]) -> None:
    having = {
        model
        for model in apps.get_models()
        if any(isinstance(field, FileField) for field in model._meta.concrete_fields)
    }
    assert {type(row) for row in everything} == having


@pytest.mark.usefixtures("_a_day_later")
def test_what_a_row_names_stays_and_what_none_names_goes(
    everything: list[Model], settings: Any
) -> None:
    before = files_here(settings)
    assert len(before) == 9
    assert remove_orphans() == 0
    assert files_here(settings) == before
    for row in everything:
        mine = {name for name in before if name in _names(row)}
        assert mine
        row.delete()  # as a process does that is killed before it removes the files
        assert remove_orphans() == len(mine)
        before = sorted(set(before) - mine)
        assert files_here(settings) == before
    assert before == []


def _names(row: Model) -> list[str]:
    fields = [field for field in row._meta.concrete_fields if isinstance(field, FileField)]
    return [getattr(row, field.attname).name for field in fields]


def test_what_was_written_today_stays(settings: Any) -> None:
    add_ready_image(photo(1)).delete()
    names = files_here(settings)
    # Times of what was moved or restored may be old.
    os.utime(Path(settings.MEDIA_ROOT) / names[0], (0, 0))
    assert remove_orphans() == 0
    assert files_here(settings) == names


@pytest.mark.usefixtures("_a_day_later")
def test_evidence_and_legal_holds_keep_what_they_name(settings: Any) -> None:
    item = make_item(make_list(), ("md5", "a" * 32))
    image, other = add_ready_image(photo(1)), add_ready_image(photo(2))
    case = make_case(item, image, legal_hold=True, legal_hold_reason="a court")
    held = make_case(item, other, legal_hold=True, legal_hold_reason="a court")
    retention.keep_before_override(Image, [image], Act.DELETE)
    Image.objects.filter(pk=image.pk).delete()
    case.refresh_from_db()
    assert case.image is None and case.picture
    assert remove_orphans() == 2
    expected = [case.picture.name, other.original.name, other.thumbnail.name]
    assert files_here(settings) == sorted(expected)
    held.refresh_from_db()
    assert held.image == other


@pytest.mark.usefixtures("_a_day_later")
def test_hidden_files_and_those_beside_the_directories_are_not_ours(settings: Any) -> None:
    root = Path(settings.MEDIA_ROOT)
    add_ready_image(photo(1))
    (root / "README").write_text("of the operator")
    (root / ".snapshot").mkdir()
    (root / ".snapshot" / "a").touch()
    (root / "originals" / ".nfs0001").touch()
    (root / "originals" / os.fsdecode(b"\xff")).touch()
    (root / "originals" / "aa").mkdir(exist_ok=True)
    (root / "originals" / "aa" / "left").touch()
    assert remove_orphans() == 1
    assert len(files_here(settings)) == 6
    assert not (root / "originals" / "aa" / "left").exists()


def command(**options: Any) -> str:
    out = io.StringIO()
    call_command("remove_orphans", stdout=out, **options)
    return out.getvalue()


@pytest.mark.usefixtures("_a_day_later")
def test_an_empty_database_takes_no_files_with_it(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "FEW_ORPHANS", 3)
    for image in [add_ready_image(photo(seed, (40, 30))) for seed in range(2)]:
        image.delete()
    names = files_here(settings)
    with pytest.raises(orphans.TooMany, match="No row names 4 of 4 files"):
        remove_orphans()
    with pytest.raises(CommandError, match="remove_orphans --anyway"):
        command()
    assert files_here(settings) == names
    assert command(dry_run=True).splitlines() == [*names, "No row names 4 of 4 files."]
    assert command(anyway=True) == "4 files removed.\n"
    assert files_here(settings) == []


@pytest.mark.usefixtures("_a_day_later")
def test_many_files_are_asked_about_in_parts(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "NAMES_PER_QUERY", 2)
    images = [add_ready_image(photo(seed, (40, 30))) for seed in range(4)]
    Image.objects.filter(pk=images[1].pk).delete()
    assert remove_orphans() == 2
    assert len(files_here(settings)) == 6


KILLED = """
import os, signal, sys
import django
django.setup()
from django.conf import settings
from django.db import connection, transaction
connection.settings_dict["NAME"], settings.MEDIA_ROOT, act, what = sys.argv[1:]
from gallery.items.models import Image
from gallery.items import adding, changing
from gallery.items.signals import changed

def die(**_):
    os.kill(os.getpid(), signal.SIGKILL)

if act == "add":
    changed.connect(die)
    adding.add_image(data=open(what, "rb").read(), by="tests")
with transaction.atomic():
    transaction.on_commit(die)
    changing.delete_items(items=Image.objects.filter(pk=what), by="tests")
"""


def killed(settings: Any, act: str, what: object) -> None:
    name = str(connection.settings_dict["NAME"])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, name, str(settings.MEDIA_ROOT), act, str(what)],
        env={
            **os.environ,
            "DATA_DIR": str(DATA_DIR),
            "DJANGO_SETTINGS_MODULE": "imgsmlr_site.settings",
            "PYTHONPATH": str(settings.BASE_DIR),
        },
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_a_day_later")
def test_a_process_killed_between_a_file_and_its_row(settings: Any, tmp_path: Path) -> None:
    kept_image = add_ready_image(photo(1))
    (tmp_path / "a.png").write_bytes(png(photo(2)))
    before = files_here(settings)
    killed(settings, "add", tmp_path / "a.png")
    assert Image.objects.count() == 1 and len(files_here(settings)) == len(before) + 1
    assert remove_orphans() == 1
    assert files_here(settings) == before
    killed(settings, "delete", kept_image.pk)
    assert not Image.objects.exists() and files_here(settings) == before
    assert remove_orphans() == 2
    assert files_here(settings) == []
