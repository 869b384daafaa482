"""Audit events about people: accounts, passwords, and the roles and permissions of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from django.contrib.auth.models import Group, Permission, User
from django.db import transaction

from moderation.access.permissions import GROUPS
from moderation.audit import trail

RIGHTS: Final = ("is_superuser", "is_staff", "is_active")
"""Columns of a user that affect roles."""

_by: ContextVar[Callable[[], str] | None] = ContextVar("who changes accounts", default=None)


@contextmanager
def changed_by(name: Callable[[], str]) -> Iterator[None]:
    """Record changes inside the block under the name that the function returns; outside it, under
    "command". The function is called only if there is something to record."""
    token = _by.set(name)
    try:
        yield
    finally:
        _by.reset(token)


def in_request() -> bool:
    return _by.get() is not None


def actor() -> str:
    name = _by.get()
    return name() if name else "command"


def roles_of(groups: Collection[int]) -> list[str]:
    """Return the names of the groups that are roles."""
    found = Group.objects.filter(pk__in=groups, name__in=GROUPS).order_by("name")
    return list(found.values_list("name", flat=True))


def record_roles(users: Collection[int], roles: Collection[str], *, given: bool) -> None:
    """Record that users got these roles or lost them: one event per user."""
    for user in User.objects.filter(pk__in=users).order_by("pk") if roles else ():
        what = {"user": user.get_username(), "roles": sorted(roles)}
        trail.record(
            by=actor(),
            verb="user.role_given" if given else "user.role_taken",
            subject=user,
            before=None if given else what,
            after=what if given else None,
        )


@transaction.atomic
def record_permissions(of: User | Group, permissions: Collection[int], *, given: bool) -> None:
    """Record that a user or a group got these permissions or lost them."""
    found = Permission.objects.filter(pk__in=permissions)
    names = sorted(
        f"{app}.{code}" for app, code in found.values_list("content_type__app_label", "codename")
    )
    if names:
        kind = of._meta.model_name
        what = {kind: str(of), "permissions": names}
        trail.record(
            by=actor(),
            verb=f"{kind}.permissions_given" if given else f"{kind}.permissions_taken",
            subject=of,
            before=None if given else what,
            after=what if given else None,
        )


@transaction.atomic
def record_account(user: User, verb: str, **facts: Any) -> None:
    after = {"user": user.get_username(), **facts}
    trail.record(by=actor(), verb=f"user.{verb}", subject=user, after=after)


@transaction.atomic
def record_rights(user: User, before: dict[str, Any]) -> None:
    """Record which ``RIGHTS`` of a saved user have changed, if any."""
    changed = {name: getattr(user, name) for name in RIGHTS if before[name] != getattr(user, name)}
    if changed:
        trail.record(
            by=actor(),
            verb="user.rights_changed",
            subject=user,
            before={name: before[name] for name in changed},
            after={"user": user.get_username(), **changed},
        )
