"""The states of a case and their transitions. docs/case-states.md is generated from them."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models
from django.utils.translation import gettext, pgettext_lazy

from gallery.shared.errors import Conflict
from moderation.access.words import word


class CaseState(models.TextChoices):
    """``voted``: the first of two people has decided. ``conflict``: the two disagree, so a lead
    decides. ``appealed``: the case was decided and is open again for another person."""

    OPEN = "open", pgettext_lazy("code", "Open")
    VOTED = "voted", pgettext_lazy("code", "Voted")
    CONFLICT = "conflict", pgettext_lazy("code", "Conflict")
    ESCALATED = "escalated", pgettext_lazy("code", "Escalated")
    APPEALED = "appealed", pgettext_lazy("code", "Appealed")
    CONFIRMED = "confirmed", pgettext_lazy("code", "Confirmed")
    DISMISSED = "dismissed", pgettext_lazy("code", "Dismissed")

    @classmethod
    def decided(cls) -> list[CaseState]:
        return [cls.CONFIRMED, cls.DISMISSED]

    @classmethod
    def undecided(cls) -> list[CaseState]:
        return [state for state in cls if state not in cls.decided()]


_S = CaseState
TRANSITIONS: Mapping[CaseState, frozenset[CaseState]] = {
    _S.OPEN: frozenset({_S.VOTED, _S.ESCALATED, _S.CONFIRMED, _S.DISMISSED}),
    _S.VOTED: frozenset({_S.CONFLICT, _S.ESCALATED, _S.CONFIRMED, _S.DISMISSED}),
    _S.CONFLICT: frozenset({_S.CONFIRMED, _S.DISMISSED}),
    _S.ESCALATED: frozenset({_S.CONFIRMED, _S.DISMISSED}),
    _S.APPEALED: frozenset({_S.ESCALATED, _S.CONFIRMED, _S.DISMISSED}),
    _S.CONFIRMED: frozenset({_S.APPEALED}),
    _S.DISMISSED: frozenset({_S.APPEALED}),
}
"""State → states that a decision may lead to. Undoing a decision restores the state before it."""

MEANINGS: Mapping[CaseState, str] = {
    _S.OPEN: "nobody has decided anything about it.",
    _S.VOTED: "two people must decide it, and one has. The first vote is hidden from the second.",
    _S.CONFLICT: "the two disagree; a lead who has not voted decides.",
    _S.ESCALATED: "a moderator passed it to a lead, who decides.",
    _S.APPEALED: "it was decided and is open again for somebody else. The effects of the first "
    "decision stay until then.",
    _S.CONFIRMED: "it is banned content; the upload is quarantined.",
    _S.DISMISSED: "a false positive; what only this case withheld is released.",
}


def check_step(before: str, after: str) -> None:
    if CaseState(after) not in TRANSITIONS[CaseState(before)]:
        raise Conflict(
            gettext("A case that is %(before)s cannot become %(after)s.")
            % {"before": word(before), "after": word(after)}
        )
