"""The audit's chain: what is written is sealed, and what is changed behind its back is found."""

from __future__ import annotations

import pytest
from django.db import InternalError, connection, transaction
from hypothesis import example, given
from hypothesis import strategies as st

from gallery.items import changing
from gallery.items.models import Image
from moderation.audit import trail
from moderation.audit.models import AuditEvent
from moderation.lists.models import BannedList
from tests.examples import fuzz
from tests.factories import add_ready_image

pytestmark = pytest.mark.django_db


def write(count: int) -> list[AuditEvent]:
    subject = BannedList.objects.create(name="terror")
    return [
        trail.record(
            by="user:ana",
            verb="list.changed",
            subject=subject,
            before={"threshold": number / 3},
            after={"threshold": None, "words": "ü 漢"},
            reason="because",
        )
        for number in range(count)
    ]


def test_each_event_seals_the_one_before_it() -> None:
    events = write(4)
    assert events[0].previous == trail.FIRST
    assert [event.previous for event in events[1:]] == [event.digest for event in events[:-1]]
    assert list(trail.find_breaks()) == []


NUMBERS = (
    *(0, -0.0, 1.0, 0.1, 1e-300, 4.8e15, 4.824397969308662e16, 1e22, 1.0488276246809594e255),
    *(2**53 + 1, -(2**63), 2**64, 10**400),
)


@fuzz(20)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(), max_size=5))
@example([*NUMBERS])
def test_every_number_survives_storing(numbers: list[float]) -> None:
    subject = BannedList(pk=1)
    with transaction.atomic():
        trail.record(
            by="key:1", verb="image.updated", subject=subject, after={"meta": {"a": [numbers]}}
        )
    assert list(trail.find_breaks()) == []


def test_a_picture_whose_meta_holds_huge_numbers_can_be_changed() -> None:
    image = add_ready_image()
    for meta in ({"a": list(NUMBERS)}, {"a": 1}, None):
        changing.update_item(model=Image, by="key:1", item_id=image.pk, fields={"meta": meta})
    assert list(trail.find_breaks()) == []


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE moderation_auditevent SET reason = 'none'",
        "DELETE FROM moderation_auditevent",
    ],
)
def test_the_database_refuses_to_change_events(sql: str) -> None:
    write(2)
    with pytest.raises(InternalError, match="never changed"), transaction.atomic():
        connection.cursor().execute(sql)
    assert AuditEvent.objects.count() == 2


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("UPDATE moderation_auditevent SET reason = 'none' WHERE id = %s", "content was changed"),
        ("UPDATE moderation_auditevent SET actor = 'user:bo' WHERE id = %s", "content was changed"),
        ("DELETE FROM moderation_auditevent WHERE id = %s", "removed"),
    ],
)
def test_what_was_changed_behind_the_trigger_is_found(sql: str, expected: str) -> None:
    events = write(3)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE moderation_auditevent DISABLE TRIGGER USER")
        cursor.execute(sql, [events[1].pk])
        cursor.execute("ALTER TABLE moderation_auditevent ENABLE TRIGGER USER")
    (found,) = trail.find_breaks()
    assert expected in found.reason


@pytest.mark.django_db(transaction=True)
def test_an_event_outside_a_transaction_is_refused() -> None:
    before = AuditEvent.objects.count()
    with pytest.raises(transaction.TransactionManagementError):
        trail.record(by="worker", verb="nothing", subject=BannedList)
    assert AuditEvent.objects.count() == before
