"""Look-ups: which banks have an item that matches.

A look-up is a question and leaves no case: its client decides. Every list's own threshold counts,
whatever its action. A file is compared by all methods of the lists, so that crops, mirrored copies
and frames are found too. A client that hashes a file and then looks the hash up gets these as well:
what was found for the file is kept for ``KEPT`` seconds under its PDQ hash.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.core.cache import cache
from django.utils import timezone

from gallery.shared.errors import Unavailable, UserError
from moderation.hma import banks
from moderation.hma.models import HmaContent
from moderation.hma.signals import SIGNALS, Media
from moderation.lists import policies
from moderation.lists.models import BannedItem
from moderation.lists.policies import Policies
from moderation.lists.verdicts import HASH_TYPES
from moderation.screening import content, exact, pdq, verdict_rules
from moderation.screening.screen import FAILED, screen
from moderation.screening.types import FRAMES, ItemMatch, Screening

KEPT: Final = 600

Banks = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Asked:
    """``names``: of the banks that are meant; empty means all. ``seed``: of the random number that
    a bank's ratio is compared with. ``bypass``: ratios do not count, unless a list is disabled."""

    names: frozenset[str] = frozenset()
    seed: str | None = None
    bypass: bool = False


def by_signal(name: str, value: str, asked: Asked) -> Banks:
    """Look a hash up. ``name``: its signal type; ``value``: in lower-case hex."""
    lists = policies.current()
    found = _near(SIGNALS[name].kind, value, lists)
    if name == "pdq":
        found += _kept(value, lists)
    return _by_bank(_visible(_banned(found, lists), asked))


def raw(name: str, value: str, asked: Asked) -> list[ItemMatch]:
    """Return the matches of a hash, the nearest of each item, whatever is enabled."""
    lists = policies.every()
    found = _banned(_near(SIGNALS[name].kind, value, lists), lists)
    return _nearest([match for bank, match in _with_banks(found) if _is_asked(bank, asked)])


def by_file(media: Media, asked: Asked) -> dict[str, Banks]:
    """Look a file up. Returns banks by signal type; ``copy`` has proven copies."""
    lists = policies.current()
    found = _visible(_banned(compared(media, lists).matches, lists), asked)
    fitting = {name: one.kind for name, one in SIGNALS.items() if one.content == media.content_type}
    names = {kind: name for name, kind in fitting.items()}
    answer: dict[str, Banks] = {name: {} for name in fitting}
    for match_type in sorted({match.match_type for _, match in found}):
        of_type = [pair for pair in found if pair[1].match_type == match_type]
        answer[names.get(match_type, match_type)] = _by_bank(of_type)
    return answer


def merged(answer: Mapping[str, Banks]) -> Banks:
    """Return the banks of all signal types, each item once."""
    found: Banks = {}
    for in_banks in answer.values():
        for name, rows in in_banks.items():
            known = {row["bank_content_id"] for row in found.setdefault(name, [])}
            found[name] += [row for row in rows if row["bank_content_id"] not in known]
    return found


def compared(media: Media, lists: Policies) -> Screening:
    """Compare a file by all methods of the lists, and keep what was found for its PDQ hash.

    Raises ``Unavailable`` if it could not be compared, and ``UserError`` if it cannot be read:
    neither means that nothing matches.
    """
    found = screen(content.of_bytes(media.data), lists)
    proven = [match for match in found.matches if match.within]
    if not proven and (why := found.missing.get(FRAMES)):
        if why == FAILED:
            raise Unavailable(why)
        raise UserError(f"The file could not be read: {why}")
    if found.pdq is not None:
        kept = [
            (match.item_id, match.match_type, match.distance)
            for match in _banned(found.matches, lists)
            if match.match_type != "pdq"
        ]
        cache.set(_key(found.pdq.hex()), kept, KEPT)
    return found


def _near(kind: str, value: str, lists: Policies) -> list[ItemMatch]:
    if not lists:
        return []
    asked = content.of_hash(kind, value, 100 if kind == "pdq" else None)
    return exact.matches(asked.hashes, lists) + pdq.matches(list(asked.frames), lists)


def _key(value: str) -> str:
    return f"hma-{value}"


def _kept(value: str, lists: Policies) -> list[ItemMatch]:
    """Return what was found for a file with this hash, as far as it is still on the lists."""
    kept = cache.get(_key(value), ())
    items = BannedItem.objects.live([item for item, _, _ in kept], lists) if kept else {}
    found = []
    for item, match_type, distance in kept:
        if item not in items:
            continue
        uses = lists[items[item].list_id].thresholds
        if match_type in HASH_TYPES or match_type in uses:
            found.append(ItemMatch.of(items[item], lists, match_type, distance, sure=True))
    return found


def _banned(matches: Iterable[ItemMatch], lists: Policies) -> list[ItemMatch]:
    """Return the matches within the thresholds of lists that are banks, all methods together."""
    found = list(matches)
    return [match for match in verdict_rules.not_allowed(found, lists) if match.within]


def _is_asked(bank: banks.Bank, asked: Asked) -> bool:
    return not asked.names or bank.name in asked.names


def _visible(matches: Sequence[ItemMatch], asked: Asked) -> list[tuple[banks.Bank, ItemMatch]]:
    """Return the matches of banks that are asked and seen, without hidden items."""
    if not matches:
        return []
    coin = random.Random(asked.seed).random()  # noqa: S311 (as HMA does, from the same seed)
    hidden = _disabled(match.item_id for match in matches)
    return [
        (bank, match)
        for bank, match in _with_banks(matches)
        if match.item_id not in hidden
        and _is_asked(bank, asked)
        and (asked.bypass or bank.ratio >= coin)
    ]


def _with_banks(matches: Sequence[ItemMatch]) -> Iterator[tuple[banks.Bank, ItemMatch]]:
    """Yield the matches whose list was not deleted in the meantime."""
    known = banks.all_banks()
    for match in matches:
        if match.list.pk in known:
            yield known[match.list.pk], match


def _by_bank(found: Sequence[tuple[banks.Bank, ItemMatch]]) -> Banks:
    names = {match.item_id: bank.name for bank, match in found}
    answer: Banks = {}
    for match in _nearest([match for _, match in found]):
        answer.setdefault(names[match.item_id], []).append(
            {"bank_content_id": match.item_id, "distance": distance_text(match)}
        )
    return answer


def _nearest(matches: Sequence[ItemMatch]) -> list[ItemMatch]:
    """Return one match for each item, by id: by PDQ if there is one, or else the nearest."""
    best: dict[int, ItemMatch] = {}
    for match in matches:
        other = best.get(match.item_id)
        if other is None or _order(match) < _order(other):
            best[match.item_id] = match
    return [best[item] for item in sorted(best)]


def _order(match: ItemMatch) -> tuple[bool, float]:
    return match.match_type != "pdq", match.distance


def _disabled(items: Iterable[int]) -> set[int]:
    rows = HmaContent.objects.filter(item__in=set(items), disabled_until__gt=timezone.now())
    return set(rows.values_list("item", flat=True))


def distance_text(match: ItemMatch) -> str:
    """Return the distance as HMA does, as text: bits of a PDQ, and for copies 1 − confidence."""
    if match.match_type in (*HASH_TYPES, "pdq"):
        return str(int(match.distance))
    return f"{match.distance:.4f}"
