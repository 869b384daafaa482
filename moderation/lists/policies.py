"""The policies of the enabled lists. They are read from the database each time and never cached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from moderation.lists.models import BannedList
from moderation.lists.thresholds import Thresholds
from moderation.lists.verdicts import PROVING, Severity

Policies = Mapping[int, "Policy"]


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy of one enabled list.

    ``thresholds``: for each match type that the list uses. ``may_block``: match types that may
    block by themselves on this list. ``allows_for``: for an allow list, the ids of the lists that
    it has priority over; empty means all.
    """

    list: BannedList
    thresholds: Mapping[str, Thresholds]
    may_block: frozenset[str]
    allows_for: frozenset[int]

    @property
    def is_allow_list(self) -> bool:
        return self.list.is_allow_list

    @property
    def is_enforced(self) -> bool:
        """Whether a match can withhold content."""
        return self.list.is_enforced

    def has_priority_over(self, other: Policy) -> bool:
        """Return whether an item of this list is let through although it is on the other list."""
        return self.is_allow_list and (not self.allows_for or other.list.pk in self.allows_for)


def current() -> Policies:
    """Return the policies of all enabled lists, or none if no enabled list is a banned list.

    Takes one query if no list is enabled.
    """
    rows = list(BannedList.objects.filter(enabled=True).prefetch_related("methods", "allows_for"))
    if not any(not row.is_allow_list for row in rows):
        return {}
    return {row.pk: _policy(row) for row in rows}


def every() -> Policies:
    """Return the policies of all lists, also of those that are not enabled."""
    rows = BannedList.objects.prefetch_related("methods", "allows_for")
    return {row.pk: _policy(row) for row in rows}


def using(policies: Policies, match_type: str) -> dict[int, Thresholds]:
    return {
        pk: policy.thresholds[match_type]
        for pk, policy in policies.items()
        if match_type in policy.thresholds
    }


def farthest(thresholds: Iterable[Thresholds]) -> float:
    return max(one.near_miss for one in thresholds)


def needs_two_people(severity: int, by_list: bool) -> bool:
    """Whether a case needs two people, due to its severity or ``by_list``: a list that asks for
    two."""
    name = settings.TWO_PERSON_SEVERITY.lower()
    if by_list or name == "none":
        return by_list
    try:
        return severity >= Severity[name.upper()]
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
