"""Lists, items, cases and people that tests start from, made by the shortest way."""

from __future__ import annotations

import secrets
from typing import Any

from django.contrib.auth.models import Group, User

from gallery.items.models import Image
from moderation.access.permissions import Actor, Role
from moderation.cases.models import CaseMatch, ReviewCase
from moderation.lists.models import BannedHash, BannedItem, BannedList, ListMethod
from moderation.lists.verdicts import PICTURE_TYPES, Action, Verdict

ADMIN = Actor.machine("command")
DEFAULT_ON = ("pdq", "copy")


def make_person(role: Role, name: str = "") -> User:
    """A user who can log in to the admin and has had that role for long."""
    user = User.objects.create_user(name or secrets.token_hex(4), password="x", is_staff=True)
    if role is not Role.NOBODY:
        group, _ = Group.objects.get_or_create(name=role.name.lower())
        # Told to nobody, so that the audit of a test begins with what the test does.
        User.groups.through.objects.create(user=user, group=group)
    return user


def make_list(name: str = "", action: Action = Action.BLOCK, **fields: Any) -> BannedList:
    """An enabled list that acts, with a row for each match type."""
    made = BannedList.objects.create(name=name or secrets.token_hex(4), action=action, **fields)
    ListMethod.objects.bulk_create(
        ListMethod(list=made, match_type=name, enabled=name in DEFAULT_ON) for name in PICTURE_TYPES
    )
    return made


def make_item(
    on: BannedList, *hashes: tuple[str, str] | tuple[str, str, int], **fields: Any
) -> BannedItem:
    """An item with hashes: (kind, hex) or (pdq, hex, quality)."""
    item = BannedItem.objects.create(list=on, added_by="test", **fields)
    for kind, value, *quality in hashes:
        BannedHash.objects.create(
            item=item, kind=kind, value=value, quality=next(iter(quality), None)
        )
    return item


def make_case(item: BannedItem, image: Image | None = None, **fields: Any) -> ReviewCase:
    """A case with one PDQ match at distance 12 of 31."""
    values: dict[str, Any] = {
        "origin": ReviewCase.Origin.UPLOAD,
        "verdict": Verdict.REVIEW,
        "severity": item.list.severity,
        "cluster": image.sha256 if image else secrets.token_hex(32),
        "image": image,
        "evidence": {"sha256": image.sha256 if image else secrets.token_hex(32)},
    }
    distance = fields.pop("distance", 12.0)
    case = ReviewCase.objects.create(**{**values, **fields})
    CaseMatch.objects.create(
        case=case,
        image=image,
        list=item.list,
        item=item,
        sha256=case.evidence["sha256"],
        list_name=item.list.name,
        list_version=item.list.version,
        source=item.source,
        match_type="pdq",
        distance=distance,
        threshold=31,
        observe=52,
        quality=90,
        verdict=Verdict.REVIEW,
    )
    return case
