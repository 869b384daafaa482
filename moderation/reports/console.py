"""The console's pages of notices and reports."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from gallery.shared.responses import download
from moderation.access.permissions import Actor, can
from moderation.cases.console.pages import console_page, render_page
from moderation.reports import cybertip, notices, transparency
from moderation.reports.models import Notice

SHOWN = 200


@require_safe
@console_page("decide cases")
def notices_page(request: HttpRequest, by: Actor) -> HttpResponseBase:
    rows = notices.listed(by=by)[:SHOWN]
    context = {"rows": rows, "most": SHOWN}
    return render_page(request, "moderation/reports/notices.html", _("Notices"), context)


@require_http_methods(["GET", "HEAD", "POST"])
@console_page("decide cases")
def notice_page(request: HttpRequest, by: Actor, pk: int) -> HttpResponseBase:
    """Show a notice. POST shows who sent it, too, to those who may see that."""
    shows = request.method == "POST"
    notice = (notices.contact if shows else notices.existing)(by=by, notice_id=pk)
    context = {
        "notice": notice,
        "cases": notice.cases.order_by("pk"),
        "shows_contact": shows,
        "may_see_contact": can(by, notices.CONTACTS),
    }
    title = _("Notice %(number)s") % {"number": pk}
    return render_page(request, "moderation/reports/notice.html", title, context)


@require_safe
@console_page(transparency.ACTION)
def transparency_page(request: HttpRequest, by: Actor) -> HttpResponseBase:
    known = transparency.months()
    month = request.GET.get("month") or known[0]
    found = transparency.count(by=by, month=month)
    context = {
        "found": found,
        "received": [(Notice.Reason(code).label, n) for code, n in found.notices.received.items()],
        "closed": [(Notice.Outcome(code).label, n) for code, n in found.notices.closed.items()],
        "months": known,
        "is_over": month != known[0],
    }
    return render_page(request, "moderation/reports/transparency.html", _("Transparency"), context)


@require_safe
@console_page(transparency.ACTION)
def transparency_file(request: HttpRequest, by: Actor, month: str, form: str) -> HttpResponseBase:
    body = transparency.export(by=by, month=month, form=form)
    kind = "application/json" if form == "json" else "text/csv; charset=utf-8"
    return download(f"transparency-{month}.{form}", body, kind)


@require_safe
@console_page(cybertip.ACTION)
def cybertip_page(request: HttpRequest, by: Actor, pk: int) -> HttpResponseBase:
    """Show what a draft says and what it lacks. ``?download=1``: return it, as a zip."""
    if request.GET.get("download") == "1":
        body = cybertip.download(by=by, case_id=pk)
        return download(f"cybertip-{pk}.zip", body, "application/zip")
    made = cybertip.draft(by=by, case_id=pk)
    context = {
        "case_id": pk,
        "draft": made,
        "files": [
            ("report.xml", made.report.decode()),
            ("file_details.xml", made.file_details.decode()),
        ],
    }
    title = _("CyberTip draft of case %(number)s") % {"number": pk}
    return render_page(request, "moderation/reports/cybertip.html", title, context)
