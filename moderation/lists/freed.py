"""What an allow entry has let through, screened again when the entry frees it no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.db import transaction
from django.db.models import QuerySet
from django_q.tasks import async_task

from moderation.lists.models import BannedHash, BannedItem
from moderation.lists.verdicts import ALLOWING

CLUSTER: Final = "lists"
BATCH: Final = 500
"""Hashes that one task looks for."""


def screen_again(items: QuerySet[BannedItem]) -> None:
    """Have what these entries of allow lists have freed screened as if it came now.

    Call it in the transaction that changes them, before they are gone. A task names the hashes, not
    the entries: those may be deleted by then.
    """
    hashes = BannedHash.objects.filter(item__in=items.order_by().values("pk"), kind=ALLOWING)
    values = sorted(set(hashes.values_list("value", flat=True)))
    for start in range(0, len(values), BATCH):
        enqueue(values[start : start + BATCH])


def enqueue(values: Sequence[str]) -> None:
    """In this transaction: the task is there when the change is."""
    with transaction.atomic():
        async_task("moderation.tasks.screen_again", list(values), cluster=CLUSTER)
