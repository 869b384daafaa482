"""Single sign-on by OpenID Connect: who a person at the provider is here."""

from __future__ import annotations

from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.contrib import messages
from django.http import HttpRequest
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from imgsmlr_site.accounts import events


class SingleSignOnAdapter(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """A new person gets an account without rights, to which an administrator gives a role."""
        return True

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Know people by the provider's id alone. Whoever has the address of another account must
        not become its owner."""
        sociallogin.email_addresses = []

    def on_authentication_error(self, request: HttpRequest, provider: Any, **error: Any) -> None:
        """Lead back to the login page, with a sentence."""
        events.record(request, "user.login_failed", None, method="oidc")
        text = _("The login by %(name)s did not succeed: try again.")
        messages.error(request, text % {"name": provider.name})
        raise ImmediateHttpResponse(redirect("account_login"))
