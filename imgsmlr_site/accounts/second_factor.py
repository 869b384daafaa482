"""The rule about second factors: who needs one, and which sessions have proved it.

A session proves it by a code at the login, by a code later, or by setting the factor up.
"""

from __future__ import annotations

from typing import Any

from allauth.account.signals import user_logged_in
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added, authenticator_removed, authenticator_used
from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.backends.base import SessionBase
from django.dispatch import receiver
from django.http import HttpRequest

from moderation.access.permissions import Role

PROVED = "second_factor_of"
"""In a session: the id of the user whose second factor it has proved."""
NONE = "none"
CHOICES = ("viewer", "moderator", "lead", "admin", NONE)
"""Values of the setting ``SECOND_FACTOR``: the least role that needs one, or none."""


def is_required(role: Role) -> bool:
    least = settings.SECOND_FACTOR
    return least != NONE and role >= Role[least.upper()]


def is_missing(session: SessionBase, user: AbstractUser, role: Role) -> bool:
    """Whether the session may do nothing yet, because the role needs a second factor."""
    return is_required(role) and bool(session.get(PROVED) != user.pk)


def has_factor(user_id: int | None) -> bool:
    found = Authenticator.objects.filter(user_id=user_id, type=Authenticator.Type.TOTP)
    return bool(found.exists())


@receiver(authenticator_added)
@receiver(authenticator_used)
def note_proof(request: HttpRequest, user: AbstractUser, **_: Any) -> None:
    request.session[PROVED] = user.pk


@receiver(authenticator_removed)
def forget_proof(request: HttpRequest, **_: Any) -> None:
    request.session.pop(PROVED, None)


@receiver(user_logged_in)
def trust_provider(request: HttpRequest, user: AbstractUser, **kwargs: Any) -> None:
    if settings.OIDC_SECOND_FACTOR and "sociallogin" in kwargs:
        request.session[PROVED] = user.pk
