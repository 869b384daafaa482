"""What other services are told of decisions and of their being undone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from moderation.cases.models import Decision, ReviewCase
from moderation.cases.states import CaseState
from moderation.webhooks import outbox
from moderation.webhooks.models import Webhook, WebhookEvent


def decisions(made: Iterable[Decision]) -> None:
    """Of what is settled or appealed. A vote that waits for a second is told to nobody."""
    for decision in _worth_telling(made, WebhookEvent.DECISION):
        outbox.tell(WebhookEvent.DECISION, f"decision:{decision.pk}", payload(decision))


def reversals(undone: Iterable[Decision]) -> None:
    """Of the same decisions, once they are taken back."""
    for decision in _worth_telling(undone, WebhookEvent.REVERSAL):
        body = {**payload(decision), "state": decision.state_before}
        outbox.tell(WebhookEvent.REVERSAL, f"reversal:{decision.pk}", body)


def _worth_telling(found: Iterable[Decision], event: WebhookEvent) -> list[Decision]:
    """None if nobody listens: a batch of a thousand would ask a thousand times. Nor what is said
    of samples of lists in shadow: nobody is to act on it."""
    if not Webhook.objects.filter(enabled=True, events__contains=[event]).exists():
        return []
    told = [*CaseState.decided(), CaseState.APPEALED]
    return [
        decision
        for decision in found
        if decision.state_after in told and decision.case.origin != ReviewCase.Origin.SHADOW
    ]


def payload(decision: Decision) -> dict[str, Any]:
    """A decision as a message says it. ``state``: what the case is now."""
    case = decision.case
    return {
        "case": case.pk,
        "decision": decision.pk,
        "verb": decision.verb,
        "reason": decision.batch.reason,
        "state": decision.state_after,
        "image": case.image_id,
        "video": case.video_id,
        "data_id": case.evidence.get("data_id"),
        "url": case.evidence.get("url"),
        "sha256": case.evidence.get("sha256"),
    }
