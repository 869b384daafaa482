"""Arachnid Shield, a service of the Canadian Centre for Child Protection that matches PDQ hashes.

Only hashes are sent. The classification ``test`` is for trying the service out, never a hit.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from moderation.exchanges.clients.base import ServiceFailed, Session

URL: Final = "https://shield.projectarachnid.com"
CREDENTIALS: Final[Mapping[str, str]] = {"user": "User name", "password": "Password"}
SOURCE: Final = "Arachnid Shield"
HITS: Final = frozenset({"csam", "harmful-abusive-material"})
NO_HITS: Final = frozenset({"no-known-match", "test"})


@dataclass(frozen=True)
class Hit:
    """``exact``: the same picture; else one that is near to it."""

    classification: str
    exact: bool


def ask(session: Session, hashes: Sequence[bytes]) -> dict[bytes, Hit]:
    """Return the hits among PDQ hashes of 32 bytes.

    Raises ``ServiceFailed``, also if any of the hashes has no answer, or one that is not known.
    """
    sent = {base64.b64encode(one).decode(): one for one in hashes}
    answer = session.json(
        "POST",
        "/v1/pdq",
        headers={**session.basic(), "Content-Type": "application/json"},
        body=orjson.dumps({"hashes": list(sent)}),
    )
    found = answer.get("scanned_hashes")
    if not isinstance(found, dict):
        raise ServiceFailed("The answer has no “scanned_hashes”.")
    hits = {}
    for text, value in sent.items():
        about = found.get(text)
        if not isinstance(about, dict):
            raise ServiceFailed("The answer leaves out a hash.")
        word = about.get("classification")
        if word in HITS:
            hits[value] = Hit(word, about.get("match_type") == "exact")
        elif word not in NO_HITS:
            raise ServiceFailed(f"The classification {str(word)[:40]!r} is not known.")
    return hits
