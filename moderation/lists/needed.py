"""What still needs a list that would be deleted, as ``settings.LIST_GUARDS`` say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.conf import settings
from django.utils.module_loading import import_string

from gallery.items import retention
from gallery.items.retention import WithheldReason
from gallery.shared.errors import Conflict, UserError
from moderation.access.permissions import OVERRIDE, Actor, check


class NeededAsEvidence(Conflict):
    """Cases need what would be deleted."""

    code = "withheld"


def needing(list_ids: Iterable[int]) -> dict[int, WithheldReason]:
    """Case → why, of those that need what is on some lists."""
    ids = list(list_ids)
    return {
        pk: why for name in settings.LIST_GUARDS for pk, why in import_string(name)(ids).items()
    }


def check_needed(
    needing: Mapping[int, WithheldReason], name: str, *, by: Actor, override: bool, reason: str
) -> None:
    """Raises ``NeededAsEvidence`` if there are any, unless an administrator overrides it with a
    reason. ``name``: of the list that would be deleted."""
    if not needing:
        return
    if not override:
        counts = ", ".join(f"{kind}: {number}" for kind, number in retention.counts(needing))
        raise NeededAsEvidence(
            f"Cases need the items of the list {name} ({counts}; such as case {min(needing)}). "
            "Close these cases first. An administrator may override this with a reason."
        )
    check(by, OVERRIDE)
    if not reason.strip():
        raise UserError("Say why: what cases need is deleted for a reason.", field="reason")
