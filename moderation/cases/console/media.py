"""Media for moderators. Each request checks the role; media is filtered; looks are recorded.

A player reads a video in many requests. So one POST records a look and returns links that are
signed for this person and case. They are valid for ``media_access.LOOK_DURATION``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.db.models import Model
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from gallery.imaging.renditions import STEPS
from gallery.items.media_responses import CLEAR, MAX_SIDE, jpeg_response
from gallery.shared.errors import NotFound, UserError
from moderation.access.numbers import whole_number
from moderation.access.permissions import Actor, NotAllowed
from moderation.cases import media, media_access, wellbeing
from moderation.cases.console.pages import console_page
from moderation.cases.models import CaseMatch, ReviewCase
from moderation.lists.models import BannedItem
from videos.items.range_responses import ranged

SMALL: Final = 320


@require_safe
@console_page("see media")
def subject(request: HttpRequest, by: Actor, pk: int, step: str) -> HttpResponseBase:
    """Return the subject of a case as JPEG. ``?t=``: time in a video, in ms. ``?f=``: frame of an
    animation. ``?r=``: another rendering. ``?small=1``: the size for lists."""
    case = _case(pk)
    place: dict[str, Any] = {
        "time_ms": _number(request.GET.get("t", "0"), "t"),
        "frame": _number(request.GET.get("f", "0"), "f"),
        "rendering": request.GET.get("r", ""),
    }
    small = request.GET.get("small") == "1"
    return _shown(
        by,
        case,
        step,
        "subject",
        lambda: media.subject_pixels(case, small=small, **place),
        small=small,
    )


@require_safe
@console_page("see media")
def item(request: HttpRequest, by: Actor, pk: int, match: int, step: str) -> HttpResponseBase:
    """Return what a match shows of its item, as JPEG: of a video the frame that matched."""
    case = _case(pk)
    row = CaseMatch.objects.select_related("item").filter(pk=match, case=case).first()
    if row is None or row.item is None:
        raise NotFound(str(media.NONE_KEPT))
    banned, time_ms = row.item, row.item_time_ms
    return _shown(by, case, step, f"item {row.item_id}", lambda: media.item_pixels(banned, time_ms))


@require_safe
@console_page("see media")
def item_picture(request: HttpRequest, by: Actor, pk: int, step: str) -> HttpResponseBase:
    """Return the picture of a banned item as JPEG. ``?small=1``: the size for lists."""
    small = request.GET.get("small") == "1"
    banned = BannedItem.objects.filter(pk=pk).first()
    if banned is None:
        raise NotFound(str(media.NONE_KEPT))
    return _shown(by, banned, step, "picture", lambda: media.item_pixels(banned), small=small)


def _shown(
    by: Actor,
    about: Model,
    step: str,
    what: str,
    read: Callable[[], media.Pixels],
    *,
    small: bool = False,
) -> HttpResponseBase:
    if step not in STEPS:
        raise NotFound(f"{step!r} is not a way to show media.")
    response = jpeg_response(read(), step, SMALL if small else MAX_SIDE)
    if step == CLEAR:
        wellbeing.note_look(by=by, subject=about, what=what)
    return response


def _case(pk: int) -> ReviewCase:
    return ReviewCase.objects.select_related("image", "video").existing(pk)


def _number(text: str, field: str) -> int:
    number = whole_number(text, 9)
    if number is None:
        raise UserError(
            "Give t in whole milliseconds, f as the number of a frame, from 0.", field=field
        )
    return number


AGAIN: Final = "Open the video on the page of its case: each look is recorded."


@require_POST
@console_page("see media")
def play(request: HttpRequest, by: Actor, pk: int) -> HttpResponseBase:
    """Record a look, and return links to the playable files, the best first."""
    case = _case(pk)
    copies = media.playable_files(case)
    wellbeing.note_look(by=by, subject=case, what="video")
    look = media_access.sign_look(by, case)
    links = [f"{reverse('console:video', args=[pk, copy])}?look={look}" for copy in copies]
    return JsonResponse({"links": links})


@require_safe
@console_page("see media")
def video(request: HttpRequest, by: Actor, pk: int, copy: str) -> HttpResponseBase:
    """Return the file, or the range that a player requests. The link must prove a recorded look."""
    case = _case(pk)
    if not media_access.is_signed_look(request.GET.get("look", ""), by, case):
        raise NotAllowed(AGAIN)
    found = media.playable_files(case).get(copy)
    if found is None:
        raise NotFound(str(media.NO_FILE))
    return ranged(request, *found)
