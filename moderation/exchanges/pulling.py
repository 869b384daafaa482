"""Pull hashes from exchanges into their lists.

A pull fetches pages, imports them, and moves the checkpoint once they are applied. Each page is
stored in the transaction that moves the cursor, so a pull whose worker is killed goes on with the
next page. The pages are imported as one file is (``moderation.imports``). What the exchange
withdrew is applied first, by an import of its own that asks nobody, unless it would retire more
than a fifth of the list. The rest is applied or waits for a person, as the exchange's settings say.
A pull that waits takes up what comes later, and asks about all of it.

If the last success is so old that an exchange may have forgotten deletions, it is pulled from its
beginning, and entries that it lacks are retired.
"""

from __future__ import annotations

import logging
import tempfile
import time
import zlib
from datetime import timedelta
from typing import IO, Final

from django.core.files.base import File
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from gallery.shared.errors import Conflict, UserError
from gallery.shared.locking import Lock, only_one
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.exchanges.clients.base import Client, Page, ServiceFailed
from moderation.exchanges.editing import client_of
from moderation.exchanges.models import Exchange, Pull, PulledPage
from moderation.imports import run, start, undoing
from moderation.imports.models import ListImport
from moderation.imports.options import Options

BUDGET: Final = 50.0
"""Seconds after which a run leaves the rest to the next run."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=6)
FORGETS_AFTER: Final = timedelta(days=80)
"""ThreatExchange lists deletions for 90 days."""

MAX_PULL_BYTES: Final = 4_000_000_000
LONGEST_FAILURE: Final = 500
KEPT: Final = timedelta(days=90)
ASKING: Final = (ListImport.State.PREVIEWED, ListImport.State.WAITING)
GOING: Final = (ListImport.State.PENDING, ListImport.State.RUNNING)

logger = logging.getLogger(__name__)


def actor(exchange: Exchange) -> Actor:
    """Return who changes a list in the name of an exchange."""
    return Actor.machine(f"exchange:{exchange.name}")


def pull_due() -> int:
    """Pull from each exchange that is due, and follow the imports that were confirmed meanwhile.

    Only one process pulls, so that imports and webhooks keep their workers. Returns how many pulls
    came to an end.
    """
    ended, until = 0, time.monotonic() + BUDGET
    try:
        with only_one(Lock.EXCHANGES, Conflict("Another process pulls or sends.")):
            follow()
            for exchange in (
                Exchange.objects.pulled()
                .filter(enabled=True, next_at__lte=timezone.now())
                .order_by("next_at")
            ):
                if time.monotonic() >= until:
                    break
                ended += _pull(exchange, until)
            Pull.objects.filter(ended_at__lt=timezone.now() - KEPT).delete()
    except Conflict:
        return 0
    return ended


def follow(import_id: int | None = None) -> None:
    """Move the checkpoints of pulls whose imports ended. ``import_id``: only this one."""
    waiting = Pull.objects.filter(state=Pull.State.WAITING)
    if import_id is not None:
        waiting = waiting.filter(run=import_id)
    for pk in list(waiting.values_list("pk", flat=True)):
        _settle(pk)


def latest_undoable(exchange: Exchange) -> Pull | None:
    pull = exchange.pulls.filter(state=Pull.State.DONE).select_related("run", "withdrawals").first()
    return pull if pull and pull.run and undoing.is_undoable(pull.run) else None


def changes(pull: Pull) -> dict[str, int]:
    """Return how many entries a pull changes, or would change, in each way."""
    return {
        name: sum(
            one.counts.get(name, 0)
            for one in (pull.run, pull.withdrawals if name == "retired" else None)
            if one
        )
        for name in run.CHANGE_COUNTS
    }


@transaction.atomic
def undo(*, by: Actor, exchange_id: int, reason: str) -> Pull:
    """Undo the latest pull of an exchange, and switch the exchange off, so that it does not come
    back. Raises as ``undoing.undo``."""
    check(by, "pull from exchanges")
    exchange = Exchange.objects.select_for_update().get(pk=exchange_id)
    pull = latest_undoable(exchange)
    if pull is None or pull.run is None:
        raise Conflict("No pull of this exchange can be undone.")
    undoing.undo(by=by, import_id=pull.run.pk, reason=reason)
    if pull.withdrawals is not None and undoing.is_undoable(pull.withdrawals):
        undoing.undo(by=by, import_id=pull.withdrawals.pk, reason=reason)
    Pull.objects.filter(pk=pull.pk).update(state=Pull.State.UNDONE)
    Exchange.objects.filter(pk=exchange.pk).update(enabled=False)
    trail.record(
        by=by.name,
        verb="exchange.pull_undone",
        subject=exchange,
        after={"pull": pull.pk, "enabled": False},
        reason=reason,
    )
    return pull


def _pull(exchange: Exchange, until: float) -> bool:
    """Fetch what is there, up to a time, then apply it. Returns whether all was fetched."""
    known = exchange.pulls.filter(state__in=Pull.OPEN).select_related("run").first()
    if known and known.run and known.run.state in GOING and known.state == Pull.State.WAITING:
        return False  # a worker is applying it
    try:
        client = client_of(exchange)
        pull = _open(exchange, known)
        before = pull.records
        if not _fetch(pull, client, until):
            return False
        _apply(exchange, pull, client, has_new=pull.records > before)
    except UserError as error:
        _note_failure(exchange, error.message)
        return False
    except Exception:
        logger.exception("The pull from %s failed", exchange.name)
        _note_failure(exchange, "The pull failed; the service's log says why.")
        raise
    now = timezone.now()
    Exchange.objects.filter(pk=exchange.pk).update(
        failures=0,
        failure="",
        succeeded_at=now,
        next_at=now + timedelta(minutes=exchange.minutes),
    )
    return True


def _open(exchange: Exchange, known: Pull | None) -> Pull:
    """Return the pull to go on with, or a new one."""
    if known is None:
        last = exchange.succeeded_at
        begins = not exchange.checkpoint or last is None or last < timezone.now() - FORGETS_AFTER
        return Pull.objects.create(
            exchange=exchange,
            since={} if begins else exchange.checkpoint,
            full=begins,
            started_by=actor(exchange).name,
        )
    if known.upto is not None:
        # All of its pages were read: what follows is new.
        known.since, known.upto, known.cursor = known.upto, None, None
    known.state = Pull.State.FETCHING
    known.save(update_fields=["since", "upto", "cursor", "state"])
    return known


def _fetch(pull: Pull, client: Client, until: float) -> bool:
    """Store page after page. Returns whether the last one was read."""
    while pull.upto is None:
        page = client.page(pull.since, pull.cursor)
        if page.cursor is not None and page.cursor == pull.cursor:
            raise ServiceFailed("The exchange repeats a page.")
        _store(pull, page)
        if pull.upto is None and time.monotonic() >= until:
            return False
    return True


@transaction.atomic
def _store(pull: Pull, page: Page) -> None:
    """Store a page and move the cursor. A pull that was deleted meanwhile stays so."""
    stored = Pull.objects.select_for_update().filter(pk=pull.pk, state=Pull.State.FETCHING).first()
    if stored is None:
        raise ServiceFailed("The pull was begun anew meanwhile.")
    if page.records:
        PulledPage.objects.create(pull=pull, number=pull.pages, body=zlib.compress(page.body, 1))
        pull.pages += 1
        pull.records += page.records
        pull.size += len(page.body)
    if pull.size > MAX_PULL_BYTES:
        raise ServiceFailed(f"The exchange sends more than {MAX_PULL_BYTES:,} bytes.")
    pull.cursor = page.cursor
    pull.upto = page.checkpoint if page.cursor is None else None
    pull.save(update_fields=["pages", "records", "size", "cursor", "upto"])


def _apply(exchange: Exchange, pull: Pull, client: Client, *, has_new: bool) -> None:
    """Import the pages of a pull that was fetched to its end."""
    if not pull.records:
        Exchange.objects.filter(pk=exchange.pk).update(checkpoint=pull.upto)
        pull.delete()
        return
    if pull.run is not None and pull.run.state in ASKING and not has_new:
        Pull.objects.filter(pk=pull.pk).update(state=Pull.State.WAITING)
        return
    _replace(pull.run, exchange)
    _replace(pull.withdrawals, exchange)
    with tempfile.TemporaryFile() as file:
        for body in pull.stored_pages.values_list("body", flat=True).iterator(chunk_size=1):
            file.write(zlib.decompress(body) + b"\n")
        name = f"{exchange.name}, pull {pull.pk}"
        if exchange.list.items.exists():
            pull.withdrawals = _import(exchange, file, name, client, Options(withdrawals=True))
        pull.run = _import(
            exchange, file, name, client, Options(full=pull.full), ask=exchange.ask_first
        )
    pull.state = Pull.State.WAITING
    pull.save(update_fields=["state", "run", "withdrawals"])
    _settle(pull.pk)


def _replace(earlier: ListImport | None, exchange: Exchange) -> None:
    if earlier is not None and earlier.state in ASKING:
        start.discard(by=actor(exchange), import_id=earlier.pk, reason="another import replaces it")


def _import(
    exchange: Exchange,
    file: IO[bytes],
    name: str,
    client: Client,
    options: Options,
    *,
    ask: bool = False,
) -> ListImport:
    """Import at once. While another import of the list runs, a task does it later."""
    by = actor(exchange)
    row = start.begin(
        by=by,
        list_id=exchange.list_id,
        file=File(file, name=name),
        format=client.FORMAT.value,
        options=options,
        dry_run=ask,
    )
    try:
        return run.run(by=by, import_id=row.pk)
    except run.Busy:
        return row


@transaction.atomic
def _settle(pull_id: int) -> None:
    pull = (
        Pull.objects.select_for_update(of=("self",))
        .select_related("run", "withdrawals", "exchange")
        .filter(pk=pull_id, state=Pull.State.WAITING)
        .first()
    )
    if pull is None:
        return
    state = pull.run.state if pull.run else ListImport.State.FAILED
    if state not in (ListImport.State.DONE, ListImport.State.FAILED):
        return
    pull.ended_at = timezone.now()
    if state == ListImport.State.DONE:
        pull.state = Pull.State.DONE
        Exchange.objects.filter(pk=pull.exchange_id).update(checkpoint=pull.upto)
        _replace(pull.withdrawals, pull.exchange)
    else:
        # The checkpoint stays, so that the next pull brings it again.
        pull.state = Pull.State.FAILED
        pull.failure = (pull.run.failure if pull.run else "Its import was deleted.")[
            :LONGEST_FAILURE
        ]
    pull.save(update_fields=["state", "failure", "ended_at"])
    pull.stored_pages.all().delete()


def pause_after(failures: int) -> timedelta:
    """Return how long to wait after one more failure than these in a row."""
    factor: int = 2 ** min(failures, 12)
    return min(FIRST_PAUSE * factor, LONGEST_PAUSE)


def _note_failure(exchange: Exchange, failure: str) -> None:
    Exchange.objects.filter(pk=exchange.pk).update(
        failures=F("failures") + 1,
        failure=failure[:LONGEST_FAILURE],
        next_at=timezone.now() + pause_after(exchange.failures),
    )
