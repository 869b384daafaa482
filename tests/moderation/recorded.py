"""Matches as screening records them, in bulk: decided and not, within the threshold and beyond."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from moderation.cases.models import CaseMatch, ReviewCase
from moderation.cases.states import CaseState
from moderation.lists.models import BannedItem, BannedList
from moderation.lists.verdicts import Verdict
from tests.moderation.factories import make_item

CONFIRMED, DISMISSED, OPEN, NO_CASE = "confirmed", "dismissed", "open", ""


def record(
    on: BannedList,
    rows: Iterable[tuple[float, str]],
    *,
    match_type: str = "pdq",
    threshold: float = 31,
    observe: float = 52,
    weight: float = 1.0,
    source: str = "",
    decided_at: datetime | None = None,
    item: BannedItem | None = None,
    **fields: Any,
) -> list[CaseMatch]:
    """A match for each (distance, what became of its case), each of a subject of its own."""
    item = item or make_item(on, source=source)
    rows = list(rows)
    now = decided_at or timezone.now() - timedelta(minutes=5)
    final = CaseState.decided()
    cases = [
        ReviewCase(
            origin=ReviewCase.Origin.SAMPLE if distance > threshold else ReviewCase.Origin.UPLOAD,
            verdict=Verdict.REVIEW,
            severity=on.severity,
            cluster=secrets.token_hex(32),
            sampling_weight=weight,
            state=outcome,
            created_at=now - timedelta(hours=2),
            decided_at=now if outcome in final else None,
        )
        for distance, outcome in rows
        if outcome != NO_CASE
    ]
    made = iter(ReviewCase.objects.bulk_create(cases))
    return CaseMatch.objects.bulk_create(
        CaseMatch(
            case=next(made) if outcome != NO_CASE else None,
            list=on,
            item=item,
            sha256=secrets.token_hex(32),
            list_name=on.name,
            list_version=on.version,
            source=item.source,
            match_type=match_type,
            distance=distance,
            threshold=threshold,
            observe=observe,
            verdict=Verdict.REVIEW if distance <= threshold else Verdict.ALLOW,
            **fields,
        )
        for distance, outcome in rows
    )


def record_a_tale(on: BannedList, **fields: Any) -> None:
    """What a list may look like after some weeks: nearly all near ones are right, few far ones."""
    shape = [(4, 40, 0), (10, 50, 1), (16, 40, 3), (22, 25, 6), (28, 14, 10), (31, 6, 10)]
    for distance, right, wrong in shape:
        rows = [(float(distance - n % 4), CONFIRMED) for n in range(right)]
        rows += [(float(distance - n % 4), DISMISSED) for n in range(wrong)]
        record(on, rows, **fields)
    record(on, [(float(20 + n % 11), OPEN) for n in range(15)], **fields)
    sampled = [(36.0, CONFIRMED), (38.0, CONFIRMED), (45.0, CONFIRMED)]
    sampled += [(float(33 + n % 19), DISMISSED) for n in range(24)]
    record(on, sampled, weight=5.0, **fields)
    record(on, [(float(32 + n % 20), NO_CASE) for n in range(108)], **fields)
