"""What a link holds now is screened like an upload: a search must lead nobody to banned content."""

from __future__ import annotations

import logging
from typing import Any, Final

from django.db import transaction

from gallery import conf, decoding
from gallery.errors import UserError
from gallery.models import Image
from gallery.services.preparing import Hashes
from gallery.sniffing import sniff as sniff_picture
from moderation import policies, screening, subjects
from moderation.models import ReviewCase
from moderation.permissions import Actor
from moderation.policies import Policies
from moderation.screening import Screening
from moderation.services import cases, flood, gate
from moderation.services.case_facts import About, facts_of
from moderation.services.checking import small_jpeg
from moderation.subjects import Subject
from videos.sniffing import sniff as sniff_video

LINKS: Final = Actor.machine("links")

logger = logging.getLogger(__name__)


def passes(image: Image, data: bytes) -> bool:
    """Whether the link of an image may still be handed out, named in ``LINK_GATES``.

    The image's row is locked. What was decided about its own picture says nothing about this one.
    """
    lists = policies.current()
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


def _subject(data: bytes) -> Subject:
    """A page that says "not found" is no picture, and nothing that a person has to look at."""
    if sniff_picture(data) is None and sniff_video(data) is None:
        return Subject(vars(Hashes.of(data)), ())
    return subjects.of_bytes(data)


def _facts(image: Image, data: bytes) -> dict[str, Any]:
    facts = {**facts_of(image), **vars(Hashes.of(data)), "bytes": len(data)}
    try:
        info = decoding.inspect(data, conf.limits())
    except UserError:
        return {**facts, "format": "", "width": None, "height": None}
    return {**facts, "format": info.format, "width": info.width, "height": info.height}
