"""The page of a rescan: its progress and results."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from gallery.shared.errors import NotFound
from moderation.access.permissions import Actor
from moderation.cases.console.pages import console_page, render_page
from moderation.lists.models import RetroScan


@require_safe
@console_page("view lists")
def scan_page(request: HttpRequest, by: Actor, pk: int) -> HttpResponseBase:
    """Show a rescan. With ``?part=1``, return only the part that changes while it runs."""
    scan = RetroScan.objects.select_related("list").filter(pk=pk).first()
    if scan is None:
        raise NotFound(gettext("There is no scan %(number)s.") % {"number": pk})
    unfinished = scan.state in (RetroScan.State.PENDING, RetroScan.State.RUNNING)
    context = {"scan": scan, "unfinished": unfinished, "asks": scan.asked is not None}
    if request.GET.get("part") == "1":
        return render(request, "moderation/pipeline/_scan.html", context)
    return render_page(
        request,
        "moderation/pipeline/scan.html",
        gettext("Rescan for items of %(list)s") % {"list": scan.list.name},
        context,
    )
