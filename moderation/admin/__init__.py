"""The admin of moderation: a door, so every write is one call of a service."""

from moderation.admin import banning
from moderation.admin.audit import AuditEventAdmin
from moderation.admin.cases import DecisionBatchAdmin, ReviewCaseAdmin
from moderation.admin.changes import ListChangeAdmin
from moderation.admin.imports import ListImportAdmin
from moderation.admin.items import BannedItemAdmin
from moderation.admin.lists import BannedListAdmin
from moderation.admin.matches import CaseMatchAdmin
from moderation.admin.webhooks import DeliveryAdmin, WebhookAdmin

__all__ = [
    "AuditEventAdmin",
    "BannedItemAdmin",
    "BannedListAdmin",
    "CaseMatchAdmin",
    "DecisionBatchAdmin",
    "DeliveryAdmin",
    "ListChangeAdmin",
    "ListImportAdmin",
    "ReviewCaseAdmin",
    "WebhookAdmin",
    "banning",
]
