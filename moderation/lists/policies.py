"""The policies of the enabled lists: read anew for every question, never cached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from moderation.lists.models import BannedList
from moderation.lists.thresholds import Thresholds
from moderation.lists.verdicts import PROVING, Severity

Policies = Mapping[int, "Policy"]
"""The enabled lists, by id."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One enabled list. ``thresholds``: of each match type that it uses.

    ``may_block``: match types that may block by themselves here. ``allows_for``: ids of the lists
    that it has priority over, if it is an allow list; empty = all.
    """

    list: BannedList
    thresholds: Mapping[str, Thresholds]
    may_block: frozenset[str]
    allows_for: frozenset[int]

    @property
    def is_allow_list(self) -> bool:
        """Whether what is on it is let through."""
        return self.list.is_allow_list

    @property
    def is_enforced(self) -> bool:
        """Whether a match can withhold anything."""
        return self.list.is_enforced

    def has_priority_over(self, other: Policy) -> bool:
        """Whether what is on this list is let through although it is on the other one."""
        return self.is_allow_list and (not self.allows_for or other.list.pk in self.allows_for)


def current() -> Policies:
    """Of all enabled lists; empty unless one of them bans something. One query if none is
    enabled."""
    rows = list(BannedList.objects.filter(enabled=True).prefetch_related("methods", "allows_for"))
    if not any(not row.is_allow_list for row in rows):
        return {}
    return {row.pk: _policy(row) for row in rows}


def using(policies: Policies, match_type: str) -> dict[int, Thresholds]:
    """The ids of the lists that use a match type, and its thresholds on each."""
    return {
        pk: policy.thresholds[match_type]
        for pk, policy in policies.items()
        if match_type in policy.thresholds
    }


def farthest(thresholds: Iterable[Thresholds]) -> float:
    """The greatest distance that any of them records."""
    return max(one.near_miss for one in thresholds)


def two_person_severity() -> int:
    """The least severity whose cases need two people; more than any if none does."""
    name = settings.TWO_PERSON_SEVERITY.lower()
    if name == "none":
        return max(Severity) + 1
    try:
        return Severity[name.upper()]
    except KeyError:
        known = ", ".join(severity.name.lower() for severity in Severity)
        problem = f"TWO_PERSON_SEVERITY={name!r} is none of {known}, none."
        raise ImproperlyConfigured(problem) from None


def _policy(row: BannedList) -> Policy:
    methods = [method for method in row.methods.all() if method.enabled]
    return Policy(
        list=row,
        thresholds={method.match_type: method.thresholds for method in methods},
        may_block=PROVING | {method.match_type for method in methods if method.may_block},
        allows_for=frozenset(other.pk for other in row.allows_for.all()),
    )
