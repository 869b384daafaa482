"""The admin of moderation: a door, so every write is one call of a service."""

from moderation.admin.audit import AuditEventAdmin
from moderation.admin.cases import DecisionBatchAdmin, ReviewCaseAdmin
from moderation.admin.items import BannedItemAdmin
from moderation.admin.lists import BannedListAdmin
from moderation.admin.matches import CaseMatchAdmin

__all__ = [
    "AuditEventAdmin",
    "BannedItemAdmin",
    "BannedListAdmin",
    "CaseMatchAdmin",
    "DecisionBatchAdmin",
    "ReviewCaseAdmin",
]
