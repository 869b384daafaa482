"""Permissions of accounts that depend on a role."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend

from moderation.access.permissions import Role

BOUNDED = ("gallery", "videos")
"""Apps whose permissions only count if the user has a role."""


class RoleBackend(ModelBackend):
    """Django's password check. Permissions for images and videos only count if the user has a role.

    A user who loses the role loses these admin pages, whatever permissions were granted. Viewers
    can only view. Other permissions, such as managing accounts, do not depend on a role.
    """

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Return the permissions of the user and groups that the role allows. As in Django, they
        are cached on the user object, so for one request at most."""
        kept: set[str] | None = getattr(user_obj, "_bounded_permissions", None)
        if kept is None or obj is not None:
            granted: set[str] = super().get_all_permissions(user_obj, obj)
            role = Role.of(user_obj) if granted else Role.NOBODY
            kept = {name for name in granted if role >= _least(name)}
            user_obj._bounded_permissions = kept
        return kept


def _least(permission: str) -> Role:
    app, _, codename = permission.partition(".")
    if app not in BOUNDED:
        return Role.NOBODY
    return Role.VIEWER if codename.startswith("view_") else Role.MODERATOR
