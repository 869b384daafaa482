"""Imports the admin pages of moderation, which registers them."""

from moderation.audit.admin import AuditEventAdmin
from moderation.cases.admin import CaseMatchAdmin, DecisionBatchAdmin, ReviewCaseAdmin
from moderation.exchanges.admin import ExchangeAdmin
from moderation.imports.admin import ListImportAdmin
from moderation.lists.admin import banning
from moderation.lists.admin.changes import ListChangeAdmin
from moderation.lists.admin.items import BannedItemAdmin
from moderation.lists.admin.lists import BannedListAdmin
from moderation.webhooks.admin import DeliveryAdmin, WebhookAdmin

__all__ = [
    "AuditEventAdmin",
    "BannedItemAdmin",
    "BannedListAdmin",
    "CaseMatchAdmin",
    "DecisionBatchAdmin",
    "DeliveryAdmin",
    "ExchangeAdmin",
    "ListChangeAdmin",
    "ListImportAdmin",
    "ReviewCaseAdmin",
    "WebhookAdmin",
    "banning",
]
