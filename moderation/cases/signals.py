"""Signals about cases, sent inside the transaction that changed them. Features above listen.

``withheld``: ``case``, which now withholds its subject before anybody has decided. ``decided``:
``decisions``, made at once. ``undone``: ``decisions`` that do not count any more.
"""

from __future__ import annotations

from django.dispatch import Signal

withheld = Signal()
decided = Signal()
undone = Signal()
