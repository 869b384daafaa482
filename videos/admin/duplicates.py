"""The page of videos that share footage: which, where in each, and deleting those that are chosen.

It is computed as it is looked at, from the frames that are stored now. A page takes no longer than
``SECONDS``: what is left by then has a link of its own.
"""

from __future__ import annotations

import time
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from gallery.admin.actions import actor
from gallery.admin.duplicates import numbers
from gallery.admin.selection import CHANGED, Selection
from gallery.items import retention
from gallery.items.media_access import note_access, seen_by
from gallery.items.retention import NAMED, Act
from gallery.shared.access import access_of
from gallery.shared.errors import NotFound, UserError
from videos.admin.timeline import frame_address
from videos.decode.errors import clock
from videos.items import changing
from videos.match.similar import Range, Shared, similar
from videos.models import Video

PER_PAGE = 10
SECONDS = 5.0
WHOLE = 0.9
"""Share of a video from which on it is said to be in the other one as a whole."""


class DuplicatesPage:
    """Adds the page to the admin of videos. Whoever may see videos sees what they share; who may
    delete videos decides."""

    def get_urls(self) -> list[URLPattern]:
        """Before those of single videos, which would take the word for an id."""
        view = self.admin_site.admin_view(self.duplicates)  # type: ignore[attr-defined]
        page = path("duplicates/", view, name="videos_video_duplicates")
        return [page, *super().get_urls()]  # type: ignore[misc]

    def duplicates(self, request: HttpRequest) -> HttpResponse:
        """A page of videos with what each shares; with POST, what is to be deleted."""
        if not self.has_view_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        if request.method == "POST":
            return self._delete(request)
        videos = Video.objects.ready().order_by("-id")
        if one := numbers([request.GET.get("video", "")]):
            videos = videos.filter(pk=one[0])
        page = Paginator(videos, PER_PAGE).get_page(request.GET.get("p"))
        found = rows(list(page.object_list))
        pictured = [row["video"] for row in found]
        pictured += [other["video"] for row in found for other in row["shared"]]
        note_access(access_of(request), pictured)
        return self._render(
            request,
            "duplicates.html",
            {
                "title": "Duplicate footage",
                "page": page,
                "pages": page.paginator.get_elided_page_range(page.number),
                "rows": found,
                "may_delete": self._may_delete(request),
            },
        )

    def _delete(self, request: HttpRequest) -> HttpResponse:
        if not self._may_delete(request):
            raise PermissionDenied
        chosen = Video.objects.ready().filter(pk__in=numbers(request.POST.getlist("delete")))
        kept = retention.withheld(Video, chosen, Act.DELETE)
        if kept:
            named = "; ".join(f"video {pk}: {kept[pk].words}" for pk in sorted(kept)[:NAMED])
            messages.warning(request, f"{len(kept)} left out, withheld ({named}).")
        selection = Selection(request, "delete_duplicates", chosen.exclude(pk__in=kept))
        count = len(selection.ids)
        reason = request.POST.get("reason", "").strip()[:1000]
        if not count:
            if not kept:
                messages.warning(request, "Nothing done: choose videos to delete first.")
            return HttpResponseRedirect(request.get_full_path())
        if selection.is_asked and not selection.is_confirmed:
            messages.warning(request, CHANGED)
        elif selection.is_asked and not reason:
            messages.warning(request, "Say why they are deleted.")
        elif selection.is_asked:
            return self._deleted(request, selection.ids, reason)
        title = f"Delete {count} video{'' if count == 1 else 's'}?"
        shown = seen_by(access_of(request), Video.objects.filter(pk__in=selection.ids))
        context = {"title": title, "videos": shown, "count": count, "token": selection.token}
        return self._render(request, "delete_duplicates.html", context)

    def _deleted(self, request: HttpRequest, ids: list[int], reason: str) -> HttpResponse:
        rows = Video.objects.filter(pk__in=ids)
        try:
            deleted = changing.delete_videos(videos=rows, by=actor(request), reason=reason)
        except UserError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, f"{deleted} video{'' if deleted == 1 else 's'} deleted.")
        return HttpResponseRedirect(request.get_full_path())

    def _may_delete(self, request: HttpRequest) -> bool:
        return bool(self.has_delete_permission(request))  # type: ignore[attr-defined]

    def _render(
        self, request: HttpRequest, template: str, context: dict[str, Any]
    ) -> TemplateResponse:
        common = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "opts": Video._meta,
        }
        return TemplateResponse(request, f"videos/admin/{template}", {**common, **context})


def rows(videos: list[Video]) -> list[dict[str, Any]]:
    """Each video with the others that share footage; ``late``: there was no time to look."""
    until = time.monotonic() + SECONDS
    found: list[dict[str, Any]] = []
    for video in videos:
        # The first is looked at in any case, so that its own link always answers.
        if found and time.monotonic() > until:
            found.append({"video": video, "late": True, "shared": []})
            continue
        try:
            answer = similar(video_id=video.pk)
        except NotFound:  # gone, or held back, a moment ago
            continue
        shared = [shown(video, one) for one in answer.results]
        found.append({"video": video, "late": False, "shared": shared})
    return found


def shown(video: Video, shared: Shared) -> dict[str, Any]:
    """One of the others as the page shows it."""
    how = "has all of it" if shared.share >= WHOLE else f"has {shared.share:.0%} of it"
    return {
        "video": shared.video,
        "confidence": shared.confidence,
        "how": how,
        "larger": pixels(shared.video) > pixels(video),
        "parts": [part_text(part) for part in shared.segments],
        "frame": frame_address(shared.video, middle_of(shared.segments[0])),
        "alt": f"What video {shared.video.pk} shows there",
    }


def pixels(video: Video) -> int:
    return video.width * video.height


def middle_of(part: Range) -> float:
    """A moment of the other video, in seconds, at which both show the same."""
    return (part.start + part.end) / 2000


def part_text(part: Range) -> str:
    """ "0:00:04 to 0:00:12 is 0:01:00 to 0:01:08 there"."""
    own = f"{clock(part.own_start)} to {clock(part.own_end)}"
    speed = "" if abs(part.speed - 1) < 0.03 else f", at {part.speed:.2f} × its speed"
    return f"{own} is {clock(part.start)} to {clock(part.end)} there{speed}"
