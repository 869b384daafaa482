"""Inviting a person: an account without a password, and a link that sets one, once.

The link is mailed where mail is set up, or shown once to whoever invites.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.auth.views import PasswordResetConfirmView
from django.core import signing
from django.core.mail import send_mail
from django.db import transaction
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse, reverse_lazy
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import gettext as _

from imgsmlr_site.accounts.forms import NewPasswordForm
from moderation.audit import people

logger = logging.getLogger(__name__)
DAYS = 7
"""How long a link counts."""


class InvitationTokens:
    """Signed tokens that count until a password is set. They name its hash, so setting one ends
    them all."""

    def make_token(self, user: User) -> str:
        return _signer().sign(_state(user))

    def check_token(self, user: User | None, token: str) -> bool:
        if user is None or not is_invited(user):
            return False
        try:
            stated = _signer().unsign(token, max_age=DAYS * 86_400)
        except signing.BadSignature:
            return False
        return stated == _state(user)


def _signer() -> signing.TimestampSigner:
    return signing.TimestampSigner(salt="invitation")


def _state(user: User) -> str:
    text = f"{user.pk} {user.password} {user.email}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Invitation:
    """``link`` is empty if it was mailed: then only that person has it."""

    user: User
    link: str
    mailed: bool
    problem: str = ""


def is_invited(user: User) -> bool:
    """Whether the person has not set a password yet."""
    never = user.last_login is None  # others log in elsewhere (OIDC), and have none
    return user.is_active and never and not user.has_usable_password()


@transaction.atomic
def give_role(user: User, role: str) -> None:
    """Put a new person into the group of a role. The audit records it, with who did it."""
    user.groups.add(Group.objects.get(name=role))


def invite(request: HttpRequest, user: User) -> Invitation:
    """Make a link with which the person sets a password, and mail it if that can be done."""
    number = urlsafe_base64_encode(force_bytes(user.pk))
    token = InvitationTokens().make_token(user)
    link = request.build_absolute_uri(reverse("password_reset_invitation", args=[number, token]))
    mails = bool(settings.EMAIL_URL and user.email)
    people.record_account(user, "invited", by="mail" if mails else "link")
    if not mails:
        return Invitation(user, link, False)
    context = {"user": user, "link": link, "days": DAYS, "site": request.get_host()}
    text = render_to_string("accounts/invitation_mail.txt", context)
    try:
        send_mail(
            _("Your account at %(host)s") % {"host": request.get_host()}, text, None, [user.email]
        )
    except OSError as error:  # also what SMTP servers refuse
        logger.warning("the invitation of %s could not be mailed: %s", user.get_username(), error)
        problem = _("The mail to %(address)s could not be sent.") % {"address": user.email}
        return Invitation(user, link, False, problem)
    return Invitation(user, "", True)


class InvitationView(PasswordResetConfirmView):
    """Sets the first password. It logs nobody in: a second factor is still asked for."""

    form_class = NewPasswordForm
    template_name = "accounts/invitation.html"
    success_url = reverse_lazy("password_reset_welcome")
    token_generator: Any = InvitationTokens()
    reset_url_token = "set"  # noqa: S105  # a part of the address
