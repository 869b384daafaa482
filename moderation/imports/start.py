"""Start, confirm, retry and discard imports, and resume abandoned ones."""

from __future__ import annotations

import hashlib
import os
import secrets
from datetime import timedelta
from typing import BinaryIO, cast

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext
from django_q.tasks import async_task

from gallery.items.file_storage import delete_after_commit, undo_files
from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import Actor, NotAllowed, Role, check
from moderation.audit import trail
from moderation.imports.models import ListImport
from moderation.imports.options import Options, check_fits
from moderation.imports.run import Busy, forget_file, run
from moderation.lists import weakening
from moderation.lists.formats.reading import Format, detect
from moderation.lists.models import BannedList

State = ListImport.State
HEAD_BYTES = 65_536
CLUSTER = "lists"
FILE_KEPT = timedelta(days=7)
LEFT_OVER = timedelta(minutes=1)


def begin(
    *,
    by: Actor,
    list_id: int,
    file: File,
    format: str = "",
    options: Options | None = None,
    dry_run: bool = False,
    confirmed: bool = False,
) -> ListImport:
    """Store a file and import it in the background.

    ``dry_run``: only preview; ``confirm`` then imports it. ``confirmed``: a large change needs no
    confirmation. Raises ``NotAllowed``, ``NotFound``, and ``UserError`` if the file is not a hash
    list.
    """
    check(by, "import lists")
    chosen = options or Options()
    row = _row(by, list_id, cast(BinaryIO, file.file), file.name or "unnamed", format, chosen)
    row.dry_run, row.confirmed = dry_run, confirmed
    row.agreed_by = by.name if _agrees(by, row) else ""
    file.seek(0)
    with undo_files() as files, transaction.atomic():
        row.file = files.add(default_storage.save(f"imports/{secrets.token_hex(16)}", file))
        row.save()
        _enqueue(row)
    return row


def begin_here(
    *,
    by: Actor,
    list_id: int,
    stream: BinaryIO,
    name: str,
    format: str = "",
    options: Options | None = None,
    dry_run: bool = False,
    confirmed: bool = False,
) -> ListImport:
    """Create an import that the caller runs at once, from the caller's own seekable file."""
    check(by, "import lists")
    row = _row(by, list_id, stream, name, format, options or Options())
    row.dry_run, row.confirmed = dry_run, confirmed
    row.agreed_by = by.name if _agrees(by, row) else ""
    row.save()
    stream.seek(0)
    return row


@transaction.atomic
def confirm(*, by: Actor, import_id: int) -> ListImport:
    """Import a file that was previewed or waits. Raises ``NotAllowed``, ``NotFound``, ``Conflict``.

    An import that weakens the list cannot be confirmed by an API key. If the list is critical, the
    person who started the import cannot confirm it either, unless they are an admin.
    """
    check(by, "import lists")
    row = _locked(import_id, State.PREVIEWED, State.WAITING)
    second = not by.via_key and by.name != row.added_by
    if weakening.of_import(row.list, row.counts):
        if not (second or _agrees(by, row)):
            raise NotAllowed(
                gettext("This weakens the list: a second person or an admin must confirm it.")
            )
        row.agreed_by = by.name
    row.state, row.dry_run, row.confirmed, row.progress = State.PENDING, False, True, 0
    row.attempts = 0
    row.added_by = by.name
    row.save()
    _enqueue(row)
    return row


@transaction.atomic
def discard(*, by: Actor, import_id: int, reason: str = "") -> ListImport:
    """Discard a previewed or waiting file. Raises ``NotAllowed``, ``NotFound``, ``Conflict``."""
    check(by, "import lists")
    row = _locked(import_id, State.PREVIEWED, State.WAITING)
    if row.file:
        delete_after_commit([row.file.name])
    row.state, row.file, row.finished_at = State.FAILED, "", timezone.now()
    row.failure = f"Discarded by {by.name}."
    row.save()
    trail.record(
        by=by.name,
        verb="import.discarded",
        subject=row,
        before={"list": row.list_id, "file": row.file_name, "sha256": row.sha256},
        reason=reason,
    )
    return row


@transaction.atomic
def retry(*, by: Actor, import_id: int) -> ListImport:
    """Run an import again that failed without fault of its file. Raises ``NotAllowed``,
    ``NotFound``, ``Conflict``."""
    check(by, "import lists")
    row = _locked(import_id, State.FAILED)
    failure = row.failure
    row.state, row.failure, row.finished_at = State.PENDING, "", None
    row.progress = row.attempts = 0
    row.save()
    trail.record(
        by=by.name,
        verb="import.retried",
        subject=row,
        before={"failure": failure},
        after={"list": row.list_id, "file": row.file_name, "sha256": row.sha256},
    )
    _enqueue(row)
    return row


def _agrees(by: Actor, row: ListImport) -> bool:
    if by.via_key:
        return False
    return by.role == Role.ADMIN or not weakening.is_critical(row.list)


def run_in_background(import_id: int) -> str:
    """Run an import in a worker. Returns its state, "busy" or "gone"."""
    row = ListImport.objects.filter(pk=import_id).first()
    if row is None:
        return "gone"
    try:
        # Permissions were checked when the import was started or confirmed.
        return run(by=Actor(row.added_by, Role.ADMIN), import_id=import_id).state
    except Busy:
        return "busy"


def pick_up() -> int:
    """Run abandoned and postponed imports, and discard old unconfirmed ones.

    Returns how many imports ran.
    """
    now = timezone.now()
    for row in ListImport.objects.filter(
        state__in=[State.PREVIEWED, State.WAITING], created_at__lt=now - FILE_KEPT
    ).exclude(file=""):
        discard(by=Actor.machine("worker"), import_id=row.pk, reason="not confirmed in a week")
    for row in ListImport.objects.filter(
        state=State.FAILED, created_at__lt=now - FILE_KEPT
    ).exclude(file=""):
        forget_file(row)
        row.save(update_fields=["file"])
    left = ListImport.objects.filter(
        state__in=[State.PENDING, State.RUNNING], created_at__lt=now - LEFT_OVER
    )
    ids = list(left.order_by("id").values_list("pk", flat=True))
    return sum(run_in_background(pk) not in ("busy", "gone") for pk in ids)


def _row(
    by: Actor, list_id: int, stream: BinaryIO, name: str, format: str, options: Options
) -> ListImport:
    """Return an unsaved row for a seekable file, which is read once. Raises as ``begin`` does."""
    if not BannedList.objects.filter(pk=list_id).exists():
        raise NotFound(gettext("There is no list %(number)s.") % {"number": list_id}, field="list")
    stream.seek(0)
    if format and format not in set(Format):
        raise UserError(
            gettext("%(format)r is none of %(choices)s.")
            % {"format": format, "choices": ", ".join(Format)},
            field="format",
        )
    read = Format(format) if format else detect(stream.read(HEAD_BYTES))
    check_fits(options, read)
    stream.seek(0)
    digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    return ListImport(
        list_id=list_id,
        file_name=_plain(name),
        sha256=digest,
        size=stream.seek(0, os.SEEK_END),
        format=read.value,
        options=options.stored(),
        added_by=by.name,
    )


def _plain(name: str) -> str:
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(letter for letter in last if letter.isprintable())[:255] or "unnamed"


def _locked(import_id: int, *states: str) -> ListImport:
    row = ListImport.objects.select_for_update().filter(pk=import_id).first()
    if row is None:
        raise NotFound(gettext("There is no import %(number)s.") % {"number": import_id})
    if row.state not in states:
        raise Conflict(
            gettext("Import %(number)s is %(state)s: that cannot be done with it now.")
            % {"number": import_id, "state": row.get_state_display()}
        )
    if not row.file:
        raise Conflict(
            gettext("The file of import %(number)s is no longer stored: import it again.")
            % {"number": import_id}
        )
    return row


def _enqueue(row: ListImport) -> None:
    async_task("moderation.tasks.run_import", row.pk, cluster=CLUSTER)
