"""What can be done to many videos, and from a video's own page, each by one service call."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import action

from gallery.admin.commands import Command, Commands
from gallery.items import batches
from gallery.items.item import Status
from gallery.items.models import ItemBatch
from gallery.items.retention import Act
from gallery.shared.access import access_of
from videos.items import changing
from videos.models import Video

AGAIN, QUARANTINE, RELEASE = "Index again", "Quarantine", "Release"
VIDEOS: Final = batches.Kind(
    Video,
    "videos",
    {
        Status.QUARANTINED: changing.quarantine_videos,
        Status.READY: changing.release_videos,
    },
)


def _quarantine(rows: QuerySet[Video], *, by: str, reason: str, override: bool) -> ItemBatch:
    return batches.move(kind=VIDEOS, to=Status.QUARANTINED, items=rows, by=by, reason=reason)


def _release(rows: QuerySet[Video], *, by: str, reason: str, override: bool) -> ItemBatch:
    return batches.move(
        kind=VIDEOS, to=Status.READY, items=rows, by=by, reason=reason, override=override
    )


def _delete(rows: QuerySet[Video], *, by: str, reason: str, override: bool) -> int:
    return changing.delete_videos(videos=rows, by=by, reason=reason, override=override)


def _index_again(rows: QuerySet[Video], *, by: str, reason: str, override: bool) -> int:
    return changing.index_again(videos=rows, by=by)


COMMANDS: Final = {
    "index_again": Command(
        AGAIN,
        "queued to be indexed again",
        "be read and described again, one after another; those that are indexed are found by "
        "their old frames until then. What was not kept is fetched again.",
        _index_again,
        leaves=(
            (
                Q(original="", url__isnull=True),
                "the file was not kept and came from no link, so there is nothing to read again. "
                "Add the video again.",
            ),
            (Q(status=Status.PENDING) | Q(reindex=True), "waiting already."),
        ),
    ),
    "quarantine": Command(
        QUARANTINE,
        "quarantined",
        "be hidden from every search at once. This can be undone.",
        _quarantine,
        leaves=((~Q(status=Status.READY), "only ready videos can be quarantined."),),
        asks=True,
    ),
    "release": Command(
        RELEASE,
        "released",
        "be found by everybody again at once. This can be undone.",
        _release,
        leaves=((~Q(status=Status.QUARANTINED), "only quarantined videos can be released."),),
        act=Act.RELEASE,
        asks=True,
    ),
    "delete_selected": Command(
        "Delete",
        "deleted",
        "be deleted for good, with frames and files. This cannot be undone.",
        _delete,
        act=Act.DELETE,
        asks=True,
        final=True,
    ),
}


class VideoActions(Commands):
    """Bulk actions, and buttons for a single video."""

    commands = COMMANDS
    item_kind = VIDEOS
    confirm_template = "videos/admin/confirm.html"
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
    def index_again(self, request: HttpRequest, queryset: QuerySet[Video]) -> Any:
        return self.ask(request, queryset, "index_again")

    @admin.action(description=QUARANTINE, permissions=["change"])
    def quarantine(self, request: HttpRequest, queryset: QuerySet[Video]) -> Any:
        """Take ready videos out of every search."""
        return self.ask(request, queryset, "quarantine")

    @admin.action(description=RELEASE, permissions=["release"])
    def release(self, request: HttpRequest, queryset: QuerySet[Video]) -> Any:
        """Let quarantined videos be found again."""
        return self.ask(request, queryset, "release")

    @admin.action(description="Delete", permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Video]) -> Any:
        return self.ask(request, queryset, "delete_selected")

    @action(description=AGAIN, permissions=["change"])
    def index_this_again(self, request: HttpRequest, video: Video) -> Any:
        """The button of a video that is indexed or has failed."""
        return self.ask_alone(request, video, "index_again")

    @action(description=QUARANTINE, permissions=["change"])
    def quarantine_this(self, request: HttpRequest, video: Video) -> Any:
        """The button of a ready video."""
        return self.ask_alone(request, video, "quarantine")

    @action(description=RELEASE, permissions=["release"])
    def release_this(self, request: HttpRequest, video: Video) -> Any:
        """The button of a quarantined video."""
        return self.ask_alone(request, video, "release")
