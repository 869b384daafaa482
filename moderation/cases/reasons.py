"""Reasons for decisions: codes and their words, by verb."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gallery.shared.errors import UserError

REASONS: Final[Mapping[str, Mapping[str, str]]] = {
    "confirm": {
        "same": "It is what the list holds",
        "edited": "An edited copy of it",
        "similar": "Another picture of the same",
        "other": "Banned for another reason",
    },
    "dismiss": {
        "different": "It shows something else",
        "permitted": "The same, but permitted here",
        "nothing_to_see": "Too little is visible for a match",
        "wrong_item": "The item does not belong on the list",
    },
    "escalate": {
        "unsure": "Not sure",
        "legal": "A question of law",
        "danger": "Somebody may be in danger",
        "known_person": "I know somebody in it",
    },
    "appeal": {
        "uploader": "The uploader disagrees",
        "mistake": "A mistake was found",
        "new_facts": "New facts",
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
            f"{reason!r} is not a reason to {verb}: give one of {', '.join(known)}.", field="reason"
        )
    return reason or default(verb)


def in_words(verb: str, reason: str) -> str:
    """Return the words of a code; the code itself if the table no longer has it."""
    return REASONS.get(verb, {}).get(reason, reason)
