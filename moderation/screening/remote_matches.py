"""Matches that remote services know. Only PDQ hashes leave this machine."""

from __future__ import annotations

from collections.abc import Iterable

from gallery.imaging.descriptors.pdq import LOW_QUALITY
from moderation.exchanges import matching
from moderation.exchanges.clients.base import ServiceFailed
from moderation.lists.policies import Policies, using
from moderation.screening.coverage import Coverage
from moderation.screening.types import ContentFrame, ItemMatch


class Hashes:
    """The hashes of the content, each with the first frame that has it."""

    def __init__(self) -> None:
        self._frames: dict[bytes, ContentFrame] = {}
        self._left_out = 0

    def add(self, frames: Iterable[ContentFrame]) -> None:
        for frame in frames:
            if not frame.hashes or frame.hashes[0] in self._frames:
                continue
            if len(self._frames) < matching.MOST:
                self._frames[frame.hashes[0]] = frame
            else:
                self._left_out += 1

    def matches(self, policies: Policies, coverage: Coverage) -> list[ItemMatch]:
        """Ask each remote service whose list compares by pdq. One that does not answer is noted."""
        lists = using(policies, "pdq")
        if not self._frames or not lists:
            return []
        found: list[ItemMatch] = []
        for exchange in matching.of_lists(list(lists)):
            try:
                hits = matching.ask(exchange, list(self._frames))
            except ServiceFailed as error:
                hold = policies[exchange.list_id].is_enforced and exchange.hold_unanswered
                coverage.unanswered(exchange.name, error.message, hold=hold)
                continue
            if self._left_out:
                coverage.asked_partly(exchange.name, len(self._frames), self._left_out)
            for value, item in matching.items_of(exchange, hits).items():
                frame, exact = self._frames[value], hits[value].exact
                # How near a near match is, the service does not say: it may not block.
                distance = 0.0 if exact else lists[exchange.list_id].threshold
                good = (frame.quality or 0) >= LOW_QUALITY
                found.append(
                    ItemMatch.of(item, policies, "pdq", distance, frame=frame, sure=exact and good)
                )
        return found
