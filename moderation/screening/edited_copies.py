"""Edited copies of items of which only a hash is known: what each edit looks like undone, by PDQ.

Bordered, turned, cropped and negative copies are far from the hash of their picture; undone, they
are near again, but not as near as a copy that was only saved anew. What counts is the evidence
(``edit_evidence``), and a list's own threshold for ``pdq`` bounds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gallery.imaging.descriptors.pdq import LOW_QUALITY
from gallery.imaging.descriptors.pdq_variants import Variants, variants
from moderation.lists import banned_hashes
from moderation.lists.conf import DEFAULTS, Bounds
from moderation.lists.hash_index import pack
from moderation.lists.list_policies import Policies, using
from moderation.lists.models import BannedHash
from moderation.lists.verdicts import Action
from moderation.screening.edit_evidence import (
    CALIBRATED,
    FARTHEST,
    evidence,
    reach,
)
from moderation.screening.matching import (
    Match,
    View,
    live_hashes,
    of_item,
)

EVERY: Final = 4
"""Of the pictures of a video or an animation each fourth is looked at before edits, too."""

STORED: Final = 64
"""Bits between a stored picture's hash and an item's up to which a scan looks for edits: what a
stored picture looked like before an edit is not known until it is screened."""


def share(threshold: float) -> float:
    """A list's threshold for ``pdq`` as a share of the default, for which edits are calibrated."""
    return threshold / DEFAULTS["pdq"].threshold


def stored_reach(threshold: int) -> int:
    """``STORED``, for a list with this threshold."""
    return reach(STORED, share(threshold))


def by_edits(views: Sequence[View], known: Sequence[Match], policies: Policies) -> list[Match]:
    """Items that the views show edited; the likeliest edit for each item's hash and view.

    ``known``: what ``matching.by_pdq`` found. A view that is blocked by it is not looked at again.
    An allow list frees nothing that was edited.
    """
    lists = {pk: bounds for pk, bounds in using(policies, "pdq").items() if not policies[pk].allows}
    if not lists:
        return []
    widest = share(max(bounds.threshold for bounds in lists.values()))
    blocked = {match.place for match in known if _blocks(match)}
    plain = {(match.item_place, match.place) for match in known if match.within}
    found = []
    for number, view in enumerate(views):
        if not view.rgb.size or view.hashes_only or view.place in blocked:
            continue
        if not view.in_parts and len(views) > EVERY and number % EVERY:
            continue
        seen = variants(view.rgb, LOW_QUALITY)
        if seen is None:
            continue
        items, hashes = banned_hashes.likely(seen.asked, FARTHEST)
        near = zip(items.tolist(), evidence(seen, hashes, widest), strict=True)
        for row in live_hashes({pk for pk, proof in near if proof}, lists).values():
            match = _match(row, view, seen, policies)
            if match is not None and (row.pk, view.place) not in plain:
                found.append(match)
    return found


def _match(row: BannedHash, view: View, seen: Variants, policies: Policies) -> Match | None:
    """None beyond what the row's list allows."""
    of_default = share(policies[row.item.list_id].reach["pdq"].threshold)
    # Measured again: what was found may be of the row as it was.
    (proof,) = evidence(seen, pack([bytes.fromhex(row.value)]), of_default)
    if proof is None:
        return None
    variant = seen.tried[proof.variant]
    within = float(reach(CALIBRATED[variant.edit.kind].review, of_default))
    good = row.quality is None or row.quality >= LOW_QUALITY
    return of_item(
        row.item,
        policies,
        "pdq",
        float(proof.distance),
        bounds=Bounds(within, within),
        sure=good and proof.blocks(seen, of_default),
        whole=False,
        edit=variant.words,
        quality=view.quality,
        item_quality=row.quality,
        frame=view.frame,
        time_ms=view.time_ms,
        rendering=view.rendering,
        item_time_ms=row.time_ms,
        item_place=row.pk,
    )


def _blocks(match: Match) -> bool:
    return match.within and match.sure and match.list.action == Action.BLOCK
