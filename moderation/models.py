"""Imports the models of moderation, because Django looks for them here."""

from moderation.audit.models import AuditEvent
from moderation.cases.models import (
    CaseMatch,
    CaseView,
    Decision,
    DecisionBatch,
    Exposure,
    GoldenAnswer,
    GoldenCase,
    GoldenShare,
    ReviewCase,
    ReviewPreference,
)
from moderation.drill.models import Drill
from moderation.exchanges.models import Exchange, ExchangeFeedback, Pull, PulledPage
from moderation.hma.models import HmaBank, HmaContent
from moderation.imports.models import BadRow, ListImport
from moderation.lists.models import (
    BannedFingerprint,
    BannedHash,
    BannedItem,
    BannedList,
    ListChange,
    ListMethod,
    Rescreening,
    RetroScan,
)
from moderation.pipeline.models import CheckAnswer, NearCheck
from moderation.reports.models import Notice, Statement
from moderation.webhooks.models import Delivery, Webhook, WebhookEvent

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
    "Drill",
    "Exchange",
    "ExchangeFeedback",
    "Exposure",
    "GoldenAnswer",
    "GoldenCase",
    "GoldenShare",
    "HmaBank",
    "HmaContent",
    "ListChange",
    "ListImport",
    "ListMethod",
    "NearCheck",
    "Notice",
    "Pull",
    "PulledPage",
    "Rescreening",
    "RetroScan",
    "ReviewCase",
    "ReviewPreference",
    "Statement",
    "Webhook",
    "WebhookEvent",
]
