"""What the enabled lists ask for at this moment: read anew for every question, never kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from moderation.lists import conf
from moderation.lists.conf import Bounds
from moderation.lists.models import BannedList
from moderation.lists.verdicts import PROVING, Action

Policies = Mapping[int, "Policy"]
"""The enabled lists, by id."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One enabled list. ``reach``: how far each match type that it uses goes.

    ``may_block``: match types that may block by themselves here. ``allows_for``: ids of the lists
    that it outranks, if it is an allow list; empty = all.
    """

    list: BannedList
    reach: Mapping[str, Bounds]
    may_block: frozenset[str]
    allows_for: frozenset[int]

    @property
    def allows(self) -> bool:
        """Whether what is on it is let through."""
        return self.list.kind == BannedList.Kind.ALLOW

    @property
    def acts(self) -> bool:
        """Whether a match can hold anything back."""
        return not self.allows and self.list.action != Action.SHADOW

    def outranks(self, other: Policy) -> bool:
        """Whether what is on this list is let through although it is on the other one."""
        return self.allows and (not self.allows_for or other.list.pk in self.allows_for)


def current() -> Policies:
    """The enabled lists; none unless one of them bans something. One query if there are none."""
    rows = list(BannedList.objects.filter(enabled=True).prefetch_related("methods", "allows_for"))
    if not any(row.kind == BannedList.Kind.BANNED for row in rows):
        return {}
    return {row.pk: _policy(row) for row in rows}


def using(policies: Policies, match_type: str) -> dict[int, Bounds]:
    """The ids of the lists that use a match type, and how far it reaches on each."""
    return {
        pk: policy.reach[match_type]
        for pk, policy in policies.items()
        if match_type in policy.reach
    }


def farthest(bounds: Iterable[Bounds]) -> float:
    """The greatest distance that any of them records."""
    return max(bound.observe for bound in bounds)


def _policy(row: BannedList) -> Policy:
    methods = [method for method in row.methods.all() if method.enabled]
    return Policy(
        list=row,
        reach={m.match_type: conf.bounds(m.match_type, m.threshold, m.observe) for m in methods},
        may_block=PROVING | {m.match_type for m in methods if m.may_block},
        allows_for=frozenset(other.pk for other in row.allows_for.all()),
    )
