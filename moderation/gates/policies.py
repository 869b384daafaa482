"""What a gate in front of another program's uploads answers.

A gate refuses what the check refuses. If the content could not be compared (it cannot be read, the
database is away, the service is busy), a closed gate refuses it and an open gate accepts it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings
from django.db import DatabaseError

from gallery.shared.errors import StorageAway, UserError
from gallery.shared.fork_server import CannotStart
from moderation.access.permissions import Actor
from moderation.lists.verdicts import Verdict
from moderation.pipeline import check
from moderation.pipeline.check import CheckRequest

logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(frozen=True)
class Gate:
    """A gate in front of one program.

    ``path``: its address. ``setting``: what switches it on. ``refuses``: off, block, or review,
    which also refuses what people are to look at. ``open``: whether content that could not be
    compared is accepted.
    """

    name: str
    path: str
    setting: str
    refuses: str
    open: bool

    @property
    def is_on(self) -> bool:
        return self.refuses != "off"

    def judge(self, *, by: Actor, data: bytes) -> Outcome:
        """Check content as ``check.check`` does: a case may be opened, nothing else is stored."""
        try:
            checked = check.run(by=by, request=CheckRequest(data=data))
        except (UserError, StorageAway, CannotStart, DatabaseError):
            logger.warning("%s could not compare an upload", self.name, exc_info=True)
            return self._without_comparison()
        if checked.verdict == Verdict.BLOCK:
            return Outcome.REFUSED
        if checked.screening.missing and checked.screening.withheld:
            return self._without_comparison()
        if checked.verdict == Verdict.REVIEW and self.refuses == "review":
            return Outcome.REFUSED
        return Outcome.ACCEPTED

    def _without_comparison(self) -> Outcome:
        return Outcome.ACCEPTED if self.open else Outcome.REFUSED


def pict_rs() -> Gate:
    return Gate(
        name="pict-rs",
        path="/gate/pict-rs",
        setting="PICT_RS_GATE",
        refuses=settings.PICT_RS_GATE,
        open=settings.PICT_RS_FAILURE == "open",
    )
