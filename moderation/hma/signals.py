"""HMA's signal types, and the hashes of a file by them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gallery.imaging.decoding import sniffing
from gallery.imaging.descriptors.pdq import from_hex, hamming
from gallery.items import conf
from gallery.items.preprocessing import Hashes
from gallery.net.fetching import fetch
from gallery.shared.errors import UserError
from moderation.screening.content import of_bytes

MATCHING_BITS: Final = 31
"""HMA's own limit of ``compare``. Look-ups honour each list's threshold."""


@dataclass(frozen=True)
class Signal:
    """``kind``: ours. ``content``: what HMA makes it of. ``digits``: hexadecimal."""

    kind: str
    content: str
    digits: int

    def parse(self, name: str, text: str) -> str:
        """Return the hash in lower case. Raises ``UserError``."""
        value = text.strip().lower()
        if not re.fullmatch(rf"[0-9a-f]{{{self.digits}}}", value):
            raise UserError(f"invalid {name} signal: it has {self.digits} hexadecimal digits.")
        return value


SIGNALS: Final = {
    "pdq": Signal("pdq", "photo", 64),
    "video_md5": Signal("md5", "video", 32),
    "video_sha256": Signal("sha256", "video", 64),
}

CONTENT_TYPES: Final = ("photo", "video")


@dataclass(frozen=True)
class Media:
    """A file, and what HMA calls its content type."""

    data: bytes
    content_type: str

    def hashes(self, wanted: set[str], pdq: bytes | None = None) -> dict[str, str]:
        """Return the hashes by signal type. ``wanted``: types that fit the content, at least one.
        ``pdq``: the picture's hash, if known.

        A picture of a quality below 50 has the PDQ hash "", as in HMA.
        """
        if self.content_type == "photo":
            own = pdq or self._pdq()
            return {"pdq": "" if own is None else own.hex()}
        exact = vars(Hashes.of(self.data))
        return {name: exact[SIGNALS[name].kind] for name in SIGNALS if name in wanted}

    def _pdq(self) -> bytes | None:
        """Return the hash of the first frame; None if its quality is too low. Raises what decoding
        raises."""
        for frame in of_bytes(self.data).frames:
            return frame.hashes[0] if frame.hashes else None
        return None


def wanted_types(text: str | None, content_type: str) -> set[str]:
    """Return the signal types of a comma-separated list. Raises ``UserError``."""
    fitting = {name for name, signal in SIGNALS.items() if signal.content == content_type}
    if text is None:
        return fitting
    named = {word.strip() for word in text.split(",") if word.strip()}
    if not named:
        raise UserError("empty signal type selection")
    if unknown := named - fitting:
        raise UserError(f"signal type '{min(unknown)}' doesn't exist or is disabled")
    return named


def fetched(url: str, content_type: str | None) -> Media:
    """Fetch a file. ``content_type`` None: what its first bytes say. Raises ``FetchFailed``."""
    data = fetch(url, conf.fetch_policy()).data
    seen = "photo" if sniffing.sniff(data) is not None else "video"
    return Media(data, content_type or seen)


def signal(name: str) -> Signal:
    """Return the signal type with this name. Raises ``UserError``."""
    if name not in SIGNALS:
        raise UserError(f"No such SignalType '{name}'")
    return SIGNALS[name]


def compared(name: str, pair: object) -> list[object]:
    """Return whether two hashes match, and their distance."""
    if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, str) for x in pair)):
        raise UserError(f"Give two hashes for {name}.")
    first, second = (signal(name).parse(name, text) for text in pair)
    if name != "pdq":
        return [first == second, {"distance": int(first != second)}]
    distance = hamming(from_hex(first), from_hex(second))
    return [distance <= MATCHING_BITS, {"distance": distance}]
