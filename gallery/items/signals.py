"""News that other apps listen to, sent synchronously inside the writing transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db.models import Model
from django.dispatch import Signal

changed = Signal()
"""What one command did: ``by``, ``verb``, ``rows`` (at least one, of ``sender``), ``before``,
``after``, and ``reason`` and ``batch`` (see ``batches``) where there is one. Where several
rows differ in ``before`` or ``after``, it says how many had which.
"""

overriding = Signal()
"""``rows`` of ``sender`` that are withheld are about to be released or deleted (``act``) all the
same. Whoever withholds them keeps what it needs of them now."""

pictures_found = Signal()
"""``ids`` of images of which more is stored than when they met the gates."""

_News = tuple[Model, Any, Any]
_Command = tuple[type[Model], str, str, str, int | None]
_Waiting = dict[_Command, list[_News]]
_waiting: ContextVar[_Waiting | None] = ContextVar("news of a command", default=None)


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
    """Send ``changed``, or keep it for the end of the command that ``together`` surrounds."""
    waiting = _waiting.get()
    command = (type(row), by, verb, reason, batch)
    if waiting is None:
        _send(command, [(row, before, after)])
    else:
        waiting.setdefault(command, []).append((row, before, after))


@contextmanager
def batch_notifications() -> Iterator[None]:
    """A command about many rows: what is told inside is sent once for each verb, at the end.

    Belongs inside the transaction. Nothing is sent if the block fails.
    """
    if _waiting.get() is not None:
        yield
        return
    waiting: _Waiting = {}
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)
    for command, news in waiting.items():
        _send(command, news)


def _send(command: _Command, news: Sequence[_News]) -> None:
    model, by, verb, reason, batch = command
    rows, before, after = zip(*news, strict=True)
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
