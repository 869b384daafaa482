"""What the audit says of a row: ``{% load audit %}``."""

from __future__ import annotations

from typing import Any

from django import template
from django.db.models import Model
from django.http import HttpRequest

from moderation.access.permissions import actor_of, can
from moderation.audit import finding
from moderation.audit.models import AuditEvent
from moderation.audit.sentences import KINDS, Names, as_html, sentence, unlinked

register = template.Library()

SHOWN = 50
"""Events; the audit itself has all."""


@register.inclusion_tag("moderation/audit/_history.html")
def audit_history(row: Model, request: HttpRequest) -> dict[str, Any]:
    """Show the last events about a row to whoever may see the audit."""
    if not can(actor_of(request), "view the audit"):
        return {"hidden": True}
    kind = KINDS.get(row._meta.label_lower)
    if kind is None:
        return {}
    term = f"{kind.one} {row.pk}"
    events = list(AuditEvent.objects.filter(finding.about(term)).order_by("-pk")[: SHOWN + 1])
    names = Names.of(events, unlinked=unlinked(request))
    shown = [(event, as_html(sentence(event, names))) for event in events[:SHOWN]]
    return {"events": shown, "more": len(events) > SHOWN, "term": term}
