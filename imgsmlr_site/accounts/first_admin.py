"""The first administrator, and the one-time password that this person has to replace."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest

from gallery.shared.locking import Lock, lock
from imgsmlr_site.env import write_secret
from imgsmlr_site.models import OneTimePassword

FIRST_ADMIN = "admin"
MUST_CHANGE = "must_change_password"
"""In the session of a person who logged in with the one-time password."""


def create_first_admin() -> str | None:
    """Create the superuser ``admin`` if there is no superuser. Return its one-time password.

    It is stored only as a hash. Return None if a superuser exists, also if another process creates
    it at the same time.
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


def password_file() -> Path:
    return Path(settings.DATA_DIR) / "first_password"


def hand_over(password: str) -> str:
    """Return the sentence that hands over the one-time password.

    The sentence has the password if stdout is a terminal. Otherwise stdout is a log that others
    may read, so the password is in a file that only its owner may read.
    """
    if sys.stdout.isatty():
        return (
            f"First start: log in as '{FIRST_ADMIN}' with the password {password}\n"
            "It is shown this once, and has to be replaced at the first login."
        )
    path = password_file()
    path.unlink(missing_ok=True)
    write_secret(path, password)
    return (
        f"First start: log in as '{FIRST_ADMIN}' with the password in {path}\n"
        "It has to be replaced at the first login, which removes the file."
    )


def has_one_time_password(user: User) -> bool:
    return OneTimePassword.objects.filter(user=user, password=user.password).exists()


@receiver(user_logged_in)
def note_one_time_password(request: HttpRequest, user: User, **kwargs: object) -> None:
    """Mark the session, so that later requests need no query; the file is not needed any more."""
    if has_one_time_password(user):
        request.session[MUST_CHANGE] = True
        password_file().unlink(missing_ok=True)
