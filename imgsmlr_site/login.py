"""The admin's login form, with a limit on attempts."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from imgsmlr_site.access import client_address, throttle_address
from imgsmlr_site.throttling import spend

PERIOD = 300.0
"""Seconds in which ``LOGIN_ATTEMPTS`` come back."""
NAME_FACTOR = 5
"""A user name may be tried this many times as often as one address may try. Were it once, one
stranger could lock an administrator out."""


class LimitedLoginForm(AuthenticationForm):
    """The admin's login, limited per address and per user name.

    Each attempt counts, also a right one: counting failures only would let parallel
    attempts through before the first of them has failed.
    """

    def clean(self) -> dict[str, Any]:
        """Charge first, then check the password."""
        attempts = settings.LOGIN_ATTEMPTS
        address = throttle_address(client_address(self.request)[0])
        name = str(self.cleaned_data.get("username", "")).casefold()
        # Hashed: what is typed as a name may be a password.
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
