"""Taking the second factor from a person who has lost it."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.db import transaction

from gallery.shared.errors import NotFound
from imgsmlr_site.accounts.sessions import end_sessions
from moderation.audit import people


class NoFactor(NotFound):
    """The person has no second factor."""

    code = "no_second_factor"


@transaction.atomic
def reset_second_factor(user: User) -> None:
    """Delete a person's second factor and recovery codes, and log this person out everywhere.

    Raise ``NoFactor``. The audit names who did it.
    """
    deleted, _ = Authenticator.objects.filter(user=user).delete()
    if not deleted:
        raise NoFactor(f"{user.get_username()} has no second factor.")
    ended = end_sessions(user)
    people.record_account(user, "second_factor_reset", sessions_ended=ended)
