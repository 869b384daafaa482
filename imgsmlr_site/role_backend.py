"""Django's permissions, bounded by the role in moderation that a user has at this moment."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend

from moderation.access.permissions import Role

BOUNDED = ("gallery", "videos")


class RoleBackend(ModelBackend):
    """Passwords as Django checks them. A permission of images or videos counts only with a role.

    So whoever loses the role loses the admin's pages with it, whatever was granted beside it.
    Viewers only view. What else is granted, such as managing accounts, has no role to go by.
    """

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Those of user and groups that the role bears. Kept as Django keeps what was granted: on
        the row that this request has loaded, so no longer than the request."""
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
