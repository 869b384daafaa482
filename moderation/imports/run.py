"""Run an import: read the file into a temporary table, compare it with the list, write the changes.

Reading and comparing change nothing. All changes are written in one transaction, so an interrupted
import has changed nothing and can start again. A session lock marks a running import. It ends with
the process, so an abandoned import can be detected.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from typing import Any, BinaryIO, cast

from django.db import connection, transaction
from django.utils import timezone

from gallery.items.file_storage import delete_after_commit
from gallery.shared.errors import Conflict, UserError
from gallery.shared.locking import Lock, only_one
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.imports import sql
from moderation.imports.models import BadRow, ListImport
from moderation.imports.options import Options
from moderation.imports.staging import Staged, stage
from moderation.lists import list_writes, rescans, weakening
from moderation.lists.formats.reading import Format
from moderation.lists.formats.rows import InvalidRow as BadRowRead
from moderation.lists.models import BannedItem, BannedList

State = ListImport.State
LARGE_SHARE = 0.2
"""Share of a list. A change of more items must be confirmed."""
SAMPLES_EACH = 5
ANALYZE_ROWS = 1_000
"""Files with more rows than this analyze the tables first, which takes 0.3 s."""
MAX_ATTEMPTS = 3
CHANGE_COUNTS = ("added", "changed", "reactivated", "retired")
OTHER_COUNTS = ("unchanged", "kept")
READ_PERCENT, COMPARED_PERCENT = 80, 88
"""Progress after reading the file, and after comparing it."""
BUSY = "Another import of this list is running; wait until it ends."
STOPPED = "This import stopped its worker three times and is not tried again by itself."
BROKEN_OFF = "The import was interrupted. Nothing was changed; import the file again."


class Busy(Conflict):
    code = "import_running"


def run(
    *, by: Actor, import_id: int, stream: BinaryIO | None = None, tell: Tell | None = None
) -> ListImport:
    """Run an import from its stored file or from ``stream``. Returns its row.

    The import ends as ``previewed`` (a dry run), ``waiting`` (a change that somebody must confirm),
    ``done``, or ``failed`` with a message. ``tell`` is called with the progress. Raises
    ``NotAllowed``, and ``Busy`` while another import of the list runs.
    """
    check(by, "import lists")
    row = ListImport.objects.get(pk=import_id)
    with only_one(Lock.IMPORT + row.list_id, Busy(BUSY)):
        row.refresh_from_db()
        if row.state not in (State.PENDING, State.RUNNING):
            return row
        row.state, row.progress, row.attempts = State.RUNNING, 0, row.attempts + 1
        row.save(update_fields=["state", "progress", "attempts"])
        try:
            if row.attempts > MAX_ATTEMPTS:
                _fail(row, STOPPED, keep_file=True)
                return row
            _read_and_write(row, by, stream, tell)
        except UserError as error:
            _fail(row, error.message)
        except Exception:
            _fail(row, "The import failed; the service's log says why.", keep_file=True)
            raise
    return row


def _read_and_write(row: ListImport, by: Actor, stream: BinaryIO | None, tell: Tell | None) -> None:
    options, now = Options.read(row.options), timezone.now()
    with closing(Progress(row.pk, tell)) as progress, closing(stream or _file(row)) as source:

        def report(read: int) -> None:
            progress(READ_PERCENT * read // max(row.size, 1))

        try:
            with transaction.atomic():
                staged = stage(source, Format(row.format), options, now=now, tell=report)
            if staged.rows > ANALYZE_ROWS:
                # Soon after another import, the planner may not know the table sizes and compare
                # every pair: 50 s instead of 5 s for 50,000 rows. Do not move this into the
                # transaction: its end would release the session lock.
                with connection.cursor() as cursor:
                    cursor.execute(sql.ANALYZE)
            with transaction.atomic():
                _compare(row, by, options, staged, now, progress)
        finally:
            with connection.cursor() as cursor:
                cursor.execute(sql.DROP)


def _compare(
    row: ListImport,
    by: Actor,
    options: Options,
    staged: Staged,
    now: datetime,
    progress: Progress,
) -> None:
    """Compare. Write unless it is a dry run or must be confirmed. Uses the caller's transaction."""
    params: dict[str, Any] = {
        "list": row.list_id,
        "now": now,
        "by": by.name,
        # If the file ends early, the entries after that place are not missing.
        "full": options.full and not staged.broken,
        "theirs": list(sql.RETIRED_BY_SOURCE),
        "withdrawn": sql.WITHDRAWN,
        "expired": sql.EXPIRED,
        "missing": sql.MISSING,
    }
    if not row.dry_run:
        # Lock the list before its items, as every command does, so that they cannot change.
        list_writes.locked(row.list_id)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'")
        for statement in _with_progress(sql.COMPARE, progress, READ_PERCENT, COMPARED_PERCENT):
            cursor.execute(statement, params)
        row.counts = _counts(cursor, staged)
        row.samples = _samples(cursor)
        changes = sum(row.counts[name] for name in CHANGE_COUNTS)
        if row.dry_run:
            state = State.PREVIEWED
        elif _must_wait(row, options, changes):
            state = State.WAITING
        else:
            state = State.DONE
            for statement in _with_progress(sql.APPLY, progress, COMPARED_PERCENT, 99):
                cursor.execute(statement, params)
            if row.list.is_allow_list:
                rescans.screen_allowed(row.list.items.filter(retired_at=now))
            cursor.execute(sql.FIRST_TO_SCAN)
            (first,) = cursor.fetchone()
            cursor.execute(sql.APPLIED)
            row.applied_tx, row.reactivated = cursor.fetchone()
            row.applied_at = now
    _store_bad_rows(row, staged)
    if state == State.WAITING and not row.file:
        raise UserError(
            f"This would change {changes:,} items, more than {LARGE_SHARE:.0%} of the list: "
            "preview it with --dry-run, confirm it with --yes."
        )
    if state == State.DONE:
        _conclude(row, by, changes, first, staged)
    _end(row, state)


def _conclude(row: ListImport, by: Actor, changes: int, first: int | None, staged: Staged) -> None:
    if changes:
        list_writes.touch([row.list_id])
    banned = BannedList.objects.get(pk=row.list_id)
    if first is not None:
        list_writes.scan(banned, by=by, reason=f"import {row.pk}", after_item=first - 1)
    trail.record(
        by=by.name,
        verb="list.imported",
        subject=banned,
        after={
            "import": row.pk,
            "file": row.file_name,
            "sha256": row.sha256,
            "format": row.format,
            "options": row.options,
            "counts": row.counts,
            "broke_off": staged.broken,
            "version": banned.version,
        },
        count=changes,
    )


def _must_wait(row: ListImport, options: Options, changes: int) -> bool:
    few = options.withdrawals and changes <= weakening.MANY_ITEMS
    if not row.confirmed and not few and _is_large(changes, row.list_id):
        return True
    return not row.agreed_by and weakening.of_import(row.list, row.counts)


def is_large(row: ListImport) -> bool:
    """Return whether the counted changes are a large share of the list as it is now."""
    return _is_large(sum(row.counts.get(name, 0) for name in CHANGE_COUNTS), row.list_id)


def _is_large(changes: int, list_id: int) -> bool:
    """No change of an empty list is large."""
    total = BannedItem.objects.filter(list=list_id).count()
    return bool(total) and changes > LARGE_SHARE * total


def _with_progress(
    statements: tuple[str, ...], progress: Progress, start: int, end: int
) -> Iterator[str]:
    for number, statement in enumerate(statements, 1):
        yield statement
        progress(start + (end - start) * number // len(statements))


def _counts(cursor: Any, staged: Staged) -> dict[str, Any]:
    cursor.execute(sql.COUNT)
    found = dict(cursor.fetchall())
    counts: dict[str, Any] = {name: found.get(name, 0) for name in (*CHANGE_COUNTS, *OTHER_COUNTS)}
    missing = found.get("missing", 0)
    counts["retired"] += missing
    return counts | {
        "missing": missing,
        "skipped": sum(staged.skipped.values()),
        "bad": staged.bad_count,
        "rows": staged.rows,
        "skipped_kinds": dict(staged.skipped.most_common(20)),
        "broken": staged.broken,
    }


def _samples(cursor: Any) -> dict[str, Any]:
    samples = {}
    for name in (*CHANGE_COUNTS, "kept", "missing"):
        if name == "missing":
            cursor.execute(sql.SAMPLE_MISSING, [SAMPLES_EACH])
        else:
            cursor.execute(sql.SAMPLE, [name, SAMPLES_EACH])
        keys = ("source", "source_id", "item", "hashes")
        samples[name] = [dict(zip(keys, values, strict=True)) for values in cursor.fetchall()]
    return {name: rows for name, rows in samples.items() if rows}


def _store_bad_rows(row: ListImport, staged: Staged) -> None:
    row.bad_rows.all().delete()
    BadRow.objects.bulk_create(_bad_row(row, bad) for bad in staged.bad)


def _bad_row(row: ListImport, bad: BadRowRead) -> BadRow:
    return BadRow(run=row, place=bad.place[:80], reason=bad.reason[:500], excerpt=bad.excerpt[:200])


def _end(row: ListImport, state: ListImport.State) -> None:
    row.state, row.progress = state, 100
    if state == State.DONE:
        row.finished_at = timezone.now()
        forget_file(row)
    row.save()


@transaction.atomic
def _fail(row: ListImport, failure: str, *, keep_file: bool = False) -> None:
    """``keep_file``: the file may not be at fault, so the import can be tried again."""
    row.state, row.failure, row.finished_at = State.FAILED, failure, timezone.now()
    if not keep_file:
        forget_file(row)
    row.save()


def forget_file(row: ListImport) -> None:
    if row.file:
        delete_after_commit([row.file.name])
        row.file = ""


def _file(row: ListImport) -> BinaryIO:
    try:
        return cast(BinaryIO, row.file.open("rb"))
    except (FileNotFoundError, ValueError):
        raise UserError(BROKEN_OFF) from None


PROGRESS_SECONDS = 0.5
Tell = Callable[[int], None]
"""Called with per cent, from 0 to 100, never decreasing."""


class Progress:
    """Writes the percentage to the row while the import's transaction is open.

    It uses its own connection. Close it after use.
    """

    def __init__(self, import_id: int, tell: Tell | None) -> None:
        self._id, self._tell = import_id, tell
        self._connection = connection.copy()
        self._last, self._at = 0, 0.0

    def __call__(self, percent: int) -> None:
        """Report progress. Updates the row at most every ``PROGRESS_SECONDS``."""
        if percent <= self._last:
            return
        self._last = percent
        if self._tell:
            self._tell(percent)
        if time.monotonic() - self._at >= PROGRESS_SECONDS:
            self._at = time.monotonic()
            self._write(percent)

    def _write(self, percent: int) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(
                "UPDATE moderation_listimport SET progress = %s WHERE id = %s AND state = %s",
                [percent, self._id, ListImport.State.RUNNING],
            )

    def close(self) -> None:
        self._connection.close()
