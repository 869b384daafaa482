"""Reasons for decisions: codes and their words, by verb."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext, override
from django.utils.translation import gettext_lazy as _

from gallery.shared.errors import UserError
from moderation.access.words import word

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


REASONS: Final[Mapping[str, Mapping[str, _StrPromise]]] = {
    "confirm": {
        "same": _("It is what the list holds"),
        "edited": _("An edited copy of it"),
        "similar": _("Another picture of the same"),
        "other": _("Banned for another reason"),
    },
    "dismiss": {
        "different": _("It shows something else"),
        "permitted": _("The same, but permitted here"),
        "nothing_to_see": _("Too little is visible for a match"),
        "wrong_item": _("The item does not belong on the list"),
    },
    "escalate": {
        "unsure": _("Not sure"),
        "legal": _("A question of law"),
        "danger": _("Somebody may be in danger"),
        "known_person": _("I know somebody in it"),
    },
    "appeal": {
        "uploader": _("The uploader disagrees"),
        "mistake": _("A mistake was found"),
        "new_facts": _("New facts"),
    },
}
"""Verb → code → words. The first code is the default."""


class UnknownReason(UserError):
    code = "unknown_reason"


def default(verb: str) -> str:
    return next(iter(REASONS[verb]))


def checked(verb: str, reason: str) -> str:
    """Return the reason, or the verb's default for "". Raise ``UnknownReason``."""
    known = REASONS[verb]
    if reason and reason not in known:
        raise UnknownReason(
            gettext("%(reason)r is not a reason to %(verb)s: give one of %(known)s.")
            % {"reason": reason, "verb": word(verb), "known": ", ".join(known)},
            field="reason",
        )
    return reason or default(verb)


def in_english(verb: str, reason: str) -> str:
    """Return the words of a code as they are stored."""
    with override("en"):
        return in_words(verb, reason)


def in_words(verb: str, reason: str) -> str:
    """Return the words of a code; the code itself if the table no longer has it."""
    return str(REASONS.get(verb, {}).get(reason, reason))
