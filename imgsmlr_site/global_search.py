"""Global search: Ctrl-K or ``/`` opens it on each page of the admin.

It replaces Unfold's own view, which caches results for minutes, so that a person whose role was
taken away would still see them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from unfold.dataclasses import SearchResult

from gallery.items.models import Image
from imgsmlr_site.navigation import navigation
from moderation.cases.models import ReviewCase
from moderation.lists.models import BannedItem, BannedList
from videos.models import Video

MAX_TERM: Final = 200
SHOWN: Final = 5
"""Rows of each kind."""


@dataclass(frozen=True)
class Source:
    """Rows that the admin of ``model`` finds. ``page``: the URL name of a row's page."""

    model: Any
    icon: str
    page: str


SOURCES: Final = (
    Source(ReviewCase, "gavel", "console:case"),
    Source(Image, "image", "admin:gallery_image_change"),
    Source(Video, "movie", "admin:videos_video_change"),
    Source(BannedItem, "fingerprint", "admin:moderation_banneditem_change"),
    Source(BannedList, "playlist_remove", "admin:moderation_bannedlist_change"),
    Source(User, "person", "admin:auth_user_change"),
)


@never_cache
@require_safe
def search_page(request: HttpRequest) -> HttpResponse:
    """Return the list of results that the box shows."""
    if not admin.site.has_permission(request):
        raise PermissionDenied
    term = request.GET.get("s", "").strip()[:MAX_TERM]
    if not term:
        return HttpResponse()
    results = [*_pages(request, term)]
    for source in SOURCES:
        results += _rows(request, source, term)
    return TemplateResponse(
        request,
        "imgsmlr_site/search_results.html",
        {"results": results},
        headers={"HX-Trigger": "search"},
    )


def _pages(request: HttpRequest, term: str) -> Iterator[SearchResult]:
    """Yield the pages of the sidebar whose title has the term."""
    for group in navigation(request):
        for page in group["items"]:
            if term.lower() in page["title"].lower():
                yield SearchResult(
                    page["title"], group["title"] or _("Page"), page["link"], page["icon"]
                )


def _rows(request: HttpRequest, source: Source, term: str) -> Iterator[SearchResult]:
    """Yield rows as their own list would find them, which uses indexes, or small tables."""
    rows: Any = admin.site._registry[source.model]
    if not rows.has_view_permission(request):
        return
    found, _ = rows.get_search_results(request, source.model._default_manager.all(), term)
    for row in found.order_by("-pk")[:SHOWN]:
        yield SearchResult(
            _title(row), _about(row), reverse(source.page, args=[row.pk]), source.icon
        )


def _title(row: Any) -> str:
    if isinstance(row, BannedList | User):
        return str(row)
    return f"{row._meta.verbose_name.capitalize()} {row.pk}"


def _about(row: Any) -> str:
    match row:
        case ReviewCase():
            return f"{row.state}, found by {row.get_origin_display().lower()}"
        case Image() | Video():
            return ", ".join(filter(None, [row.status_word, row.data_id or ""]))
        case BannedItem():
            return ", ".join(filter(None, [row.state, row.source, row.source_id]))
        case BannedList():
            return f"list, {row.action}"
        case _:
            return row.get_full_name() or _("person")
