"""What reaches the audit from images and videos, and who is let into the admin."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.db import connection

from gallery.imaging.descriptors import PIXELS
from gallery.items import adding, changing, describing
from gallery.items.models import Image
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.audit import export, trail
from moderation.audit.models import AuditEvent
from tests import factories as make
from tests.moderation.factories import ADMIN, make_list, make_person

pytestmark = pytest.mark.django_db


def told() -> list[tuple[str, str, int]]:
    events = AuditEvent.objects.order_by("id")
    return [(event.actor, event.verb, event.count) for event in events]


def test_an_added_image_is_written_down() -> None:
    image = adding.add_image(data=make.png(make.photo(1)), by="key:loader", inline=PIXELS)
    assert told() == [("key:loader", "image.added", 1), ("key:loader", "image.published", 1)]
    event = AuditEvent.objects.latest("id")
    assert (event.subject, event.subject_id) == ("gallery.image", image.pk)
    assert (event.before, event.after) == ("pending", "ready")


def test_a_batch_of_a_worker_is_one_event() -> None:
    for seed in (1, 2, 3):
        adding.add_image(data=make.png(make.photo(seed)), by="key:loader")
    describing.describe_images([])
    assert told()[3:] == [("worker", "image.published", 3)]


def test_a_bulk_command_is_one_event_that_names_its_rows() -> None:
    ids = sorted(make.add_ready_image(make.photo(seed)).pk for seed in (1, 2, 3))
    before = AuditEvent.objects.count()
    changing.quarantine_items(items=Image.objects.order_by("id"), by="user:ana")
    changing.delete_items(
        items=Image.objects.order_by("id"), by="user:ana", reason="because", override=True
    )
    quarantined, overridden, deleted = AuditEvent.objects.order_by("id")[before:]
    assert (overridden.verb, overridden.count) == ("image.withholding_overridden", 3)
    assert overridden.before["was"] == "it is quarantined"
    assert overridden.reason == deleted.reason == "because"
    assert (quarantined.verb, quarantined.count) == ("image.quarantined", 3)
    assert quarantined.before["ids"] == deleted.before["ids"] == ids
    assert deleted.before["was"] == "quarantined"
    assert list(trail.find_breaks()) == []


def test_what_is_part_of_a_command_is_not_written_twice() -> None:
    make.add_ready_image(make.photo(1))
    before = AuditEvent.objects.count()
    with trail.part_of_a_command():
        changing.quarantine_items(items=Image.objects.all(), by="user:ana")
    assert AuditEvent.objects.count() == before


@pytest.mark.django_db(transaction=True)
def test_what_is_not_committed_is_not_written(settings: Any) -> None:
    settings.PUBLISHING_GATES = []
    with pytest.raises(Exception, match="already here"):
        for _ in range(2):
            adding.add_image(data=make.png(make.photo(1)), by="key:loader")
    assert told() == [("key:loader", "image.added", 1)]


@pytest.mark.parametrize("role", ["viewer", "moderator", "lead", "admin"])
def test_a_role_lets_into_the_admin(role: str) -> None:
    user = User.objects.create_user("ana", password="x")
    user.groups.add(Group.objects.get(name=role))
    assert user.is_staff
    user.refresh_from_db()
    assert user.is_staff
    assert user.has_perm("gallery.view_image")
    assert user.has_perm("videos.change_video") == (role in ("lead", "admin"))


def test_any_other_group_lets_nobody_in() -> None:
    user = User.objects.create_user("ana", password="x")
    user.groups.add(Group.objects.create(name="readers"))
    Group.objects.create(name="writers").user_set.add(user)
    user.refresh_from_db()
    assert not user.is_staff
    Group.objects.get(name="viewer").user_set.add(user)
    user.refresh_from_db()
    assert user.is_staff


def verify(*args: str) -> str:
    out = io.StringIO()
    call_command("verify_audit", *args, stdout=out, stderr=out)
    return out.getvalue()


def some_events() -> list[AuditEvent]:
    row = make_list()
    return [
        trail.record(by="user:ana", verb="list.changed", subject=row, reason=f"=SUM({number})")
        for number in range(3)
    ]


def test_verifying_the_audit() -> None:
    assert "0 events are intact" in verify()
    events = some_events()
    assert f"3 events are intact. The last digest is {events[-1].digest}." in verify()
    assert "3 events are intact" in verify("--expect", events[1].digest)
    with pytest.raises(CommandError, match="1 places"):
        verify("--expect", "0" * 64)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE moderation_auditevent DISABLE TRIGGER USER")
        cursor.execute("UPDATE moderation_auditevent SET actor = 'x' WHERE id = %s", [events[1].pk])
        cursor.execute("DELETE FROM moderation_auditevent WHERE id = %s", [events[0].pk])
    with pytest.raises(CommandError, match="2 places"):
        verify()


def test_the_audit_as_files() -> None:
    events = some_events()
    lines = list(export.as_csv(by=ADMIN, events=AuditEvent.objects.all()))
    assert lines[0].startswith("id,at,actor,verb")
    assert len(lines) == 4
    assert "'=SUM(0)" in lines[1]
    rows = [json.loads(line) for line in export.as_json(by=ADMIN, events=AuditEvent.objects)]
    *before, exported = rows
    assert [row["digest"] for row in before] == [event.digest for event in events]
    assert (exported["verb"], exported["count"]) == ("auditevent.exported", 3)
    assert rows[0]["reason"] == "=SUM(0)"
    for role in (Role.NOBODY, Role.VIEWER, Role.MODERATOR):
        by = Actor.person(make_person(role))
        with pytest.raises(NotAllowed):
            export.as_csv(by=by, events=AuditEvent.objects.all())
        with pytest.raises(NotAllowed):
            export.as_json(by=by, events=AuditEvent.objects.all())
