"""What pages show of statements, appeals and notices: ``{% load reports %}``."""

from __future__ import annotations

from typing import Any

from django import template
from django.contrib.auth.models import User
from django.db.models import Count, Min, Q
from django.db.models.functions import Now

from moderation.access.permissions import Actor, can
from moderation.cases.models import ReviewCase
from moderation.cases.states import CaseState
from moderation.reports import cybertip
from moderation.reports.models import Notice, Statement

register = template.Library()


@register.inclusion_tag("moderation/reports/_case.html")
def case_reports(case: ReviewCase, user: User) -> dict[str, Any]:
    """``case``: as its page shows it. One that seems open, as a golden case does, shows nothing of
    what came after."""
    notices = Notice.objects.filter(cases=case.pk).order_by("pk")
    if case.state == CaseState.OPEN:
        return {"notices": notices.open()}
    statement = Statement.objects.filter(case=case.pk).first()
    may_draft = case.state == CaseState.CONFIRMED and can(Actor.person(user), cybertip.ACTION)
    return {"case": case, "statement": statement, "notices": notices, "may_draft": may_draft}


@register.inclusion_tag("moderation/reports/_waiting.html")
def waiting_notices() -> dict[str, Any]:
    """Count the open notices, for the dashboard."""
    return Notice.objects.open().aggregate(
        count=Count("pk"), overdue=Count("pk", filter=Q(due_at__lt=Now())), first_due=Min("due_at")
    )
