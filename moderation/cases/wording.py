"""How something was matched, in short sentences for whoever decides."""

from __future__ import annotations

from collections.abc import Mapping

from gallery.imaging.shown_pictures import in_words
from moderation.cases.models import CaseMatch, ReviewCase
from moderation.screening.types import COLOURS, FRAMES


def of_match(match: CaseMatch) -> list[str]:
    """What numbers do not say: which picture of the subject it was, and how the item was edited."""
    edited = f"It looks like an edited copy: {match.edit}." if match.edit else ""
    shown = f"What matched is {in_words(match.rendering)}." if match.rendering else ""
    return [sentence for sentence in (edited, shown) if sentence]


def of_gaps(case: ReviewCase) -> list[str]:
    """What could not be compared, and what was compared in part only."""
    evidence: Mapping[str, Mapping[str, str]] = case.evidence
    missing, partly = evidence.get("missing", {}), evidence.get("partly", {})
    return [
        *(_missing(name, why) for name, why in sorted(missing.items())),
        *(f"By {name} only {what} were compared." for name, what in sorted(partly.items())),
    ]


def _missing(name: str, why: str) -> str:
    if name == FRAMES:
        return f"Not all of its pictures could be read: {why}"
    if name == COLOURS:
        return f"Its colours are in doubt: {why}"
    return f"It could not be compared by {name}: {why}"
