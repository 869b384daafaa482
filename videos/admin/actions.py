"""What can be done to many videos, and from a video's own page, each by one service call."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from unfold.decorators import action

from gallery.access import access_of
from gallery.admin.actions import actor
from gallery.items import Status
from videos.models import Video
from videos.services import changing

SHOWN_BEFORE = 24
LOST = Q(original="", url__isnull=True)
AGAIN, QUARANTINE, RELEASE = "Index again", "Quarantine", "Release"
WOULD_DELETE = "be deleted for good, with frames and files. This cannot be undone."
WOULD_INDEX = (
    "be read and described again, one after another; those that are indexed are found by their "
    "old frames until then. What was not kept is fetched again; without a link it is left alone, "
    "as are videos that wait already."
)


def videos_text(count: int) -> str:
    """ "1 video", "2 videos"."""
    return f"{count} video{'' if count == 1 else 's'}"


class VideoActions:
    """Bulk actions, and buttons for a single video."""

    actions = ["index_again", "quarantine", "release", "delete_selected"]
    actions_submit_line = ["index_this_again", "quarantine_this", "release_this"]
    SUBMIT_LINE_STATUS = {
        "index_this_again": {Status.FAILED, Status.READY, Status.QUARANTINED},
        "quarantine_this": {Status.READY},
        "release_this": {Status.QUARANTINED},
    }

    def has_release_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may not look at quarantined videos may not let them out either."""
        may_change: bool = self.has_change_permission(request)  # type: ignore[attr-defined]
        return may_change and access_of(request).allows("moderate")

    def get_actions_submit_line(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """The buttons that fit the video's status."""
        video = self.get_object(request, str(object_id))  # type: ignore[attr-defined]
        prefix = "videos_video_"
        return [
            button
            for button in super().get_actions_submit_line(request, object_id)  # type: ignore[misc]
            if video
            and video.status in self.SUBMIT_LINE_STATUS[button.action_name.removeprefix(prefix)]
        ]

    @admin.action(description=AGAIN, permissions=["change"])
    def index_again(
        self, request: HttpRequest, queryset: QuerySet[Video]
    ) -> HttpResponseBase | None:
        """Show what would be indexed; queue it once that very number has been confirmed."""
        count = queryset.count()
        if self._confirmed(request, count):
            self._index_again(request, queryset)
            return None
        return self._ask(request, queryset, "index_again", AGAIN, WOULD_INDEX)

    @admin.action(description=QUARANTINE, permissions=["change"])
    def quarantine(self, request: HttpRequest, queryset: QuerySet[Video]) -> None:
        """Take ready videos out of every search."""
        selected = queryset.count()
        done = changing.quarantine_videos(videos=queryset, by=actor(request))
        self._tell(request, "quarantined", Status.READY, done, selected)

    @admin.action(description=RELEASE, permissions=["release"])
    def release(self, request: HttpRequest, queryset: QuerySet[Video]) -> None:
        """Let quarantined videos be found again."""
        selected = queryset.count()
        done = changing.release_videos(videos=queryset, by=actor(request))
        self._tell(request, "released", Status.QUARANTINED, done, selected)

    @admin.action(description="Delete", permissions=["delete"])
    def delete_selected(
        self, request: HttpRequest, queryset: QuerySet[Video]
    ) -> HttpResponseBase | None:
        """Show what would go; delete once that very number has been confirmed."""
        count = queryset.count()
        if self._confirmed(request, count):
            deleted = changing.delete_videos(videos=queryset, by=actor(request))
            messages.success(request, f"{videos_text(deleted)} deleted.")
            return None
        return self._ask(request, queryset, "delete_selected", "Delete", WOULD_DELETE)

    @action(description=AGAIN, permissions=["change"])
    def index_this_again(self, request: HttpRequest, video: Video) -> None:
        """The button of a video that is indexed or has failed."""
        self._index_again(request, Video.objects.filter(pk=video.pk))

    @action(description=QUARANTINE, permissions=["change"])
    def quarantine_this(self, request: HttpRequest, video: Video) -> None:
        """The button of a ready video."""
        self.quarantine(request, Video.objects.filter(pk=video.pk))

    @action(description=RELEASE, permissions=["release"])
    def release_this(self, request: HttpRequest, video: Video) -> None:
        """The button of a quarantined video."""
        self.release(request, Video.objects.filter(pk=video.pk))

    def _index_again(self, request: HttpRequest, videos: QuerySet[Video]) -> None:
        selected, lost = videos.count(), videos.filter(LOST).count()
        queued = changing.index_again(videos=videos, by=actor(request))
        if queued:
            messages.success(request, f"{videos_text(queued)} queued to be indexed again.")
        if lost:
            messages.warning(
                request,
                f"{videos_text(lost)} skipped: the file was not kept and came from no link, so "
                "there is nothing to read again. Add the video again.",
            )
        if waiting := selected - queued - lost:
            messages.warning(request, f"{videos_text(waiting)} skipped: waiting already.")

    def _tell(
        self, request: HttpRequest, done_text: str, needed: Status, done: int, selected: int
    ) -> None:
        if done:
            messages.success(request, f"{videos_text(done)} {done_text}.")
        if skipped := selected - done:
            messages.warning(
                request, f"{videos_text(skipped)} skipped: only {needed} videos can be {done_text}."
            )

    def _confirmed(self, request: HttpRequest, count: int) -> bool:
        confirmed = request.POST.get("confirmed")
        if confirmed is not None and confirmed != str(count):
            messages.warning(request, "The selection has changed meanwhile: please check again.")
        return confirmed == str(count)

    def _ask(
        self, request: HttpRequest, videos: QuerySet[Video], name: str, verb: str, would: str
    ) -> TemplateResponse:
        count = videos.count()
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "title": f"{verb}: {videos_text(count)}?",
            "opts": Video._meta,
            "action_name": name,
            "verb": verb,
            "would": would,
            "count": count,
            "by_status": sorted(videos.order_by().values_list("status").annotate(Count("pk"))),
            "videos": videos[:SHOWN_BEFORE],
            "more": max(0, count - SHOWN_BEFORE),
            "select_across": request.POST.get("select_across") == "1",
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        }
        return TemplateResponse(request, "videos/admin/confirm.html", context)
