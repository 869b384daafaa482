"""Edited copies of items of which only a hash is known: what each edit looks like undone, by PDQ.

Bordered, turned, cropped and negative copies are far from the hash of their picture; undone, they
are near again, but not as near as a copy that was only saved anew. So each kind of edit has
distances of its own, measured on real pictures and strangers (docs/adr/0020-edited-copies.md,
docs/benchmarks.md), and a list's own threshold for ``pdq`` bounds them all: ``reach``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gallery.descriptors.pdq import LOW_QUALITY
from gallery.descriptors.pdq_variants import Variant, variants
from moderation import banned_hashes
from moderation.conf import DEFAULTS, Bounds
from moderation.matching import Match, View, live_hashes, of_item
from moderation.models import BannedHash
from moderation.policies import Policies, using
from moderation.verdicts import Action

EVERY: Final = 4
"""Of the pictures of a video or an animation each fourth is looked at before edits, too."""


NEVER: Final = -1
"""As a distance: no hash is so near."""

STORED: Final = 64
"""Bits between a stored picture's hash and an item's up to which a scan looks for edits: what a
stored picture looked like before an edit is not known until it is screened."""


@dataclass(frozen=True, slots=True)
class Distances:
    """Of one kind of edit, for a list that compares by ``pdq`` up to the default threshold.

    ``review``: up to which a picture leads to review, ``block``: up to which it may block.
    ``contradiction``: the greatest share of what the picture says that the hash may deny.
    """

    review: int
    block: int
    contradiction: float = 1.0


CALIBRATED: Final[Mapping[str, Distances]] = {
    "negative": Distances(31, 16, 0.08),
    "border": Distances(45, NEVER, 0.06),
    "crop 97": Distances(45, NEVER, 0.06),
    "crop 95": Distances(42, NEVER, 0.06),
    "crop 90": Distances(28, NEVER, 0.05),
    "crop 80": Distances(25, NEVER, 0.05),
    "turn 3": Distances(52, NEVER, 0.06),
    "turn 6": Distances(56, NEVER, 0.08),
    "turn 8": Distances(45, NEVER, 0.05),
    "turn 10": Distances(45, NEVER, 0.05),
}


def reach(calibrated: int, threshold: float) -> int:
    """How far an edit goes on a list with this threshold for ``pdq``.

    A list that is stricter than the default is stricter with edits in the same proportion; one
    that is laxer is not, as nothing was measured there.
    """
    if calibrated < 0:
        return calibrated
    share = min(1.0, threshold / DEFAULTS["pdq"].threshold)
    return int(calibrated * share)


def by_edits(views: Sequence[View], known: Sequence[Match], policies: Policies) -> list[Match]:
    """Items that the views show edited; the likeliest edit for each item's hash and view.

    ``known``: what ``matching.by_pdq`` found. A view that is blocked by it is not looked at again.
    An allow list frees nothing that was edited.
    """
    lists = {pk: bounds for pk, bounds in using(policies, "pdq").items() if not policies[pk].allows}
    if not lists:
        return []
    blocked = {match.place for match in known if _blocks(match)}
    asked = [
        (view, variant)
        for number, view in enumerate(views)
        if view.rgb.size and not view.hashes_only and view.place not in blocked
        if view.in_parts or len(views) <= EVERY or number % EVERY == 0
        for variant in variants(view.rgb, LOW_QUALITY)
    ]
    widest = max(bounds.threshold for bounds in lists.values())
    hits = banned_hashes.near(
        [variant.hash for _, variant in asked],
        [reach(CALIBRATED[variant.edit.kind].review, widest) for _, variant in asked],
    )
    rows = live_hashes({int(hit["item"]) for hit in hits}, lists)
    best: dict[tuple[int, int], Match] = {}
    for hit in hits:
        row = rows.get(int(hit["item"]))
        if row is None:
            continue
        view, variant = asked[hit["query"]]
        match = _match(row, view, variant, policies)
        key = row.pk, id(view)
        if match is not None and (key not in best or _likelier(match, best[key])):
            best[key] = match
    plain = {(match.item_place, match.place) for match in known if match.within}
    return [match for match in best.values() if (match.item_place, match.place) not in plain]


def _match(row: BannedHash, view: View, variant: Variant, policies: Policies) -> Match | None:
    """None beyond what the row's list allows."""
    distances = CALIBRATED[variant.edit.kind]
    threshold = policies[row.item.list_id].reach["pdq"].threshold
    stored = bytes.fromhex(row.value)
    # Measured again: what was found may be of the row as it was.
    distance = (int.from_bytes(stored) ^ int.from_bytes(variant.hash)).bit_count()
    within = reach(distances.review, threshold)
    if distance > within or variant.contradiction(stored) > distances.contradiction:
        return None
    good = row.quality is None or row.quality >= LOW_QUALITY
    return of_item(
        row.item,
        policies,
        "pdq",
        float(distance),
        bounds=Bounds(float(within), float(within)),
        sure=good and distance <= reach(distances.block, threshold),
        whole=False,
        edit=variant.words,
        quality=view.quality,
        item_quality=row.quality,
        frame=view.frame,
        time_ms=view.time_ms,
        item_time_ms=row.time_ms,
        item_place=row.pk,
    )


def _blocks(match: Match) -> bool:
    return match.within and match.sure and match.list.action == Action.BLOCK


def _likelier(one: Match, other: Match) -> bool:
    return (not one.sure, one.distance / max(one.threshold, 1)) < (
        not other.sure,
        other.distance / max(other.threshold, 1),
    )
