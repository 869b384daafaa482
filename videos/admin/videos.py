"""The pages of videos: the list, one video, and adding some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display

from gallery.admin import listing
from gallery.admin.actions import actor
from gallery.admin.images import BADGES, URL_SHOWN, ImageForm
from gallery.items.item import Status
from gallery.items.media_access import seen_by
from gallery.shared.access import access_of, sender_of
from videos.admin.actions import VideoActions
from videos.admin.adding import AddVideosForm, add_videos
from videos.admin.duplicates import DuplicatesPage
from videos.admin.timeline import BINS, strip, timeline
from videos.decode.content_types import CONTENT_TYPES
from videos.decode.errors import clock
from videos.items import changing
from videos.models import Frame, Video

PLAYED_BY_BROWSERS = frozenset({"mp4", "mov", "webm", "ogg"})
ICONS = {
    Status.PENDING: "hourglass_empty",
    Status.FAILED: "videocam_off",
    Status.QUARANTINED: "visibility_off",
    Status.READY: "movie",
}


class VideoForm(ImageForm):
    """What may be changed of a video. An emptied field becomes null."""

    class Meta(ImageForm.Meta):
        model = Video  # type: ignore[assignment]


class ContainerFilter(listing.FormatFilter):
    """Any of several containers."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        """Those that can be added."""
        return [(name, name) for name in CONTENT_TYPES]


@admin.register(Video)
class VideoAdmin(DuplicatesPage, VideoActions, ModelAdmin):
    """Videos in the admin."""

    form = VideoForm
    fields = ["data_id", "remark", "meta"]
    change_form_outer_before_template = "videos/admin/video_facts.html"
    list_display = [
        "picture",
        "number",
        "shown_status",
        "length",
        "kind",
        "data_id",
        "source",
        "added",
    ]
    list_display_links = ["number"]
    list_filter = [
        ("status", ChoicesCheckboxFilter),
        ContainerFilter,
        listing.AddedSinceFilter,
        listing.AddedByFilter,
    ]
    list_filter_submit = True
    list_fullwidth = True
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = listing.EstimatingPaginator
    # Only the primary key can be sorted by without sorting the whole table.
    sortable_by = ["number"]
    search_fields = ["data_id"]
    search_help_text = listing.SEARCH_HELP

    def get_queryset(self, request: HttpRequest) -> QuerySet[Video]:
        """Every video, with how this user may see its pictures, and ``stored_frames``."""
        videos: QuerySet[Video] = seen_by(access_of(request), super().get_queryset(request))
        frames = Frame.objects.filter(item=OuterRef("pk")).order_by().values("item")
        counted = frames.annotate(count=Count("pk")).values("count")
        return videos.annotate(stored_frames=Subquery(counted, output_field=IntegerField()))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Video], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Exact and prefix matches alone; see ``listing.matching``."""
        videos: QuerySet[Any] = queryset
        return listing.matching(videos, search_term), False

    @display(description="")
    def picture(self, video: Video) -> str:
        """The thumbnail, or a sign for why there is none."""
        context = {
            "item": video,
            "url": video.thumbnail and reverse("video-thumbnail", args=[video.pk]),
            "href": reverse("admin:videos_video_change", args=[video.pk]),
            "alt": f"Picture of video {video.pk}",
            "icon": ICONS[Status(video.status)],
        }
        return render_to_string("gallery/admin/picture.html", context)

    @display(description="id", ordering="pk")
    def number(self, video: Video) -> int:
        return video.pk

    @display(description="status", label=BADGES)
    def shown_status(self, video: Video) -> tuple[str, str]:
        """A coloured badge, with a bar while the video waits or is indexed."""
        if video.status != Status.PENDING and not video.reindex:
            return video.status, video.status
        bar = format_html(
            '{} <progress class="video-progress" max="100" value="{}" aria-label="Indexed of video '
            '{}"></progress> {} %',
            "indexed anew" if video.reindex else video.status,
            video.progress,
            video.pk,
            video.progress,
        )
        return video.status, bar

    @display(description="duration", header=True)
    def length(self, video: Video) -> Sequence[str]:
        """Hours, minutes and seconds, and how many rows of vectors there are."""
        length = "–" if video.duration_ms is None else clock(video.duration_ms)
        count = video.stored_frames or 0  # type: ignore[attr-defined]
        return length, f"{count}\u00a0frame{'' if count == 1 else 's'}"

    @display(description="format", header=True)
    def kind(self, video: Video) -> Sequence[str]:
        size = f"{video.width}\u00a0×\u00a0{video.height}, {filesizeformat(video.bytes)}"
        return video.format, size

    @display(description="url and md5", header=True)
    def source(self, video: Video) -> Sequence[str]:
        """Where it came from, in a line's length, and its digest."""
        url = video.url or "uploaded"
        shown = url if len(url) <= URL_SHOWN else f"{url[: URL_SHOWN - 1]}…"
        return (
            format_html('<span class="image-url" title="{}">{}</span>', url, shown),
            format_html('<code class="image-digest">{}</code>', video.md5),
        )

    @display(description="added")
    def added(self, video: Video) -> str:
        """Day and minute, UTC."""
        return format_html(
            '<span class="image-time">{}</span> {}',
            f"{video.created_at:%Y-%m-%d}",
            f"{video.created_at:%H:%M}",
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One video: player, strip, timeline and facts above what can be changed."""
        video = Video.objects.filter(pk=object_id).first() if object_id.isdecimal() else None
        context = {
            "withheld": self.withheld_words(request, object_id),
            "strip": strip(video) if video else [],
            "video_name": f"Video {object_id}",
            "timeline": timeline(video) if video else [],
            "bins": BINS,
            "duration": clock(video.duration_ms or 0) if video else "",
            "played_by_browsers": PLAYED_BY_BROWSERS,
            "show_save_and_add_another": False,
            **(extra_context or {}),
        }
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Add videos: files, links, or both."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form, outcomes = AddVideosForm(), []
        if request.method == "POST":
            form = AddVideosForm(request.POST, request.FILES)
            if form.is_valid():
                outcomes = add_videos(form.cleaned_data, sender_of(request))
                form = AddVideosForm()
        context = {
            **self.admin_site.each_context(request),
            "title": "Add videos",
            "opts": self.opts,
            "form": form,
            "outcomes": outcomes,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "videos/admin/add_videos.html", context)

    def save_model(self, request: HttpRequest, obj: Video, form: Any, change: bool) -> None:
        """Write what was changed; ``response_change`` does what the pressed button says."""
        if fields := {name: form.cleaned_data[name] for name in form.changed_data}:
            changing.update_video(video_id=obj.pk, fields=fields, by=actor(request))
