"""What the admin pages of videos have beyond those of every item."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import action, display

from gallery.admin import listing
from gallery.admin.actions import Command, item_commands
from gallery.admin.adding import AddItemsForm, AddResult, attempt
from gallery.admin.item_admin import BADGES
from gallery.items.item import Status
from videos.admin.duplicates import DuplicatesPage
from videos.admin.timeline import BINS, strip, timeline
from videos.decode.errors import clock
from videos.decode.sniffing import ACCEPTED, CONTENT_TYPES
from videos.items import adding
from videos.items.reindexing import index_again
from videos.items.video_kind import VIDEO
from videos.models import Frame, Video

PLAYED_BY_BROWSERS = frozenset({"mp4", "mov", "webm", "ogg"})
INDEX_AGAIN = _("Index again")


class AddVideosForm(AddItemsForm):
    words = VIDEO.words
    formats = ACCEPTED
    accept = "video/*,image/gif,image/webp,image/png,.mkv,.ts"
    max_items = 10
    command = "add_videos"
    links_help = _("One a line. Each is fetched before this page answers.")


class ContainerFilter(listing.FormatFilter):
    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(name, name) for name in CONTENT_TYPES]


@admin.register(Video)
class VideoAdmin(DuplicatesPage):
    item_kind = VIDEO
    add_form = AddVideosForm
    change_form_outer_before_template = "videos/facts.html"
    list_display = [
        "picture", "number", "shown_status", "length", "kind", "data_id", "source", "added",
    ]  # fmt: skip
    list_filter = [
        ("status", ChoicesCheckboxFilter),
        ContainerFilter,
        listing.AddedSinceFilter,
        ("created_at", listing.DaysFilter),
        listing.AddedByFilter,
    ]
    commands = {
        "index_again": Command(
            INDEX_AGAIN,
            _("%(items)s queued to be indexed again."),
            _(
                "%(items)s would be read and described again, one after another; those that are "
                "indexed are found by their old frames until then. What was not kept is fetched "
                "again."
            ),
            lambda rows, *, by, **_: index_again(items=rows, by=by),
            exceptions=(
                (
                    Q(original="", url__isnull=True),
                    _(
                        "the file was not kept and came from no link, so there is nothing to read "
                        "again. Add the video again."
                    ),
                ),
                (Q(status=Status.PENDING) | Q(reindex=True), _("waiting already.")),
            ),
        ),
        **item_commands(VIDEO),
    }
    actions = ["index_again", "quarantine", "release", "delete_selected"]
    actions_submit_line = ["index_this_again", "quarantine_this", "release_this"]
    button_statuses = {
        "index_this_again": frozenset({Status.FAILED, Status.READY, Status.QUARANTINED}),
        "quarantine_this": frozenset({Status.READY}),
        "release_this": frozenset({Status.QUARANTINED}),
    }

    @admin.action(description=INDEX_AGAIN, permissions=["change"])
    def index_again(self, request: HttpRequest, queryset: QuerySet[Video]) -> Any:
        return self.ask(request, queryset, "index_again")

    @action(description=INDEX_AGAIN, permissions=["change"])
    def index_this_again(self, request: HttpRequest, video: Video) -> Any:
        return self.ask_alone(request, video, "index_again")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Video]:
        frames = Frame.objects.filter(item=OuterRef("pk")).order_by().values("item")
        counted = frames.annotate(count=Count("pk")).values("count")
        stored = Subquery(counted, output_field=IntegerField())
        videos: QuerySet[Video] = super().get_queryset(request).annotate(stored_frames=stored)
        return videos

    @display(description=_("status"), label=BADGES)
    def shown_status(self, item: Any) -> tuple[str, str]:
        if item.status != Status.PENDING and not item.reindex:
            return item.status, item.status_word
        bar = format_html(
            '{} <progress class="video-progress" max="100" value="{}" aria-label="{}">'
            "</progress> {} %",
            _("indexed again") if item.reindex else item.status_word,
            item.progress,
            _("Indexed of video %(id)s") % {"id": item.pk},
            item.progress,
        )
        return item.status, bar

    @display(description=_("duration"), header=True)
    def length(self, video: Video) -> Sequence[str]:
        length = "–" if video.duration_ms is None else clock(video.duration_ms)
        count = video.stored_frames or 0  # type: ignore[attr-defined]
        frames = ngettext("%(n)s frame", "%(n)s frames", count) % {"n": count}
        return length, frames.replace(" ", "\u00a0")

    def facts(self, item_id: int) -> dict[str, Any]:
        video = Video.objects.filter(pk=item_id).first()
        if video is None:
            return {}
        return {
            "strip": strip(video),
            "timeline": timeline(video),
            "bins": BINS,
            "duration": clock(video.duration_ms or 0),
            "played_by_browsers": PLAYED_BY_BROWSERS,
        }

    def max_file_bytes(self) -> int:
        return settings.MAX_VIDEO_BYTES

    def add_file(self, file: UploadedFile, **common: Any) -> AddResult:
        return attempt(file.name or "unnamed", lambda: adding.add_video(file=file, **common))

    def add_links(self, urls: Sequence[str], **common: Any) -> list[AddResult]:
        return [attempt(url, partial(adding.add_video, url=url, **common)) for url in urls]
