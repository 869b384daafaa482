"""What a link holds now is screened like an upload: a search must lead nobody to banned content."""

from __future__ import annotations

import logging
from typing import Any, Final

from django.db import transaction

from gallery.imaging import decoding
from gallery.imaging.sniffing import sniff as sniff_picture
from gallery.items import conf
from gallery.items.models import Image
from gallery.items.preprocessing import Hashes
from gallery.shared.errors import UserError
from moderation.access.permissions import Actor
from moderation.cases import cases
from moderation.cases.case_facts import About, facts_of
from moderation.cases.models import ReviewCase
from moderation.lists import list_policies
from moderation.lists.list_policies import Policies
from moderation.pipeline import flood, gate
from moderation.pipeline.checking import small_jpeg
from moderation.screening import content, screening
from moderation.screening.content import Content
from moderation.screening.screening import Screening
from videos.decode.sniffing import sniff as sniff_video

LINKS: Final = Actor.machine("links")

logger = logging.getLogger(__name__)


def passes(image: Image, data: bytes) -> bool:
    """Whether the link of an image may still be handed out, named in ``LINK_GATES``.

    The image's row is locked. What was decided about its own picture says nothing about this one.
    """
    lists = list_policies.current()
    if not lists:
        return True
    found = _screened(data, lists)
    about = About(
        _facts(image, data), image=image, picture=small_jpeg(found.shown), by_content=True
    )
    recorded = cases.record_screening(
        by=LINKS, origin=ReviewCase.Origin.LINK, about=about, screening=found
    )
    flood.watch(recorded.matched)
    return not found.held or recorded.dismissed


def _screened(data: bytes, lists: Policies) -> Screening:
    try:
        with transaction.atomic():
            return screening.screen(_subject(data), lists)
    except Exception:
        logger.exception("what a link holds could not be screened; it is held")
        return screening.failed(gate.BROKEN, lists)


def _subject(data: bytes) -> Content:
    """A page that says "not found" is no picture, and nothing that a person has to look at."""
    if sniff_picture(data) is None and sniff_video(data) is None:
        return Content(vars(Hashes.of(data)), ())
    return content.of_bytes(data)


def _facts(image: Image, data: bytes) -> dict[str, Any]:
    facts = {**facts_of(image), **vars(Hashes.of(data)), "bytes": len(data)}
    try:
        info = decoding.inspect(data, conf.limits())
    except UserError:
        return {**facts, "format": "", "width": None, "height": None}
    return {**facts, "format": info.format, "width": info.width, "height": info.height}
