"""Codes that are stored, as words of the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from django.utils.translation import pgettext, pgettext_lazy

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


WORDS: Final[Mapping[str, _StrPromise]] = {
    # States of cases, of items, and of work.
    "open": pgettext_lazy("code", "open"),
    "voted": pgettext_lazy("code", "voted"),
    "conflict": pgettext_lazy("code", "conflict"),
    "escalated": pgettext_lazy("code", "escalated"),
    "appealed": pgettext_lazy("code", "appealed"),
    "confirmed": pgettext_lazy("code", "confirmed"),
    "dismissed": pgettext_lazy("code", "dismissed"),
    "decided": pgettext_lazy("code", "decided"),
    "undecided": pgettext_lazy("code", "undecided"),
    "active": pgettext_lazy("code", "active"),
    "retired": pgettext_lazy("code", "retired"),
    "disputed": pgettext_lazy("code", "disputed"),
    "false positive": pgettext_lazy("code", "false positive"),
    "pending": pgettext_lazy("code", "pending"),
    "running": pgettext_lazy("code", "running"),
    "previewed": pgettext_lazy("code", "previewed"),
    "waiting": pgettext_lazy("code", "waiting"),
    "done": pgettext_lazy("code", "done"),
    "failed": pgettext_lazy("code", "failed"),
    "applied": pgettext_lazy("code", "applied"),
    "refused": pgettext_lazy("code", "refused"),
    "ready": pgettext_lazy("code", "ready"),
    "quarantined": pgettext_lazy("code", "quarantined"),
    # What a person does with a case.
    "confirm": pgettext_lazy("code", "confirm"),
    "dismiss": pgettext_lazy("code", "dismiss"),
    "escalate": pgettext_lazy("code", "escalate"),
    "appeal": pgettext_lazy("code", "appeal"),
    # Verdicts, and the actions of lists.
    "allow": pgettext_lazy("code", "allow"),
    "review": pgettext_lazy("code", "review"),
    "block": pgettext_lazy("code", "block"),
    "shadow": pgettext_lazy("code", "shadow"),
    # Severities.
    "low": pgettext_lazy("code", "low"),
    "medium": pgettext_lazy("code", "medium"),
    "high": pgettext_lazy("code", "high"),
    "critical": pgettext_lazy("code", "critical"),
    # Kinds of content, and how it is shown.
    "none": pgettext_lazy("code", "none"),
    "unknown": pgettext_lazy("code", "unknown"),
    "image": pgettext_lazy("code", "image"),
    "video": pgettext_lazy("code", "video"),
    "picture": pgettext_lazy("code", "picture"),
    "blur": pgettext_lazy("code", "blur"),
    "grey": pgettext_lazy("code", "grey"),
    "lines": pgettext_lazy("code", "lines"),
    "clear": pgettext_lazy("code", "clear"),
}


def word(code: object) -> str:
    """Return a code in words. A code that the table lacks is returned as it is."""
    text = str(code)
    return str(WORDS.get(text, text))


def field_name(name: str) -> str:
    """Return the name of a column or of a fact, for people."""
    return pgettext("name", name.replace("_", " "))
