"""What lists and their methods may be set to, and what of it a change has changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from gallery.shared.errors import Conflict, UserError
from moderation.lists import thresholds
from moderation.lists.models import BannedList, ListMethod
from moderation.lists.verdicts import PROVING, Action

FIELDS = (
    "name", "kind", "category", "description", "owner", "severity", "action", "enabled",
    "hold_on_review", "hash_only", "two_person", "flood_limit", "observe_share",
)  # fmt: skip
METHOD_FIELDS = ("enabled", "threshold", "observe", "may_block")
STRICTNESS = {Action.SHADOW: 0, Action.REVIEW: 1, Action.BLOCK: 2}

Facts = dict[str, Any]


class InvalidList(UserError):
    """A value that a list or one of its methods cannot have."""

    code = "invalid_list"


def set_fields(row: models.Model, fields: Mapping[str, Any], known: Iterable[str]) -> None:
    """Set fields and check their values. Raises ``InvalidList``; ``TypeError`` for other names."""
    if unknown := fields.keys() - set(known):
        raise TypeError(f"{type(row).__name__} has no {', '.join(sorted(unknown))}")
    for name, value in fields.items():
        setattr(row, name, value)
    try:
        row.clean_fields()
    except ValidationError as error:
        name, messages = next(iter(error.message_dict.items()))
        raise InvalidList(messages[0], field=name) from error


def save_list(row: BannedList) -> None:
    """Raises ``InvalidList``, and ``Conflict`` for a name that is taken."""
    if row.kind == BannedList.Kind.ALLOW and row.two_person:
        raise InvalidList("An allow list has no cases that two could decide.", field="two_person")
    if not 0 <= row.observe_share <= 1:
        raise InvalidList("The share is a number from 0 to 1.", field="observe_share")
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        taken = BannedList.objects.filter(name=row.name).exclude(pk=row.pk).first()
        if taken is None:
            raise
        raise Conflict(
            f"There is a list {row.name} already.", existing_id=taken.pk, field="name"
        ) from error


def set_allows_for(row: BannedList, ids: Iterable[int]) -> None:
    """Which lists an allow list outranks; none = all. Raises ``InvalidList``."""
    wanted = set(ids)
    if wanted and row.kind != BannedList.Kind.ALLOW:
        raise InvalidList("Only an allow list outranks others.", field="allows_for")
    banned = BannedList.objects.filter(pk__in=wanted, kind=BannedList.Kind.BANNED)
    if lost := wanted - set(banned.values_list("pk", flat=True)):
        raise InvalidList(f"There is no banned list {min(lost)}.", field="allows_for")
    row.allows_for.set(wanted)


def check_method(method: ListMethod) -> None:
    """Raises ``InvalidList`` for distances that cannot be meant."""
    largest = thresholds.LARGEST[method.match_type]
    for name in ("threshold", "observe"):
        value = getattr(method, name)
        # Written so that what is not a number fails, too.
        if value is not None and not 0 <= value <= largest:
            raise InvalidList(
                f"A distance of {method.match_type} is a number from 0 to {largest:g}.", field=name
            )
    if method.observe is not None and method.observe < method.thresholds.threshold:
        raise InvalidList("Nothing is observed nearer than it matches.", field="observe")
    if method.may_block and method.match_type in PROVING:
        raise InvalidList(
            f"{method.match_type} may block by itself; this is for the others.", field="may_block"
        )


def reach(method: ListMethod) -> float:
    """How far it matches; less than any distance if it is off."""
    return method.thresholds.threshold if method.enabled else -1.0


def list_facts(row: BannedList) -> Facts:
    """All that can be set of a list."""
    allowed = sorted(row.allows_for.values_list("pk", flat=True))
    return {**{name: getattr(row, name) for name in FIELDS}, "allows_for": allowed}


def method_facts(method: ListMethod) -> Facts:
    """All that can be set of a method."""
    return {name: getattr(method, name) for name in METHOD_FIELDS}


def differing(before: Facts, after: Facts) -> set[str]:
    """The names of what is not the same."""
    return {name for name in before if before[name] != after[name]}
