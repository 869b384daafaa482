"""Audit events about logins, second factors, passwords and keys: who, from which address.

No event holds a secret. A name that was typed at the login is written only if a person has it,
because people may type their password into the name field.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.account.signals import user_logged_in
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import (
    authentication_failed,
    authenticator_added,
    authenticator_removed,
    authenticator_reset,
    authenticator_used,
)
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_out, user_login_failed
from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse

from imgsmlr_site.access import client_address
from imgsmlr_site.models import ApiKey
from moderation.audit import people, trail

CODES = Authenticator.Type.RECOVERY_CODES
NAMES = {"socialaccount": "oidc"}


class ActorMiddleware:
    """Lets the audit name who changes accounts in a request. After AccessMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with people.changed_by(lambda: str(request.access.actor)):  # type: ignore[attr-defined]
            return self.get_response(request)


@transaction.atomic
def record(
    request: HttpRequest | None, verb: str, user: User | None, by: str = "", **facts: Any
) -> None:
    """Record an event about a person, or about nobody who is known. ``by``: else this person."""
    address = client_address(request)[0] if request is not None else None
    name = user.get_username() if user else None
    trail.record(
        by=by or (f"user:{name}" if user else "none"),
        verb=verb,
        subject=user or User,
        after={"user": name, "address": address and str(address), **facts},
    )


def locked_out(request: HttpRequest, name: str) -> None:
    record(request, "user.locked_out", _named(name))


def _named(name: str) -> User | None:
    known = "\x00" not in name
    return User.objects.filter(username=name).first() if known else None


@receiver(user_logged_in)
def _logged_in(request: HttpRequest, user: User, **_: Any) -> None:
    records = get_authentication_records(request, user)
    used = [NAMES.get(one["method"], one.get("type") or one["method"]) for one in records]
    record(request, "user.logged_in", user, methods=list(dict.fromkeys(used)))


@receiver(user_logged_out)
def _logged_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is not None:
        record(request, "user.logged_out", user)


@receiver(user_login_failed)
def _login_failed(credentials: dict[str, Any], request: HttpRequest | None, **_: Any) -> None:
    user = _named(str(credentials.get("username", "")))
    record(request, "user.login_failed", user, by="none", method="password")


@receiver(authentication_failed)
def _code_failed(request: HttpRequest, user: User, **_: Any) -> None:
    record(request, "user.login_failed", user, by="none", method="code")


@receiver(authenticator_used)
def _code_used(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    if authenticator.type == CODES:
        authenticator.refresh_from_db()
        left = len(authenticator.wrap().get_unused_codes())
        record(request, "user.recovery_code_used", user, left=left)


@receiver(authenticator_added)
@receiver(authenticator_reset)
def _factor_set(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    made = authenticator.type == CODES
    record(request, "user.recovery_codes_made" if made else "user.second_factor_set", user)


@receiver(authenticator_removed)
def _factor_removed(request: HttpRequest, authenticator: Authenticator, **_: Any) -> None:
    if authenticator.type != CODES:
        record(request, "user.second_factor_removed", authenticator.user)


@receiver(post_save, sender=User)
def _account_saved(instance: User, created: bool, **_: Any) -> None:
    """Record new accounts and new passwords of a request; commands are the server's own."""
    # ``_password`` is the text of a password that was set. A login that only renews the hash of a
    # password has none.
    changed = created or instance._password is not None  # type: ignore[attr-defined]
    if changed and people.in_request():
        people.record_account(instance, "created" if created else "password_changed")


@transaction.atomic
def record_key(key: ApiKey, verb: str) -> None:
    """Record that a key was made, changed or revoked, without its text."""
    facts = {
        "key": key.name,
        "prefix": key.prefix,
        "scopes": sorted(key.scopes),
        "user": key.user.get_username() if key.user else None,
        "expires_at": key.expires_at,
    }
    trail.record(by=people.actor(), verb=f"key.{verb}", subject=key, after=facts)
