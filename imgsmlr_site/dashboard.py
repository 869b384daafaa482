"""The admin's first page: problems, waiting work, failed tasks."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count, Sum
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext_lazy
from django_q.models import Failure

from gallery.items import index_building
from gallery.items.item import Status
from gallery.items.models import ClipVersion, Image, ImageFingerprint
from imgsmlr_site import health, status
from moderation.access.permissions import actor_of, can
from moderation.exchanges import health as exchanges
from moderation.lists.models import ListChange
from moderation.pipeline import near_checks
from videos.models import Video

FAILURES_SHOWN = 8
IMAGES_LEFT = ngettext_lazy(
    "%(left)s image was described by an earlier version: searches and lists may miss what it "
    "shows.",
    "%(left)s images were described by an earlier version: searches and lists may miss what they "
    "show.",
    "left",
)
VIDEOS_LEFT = ngettext_lazy(
    "%(left)s video was described by an earlier version: searches and lists may miss what it "
    "shows.",
    "%(left)s videos were described by an earlier version: searches and lists may miss what they "
    "show.",
    "left",
)


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the context of templates/admin/index.html. It omits what the user may not list."""
    counts, video_counts = status.image_counts(), status.video_counts()
    if request.user.has_perm("gallery.view_image"):
        context["failed_images"] = Image.objects.filter(status=Status.FAILED)[:FAILURES_SHOWN]
    if request.user.has_perm("videos.view_video"):
        context["failed_videos"] = Video.objects.filter(status=Status.FAILED)[:FAILURES_SHOWN]
    if request.user.has_perm("django_q.view_failure"):
        context["failed_tasks"] = Failure.objects.order_by("-stopped")[:FAILURES_SHOWN]
    if can(actor_of(request), "edit lists"):
        context["alarms"] = near_checks.alarms()[:FAILURES_SHOWN]
        context["changes_waiting"] = ListChange.objects.waiting().count()
        context["exchange_notices"] = exchanges.notices()
    return context | {
        "title": gettext("Dashboard"),
        "problems": health.problems(),
        "outgrown": index_building.problems(),
        "counts": counts,
        "total": sum(counts.values()),
        "video_counts": video_counts,
        "video_total": sum(video_counts.values()),
        "queues": health.queues(),
        "match_types": status.match_types(),
        "older": older(),
        "moved_in": Image.objects.never_read().count(),
        "clip_versions": clip_versions(counts),
        "storage": storage(),
        "versions": versions(),
    }


def older() -> list[dict[str, Any]]:
    """Return the items that an earlier version described, and the command that updates them.

    ``by_hand`` is the number of them that no worker can update, so they need the command.
    """
    found = []
    for model, command, texts in (
        (Image, "describe_missing", IMAGES_LEFT),
        (Video, "index_missing", VIDEOS_LEFT),
    ):
        rows: Any = model._default_manager
        if left := rows.outdated().count():
            by_hand = left - rows.outdated_for_workers().count()
            row = {"left": left, "by_hand": by_hand, "command": command}
            found.append({"described": texts % {"left": left}, **row})
    return found


def clip_versions(counts: dict[str, int]) -> list[dict[str, Any]]:
    """Return each CLIP model with stored vectors, and how many images have no vector of it yet."""
    total = counts[Status.READY] + counts[Status.QUARANTINED]
    stored = dict(
        ImageFingerprint.objects.filter(view="full", clip__isnull=False)
        .filter(item__status__in=[Status.READY, Status.QUARANTINED])
        .order_by()
        .values_list("version")
        .annotate(Count("pk"))
    )
    return [
        {
            "version": row.version,
            "state": row.get_state_display(),
            "stored": stored.get(row.version, 0),
            "missing": max(0, total - stored.get(row.version, 0)),
        }
        for row in ClipVersion.objects.order_by("state", "created_at")
    ]


def storage() -> dict[str, int]:
    """Return the bytes of stored originals, of stored videos, and of the whole database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        (database,) = cursor.fetchone()
    originals, videos = (
        model.objects.exclude(original="").aggregate(total=Sum("bytes"))["total"] or 0
        for model in (Image, Video)
    )
    return {"originals": originals, "videos": videos, "database": database}


def versions() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'),"
            " (SELECT extversion FROM pg_extension WHERE extname = 'vector')"
        )
        server, vector = cursor.fetchone()
    return {"imgsmlr-server": settings.VERSION, "PostgreSQL": server, "pgvector": vector}
