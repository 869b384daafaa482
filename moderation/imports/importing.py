"""Importing a hash list: read into a temporary table, compared with the list, then written whole.

Reading and comparing change nothing. Everything is written in one transaction, so that an import
which is broken off, in whichever way, has changed nothing and starts anew. A lock of the session
says that an import runs; it goes with the process, so that what was left over is found.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from moderation.imports.progress import Progress, Teller
from moderation.imports.staging import Staged, stage
from moderation.lists import freed, lists, weakening
from moderation.lists.formats import BadRow as BadRowRead
from moderation.lists.formats import Format
from moderation.lists.models import BannedItem, BannedList

State = ListImport.State
LARGE = 0.2
"""Share of a list beyond which a change waits for somebody to confirm it."""
SAMPLES = 5
MANY = 1_000
"""Rows of a file for which it is worth to know how large the tables are: that takes 0.3 s."""
MAX_ATTEMPTS = 3
CHANGING = ("added", "changed", "reactivated", "retired")
LEFT_ALONE = ("unchanged", "kept")
READ, COMPARED = 80, 88
"""Per cent of the way at which a file is read, and compared."""
BUSY = "Another import of this list is running: wait until it ends."
BROKEN_OFF = "The import was broken off. Nothing was changed; import the file again."


class Busy(Conflict):
    """Another import of the same list runs."""

    code = "import_running"


def run(
    *, by: Actor, import_id: int, stream: BinaryIO | None = None, tell: Teller | None = None
) -> ListImport:
    """Do what an import's row says, from its own file or from ``stream``; answers the row.

    Ends in ``previewed`` (a dry run), ``waiting`` (a large change that nobody has confirmed),
    ``done``, or ``failed`` with a sentence. ``tell`` hears of the progress, as the row does.
    Raises ``NotAllowed``, and ``Busy`` while another import of the list runs.
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
                raise UserError("This import ended its process three times, so it is left alone.")
            _read_and_write(row, by, stream, tell)
        except UserError as error:
            _fail(row, error.message)
        except Exception:
            _fail(row, "The import failed for a reason that the service's log says.")
            raise
    return row


def _read_and_write(
    row: ListImport, by: Actor, stream: BinaryIO | None, tell: Teller | None
) -> None:
    options, now = Options.read(row.options), timezone.now()
    with closing(Progress(row.pk, tell)) as progress, closing(stream or _file(row)) as source:

        def told(read: int) -> None:
            progress(READ * read // max(row.size, 1))

        try:
            with transaction.atomic():
                staged = stage(source, Format(row.format), options, now=now, tell=told)
            if staged.rows > MANY:
                # Soon after another import the database may not know yet how many there are, and
                # compare each with each: 50 s instead of 5 for 50,000. Outside of the transaction,
                # whose end else gave the lock back.
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
    """Compare, and write if that is wanted; with the caller's transaction."""
    params: dict[str, Any] = {
        "list": row.list_id,
        "now": now,
        "by": by.name,
        # What stands beyond the place where a file broke off was not removed from it.
        "full": options.full and not staged.broken,
        "theirs": list(sql.RETIRED_BY_SOURCE),
        "withdrawn": sql.WITHDRAWN,
        "expired": sql.EXPIRED,
        "missing": sql.MISSING,
    }
    if not row.dry_run:
        # Before its items, as every command does it, and so that what is compared stays as it is.
        lists.locked(row.list_id)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'")
        for statement in _told(sql.COMPARE, progress, READ, COMPARED):
            cursor.execute(statement, params)
        row.counts = _counts(cursor, staged)
        row.samples = _samples(cursor)
        changes = sum(row.counts[name] for name in CHANGING)
        if row.dry_run:
            state = State.PREVIEWED
        elif _must_wait(row, changes):
            state = State.WAITING
        else:
            state = State.DONE
            for statement in _told(sql.APPLY, progress, COMPARED, 99):
                cursor.execute(statement, params)
            if row.list.kind == BannedList.Kind.ALLOW:
                freed.screen_again(row.list.items.filter(retired_at=now))
            cursor.execute(sql.FIRST_TO_SCAN)
            (first,) = cursor.fetchone()
    _store_bad_rows(row, staged)
    if state == State.WAITING and not row.file:
        raise UserError(
            f"This would change {changes:,} items, more than {LARGE:.0%} of the list: look at it "
            "with --dry-run, and confirm it with --yes."
        )
    if state == State.DONE:
        _conclude(row, by, changes, first, staged)
    _end(row, state)


def _conclude(row: ListImport, by: Actor, changes: int, first: int | None, staged: Staged) -> None:
    """Version, scan and audit of an import that was written."""
    if changes:
        lists.touch([row.list_id])
    banned = BannedList.objects.get(pk=row.list_id)
    if first is not None:
        lists.scan(banned, by=by, reason=f"import {row.pk}", after_item=first - 1)
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


def _must_wait(row: ListImport, changes: int) -> bool:
    """Whether somebody has to confirm the change first: a large one, or one that weakens."""
    if not row.confirmed and _is_large(changes, row.list_id):
        return True
    return not row.agreed_by and weakening.of_import(row.list, row.counts)


def is_large(row: ListImport) -> bool:
    """Whether what an import counted is a large change of its list as it is now."""
    return _is_large(sum(row.counts.get(name, 0) for name in CHANGING), row.list_id)


def _is_large(changes: int, list_id: int) -> bool:
    """A list that is still empty has nothing that could be spoilt."""
    total = BannedItem.objects.filter(list=list_id).count()
    return bool(total) and changes > LARGE * total


def _told(statements: tuple[str, ...], progress: Progress, start: int, end: int) -> Iterator[str]:
    for number, statement in enumerate(statements, 1):
        yield statement
        progress(start + (end - start) * number // len(statements))


def _counts(cursor: Any, staged: Staged) -> dict[str, Any]:
    """Entries by what becomes of them; what is missing is retired as well, and told apart."""
    cursor.execute(sql.COUNT)
    found = dict(cursor.fetchall())
    counts: dict[str, Any] = {name: found.get(name, 0) for name in (*CHANGING, *LEFT_ALONE)}
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
    for name in (*CHANGING, "kept", "missing"):
        if name == "missing":
            cursor.execute(sql.SAMPLE_MISSING, [SAMPLES])
        else:
            cursor.execute(sql.SAMPLE, [name, SAMPLES])
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
        _forget_file(row)
    row.save()


@transaction.atomic
def _fail(row: ListImport, failure: str) -> None:
    row.state, row.failure, row.finished_at = State.FAILED, failure, timezone.now()
    _forget_file(row)
    row.save()


def _forget_file(row: ListImport) -> None:
    if row.file:
        delete_after_commit([row.file.name])
        row.file = ""


def _file(row: ListImport) -> BinaryIO:
    try:
        return cast(BinaryIO, row.file.open("rb"))
    except (FileNotFoundError, ValueError):
        raise UserError(BROKEN_OFF) from None
