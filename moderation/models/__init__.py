"""What moderation stores, by subject."""

from moderation.models.audit import AuditEvent
from moderation.models.background import BadRow, ListImport, RetroScan
from moderation.models.cases import CaseMatch, Decision, DecisionBatch, ReviewCase
from moderation.models.changes import ListChange
from moderation.models.checks import CheckAnswer, NearCheck
from moderation.models.lists import (
    BannedFingerprint,
    BannedHash,
    BannedItem,
    BannedList,
    ListMethod,
)
from moderation.models.people import CaseView, Exposure, ReviewPreference
from moderation.models.webhooks import Delivery, Webhook, WebhookEvent

__all__ = [
    "AuditEvent",
    "BadRow",
    "BannedFingerprint",
    "BannedHash",
    "BannedItem",
    "BannedList",
    "CaseMatch",
    "CaseView",
    "CheckAnswer",
    "Decision",
    "DecisionBatch",
    "Delivery",
    "Exposure",
    "ListChange",
    "ListImport",
    "ListMethod",
    "NearCheck",
    "RetroScan",
    "ReviewCase",
    "ReviewPreference",
    "Webhook",
    "WebhookEvent",
]
