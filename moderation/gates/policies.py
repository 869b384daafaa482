"""What a gate in front of another program's uploads answers.

A gate refuses what the check refuses. If the content could not be compared (it cannot be read, the
database is away, the service is busy), a closed gate refuses it and an open gate accepts it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings
from django.db import DatabaseError
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from gallery.shared.errors import NotFound, StorageAway, Unavailable, UserError
from gallery.shared.fork_server import CannotStart
from moderation.access.permissions import Actor
from moderation.cases.models import ReviewCase
from moderation.lists.verdicts import Verdict
from moderation.pipeline import check
from moderation.pipeline.check import CheckRequest

logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(frozen=True)
class Judged:
    """``compared``: whether the lists decided, and not the policy for failures."""

    outcome: Outcome
    compared: bool = True
    case: ReviewCase | None = None

    @property
    def is_refused(self) -> bool:
        return self.outcome == Outcome.REFUSED


@dataclass(frozen=True)
class Gate:
    """A gate in front of one program.

    ``path``: its address. ``setting``: what switches it on. ``refuses``: off, block, or review,
    which also refuses what people are to look at. ``open``: whether content that could not be
    compared is accepted. ``consequence``: what happens to refused content. ``needs``: settings that
    the gate cannot work without.
    """

    name: str
    path: str
    setting: str
    refuses: str
    open: bool
    consequence: str | Promise
    needs: Sequence[str] = ()

    @property
    def is_on(self) -> bool:
        return self.refuses != "off"

    @property
    def lacks(self) -> list[str]:
        """The needed settings that are empty."""
        return [name for name in self.needs if not getattr(settings, name)]

    def check_works(self) -> None:
        """Raise ``NotFound`` if the gate is off, and ``Unavailable`` if a setting is missing."""
        if not self.is_on:
            raise NotFound(f"This gate is off: set {self.setting} to block or review.")
        if self.lacks:
            raise Unavailable(f"This gate is not set up: set {' and '.join(self.lacks)}.")

    def judge(self, *, by: Actor, request: CheckRequest) -> Judged:
        """Check content as ``check.check`` does: a case may be opened, nothing else is stored."""
        try:
            checked = check.run(by=by, request=request)
        except (UserError, StorageAway, CannotStart, DatabaseError):
            logger.warning("%s could not compare an upload", self.name, exc_info=True)
            return self.without_comparison()
        if checked.verdict == Verdict.BLOCK:
            return Judged(Outcome.REFUSED, case=checked.case)
        if checked.screening.missing and checked.screening.withheld:
            return self.without_comparison(checked.case)
        if checked.verdict == Verdict.REVIEW and self.refuses == "review":
            return Judged(Outcome.REFUSED, case=checked.case)
        return Judged(Outcome.ACCEPTED, case=checked.case)

    def without_comparison(self, case: ReviewCase | None = None) -> Judged:
        return Judged(Outcome.ACCEPTED if self.open else Outcome.REFUSED, compared=False, case=case)


def pict_rs() -> Gate:
    return Gate(
        name="pict-rs",
        path="/gate/pict-rs",
        setting="PICT_RS_GATE",
        refuses=settings.PICT_RS_GATE,
        open=settings.PICT_RS_FAILURE == "open",
        consequence=_("not stored"),
    )


def s3() -> Gate:
    deletes = settings.S3_REFUSED == "delete"
    return Gate(
        name="S3",
        path="/gate/s3",
        setting="S3_GATE",
        refuses=settings.S3_GATE,
        open=settings.S3_FAILURE == "open",
        consequence=_("deleted; if not compared, tagged") if deletes else _("tagged"),
        needs=("S3_ENDPOINT", "S3_BUCKETS", "S3_ACCESS_KEY", "S3_SECRET_KEY"),
    )


def mastodon() -> Gate:
    reports = settings.MASTODON_TOKEN
    return Gate(
        name="Mastodon",
        path="/gate/mastodon",
        setting="MASTODON_GATE",
        refuses=settings.MASTODON_GATE,
        open=settings.MASTODON_FAILURE == "open",
        consequence=_("the post is reported") if reports else _("a case, no report"),
        needs=("MASTODON_SECRET", *(["MASTODON_URL"] if reports else [])),
    )


def every() -> list[Gate]:
    return [pict_rs(), s3(), mastodon()]
