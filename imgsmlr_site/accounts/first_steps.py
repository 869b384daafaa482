"""What a person has to do after the login before anything else: a new password, a second factor."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from imgsmlr_site.accounts import second_factor
from imgsmlr_site.accounts.first_admin import MUST_CHANGE, has_one_time_password
from moderation.access.permissions import actor_of

PASSWORD_PAGES = ("admin:password_change",)
FACTOR_PAGES = ("mfa_activate_totp", "mfa_reauthenticate", "account_reauthenticate")


class FirstStepsMiddleware:
    """Redirects the admin's pages to the next step. It must come after AuthenticationMiddleware.

    What is not below ``/admin/`` asks ``request.access``, which refuses these sessions itself.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.site = reverse("admin:index")
        self.always = {reverse("admin:login"), reverse("admin:logout"), reverse("admin:jsi18n")}
        self.password_pages = {reverse(name) for name in PASSWORD_PAGES}
        self.factor_pages = {reverse(name) for name in FACTOR_PAGES}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(self.site) and request.path not in self.always:
            if self._needs_password(request):
                if request.path not in self.password_pages:
                    messages.warning(request, _("Please replace the one-time password first."))
                    return redirect("admin:password_change")
            elif self._needs_factor(request) and request.path not in self.factor_pages:
                return self._to_factor(request)
        return self.get_response(request)

    def _needs_password(self, request: HttpRequest) -> bool:
        if MUST_CHANGE not in request.session:
            return False
        user = request.user
        if user.is_authenticated and has_one_time_password(user):
            return True
        # Loading the user may have flushed an invalid session.
        request.session.pop(MUST_CHANGE, None)
        return False

    def _needs_factor(self, request: HttpRequest) -> bool:
        user = request.user
        return user.is_authenticated and second_factor.is_missing(
            request.session, user, actor_of(request).role
        )

    def _to_factor(self, request: HttpRequest) -> HttpResponse:
        """To the set-up, or to the question for a code if the factor was set up elsewhere."""
        if not second_factor.has_factor(request.user.pk):
            return redirect("mfa_activate_totp")
        return redirect(f"{reverse('mfa_reauthenticate')}?next={self.site}")
