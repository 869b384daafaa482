"""Login accounts: the first administrator, the login form, and the permissions of each role."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import ValidationError
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.forms import AuthenticationForm

from gallery.shared.locking import Lock, lock
from imgsmlr_site.access import client_address, throttle_address
from imgsmlr_site.models import OneTimePassword
from imgsmlr_site.throttling import spend
from moderation.access.permissions import Role

FIRST_ADMIN = "admin"
MUST_CHANGE = "must_change_password"
PERIOD = 300.0
"""Seconds until all ``LOGIN_ATTEMPTS`` are available again."""
NAME_FACTOR = 5
"""One user name may be tried this many times as often as one address may try. With a factor of 1,
one stranger could lock an administrator out."""
BOUNDED = ("gallery", "videos")
"""Apps whose permissions only count if the user has a role."""


def create_first_admin() -> str | None:
    """Create the superuser ``admin`` if there is no superuser. Return its one-time password.

    The caller shows it once; it is stored only as a hash. Return None if a superuser exists, also
    if another process creates it at the same time.
    """
    with transaction.atomic():
        lock(Lock.FIRST_ADMIN)
        if User.objects.filter(is_superuser=True).exists():
            return None
        password = secrets.token_urlsafe(12)
        user, _ = User.objects.get_or_create(username=FIRST_ADMIN)
        user.is_superuser = user.is_staff = user.is_active = True
        user.set_password(password)
        user.save()
        OneTimePassword.objects.update_or_create(user=user, defaults={"password": user.password})
    return password


def has_one_time_password(user: User) -> bool:
    return OneTimePassword.objects.filter(user=user, password=user.password).exists()


@receiver(user_logged_in)
def note_one_time_password(request: HttpRequest, user: User, **kwargs: object) -> None:
    """Mark the session, so that later requests need no query."""
    if has_one_time_password(user):
        request.session[MUST_CHANGE] = True


class OneTimePasswordMiddleware:
    """Redirects admin pages to the password change. It must come after AuthenticationMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(reverse("admin:index")) and MUST_CHANGE in request.session:
            change = reverse("admin:password_change")
            user = request.user
            if not (user.is_authenticated and has_one_time_password(user)):
                # Loading the user may have flushed an invalid session.
                request.session.pop(MUST_CHANGE, None)
            elif request.path not in (change, reverse("admin:logout")):
                messages.warning(request, "Please replace the one-time password first.")
                return redirect(change)
        return self.get_response(request)


class LimitedLoginForm(AuthenticationForm):
    """The admin's login form, limited per address and per user name.

    Successful attempts count too. If only failures counted, parallel attempts would pass before the
    first one has failed.
    """

    def clean(self) -> dict[str, Any]:
        attempts = settings.LOGIN_ATTEMPTS
        address = throttle_address(client_address(self.request)[0])
        name = str(self.cleaned_data.get("username", "")).casefold()
        # Hashed, because users may type their password into the name field.
        hashed = hashlib.sha256(name.encode()).hexdigest()[:32]
        wait = spend(f"login:{address}", 1, attempts, PERIOD) or spend(
            f"login:{hashed}", 1, attempts * NAME_FACTOR, PERIOD
        )
        if wait:
            raise ValidationError(
                f"Too many attempts to log in: try again in {wait} s.", code="throttled"
            )
        cleaned: dict[str, Any] = super().clean()
        return cleaned


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
