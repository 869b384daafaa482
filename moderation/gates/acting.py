"""What gates that are told after the fact do to the other program, and its record in the audit."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from moderation.access.permissions import Actor
from moderation.audit import trail
from moderation.cases.models import ReviewCase
from moderation.gates.policies import Judged


@transaction.atomic
def record(by: Actor, verb: str, judged: Judged, after: dict[str, Any]) -> None:
    subject = ReviewCase if judged.case is None else judged.case
    trail.record(by=by.name, verb=verb, subject=subject, after=after)
