"""Limits of attempts to log in: passwords per address and per name, codes per person."""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from imgsmlr_site.access import client_address, throttle_address
from imgsmlr_site.accounts import events
from imgsmlr_site.throttling import spend

PERIOD = 300.0
"""Seconds until all ``LOGIN_ATTEMPTS`` are available again."""
NAME_FACTOR = 5
"""One user name may be tried this many times as often as one address may try. With a factor of 1,
one stranger could lock an administrator out."""


def limit_passwords(request: HttpRequest, name: str) -> None:
    """Count an attempt with a password. Raise ValidationError if there were too many.

    Successful attempts count too. If only failures counted, parallel attempts would pass before the
    first one has failed.
    """
    attempts = settings.LOGIN_ATTEMPTS
    address = throttle_address(client_address(request)[0])
    # Hashed, because users may type their password into the name field.
    hashed = hashlib.sha256(name.casefold().encode()).hexdigest()[:32]
    _count(request, f"login:{address}", attempts, name)
    _count(request, f"login:{hashed}", attempts * NAME_FACTOR, name)


def limit_codes(request: HttpRequest, user: User) -> None:
    """Count an attempt with a code of the second factor. Raise ValidationError if too many.

    Only somebody who knows the password gets here, so that a stranger locks nobody out.
    """
    _count(request, f"code:{user.pk}", settings.LOGIN_ATTEMPTS, user.get_username())


def _count(request: HttpRequest, bucket: str, attempts: int, name: str) -> None:
    if wait := spend(bucket, 1, attempts, PERIOD):
        # One event for each bucket and period: attempts that are refused cost nothing.
        if not spend(f"locked:{bucket}", 1, 1, PERIOD):
            events.locked_out(request, name)
        raise ValidationError(
            f"Too many attempts to log in: try again in {wait} s.", code="throttled"
        )
