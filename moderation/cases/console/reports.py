"""Downloads: the report of a case as a zip, and all decisions as CSV."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from gallery.items.media_responses import is_cross_site
from gallery.shared.responses import download
from moderation.access.permissions import Actor
from moderation.cases import reports
from moderation.cases.console.pages import console_page
from moderation.cases.models import Decision


@require_safe
@console_page("view the audit")
def case_report(request: HttpRequest, by: Actor, pk: int) -> HttpResponseBase:
    """Return the report of a case; with ``media=1`` also the files, for people who may export them.

    Each file counts as a look, so requests from other sites get no files.
    """
    media = request.GET.get("media") == "1" and not is_cross_site(request)
    body = reports.build_case_report(by=by, case_id=pk, media=media)
    return download(f"case-{pk}.zip", body, "application/zip")


@require_safe
@console_page("view the audit")
def decisions_csv(request: HttpRequest, by: Actor) -> HttpResponseBase:
    lines = reports.decisions_csv(by=by, decisions=Decision.objects.all())
    name = f"decisions-{timezone.now():%Y%m%d-%H%M%S}.csv"
    return download(name, lines)
