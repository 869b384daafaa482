"""Signals for higher apps, sent synchronously inside the writing transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db.models import Model
from django.dispatch import Signal

changed = Signal()
"""What one command changed.

Arguments: ``by``, ``verb``, ``rows`` (at least one, of ``sender``), ``before``, ``after``, and
``reason`` and ``batch`` (see ``batches``) if given. If rows differ in ``before`` or ``after``,
that argument is a mapping from value to number of rows.
"""

exported = Signal()
"""``count`` rows of ``sender`` are written to a file, ``by`` whom. Sent inside a transaction."""

overriding = Signal()
"""Withheld ``rows`` of ``sender`` are about to be released or deleted (``act``) by an override. A
receiver copies the evidence that it needs from them."""

files_deleted = Signal()
"""The files of ``rows`` of ``sender`` are deleted after a long quarantine, ``by`` whom. It is sent
before ``changed``. A receiver deletes its own copies."""

pictures_found = Signal()
"""The images ``ids`` have more stored pictures than when they passed the publishing gates."""

_Change = tuple[Model, Any, Any]
_Command = tuple[type[Model], str, str, str, int | None]
_Pending = dict[_Command, list[_Change]]
_pending: ContextVar[_Pending | None] = ContextVar("pending notifications", default=None)


def notify_changed(
    *,
    by: str,
    verb: str,
    row: Model,
    before: Any = None,
    after: Any = None,
    reason: str = "",
    batch: int | None = None,
) -> None:
    """Send ``changed`` at once, or at the end of the surrounding ``batch_notifications`` block."""
    pending = _pending.get()
    command = (type(row), by, verb, reason, batch)
    if pending is None:
        _send(command, [(row, before, after)])
    else:
        pending.setdefault(command, []).append((row, before, after))


@contextmanager
def batch_notifications() -> Iterator[None]:
    """Collect the changes of a command and send one signal for each verb at the end.

    Use it inside the transaction. Nothing is sent if the block fails.
    """
    if _pending.get() is not None:
        yield
        return
    pending: _Pending = {}
    token = _pending.set(pending)
    try:
        yield
    finally:
        _pending.reset(token)
    for command, changes in pending.items():
        _send(command, changes)


def _send(command: _Command, changes: Sequence[_Change]) -> None:
    model, by, verb, reason, batch = command
    rows, before, after = zip(*changes, strict=True)
    changed.send(
        sender=model,
        by=by,
        verb=verb,
        rows=list(rows),
        before=_summary(before),
        after=_summary(after),
        reason=reason,
        batch=batch,
    )


def _summary(values: Sequence[Any]) -> Any:
    if all(value == values[0] for value in values):
        return values[0]
    return dict(Counter(map(str, values)))


version_replaced = Signal()
"""The vectors of a CLIP model are being deleted. ``version``. Sent before the last step, so that it
may be sent again; it is not sent in a transaction."""
