"""The states of a case, as a table; docs/case-states.md is generated from it."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models

from gallery.shared.errors import Conflict


class CaseState(models.TextChoices):
    """``voted``: the first of two people has decided. ``conflict``: the two disagree, a lead
    decides. ``appealed``: decided once, and open again for somebody else."""

    OPEN = "open"
    VOTED = "voted"
    CONFLICT = "conflict"
    ESCALATED = "escalated"
    APPEALED = "appealed"
    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"

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
"""Where a decision leads. Undoing one leads back to where it came from."""

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
"""What each state means."""


def check_step(before: str, after: str) -> None:
    """Raises ``Conflict`` for a transition that is not in the table."""
    if CaseState(after) not in TRANSITIONS[CaseState(before)]:
        raise Conflict(f"A case that is {before} cannot become {after}.")
