"""Webhook events about cases: case opened, decision made, decision undone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from moderation.cases.models import Decision, ReviewCase
from moderation.cases.states import CaseState
from moderation.webhooks import outbox
from moderation.webhooks.models import Webhook, WebhookEvent


def enqueue_verdict(case: ReviewCase, list_names: Iterable[str]) -> None:
    """Send that a case was opened. ``list_names``: the lists of its matches."""
    sent = ("sha256", "url", "data_id")
    payload = {
        "case": case.pk,
        "origin": case.origin,
        "verdict": case.verdict,
        "held": case.held,
        "image": case.image_id,
        "video": case.video_id,
        "lists": sorted(set(list_names)),
        **{name: case.evidence.get(name) for name in sent},
    }
    outbox.enqueue(WebhookEvent.VERDICT, f"verdict:{case.pk}", payload)


def enqueue_decisions(made: Iterable[Decision]) -> None:
    """Send decisions that settle or appeal a case. A first vote of two is not sent."""
    for decision in _sent(made, WebhookEvent.DECISION):
        outbox.enqueue(WebhookEvent.DECISION, f"decision:{decision.pk}", _payload(decision))


def enqueue_reversals(undone: Iterable[Decision]) -> None:
    """Send that such decisions were undone."""
    for decision in _sent(undone, WebhookEvent.REVERSAL):
        body = {**_payload(decision), "state": decision.state_before}
        outbox.enqueue(WebhookEvent.REVERSAL, f"reversal:{decision.pk}", body)


def _sent(decisions: Iterable[Decision], event: WebhookEvent) -> list[Decision]:
    """Return the decisions to send: none if no webhook wants the event, as a batch of a thousand
    would query a thousand times; none about samples of lists in shadow, as they have no effect."""
    if not Webhook.objects.filter(enabled=True, events__contains=[event]).exists():
        return []
    states = [*CaseState.decided(), CaseState.APPEALED]
    return [
        decision
        for decision in decisions
        if decision.state_after in states and decision.case.origin != ReviewCase.Origin.SHADOW
    ]


def _payload(decision: Decision) -> dict[str, Any]:
    """``state``: the state after the decision."""
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
