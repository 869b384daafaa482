"""Find items with the same file, by cryptographic hashes."""

from __future__ import annotations

from collections.abc import Mapping

from moderation.lists.models import BannedHash, BannedItem
from moderation.lists.policies import Policies
from moderation.lists.verdicts import HASH_TYPES
from moderation.screening.types import ItemMatch


def matches(hashes: Mapping[str, str], policies: Policies) -> list[ItemMatch]:
    """Return one match for each item, by the strongest hash that is equal.

    ``hashes``: of the whole file, md5, sha1 or sha256 → lower-case hex.
    """
    wanted = [hashes[kind] for kind in HASH_TYPES if kind in hashes]
    # The condition of the partial index over these hashes.
    same = BannedHash.objects.exclude(kind="pdq").filter(value__in=wanted)
    rows = [
        row for row in same.values_list("item", "kind", "value") if hashes.get(row[1]) == row[2]
    ]
    kinds = {item: kind for item, kind, _ in sorted(rows, key=lambda row: HASH_TYPES.index(row[1]))}
    items = BannedItem.objects.live(kinds, policies)
    return [ItemMatch.of(item, policies, kinds[pk], 0.0, sure=True) for pk, item in items.items()]
