"""A case's video, played: asked for once, which is one look, and then read in parts.

A player asks for a file many times, and for any part of it. So a look is what a POST notes; it
answers links that are signed for this person and case, and hold for as long as ``looks.LOOK``.
The role is asked at each request all the same.
"""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from gallery.shared.errors import NotFound
from moderation.access.permissions import Actor, NotAllowed
from moderation.cases import looks, media, wellbeing
from moderation.cases.console.access import console_page
from moderation.cases.console.media import case_of
from videos.items.range_responses import ranged

AGAIN: Final = "Ask for the video on its case's page: each look is noted."


@require_POST
@console_page("see media")
def play(request: HttpRequest, by: Actor, pk: int) -> HttpResponseBase:
    """Note a look, and answer the links of what can be played, the best first."""
    case = case_of(pk)
    copies = media.files(case)
    wellbeing.note_look(by=by, subject=case, what="video")
    look = looks.proof(by, case)
    links = [f"{reverse('console:video', args=[pk, copy])}?look={look}" for copy in copies]
    return JsonResponse({"links": links})


@require_safe
@console_page("see media")
def video(request: HttpRequest, by: Actor, pk: int, copy: str) -> HttpResponseBase:
    """The file, or the part of it that a player asks for, to whom the look was noted."""
    case = case_of(pk)
    if not looks.proves(request.GET.get("look", ""), by, case):
        raise NotAllowed(AGAIN)
    found = media.files(case).get(copy)
    if found is None:
        raise NotFound(media.NO_FILE)
    return ranged(request, *found)
