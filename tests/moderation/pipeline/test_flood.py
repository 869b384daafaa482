"""The flood guard: one entry cannot hide everything."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from moderation import tasks
from moderation.audit.models import AuditEvent
from moderation.cases.models import CaseMatch, ReviewCase
from moderation.pipeline import flood
from tests.factories import add_ready_image, jpeg, photo
from tests.moderation.factories import make_item, make_list
from tests.moderation.pipeline.test_gates import pdq_of

pytestmark = pytest.mark.django_db


def add_many(count: int, first: int = 0) -> list[str]:
    """Re-encodings of one picture; their statuses."""
    added = [
        add_ready_image(data=jpeg(photo(1, (320, 240)), quality=60 + first + number))
        for number in range(count)
    ]
    return [image.status for image in added]


def queued() -> list[str]:
    return [task.func() for task in OrmQ.objects.all()]


def test_an_item_that_matches_too_much_is_suspended_and_raised() -> None:
    on = make_list(flood_limit=3)
    item = make_item(on, ("pdq", pdq_of(photo(1, (320, 240))), 90))
    assert add_many(3) == ["quarantined"] * 3
    assert "moderation.tasks.suspend_flooding" not in queued()
    add_many(1, first=3)
    assert "moderation.tasks.suspend_flooding" in queued()
    assert tasks.suspend_flooding(item.pk)
    item.refresh_from_db()
    assert item.suspended_at is not None
    case = ReviewCase.objects.get(origin="flood")
    match = case.matches.get()
    assert (match.item, case.verdict, case.held) == (item, "review", False)
    assert case.image is not None and "4 uploads" in case.evidence["flood"]
    assert AuditEvent.objects.filter(verb="item.suspended").count() == 1
    # From now on it only asks; and it is raised once.
    add_many(1, first=4)
    assert ReviewCase.objects.filter(origin="upload").order_by("-id")[0].verdict == "review"
    assert not tasks.suspend_flooding(item.pk)
    assert ReviewCase.objects.filter(origin="flood").count() == 1


def test_matches_of_an_earlier_hour_or_beyond_the_threshold_do_not_count(settings: Any) -> None:
    settings.FLOOD_LIMIT = 2
    item = make_item(make_list(), ("pdq", pdq_of(photo(1, (320, 240))), 90))
    add_many(3)
    assert flood.uploads(item) == 3
    oldest = CaseMatch.objects.order_by("id")[0]
    CaseMatch.objects.filter(pk=oldest.pk).update(created_at=timezone.now() - timedelta(hours=2))
    assert flood.uploads(item) == 2
    assert flood.suspend_flooding(item.pk) is None
    CaseMatch.objects.update(distance=40)
    assert flood.uploads(item) == 0
    assert flood.limit_of(item.list) == 2
