"""The publishing gate: every image and video is screened before anybody else can find it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

from django.db import transaction

from gallery.items.item import Item
from gallery.items.models import Image
from moderation.access.permissions import Actor, Role
from moderation.cases import cases
from moderation.cases.case_facts import About, facts_of
from moderation.cases.models import ReviewCase
from moderation.lists import hash_index_file, list_policies
from moderation.lists.list_policies import Policies
from moderation.lists.verdicts import Verdict
from moderation.pipeline import flood, near_checks
from moderation.screening import content, screening
from moderation.screening.screening import Screening
from videos.models import Video

GATE: Final = Actor.machine("gate")

BROKEN: Final = "Screening failed; the service's log says why."

VARIANTS: Final = "variants"
"""What ``missing`` calls a sender who has tried too many contents near to one item."""

logger = logging.getLogger(__name__)


def gate(item: Item) -> bool:
    """Whether a described image or video may be found, named in ``PUBLISHING_GATES``.

    Costs one query where nothing is banned. What cannot be screened is held, with a case that says
    why. An item that is banned without doubt is told so (``Item.banned``).
    """
    lists = list_policies.current()
    if not lists:
        return True
    found = _as_told(item, screened(item, lists))
    recorded = record(item, found, origin=ReviewCase.Origin.UPLOAD, by=GATE)
    # A video that is indexed anew was judged before.
    held = found.held and not recorded.dismissed
    item.banned = held and found.verdict == Verdict.BLOCK
    hash_index_file.ask_if_due()
    return not held


def _as_told(item: Item, found: Screening) -> Screening:
    """What is found, or what everything near to an item comes to once its sender is beyond the
    budget: it is held, with a case that says why."""
    by = Actor(item.added_by, Role.NOBODY, client=item.client)
    told = near_checks.counted(
        by=by, content=item.sha256, verdict=found.verdict, matches=found.matches
    )
    if told is None:
        return found
    why = "Its sender has tried many variants of a banned item, so that all of them are held."
    return replace(found, verdict=told, held=True, missing={**found.missing, VARIANTS: why})


def screened(item: Item, lists: Policies) -> Screening:
    """What is found of an image or video that is stored; never raises."""
    try:
        # A savepoint: what fails in SQL must not keep the case from being opened.
        with transaction.atomic():
            return screening.screen(_subject(item), lists)
    except Exception:
        logger.exception("%s could not be screened; it is held", item)
        return screening.failed(BROKEN, lists)


def record(item: Item, found: Screening, *, origin: str, by: Actor) -> cases.Recorded:
    """Store what was found of an item whose row is locked, and look out for floods."""
    if isinstance(item, Image):
        about = About(facts_of(item), image=item)
    elif isinstance(item, Video):
        about = About(facts_of(item), video=item)
    else:
        raise TypeError(f"a {type(item).__name__} cannot be screened")
    recorded = cases.record_screening(by=by, origin=origin, about=about, screening=found)
    flood.watch(recorded.matched)
    return recorded


def _subject(item: Item) -> content.Content:
    if isinstance(item, Image):
        return content.of_image(item)
    if isinstance(item, Video):
        return content.of_video(item)
    raise TypeError(f"a {type(item).__name__} cannot be screened")
