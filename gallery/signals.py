"""News that other apps listen to, sent synchronously inside the writing transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db.models import Model
from django.dispatch import Signal

image_added = Signal()
"""``image``: a row has just been inserted."""

changed = Signal()
"""What one command did: ``by``, ``verb``, ``rows`` (at least one, of ``sender``), ``before``,
``after``. Where several rows differ in ``before`` or ``after``, it says how many had which.
"""

_News = tuple[Model, Any, Any]
_Waiting = dict[tuple[type[Model], str, str], list[_News]]
_waiting: ContextVar[_Waiting | None] = ContextVar("news of a command", default=None)


def tell(*, by: str, verb: str, row: Model, before: Any = None, after: Any = None) -> None:
    """Send ``changed``, or keep it for the end of the command that ``together`` surrounds."""
    waiting = _waiting.get()
    if waiting is None:
        _send(type(row), by, verb, [(row, before, after)])
    else:
        waiting.setdefault((type(row), by, verb), []).append((row, before, after))


@contextmanager
def together() -> Iterator[None]:
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
    for (model, by, verb), news in waiting.items():
        _send(model, by, verb, news)


def _send(model: type[Model], by: str, verb: str, news: Sequence[_News]) -> None:
    rows, before, after = zip(*news, strict=True)
    changed.send(
        sender=model,
        by=by,
        verb=verb,
        rows=list(rows),
        before=_summary(before),
        after=_summary(after),
    )


def _summary(values: Sequence[Any]) -> Any:
    if all(value == values[0] for value in values):
        return values[0]
    return dict(Counter(map(str, values)))
