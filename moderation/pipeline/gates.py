"""The gates that are named in the settings: publish an item, hand out a link, run a search.

Each gate calls ``screening.screen`` once, stores the result, and answers. A gate takes one query if
no list is enabled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from django.db import transaction

from gallery.imaging import decoding
from gallery.imaging.decoding.sniffing import sniff as sniff_picture
from gallery.items import conf
from gallery.items.item import Item
from gallery.items.kinds import kind_of
from gallery.items.models import Image
from gallery.items.preprocessing import Hashes
from gallery.items.publishing import QueryRefused, passes
from gallery.shared.access import NOBODY, Sender
from gallery.shared.errors import Unavailable, UserError
from moderation.access.permissions import Actor, Role
from moderation.audit import trail
from moderation.cases import opening
from moderation.cases.facts import CaseSubject, facts_of
from moderation.cases.models import ReviewCase
from moderation.lists import index_refresh, policies
from moderation.lists.verdicts import Verdict
from moderation.pipeline import flood, near_checks
from moderation.screening.content import Content, of_bytes
from moderation.screening.screen import FAILED, screen
from moderation.screening.types import FRAMES, Screening
from videos.decode.sniffing import sniff as sniff_video

GATE: Final = Actor.machine("gate")
LINKS: Final = Actor.machine("links")
QUERY: Final = Actor.machine("search")

VARIANTS: Final = "variants"
"""Key of ``Screening.missing``: the sender has tried too many variants of a banned item."""


def may_publish(item: Item) -> bool:
    """Return whether a described image or video may be published. Named in ``PUBLISHING_GATES``.

    An item that cannot be screened is withheld, with a case that says why. Sets ``Item.banned`` on
    an item that is blocked.
    """
    lists = policies.current()
    if not lists:
        return True
    found = _within_budget(item, screen(item, lists))
    recorded = record(item, found, origin=ReviewCase.Origin.UPLOAD, by=GATE)
    # There may be a decision about a video that is indexed again.
    withheld = found.withheld and not recorded.dismissed
    item.banned = withheld and found.verdict == Verdict.BLOCK
    index_refresh.ask_if_due()
    return not withheld


def held_when_moved_in(items: Sequence[Item]) -> set[int]:
    """Return the ids of moved in items that may not be published. Named in ``MOVING_GATES``.

    Of an item without its file, only the md5 and stored hashes are compared.
    """
    if not policies.current():
        return set()
    return {item.pk for item in items if not passes(item)}


def _within_budget(item: Item, found: Screening) -> Screening:
    by = Actor(item.added_by, Role.NOBODY, client=item.client)
    strictest = near_checks.counted(
        by=by, content=item.sha256, verdict=found.verdict, matches=found.matches
    )
    if strictest is None:
        return found
    why = "Its sender has tried many variants of a banned item, so all of them are withheld."
    return replace(
        found, verdict=strictest, withheld=True, missing={**found.missing, VARIANTS: why}
    )


def record(item: Item, found: Screening, *, origin: str, by: Actor) -> opening.RecordedScreening:
    """Store the result for an item whose row is locked, and check for floods."""
    subject: dict[str, Any] = {kind_of(item).name: item}
    about = CaseSubject(facts_of(item), **subject)
    recorded = opening.record_screening(by=by, origin=origin, about=about, screening=found)
    flood.watch(recorded.matched)
    return recorded


def may_link(image: Image, data: bytes) -> bool:
    """Return whether the link of an image may still be handed out. Named in ``LINK_GATES``.

    ``data``: what the link returns now. The image's row is locked. Decisions about the stored
    picture do not apply to this content.
    """
    lists = policies.current()
    if not lists:
        return True
    # An error page is not media. Only its hashes are compared, and it needs no review.
    is_media = sniff_picture(data) is not None or sniff_video(data) is not None
    found = screen(of_bytes(data) if is_media else Content(vars(Hashes.of(data)), ()), lists)
    about = CaseSubject(
        _facts_of_link(image, data), image=image, picture=found.jpeg(), by_content=True
    )
    recorded = opening.record_screening(
        by=LINKS, origin=ReviewCase.Origin.LINK, about=about, screening=found
    )
    flood.watch(recorded.matched)
    return not found.withheld or recorded.dismissed


def _facts_of_link(image: Image, data: bytes) -> dict[str, Any]:
    facts = {**facts_of(image), **vars(Hashes.of(data)), "bytes": len(data)}
    try:
        info = decoding.inspect(data, conf.limits())
    except UserError:
        return {**facts, "format": "", "width": None, "height": None}
    return {**facts, "format": info.format, "width": info.width, "height": info.height}


def refuse_banned_query(data: bytes, sender: Sender = NOBODY) -> None:
    """Raise ``QueryRefused`` if this picture must not be searched with. See ``QUERY_GATES``.

    Only a ``block`` verdict refuses, because a search publishes nothing. Raises ``Unavailable`` if
    screening fails.
    """
    if {Verdict.BLOCK} & _verdicts_of_query(data, sender):
        raise QueryRefused("This picture must not be searched with.", field="file")


def refuse_doubtful_share(data: bytes, sender: Sender = NOBODY) -> None:
    """Raise ``QueryRefused`` unless the verdict is ``allow``: others would see the picture. See
    ``SHARE_GATES``. Raises ``Unavailable`` if screening fails.
    """
    if {Verdict.BLOCK, Verdict.REVIEW} & _verdicts_of_query(data, sender):
        raise QueryRefused("A search with this picture cannot be shared.", field="file")


def _verdicts_of_query(data: bytes, sender: Sender) -> set[Verdict | None]:
    """Screen a picture and record its matches.

    Return its verdict, and the verdict for a sender of many variants of a banned item (or None).
    """
    lists = policies.current()
    if not lists:
        return set()
    found = screen(of_bytes(data), lists)
    if found.missing.get(FRAMES) == FAILED:
        raise Unavailable("The search is refused because the picture could not be screened.")
    about = CaseSubject(vars(Hashes.of(data)))
    with transaction.atomic():
        opening.record_matches(about=about, screening=found)
        if found.verdict == Verdict.BLOCK:
            _record_refusal(about, sorted({match.list.name for match in found.within}))
    by = Actor(sender.name, Role.NOBODY, client=sender.client)
    strictest = near_checks.counted(
        by=by, content=about.sha256, verdict=found.verdict, matches=found.matches
    )
    return {found.verdict, strictest}


def _record_refusal(about: CaseSubject, lists: Sequence[str]) -> None:
    trail.record(
        by=QUERY.name,
        verb="query.refused",
        subject=ReviewCase,
        after={"sha256": about.sha256, "lists": lists},
    )
