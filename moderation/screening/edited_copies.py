"""Find edited copies of items that have only a PDQ hash, by undoing each edit.

The hashes of bordered, turned, cropped and negative copies are far from the hash of the original
picture. With the edit undone they are near again, but not as near as a copy that was only
re-encoded. ``edit_evidence`` says how near is enough, in proportion to the list's ``pdq``
threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gallery.imaging.descriptors.pdq import LOW_QUALITY
from gallery.imaging.descriptors.pdq_variants import Variants, variants
from moderation.lists import banned_hashes
from moderation.lists.hash_index import pack
from moderation.lists.models import BannedHash
from moderation.lists.policies import Policies, using
from moderation.lists.thresholds import DEFAULTS, Thresholds
from moderation.lists.verdicts import Action
from moderation.screening import pdq
from moderation.screening.edit_evidence import CALIBRATED, FARTHEST, evidence, scaled
from moderation.screening.types import ContentFrame, ItemMatch

EVERY_NTH: Final = 4
"""Only every fourth frame of a video or an animation is tested for edits."""

STORED_BITS: Final = 64
"""Distance in bits between the hashes of a stored picture and an item up to which a rescan tries
edits. The variants of a stored picture are not known until it is screened.
"""


def share(threshold: float) -> float:
    """Return a ``pdq`` threshold as a share of the default, for which edits are calibrated."""
    return threshold / DEFAULTS["pdq"].threshold


def stored_reach(threshold: int) -> int:
    return scaled(STORED_BITS, share(threshold))


def matches(
    frames: Sequence[ContentFrame], known: Sequence[ItemMatch], policies: Policies
) -> list[ItemMatch]:
    """Return the likeliest edit for each item hash and frame.

    ``known``: the matches found before. A frame that they already block is not compared again. An
    allow list lets no edited copy through.
    """
    lists = {
        pk: used for pk, used in using(policies, "pdq").items() if not policies[pk].is_allow_list
    }
    if not lists:
        return []
    widest = share(max(used.threshold for used in lists.values()))
    blocked = {match.place for match in known if _blocks(match)}
    found = []
    for number, frame in enumerate(frames):
        if not frame.has_pixels or frame.hashes_only or frame.place in blocked:
            continue
        if not frame.in_parts and len(frames) > EVERY_NTH and number % EVERY_NTH:
            continue
        asked = variants(frame.rgb, LOW_QUALITY, only_searched=True)
        if asked is None:
            continue
        items, hashes = banned_hashes.likely(asked.searched, FARTHEST)
        seen = variants(frame.rgb, LOW_QUALITY) if len(items) else None
        if seen is None:
            continue
        near = zip(items.tolist(), evidence(seen, hashes, widest), strict=True)
        for row in BannedHash.objects.live({pk for pk, proof in near if proof}, lists).values():
            # As it is, it matches without an edit.
            used = lists[row.item.list_id]
            if frame.hashes and used.met_by(pdq.nearest(frame.hashes, row.value)[0]):
                continue
            match = _match(row, frame, seen, policies)
            if match is not None:
                found.append(match)
    return found


def _match(
    row: BannedHash, frame: ContentFrame, seen: Variants, policies: Policies
) -> ItemMatch | None:
    of_default = share(policies[row.item.list_id].thresholds["pdq"].threshold)
    # Measure again: the index may have an old version of the row.
    (proof,) = evidence(seen, pack([bytes.fromhex(row.value)]), of_default)
    if proof is None:
        return None
    variant = seen.tried[proof.variant]
    within = float(scaled(CALIBRATED[variant.edit.kind].review, of_default))
    good = row.quality is None or row.quality >= LOW_QUALITY
    return ItemMatch.of(
        row.item,
        policies,
        "pdq",
        float(proof.distance),
        frame=frame,
        thresholds=Thresholds(within, within),
        sure=good and proof.blocks(seen, of_default),
        whole=False,
        edit=variant.words,
        item_quality=row.quality,
        item_time_ms=row.time_ms,
        item_place=row.pk,
    )


def _blocks(match: ItemMatch) -> bool:
    return match.within and match.sure and match.list.action == Action.BLOCK
