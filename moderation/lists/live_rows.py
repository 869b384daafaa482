"""Items and hashes that match at this moment, by id: what an index found is checked here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from moderation.lists.models import BannedHash, BannedItem

CHUNK: Final = 10_000
"""Rows of one query."""


def items(ids: Iterable[int], lists: Iterable[int]) -> dict[int, BannedItem]:
    """Those of some items that match now and are on one of the lists."""
    live = BannedItem.objects.matching().filter(list__in=list(lists))
    return {row.pk: row for chunk in _chunks(ids) for row in live.filter(pk__in=chunk)}


def hashes(ids: Iterable[int], lists: Iterable[int]) -> dict[int, BannedHash]:
    """Those of some hashes whose items match now and are on one of the lists, with the items."""
    live = BannedItem.objects.matching().filter(list__in=list(lists))
    rows = BannedHash.objects.filter(item__in=live).select_related("item")
    return {row.pk: row for chunk in _chunks(ids) for row in rows.filter(pk__in=chunk)}


def _chunks(ids: Iterable[int]) -> Iterator[list[int]]:
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), CHUNK):
        yield wanted[start : start + CHUNK]
