"""The page *Operations*: buttons that start jobs, the progress of jobs, and the workers."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from django_q.models import Failure

from gallery.duplicates import scan
from gallery.shared.errors import UserError
from imgsmlr_site import health
from imgsmlr_site.models import Job, WorkerCluster
from imgsmlr_site.operations import failed_tasks, jobs
from moderation.access.permissions import Actor, actor_of
from moderation.cases.console.pages import render_page
from moderation.lists import rescans
from moderation.lists.models import RetroScan

SHOWN: Final = 8


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def operations_page(request: HttpRequest) -> HttpResponseBase:
    """Show the page; with ``?part=1`` only what changes. POST starts what its button says."""
    if not admin.site.has_permission(request):
        return redirect_to_login(request.get_full_path())
    if not request.user.is_superuser:
        raise PermissionDenied
    if request.method == "POST":
        try:
            messages.success(request, _start(request, actor_of(request)))
        except UserError as error:
            messages.error(request, error.message)
        return HttpResponseRedirect(reverse("operations"))
    if request.GET.get("part") == "1":
        return render(request, "imgsmlr_site/_operations.html", _progress())
    context = {
        "unscanned": scan.unscanned_images().count(),
        "backup_dir": settings.BACKUP_DIR,
        "failed": Failure.objects.count(),
        "most": failed_tasks.MAX_TASKS,
    }
    return render_page(
        request, "imgsmlr_site/operations.html", _("Operations"), {**context, **_progress()}
    )


def _start(request: HttpRequest, by: Actor) -> str:
    what = request.POST.get("start", "")
    if what in Job.Kind.values:
        restart = request.POST.get("restart") == "1"
        job = jobs.start(by=by, kind=what, restart=restart)
        return _("%(job)s: a worker begins with it.") % {"job": job.get_kind_display()}
    if what == "match_all":
        count = len(rescans.start_all(by=by))
        return ngettext("%(n)s scan queued.", "%(n)s scans queued.", count) % {"n": count}
    if what == "retry":
        count = failed_tasks.retry(by=by, tasks=Failure.objects.all())
        text = ngettext("%(n)s task queued again.", "%(n)s tasks queued again.", count)
        return text % {"n": f"{count:,}"}
    raise UserError(_("Choose what to start."))


def _progress() -> dict[str, Any]:
    """Return what changes while something runs."""
    found = list(Job.objects.order_by("-pk")[:SHOWN])
    scans = list(RetroScan.objects.select_related("list").order_by("-pk")[:SHOWN])
    unfinished = (RetroScan.State.PENDING, RetroScan.State.RUNNING)
    runs = any(job.state in Job.UNFINISHED for job in found)
    queues = health.queues()
    return {
        "jobs": found,
        "scans": scans,
        "queues": queues,
        "clusters": _clusters(),
        "unfinished": runs
        or any(scan.state in unfinished for scan in scans)
        or any(queue.due or queue.working for queue in queues),
    }


def _clusters() -> list[dict[str, Any]]:
    """Return each cluster of workers that was seen in the last day, and whether it runs."""
    since = timezone.now() - health.SEEN_WITHIN
    return [
        {"row": row, "runs": row.seen_at > since}
        for row in WorkerCluster.objects.order_by("queue", "host", "-seen_at")
    ]
