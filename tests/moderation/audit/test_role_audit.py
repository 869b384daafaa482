"""Who may decide is in the audit: each role that is given or taken, by whom, with the change."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.test import Client
from django.urls import reverse

from moderation.access.permissions import Role
from moderation.audit import trail
from moderation.audit.models import AuditEvent
from tests.moderation.factories import make_person

pytestmark = pytest.mark.django_db


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root", password="x")


@pytest.fixture
def client(root: User, plain_static_files: None) -> Client:
    client = Client()
    client.force_login(root)
    return client


def told() -> list[tuple[str, str, Any, Any]]:
    events = AuditEvent.objects.order_by("id")
    return [(event.actor, event.verb, event.before, event.after) for event in events]


def save(client: Client, user: User, groups: list[str], **fields: Any) -> None:
    """As the page of the account does."""
    data = {
        "username": user.username,
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00:00",
        "is_active": "on",
        "groups": [group.pk for group in Group.objects.filter(name__in=groups)],
        **fields,
    }
    answer = client.post(reverse("admin:auth_user_change", args=[user.pk]), data)
    assert answer.status_code == 302, answer.context["adminform"].form.errors


def test_the_page_of_an_account_leaves_who_gave_and_took_what(client: Client) -> None:
    ana = User.objects.create_user("ana", password="x")
    save(client, ana, ["moderator"], is_staff="on")
    save(client, ana, ["lead"], is_staff="on", is_superuser="on")
    save(client, ana, ["lead"], is_staff="on", is_superuser="on")
    given, taken = "user.role_given", "user.role_taken"
    moderator, lead = ({"user": "ana", "roles": [name]} for name in ("moderator", "lead"))
    rights = "user.rights_changed"
    assert told() == [
        ("user:root", rights, {"is_staff": False}, {"user": "ana", "is_staff": True}),
        ("user:root", given, None, moderator),
        ("user:root", rights, {"is_superuser": False}, {"user": "ana", "is_superuser": True}),
        ("user:root", taken, moderator, None),
        ("user:root", given, None, lead),
    ]
    assert {event.subject_id for event in AuditEvent.objects.all()} == {ana.pk}
    assert list(trail.find_breaks()) == []


def test_deactivating_and_deleting_are_told_too(client: Client) -> None:
    ben = make_person(Role.LEAD, "ben")
    AuditEvent.objects.count()
    before = len(told())
    save(client, ben, ["lead"], is_staff="on", is_active="")
    client.post(reverse("admin:auth_user_delete", args=[ben.pk]), {"post": "yes"})
    assert not User.objects.filter(pk=ben.pk).exists()
    assert told()[before:] == [
        (
            "user:root",
            "user.rights_changed",
            {"is_active": True},
            {"user": "ben", "is_active": False},
        ),
        ("user:root", "user.role_taken", {"user": "ben", "roles": ["lead"]}, None),
    ]


def test_other_doors_are_the_servers_own() -> None:
    ana, ben = User.objects.create_user("ana"), User.objects.create_user("ben")
    viewers, others = Group.objects.get(name="viewer"), Group.objects.create(name="others")
    viewers.user_set.add(ana, ben)
    viewers.user_set.add(ana)
    others.user_set.add(ana)
    ana.groups.clear()
    viewers.user_set.clear()
    found = [(by, verb, (before or after)["user"]) for by, verb, before, after in told()]
    assert found == [
        ("command", "user.role_given", "ana"),
        ("command", "user.role_given", "ben"),
        ("command", "user.role_taken", "ana"),
        ("command", "user.role_taken", "ben"),
    ]


def test_what_is_rolled_back_leaves_no_event() -> None:
    ana = User.objects.create_user("ana")
    with pytest.raises(InterruptedError), transaction.atomic():
        ana.groups.add(Group.objects.get(name="lead"))
        assert told()
        raise InterruptedError
    assert not told() and not ana.groups.exists()
