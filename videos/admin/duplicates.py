"""The page of videos that share footage: which videos, where in each, and deleting chosen ones.

It is computed for each request from the stored frames. A page takes at most about
``MAX_SECONDS``: videos left after that get a link that compares them alone.
"""

from __future__ import annotations

import time
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from gallery.admin.item_admin import ItemAdmin
from gallery.admin.selection import ids_of
from gallery.items.item import Status
from gallery.items.media_access import set_visibility
from gallery.shared.access import access_of
from gallery.shared.errors import NotFound
from videos.admin.timeline import frame_address
from videos.decode.errors import clock
from videos.match.shared_footage import SharedFootage, SharedRange, find_shared_footage
from videos.models import Video

VIDEOS_PER_PAGE = 10
MAX_SECONDS = 5.0
WHOLE = 0.9
"""From this share on, the page says that a video is in the other one as a whole."""


class DuplicatesPage(ItemAdmin):
    """Adds the page to the admin of videos. Users who may see videos see the page; users who may
    delete videos may delete them here."""

    def get_urls(self) -> list[URLPattern]:
        """Put the page before those of single videos, which would take its name for an id."""
        view = self.admin_site.admin_view(self.duplicates)
        return [path("duplicates/", view, name="videos_video_duplicates"), *super().get_urls()]

    def duplicates(self, request: HttpRequest) -> HttpResponseBase:
        """Show a page of videos with what each shares. POST asks before deleting chosen ones."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        may_delete = self.has_delete_permission(request)
        if request.method == "POST":
            if not may_delete:
                raise PermissionDenied
            return self._delete(request)
        videos = Video.objects.ready().order_by("-id")
        if one := ids_of([request.GET.get("video", "")]):
            videos = videos.filter(pk=one[0])
        page = Paginator(videos, VIDEOS_PER_PAGE).get_page(request.GET.get("p"))
        found = rows(list(page.object_list))
        pictured = [row["video"] for row in found]
        pictured += [other["video"] for row in found for other in row["shared"]]
        set_visibility(access_of(request), pictured)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Duplicate footage"),
            "page": page,
            "pages": page.paginator.get_elided_page_range(page.number),
            "rows": found,
            "may_delete": may_delete,
        }
        return TemplateResponse(request, "videos/duplicates.html", context)

    def _delete(self, request: HttpRequest) -> HttpResponseBase:
        here = request.get_full_path()
        ids = ids_of(request.POST.getlist("delete"))
        chosen = self.get_queryset(request).filter(pk__in=ids, status=Status.READY)
        if not chosen.exists():
            messages.warning(request, _("Nothing done: choose videos to delete first."))
            return HttpResponseRedirect(here)
        page = self.ask(request, chosen, "delete_selected", return_to=here)
        return page or HttpResponseRedirect(here)


def rows(videos: list[Video]) -> list[dict[str, Any]]:
    """Return each video with the others that share footage. ``late``: no time to compare it."""
    until = time.monotonic() + MAX_SECONDS
    found: list[dict[str, Any]] = []
    for video in videos:
        # Always compare the first one, so that a link to one video always works.
        if found and time.monotonic() > until:
            found.append({"video": video, "late": True, "shared": []})
            continue
        try:
            answer = find_shared_footage(video_id=video.pk)
        except NotFound:  # deleted or quarantined a moment ago
            continue
        shared = [shown(video, one) for one in answer.results]
        found.append({"video": video, "late": False, "shared": shared})
    return found


def shown(video: Video, shared: SharedFootage) -> dict[str, Any]:
    how = _("has %(share)s of it") % {"share": f"{shared.share:.0%}"}
    return {
        "video": shared.video,
        "confidence": shared.confidence,
        "how": _("has all of it") if shared.share >= WHOLE else how,
        "larger": shared.video.width * shared.video.height > video.width * video.height,
        "parts": [part_text(part) for part in shared.segments],
        "frame": frame_address(shared.video, middle_of(shared.segments[0])),
        "alt": _("What video %(id)s shows there") % {"id": shared.video.pk},
    }


def middle_of(part: SharedRange) -> float:
    """In seconds."""
    return (part.start + part.end) / 2000


def part_text(part: SharedRange) -> str:
    """Return for example "0:00:04 to 0:00:12 is 0:01:00 to 0:01:08 there"."""
    values = {
        "own_start": clock(part.own_start),
        "own_end": clock(part.own_end),
        "start": clock(part.start),
        "end": clock(part.end),
        "speed": f"{part.speed:.2f}",
    }
    text = _("%(own_start)s to %(own_end)s is %(start)s to %(end)s there, at %(speed)s × its speed")
    if abs(part.speed - 1) < 0.03:
        text = _("%(own_start)s to %(own_end)s is %(start)s to %(end)s there")
    return text % values
