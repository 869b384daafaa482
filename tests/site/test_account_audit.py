"""What an administrator changes about people and keys is in the audit, without a secret."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from imgsmlr_site.models import ApiKey
from moderation.audit import trail
from moderation.audit.models import AuditEvent
from tests import pages

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("edge_urls")]
WORD = "correct horse battery"


@pytest.fixture
def root(login: Callable[..., Client], superuser: User) -> Client:
    return login(superuser)


def told() -> list[tuple[str, str, Any, Any]]:
    events = AuditEvent.objects.order_by("id")
    assert list(trail.find_breaks()) == []
    assert WORD not in str(list(events.values()))
    return [(event.actor, event.verb, event.before, event.after) for event in events]


def test_accounts_and_their_passwords(root: Client, superuser: User) -> None:
    form = {"username": "ana", "role": "lead"}
    assert root.post(reverse("admin:auth_user_add"), form).status_code == 200
    ana = User.objects.get(username="ana")
    page = reverse("admin:auth_user_password_change", args=[ana.pk])
    new = {"password1": f"{WORD} 2", "password2": f"{WORD} 2", "usable_password": "true"}
    assert root.post(page, new).status_code == 302
    assert told() == [
        ("user:root", "user.created", None, {"user": "ana"}),
        ("user:root", "user.role_given", None, {"user": "ana", "roles": ["lead"]}),
        ("user:root", "user.invited", None, {"user": "ana", "by": "link"}),
        ("user:root", "user.password_changed", None, {"user": "ana"}),
    ]


def test_permissions_of_a_group(root: Client) -> None:
    group = Group.objects.create(name="helpers")
    held, given = (Permission.objects.get(codename=code) for code in ("view_image", "delete_image"))
    group.permissions.add(held)
    page = reverse("admin:auth_group_change", args=[group.pk])
    root.post(page, {"name": "helpers", "permissions": [given.pk]})
    taken = {"group": "helpers", "permissions": ["gallery.view_image"]}
    now = {"group": "helpers", "permissions": ["gallery.delete_image"]}
    assert told() == [
        ("user:root", "group.permissions_taken", taken, None),
        ("user:root", "group.permissions_given", None, now),
    ]


def test_keys(root: Client) -> None:
    keys = reverse("admin:imgsmlr_site_apikey_changelist")
    shown = root.post(f"{keys}add/", {"name": "loader", "scopes": ["search"]})
    text = re.search(r"imgs_[\w-]+", shown.content.decode()).group()
    key = ApiKey.objects.get()
    root.post(f"{keys}{key.pk}/change/", {"scopes": ["add", "search"]})
    pages.confirm(root, keys, {"action": "revoke", "_selected_action": [key.pk]})
    assert [(by, verb, after["scopes"]) for by, verb, _, after in told()] == [
        ("user:root", "key.made", ["search"]),
        ("user:root", "key.changed", ["add", "search"]),
        ("user:root", "key.revoked", ["add", "search"]),
    ]
    events = str(list(AuditEvent.objects.values()))
    assert key.prefix in events
    assert text not in events and text.split("_", 2)[2] not in events and key.sha256 not in events
