"""What django-allauth asks this site: accounts, codes, and the secrets of second factors."""

from __future__ import annotations

import time
from typing import Any

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest
from django.urls import reverse

from gallery.shared import encryption
from gallery.shared.errors import UserError
from imgsmlr_site.access import client_address
from moderation.access.permissions import Role, actor_of
from moderation.lists.models import BannedList


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Administrators make accounts."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return str(client_address(request)[0])

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Lead moderators to the queue and leads to its numbers, all others to the dashboard. A
        lead begins with a list, while there is none."""
        role = actor_of(request).role
        if role == Role.LEAD and not BannedList.objects.exists():
            return reverse("admin:moderation_bannedlist_changelist")
        pages = {Role.MODERATOR: "console:queue", Role.LEAD: "moderation-dashboard"}
        return reverse(pages.get(role, "admin:index"))

    def is_reauthentication_required(self, *, app: str) -> bool:
        """Whether settings of the account need the password or a code again: not within five
        minutes of the login."""
        records = get_authentication_records(context.request, context.request.user)
        last = records[-1]["at"] if records else 0
        return bool(time.time() - last > app_settings.REAUTHENTICATION_TIMEOUT)

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Whoever has a second factor needs it here: a password may be stolen."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        by_code = [method for method in methods if method["id"] == "mfa_reauthenticate"]
        return by_code or methods


PURPOSE = "second factors"
"""Of the key that encrypts."""


class UnreadableFactor(UserError):
    code = "unreadable_factor"


class FactorAdapter(DefaultMFAAdapter):
    """Secrets are encrypted in the database with a key made from ``SECRET_KEY``, so that a copy of
    the database alone does not give them away."""

    def get_totp_label(self, user: AbstractUser) -> str:
        return user.get_username()

    def get_totp_issuer(self) -> str:
        return f"imgsmlr {context.request.get_host()}"

    def encrypt(self, text: str) -> str:
        return encryption.encrypt(text, PURPOSE)

    def decrypt(self, encrypted_text: str) -> str:
        """Raise ``UnreadableFactor`` if ``SECRET_KEY`` is another one than at the set-up."""
        try:
            return encryption.decrypt(encrypted_text, PURPOSE)
        except encryption.Unreadable as error:
            raise UnreadableFactor(
                "The second factor was set up with another SECRET_KEY and cannot be read. "
                "Restore that key, or have the second factor reset."
            ) from error
