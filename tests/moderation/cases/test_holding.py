"""What is held stays held: allow entries, suspended items, and what they freed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from gallery.items.models import Image
from gallery.items.preprocessing import Hashes
from moderation import tasks
from moderation.audit.models import AuditEvent
from moderation.cases.models import ReviewCase
from moderation.lists import item_adding, item_changing, list_writes
from moderation.lists.models import BannedItem, BannedList
from tests.factories import add_ready_image, jpeg, photo, png
from tests.moderation.factories import ADMIN, make_item, make_list
from tests.moderation.pipeline.test_flood import add_many
from tests.moderation.pipeline.test_gates import pdq_of

pytestmark = pytest.mark.django_db
DATA = png(photo(1))
OTHER = Hashes.of(b"another file")
OWN = Hashes.of(DATA)


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        ([("sha256", OWN.sha256)], "ready"),
        ([("md5", OWN.md5), ("sha1", OWN.sha1), ("sha256", OWN.sha256)], "ready"),
        # What a collision of MD5, of SHA-1, or of both would look like.
        ([("md5", OWN.md5), ("sha1", OTHER.sha1), ("sha256", OTHER.sha256)], "quarantined"),
        ([("md5", OWN.md5), ("sha256", OTHER.sha256)], "quarantined"),
        ([("sha1", OWN.sha1), ("sha256", OTHER.sha256)], "quarantined"),
        ([("md5", OWN.md5)], "quarantined"),
        ([("md5", OWN.md5), ("sha1", OWN.sha1)], "quarantined"),
        # Alike is not the same.
        ([("pdq", pdq_of(photo(1)), 90)], "quarantined"),
    ],
)
def test_an_allow_entry_is_a_sha256(entry: list[Any], status: str) -> None:
    make_item(make_list(), ("pdq", pdq_of(photo(1)), 90))
    make_item(make_list(kind="allow"), *entry)
    assert add_ready_image(data=DATA).status == status


def test_an_allow_entry_with_a_picture_frees_its_file_alone() -> None:
    make_item(make_list(), ("pdq", pdq_of(photo(1)), 90))
    item_adding.add_picture(by=ADMIN, list_id=make_list(kind="allow").pk, data=DATA)
    assert add_ready_image(data=DATA).status == "ready"
    assert add_ready_image(data=jpeg(photo(1))).status == "quarantined"


def run_screenings() -> None:
    """What a worker does with the tasks that wait."""
    for row in OrmQ.objects.all():
        if row.func() == "moderation.tasks.screen_again":
            tasks.screen_again(*row.task["args"])
            row.delete()


def retire(entry: BannedItem) -> None:
    item_changing.retire(by=ADMIN, items=BannedItem.objects.filter(pk=entry.pk), reason="x")


def suspend(entry: BannedItem) -> None:
    item_changing.suspend(by=ADMIN, items=BannedItem.objects.filter(pk=entry.pk), reason="x")


def dispute(entry: BannedItem) -> None:
    chosen = BannedItem.objects.filter(pk=entry.pk)
    item_changing.give_opinion(by=ADMIN, items=chosen, opinion="disputed", reason="x")


def move(entry: BannedItem) -> None:
    chosen, onto = BannedItem.objects.filter(pk=entry.pk), make_list(enabled=False)
    item_changing.move(by=ADMIN, items=chosen, list_id=onto.pk, reason="x")


def disable(entry: BannedItem) -> None:
    list_writes.change_list(by=ADMIN, list_id=entry.list_id, enabled=False)


def narrow(entry: BannedItem) -> None:
    list_writes.change_list(by=ADMIN, list_id=entry.list_id, allows_for=[make_list("elsewhere").pk])


def delete(entry: BannedItem) -> None:
    list_writes.delete_list(by=ADMIN, list_id=entry.list_id, with_items=True)


def expire(entry: BannedItem) -> None:
    over = timezone.now() - timedelta(seconds=1)
    item_changing.change_item(by=ADMIN, item_id=entry.pk, expires_at=over)
    assert tasks.retire_expired() == 1
    assert tasks.retire_expired() == 0
    entry.refresh_from_db()
    assert (entry.state, entry.retired_because) == ("retired", "expired")


@pytest.mark.slow
@pytest.mark.parametrize(
    "switch_off", [retire, suspend, dispute, move, disable, narrow, delete, expire]
)
def test_what_an_entry_freed_is_screened_again_when_it_is_off(
    switch_off: Callable[[BannedItem], None],
) -> None:
    make_item(make_list("banned"), ("pdq", pdq_of(photo(1)), 90))
    entry = make_item(make_list(kind="allow"), ("sha256", OWN.sha256))
    freed, stranger = add_ready_image(data=DATA), add_ready_image(photo(2))
    assert freed.status == "ready" and not ReviewCase.objects.exists()
    switch_off(entry)
    run_screenings()
    statuses = dict(Image.objects.values_list("pk", "status"))
    assert statuses == {freed.pk: "quarantined", stranger.pk: "ready"}
    assert ReviewCase.objects.get().image == freed


def test_a_change_that_frees_as_much_screens_nothing() -> None:
    entry = make_item(make_list(kind="allow"), ("sha256", OWN.sha256))
    list_writes.change_list(by=ADMIN, list_id=entry.list_id, owner="ana")
    assert not [row for row in OrmQ.objects.all() if "screen_again" in row.func()]


def test_the_flood_guard_never_publishes() -> None:
    on = make_list(flood_limit=3, hold_on_review=False)
    item = make_item(on, ("pdq", pdq_of(photo(1, (320, 240))), 90))
    add_many(4)
    assert tasks.suspend_flooding(item.pk)
    assert add_many(4, first=4) == ["quarantined"] * 4
    assert set(ReviewCase.objects.exclude(origin="flood").values_list("held", flat=True)) == {True}


def test_a_list_that_does_not_hold_still_publishes_what_no_guard_suspended() -> None:
    on = make_list(action="review", hold_on_review=False)
    make_item(on, ("pdq", pdq_of(photo(1)), 90))
    assert add_ready_image(data=DATA).status == "ready"
    assert BannedList.objects.count() == 1 and AuditEvent.objects.exists()
