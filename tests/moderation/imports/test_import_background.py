"""Imports by workers, commands and requests: waiting, confirming, dying, and the way back out."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ

from gallery.shared.errors import Conflict, UserError
from gallery.shared.locking import Lock
from moderation.access.permissions import Actor, Role
from moderation.audit.models import AuditEvent
from moderation.imports import run, start
from moderation.imports.models import ListImport
from moderation.imports.options import options
from moderation.lists import exporting
from moderation.lists.formats.reading import Format
from moderation.lists.models import BannedItem, BannedList
from tests.moderation.factories import ADMIN, make_item, make_list
from tests.moderation.imports.test_import_run import counted, everything, load, load_sample
from tests.moderation.lists.hashlist_files import DATA, md5, pdq, sha1

LEAD = Actor("user:lead", Role.LEAD)


def begin(on: BannedList, data: bytes, name: str = "list.csv", **more: Any) -> ListImport:
    return start.begin(by=LEAD, list_id=on.pk, file=ContentFile(data, name=name), **more)


def files(settings: Any) -> list[Path]:
    return [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]


@pytest.mark.django_db(transaction=True)
def test_a_preview_is_confirmed_and_its_file_goes(settings: Any) -> None:
    on = make_list()
    row = begin(on, (DATA / "good.csv").read_bytes(), "dir/Good list.csv", dry_run=True)
    assert (row.state, row.file_name, row.added_by) == ("pending", "Good list.csv", "user:lead")
    assert len(files(settings)) == 1
    (queued,) = OrmQ.objects.all()
    assert queued.key == "lists"
    assert queued.task["func"] == "moderation.tasks.run_import"
    assert start.run_in_background(row.pk) == "previewed"
    assert not BannedItem.objects.exists()
    with pytest.raises(Conflict):
        start.confirm(by=LEAD, import_id=begin(on, f"md5 {md5(7)}".encode()).pk)
    start.confirm(by=LEAD, import_id=row.pk)
    assert start.run_in_background(row.pk) == "done"
    row.refresh_from_db()
    assert (row.state, row.progress, counted(row)["added"]) == ("done", 100, 4)
    assert not row.file
    assert AuditEvent.objects.get(verb="list.imported").actor == "user:lead"
    assert start.run_in_background(row.pk) == "done"
    assert AuditEvent.objects.filter(verb="list.imported").count() == 1


@pytest.mark.django_db
def test_a_large_change_waits_with_its_file_and_can_be_discarded(
    settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    on = make_list()
    load_sample(on, "good_stopncii.json")
    before = everything(on)
    row = begin(on, (DATA / "good.csv").read_bytes())
    assert start.run_in_background(row.pk) == "waiting"
    assert everything(on) == before
    row.refresh_from_db()
    assert run.is_large(row)
    assert counted(row) == {"added": 4, "unchanged": 2}
    with django_capture_on_commit_callbacks(execute=True):
        start.discard(by=LEAD, import_id=row.pk)
    row.refresh_from_db()
    assert (row.state, row.failure) == ("failed", "Discarded by user:lead.")
    assert files(settings) == []
    assert everything(on) == before


@pytest.mark.django_db
def test_a_file_that_nobody_confirms_goes_after_a_week(settings: Any) -> None:
    row = begin(make_list(), (DATA / "good.csv").read_bytes(), dry_run=True)
    start.run_in_background(row.pk)
    start.pick_up()
    row.refresh_from_db()
    assert row.state == "previewed"
    ListImport.objects.update(created_at=timezone.now() - start.FILE_KEPT)
    start.pick_up()
    row.refresh_from_db()
    assert (row.state, row.file.name) == ("failed", "")


@pytest.mark.django_db(transaction=True)
def test_what_a_worker_left_is_picked_up_unless_it_still_runs(settings: Any) -> None:
    on = make_list()
    row = begin(on, (DATA / "good.csv").read_bytes())
    long_ago = timezone.now() - start.LEFT_OVER * 2
    ListImport.objects.update(state="running", attempts=1, created_at=long_ago)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [Lock.IMPORT + on.pk])
        assert start.pick_up() == 0
    finally:
        other.close()
    deadline = time.monotonic() + 10
    while not start.pick_up() and time.monotonic() < deadline:
        time.sleep(0.05)
    row.refresh_from_db()
    assert (row.state, row.attempts, on.items.count()) == ("done", 2, 4)


@pytest.mark.django_db(transaction=True)
def test_an_import_that_ends_its_worker_three_times_is_left_alone() -> None:
    row = begin(make_list(), (DATA / "good.csv").read_bytes())
    ListImport.objects.update(state="running", attempts=run.MAX_ATTEMPTS)
    assert start.run_in_background(row.pk) == "failed"
    row.refresh_from_db()
    assert "three times" in row.failure
    assert not BannedItem.objects.exists()
    start.retry(by=ADMIN, import_id=row.pk)
    assert start.run_in_background(row.pk) == "done"
    assert BannedItem.objects.count() == 4
    assert AuditEvent.objects.filter(verb="import.retried", subject_id=row.pk).count() == 1
    with pytest.raises(Conflict):
        start.retry(by=ADMIN, import_id=row.pk)


@pytest.mark.django_db(transaction=True)
def test_the_file_of_a_failed_import_goes_after_a_week() -> None:
    row = begin(make_list(), (DATA / "good.csv").read_bytes())
    ListImport.objects.update(state="running", attempts=run.MAX_ATTEMPTS)
    assert start.run_in_background(row.pk) == "failed"
    start.pick_up()
    row.refresh_from_db()
    assert row.file
    ListImport.objects.update(created_at=timezone.now() - start.FILE_KEPT * 2)
    start.pick_up()
    row.refresh_from_db()
    assert not row.file
    with pytest.raises(Conflict, match="no longer stored"):
        start.retry(by=ADMIN, import_id=row.pk)


COMMAND = """
import os, sys
sys.path.insert(0, os.getcwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "imgsmlr_site.settings"
import django
django.setup()
from django.db import connection
connection.settings_dict["NAME"] = sys.argv[1]
from django.core.management import call_command
call_command("import_hash_list", sys.argv[2], list=sys.argv[3])
"""


def started(path: Path, on: BannedList) -> subprocess.Popen[bytes]:
    """The command on the tests' database, in a process of its own."""
    name = str(connection.settings_dict["NAME"])
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, name, str(path), on.name],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def large_file(path: Path, count: int) -> Path:
    with path.open("w") as stream:
        stream.write("kind,hash,source,source_id,note\n")
        stream.writelines(
            f"sha256,{os.urandom(32).hex()},P,{number},{'x' * 60}\n" for number in range(count)
        )
    return path


def reading() -> bool:
    return ListImport.objects.filter(progress__gte=5).exists()


def waiting_to_write() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone() is not None


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("far_enough", [reading, waiting_to_write])
def test_an_import_that_is_killed_has_changed_nothing_and_runs_again(
    tmp_path: Path, far_enough: Callable[[], bool]
) -> None:
    """Killed while it reads, and while it writes: what it writes to is locked."""
    on = make_list()
    before = everything(on)
    path = large_file(tmp_path / "list.csv", 20_000)
    beside = connection.copy()
    with contextlib.closing(beside), beside.cursor() as cursor:
        cursor.execute("BEGIN")
        if far_enough is waiting_to_write:
            cursor.execute("LOCK TABLE moderation_banneditem IN SHARE MODE")
        process = started(path, on)
        try:
            deadline = time.monotonic() + 120
            while not far_enough():
                assert process.poll() is None, process.stderr and process.stderr.read().decode()
                assert time.monotonic() < deadline
                time.sleep(0.005)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    row = ListImport.objects.get()
    assert row.state == "running"
    assert everything(on) == before
    ListImport.objects.update(created_at=timezone.now() - start.LEFT_OVER * 2)
    deadline = time.monotonic() + 60
    while not start.pick_up() and time.monotonic() < deadline:
        time.sleep(0.1)  # until the server has noticed
    row.refresh_from_db()
    assert row.state == "failed"
    assert "Nothing was changed" in row.failure
    assert everything(on) == before
    call_command("import_hash_list", str(path), list=on.name, stdout=io.StringIO())
    assert on.items.count() == 20_000


PEAK = (
    COMMAND
    + """
import re
from pathlib import Path
# Not by getrusage, which begins with the peak of the process that started this one.
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""
)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Peak resident memory of the process, with 1,000 rows and with 60,000 (8 MB)."""
    peaks = []
    for count in (1_000, 60_000):
        on = make_list()
        path = large_file(tmp_path / f"{count}.csv", count)
        done = subprocess.run(
            [sys.executable, "-c", PEAK, connection.settings_dict["NAME"], str(path), on.name],
            capture_output=True,
            check=True,
        )
        peaks.append(int(done.stdout.split()[-1]))
        assert on.items.count() == count
    assert peaks[1] - peaks[0] <= 2, peaks


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_one_list_do_not_run_side_by_side() -> None:
    on = make_list()
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [Lock.IMPORT + on.pk])
        with pytest.raises(run.Busy):
            load(on, f"md5\n{md5(1)}\n")
    finally:
        other.close()


def command(name: str, *args: str, **options: Any) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(name, *args, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


@pytest.mark.django_db
def test_the_command_says_what_it_did_and_lists_bad_rows() -> None:
    on = make_list("partner")
    out, err = command("import_hash_list", str(DATA / "broken.csv"), list="partner", dry_run=True)
    assert out == "Would be: 3 added, 1 hashes skipped, 10 bad rows.\n"
    assert err.startswith("line 3: md5 needs 32 hex digits")
    assert not on.items.exists()
    out, _ = command("import_hash_list", str(DATA / "broken.csv"), list="partner")
    assert out == "3 added, 1 hashes skipped, 10 bad rows.\n"
    with pytest.raises(CommandError, match="--yes"):
        command("import_hash_list", str(DATA / "good.csv"), list="partner")
    out, _ = command("import_hash_list", str(DATA / "good.csv"), list="partner", dry_run=True)
    assert "confirm it with --yes" in out
    out, _ = command("import_hash_list", str(DATA / "good.csv"), list="partner", yes=True)
    assert out == "3 added, 3 unchanged.\n"
    event = AuditEvent.objects.filter(verb="list.imported").first()
    assert event is not None
    assert event.actor == "command:import_hash_list"


@pytest.mark.django_db
def test_the_command_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    make_list("partner")
    good = str(DATA / "good.csv")
    for path, given, sentence in (
        (good, {"list": "nobody's"}, "there are: partner"),
        (str(tmp_path / "none"), {"list": "partner"}, "No such file"),
        (str(DATA / "not_a_list.html"), {"list": "partner"}, "no hash list"),
        (good, {"list": "partner", "full": True}, "name the source"),
        (str(DATA / "good_project_vic.json"), {"list": "partner"}, "harmless media"),
    ):
        with pytest.raises(CommandError, match=sentence):
            command("import_hash_list", path, **given)
    assert not BannedItem.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["good.csv", "good_ncmec.xml", "good_threatexchange.json"])
def test_an_exported_list_is_the_same_when_it_is_imported(name: str, tmp_path: Path) -> None:
    on, copy = make_list("from"), make_list("to")
    load_sample(on, name)
    path = tmp_path / "out.csv"
    command("export_hash_list", "from", str(path))
    load(copy, path.read_bytes(), confirmed=True)
    facts = ("media", "source", "source_id", "feedback", "category", "tags", "note", "expires_at")
    assert list(copy.items.order_by("pk").values(*facts)) == list(
        on.items.order_by("pk").values(*facts)
    )
    assert set(copy.items.values_list("hashes__kind", "hashes__value", "hashes__quality")) == set(
        on.items.values_list("hashes__kind", "hashes__value", "hashes__quality")
    )
    event = AuditEvent.objects.get(verb="list.exported")
    assert (event.subject_id, event.count) == (on.pk, on.items.count())


@pytest.mark.django_db
def test_each_format_of_an_export() -> None:
    on = make_list("An odd/name")
    make_item(on, ("pdq", pdq(1), 80), ("md5", md5(1)), source="P", source_id="1", note="=1+1")
    make_item(on, ("sha1", sha1(2)), opinion="false_positive")
    make_item(
        on, ("md5", md5(3)), source="P", source_id="3", state="retired", retired_at=timezone.now()
    )
    name, pieces = exporting.export_list(by=ADMIN, list_id=on.pk, format="plain")
    assert name == "An-odd-name-version-1.txt"
    assert b"".join(pieces).decode().split("\n") == [
        f"pdq {pdq(1)} 80", f"md5 {md5(1)}", f"sha1 {sha1(2)}", "",
    ]  # fmt: skip
    _, pieces = exporting.export_list(by=ADMIN, list_id=on.pk, format="threatexchange")
    told = json.loads(b"".join(pieces))["data"]
    assert [one.get("status", "gone") for one in told] == [
        "MALICIOUS", "MALICIOUS", "NON_MALICIOUS", "gone",
    ]  # fmt: skip
    _, pieces = exporting.export_list(by=ADMIN, list_id=on.pk, format="csv")
    lines = b"".join(pieces).decode().splitlines()
    assert len(lines) == 5
    assert "'=1+1" in lines[1]
    assert ",tombstone," in lines[4]


@pytest.mark.django_db
@pytest.mark.parametrize("format", [*sorted(set(Format) - set(exporting.EXTENSIONS)), "nonsense"])
def test_other_formats_are_only_read(format: str) -> None:
    with pytest.raises(exporting.NotWritable):
        exporting.export_list(by=ADMIN, list_id=make_list().pk, format=format)


@pytest.mark.django_db
def test_options_are_checked() -> None:
    for given in ({"kind": "crc32"}, {"source": "x" * 256}):
        with pytest.raises(UserError, match=r"none of|at most"):
            options(**given)
