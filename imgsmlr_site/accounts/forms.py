"""Forms of the login and of second factors, in the look of the admin."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import LoginForm as BaseLoginForm
from allauth.account.forms import ReauthenticateForm as BasePasswordForm
from allauth.core import context
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.totp.forms import ActivateTOTPForm
from django import forms
from django.contrib.auth.forms import PasswordResetForm, SetPasswordForm
from django.http import HttpRequest
from django.utils.translation import gettext as _
from unfold.widgets import BASE_INPUT_CLASSES

from imgsmlr_site.accounts.throttle import limit_codes, limit_passwords


class InTheLook(forms.BaseForm):
    """Mixin: styled fields, the cursor in the first one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs |= {"class": " ".join(BASE_INPUT_CLASSES)}
            field.widget.attrs.pop("placeholder", None)
            field.help_text = ""
        next(iter(self.fields.values())).widget.attrs["autofocus"] = True


class LoginForm(InTheLook, BaseLoginForm):
    """Name and password, limited per address and per name. Only staff log in."""

    def clean(self) -> dict[str, Any] | None:
        limit_passwords(self.request, str(self.cleaned_data.get("login", "")))
        cleaned = super().clean()
        if self.user is not None and not self.user.is_staff:
            self.add_error(None, _("This account may not log in here: ask an administrator."))
        return cleaned


class PasswordForm(InTheLook, BasePasswordForm):
    """The password once more."""


class SetUpForm(InTheLook, ActivateTOTPForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].label = _("Code that the app shows")
        self.fields["code"].widget.attrs["inputmode"] = "numeric"


class CodeForm(InTheLook, AuthenticateForm):
    """A code of the app, or a recovery code, at the login."""

    def clean_code(self) -> str:
        limit_codes(context.request, self.user)
        code: str = super().clean_code()
        return code


class CodeAgainForm(InTheLook, ReauthenticateForm):
    """The same later."""

    def clean_code(self) -> str:
        limit_codes(context.request, self.user)
        code: str = super().clean_code()
        return code


class ResetForm(InTheLook, PasswordResetForm):
    """Counts as an attempt to log in, so that nobody has mails sent in masses."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        self.request = request
        super().__init__(*args, **kwargs)

    def clean(self) -> dict[str, Any] | None:
        limit_passwords(self.request, str(self.cleaned_data.get("email", "")))
        return super().clean()


class NewPasswordForm(InTheLook, SetPasswordForm):
    """A new password, after the link in the mail."""
