"""Pictures for moderators: the role asked each time, filtered here, and clear looks recorded."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_safe

from gallery.errors import NotFound, UserError
from moderation import media
from moderation.console.access import console_page
from moderation.models import CaseMatch, ReviewCase
from moderation.permissions import Actor
from moderation.renditions import STEPS, rendition
from moderation.services import wellbeing

CLEAR: Final = "clear"
LARGE, SMALL = 1600, 320
"""Pixels of the long side in the focus view and in lists."""


@require_safe
@console_page("see media")
def subject(request: HttpRequest, by: Actor, pk: int, step: str) -> HttpResponseBase:
    """What a case is about, as JPEG. ``?t=``: ms of a video; ``?small=1``: for a list."""
    case = _case(pk)
    small = request.GET.get("small") == "1"
    time_ms = _number(request.GET.get("t", "0"))
    return _shown(by, case, step, "subject", small=small, time_ms=time_ms)


@require_safe
@console_page("see media")
def item(request: HttpRequest, by: Actor, pk: int, match: int, step: str) -> HttpResponseBase:
    """The picture of the item of one of a case's matches."""
    case = _case(pk)
    row = CaseMatch.objects.select_related("item").filter(pk=match, case=case).first()
    if row is None or row.item is None:
        raise NotFound(media.NONE_KEPT)
    return _shown(by, case, step, f"item {row.item_id}", match=row)


def _shown(
    by: Actor,
    case: ReviewCase,
    step: str,
    what: str,
    *,
    small: bool = False,
    time_ms: int = 0,
    match: CaseMatch | None = None,
) -> HttpResponse:
    if step not in STEPS:
        raise NotFound(f"{step!r} is no way to show media.")
    if match is not None and match.item is not None:
        pixels = media.of_item(match.item)
    else:
        pixels = media.of_subject(case, time_ms=time_ms, small=small)
    jpeg = rendition(pixels, step, SMALL if small else LARGE)
    if step == CLEAR:
        wellbeing.note_look(by=by, case=case, what=what)
    response = HttpResponse(jpeg, content_type="image/jpeg")
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def _case(pk: int) -> ReviewCase:
    case = ReviewCase.objects.select_related("image", "video").filter(pk=pk).first()
    if case is None:
        raise NotFound(f"There is no case {pk}.")
    return case


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UserError("Give t as whole milliseconds from the start of the video.", field="t")
    return int(text)
