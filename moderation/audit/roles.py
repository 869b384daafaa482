"""Audit events about roles that users got or lost."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from django.contrib.auth.models import Group, User
from django.db import transaction

from moderation.access.permissions import GROUPS
from moderation.audit import trail

RIGHTS: Final = ("is_superuser", "is_staff", "is_active")
"""Columns of a user that affect roles."""

_by: ContextVar[str] = ContextVar("who gives roles", default="command")


@contextmanager
def given_by(name: str) -> Iterator[None]:
    """Record role changes inside the block under this name; outside it, under "command"."""
    token = _by.set(name)
    try:
        yield
    finally:
        _by.reset(token)


def roles_of(groups: Collection[int]) -> list[str]:
    """Return the names of the groups that are roles."""
    found = Group.objects.filter(pk__in=groups, name__in=GROUPS).order_by("name")
    return list(found.values_list("name", flat=True))


def record_roles(users: Collection[int], roles: Collection[str], *, given: bool) -> None:
    """Record that users got these roles or lost them: one event per user."""
    for user in User.objects.filter(pk__in=users).order_by("pk") if roles else ():
        what = {"user": user.get_username(), "roles": sorted(roles)}
        trail.record(
            by=_by.get(),
            verb="user.role_given" if given else "user.role_taken",
            subject=user,
            before=None if given else what,
            after=what if given else None,
        )


@transaction.atomic
def record_rights(user: User, before: dict[str, Any]) -> None:
    """Record which ``RIGHTS`` of a saved user have changed, if any."""
    changed = {name: getattr(user, name) for name in RIGHTS if before[name] != getattr(user, name)}
    if changed:
        trail.record(
            by=_by.get(),
            verb="user.rights_changed",
            subject=user,
            before={name: before[name] for name in changed},
            after={"user": user.get_username(), **changed},
        )
