"""The login page, and the look of the pages around it."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.views import LoginView as BaseLoginView
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import logout
from django.contrib.auth.views import PasswordResetView
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse

from imgsmlr_site.accounts import second_factor
from imgsmlr_site.accounts.forms import ResetForm
from moderation.access.permissions import actor_of

OF_ACCOUNTS = ("account_", "mfa_", "openid_connect_", "socialaccount_", "password_reset")
"""How the names of these pages' URLs begin."""


class LoginView(BaseLoginView):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Forget the admin's index as the page that was asked for: the first page depends on the
        role."""
        for name in ("GET", "POST"):
            given = getattr(request, name)
            if given.get("next") == reverse("admin:index"):
                kept = given.copy()
                del kept["next"]
                setattr(request, name, kept)
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return answer

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if admin.site.has_permission(request):
            return redirect(self.get_success_url() or get_adapter().get_login_redirect_url(request))
        answer: HttpResponseBase = super().get(request, *args, **kwargs)
        return answer

    def form_valid(self, form: Any) -> HttpResponse:
        """Log in, instead of a person who is logged in and may not open the admin."""
        if self.request.user.is_authenticated:
            logout(self.request)
        answer: HttpResponse = super().form_valid(form)
        return answer


class ResetView(PasswordResetView):
    """Asks for the address to which a link for a new password is sent."""

    form_class = ResetForm

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}


def account_pages(request: HttpRequest) -> dict[str, Any]:
    """Context processor: what the admin's layout needs on pages that are not of the admin."""
    match = request.resolver_match
    if match is None or not (match.url_name or "").startswith(OF_ACCOUNTS):
        return {}
    required = request.user.is_authenticated and second_factor.is_required(actor_of(request).role)
    return {
        **admin.site.each_context(request),
        "second_factor_required": required,
        "single_sign_on": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
    }
