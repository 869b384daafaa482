"""The first administrator: made once, with a password that must be changed at the first login."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from gallery.shared.locking import Lock, lock
from imgsmlr_site.models import OneTimePassword

FIRST_ADMIN = "admin"
MUST_CHANGE = "must_change_password"


def create_first_admin() -> str | None:
    """Make the superuser ``admin`` if there is no superuser; returns its one-time password.

    The caller shows it once; it is stored nowhere in clear. None when there is a superuser
    already, also for the second of two starters that come at the same time.
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
    """Whether the user still has the password of the first start."""
    return OneTimePassword.objects.filter(user=user, password=user.password).exists()


@receiver(user_logged_in)
def note_one_time_password(request: HttpRequest, user: User, **kwargs: object) -> None:
    """Mark the session, so that later requests need no look-up."""
    if has_one_time_password(user):
        request.session[MUST_CHANGE] = True


class OneTimePasswordMiddleware:
    """Leads the admin's pages to the change of password; after AuthenticationMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(reverse("admin:index")) and MUST_CHANGE in request.session:
            change = reverse("admin:password_change")
            user = request.user
            if not (user.is_authenticated and has_one_time_password(user)):
                # Reading the user may have emptied a session that is no longer valid.
                request.session.pop(MUST_CHANGE, None)
            elif request.path not in (change, reverse("admin:logout")):
                messages.warning(request, "Please replace the one-time password first.")
                return redirect(change)
        return self.get_response(request)
