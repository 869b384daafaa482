"""What moderation hears of: changes of images and videos, and people who are given roles."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, cast

from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.db.models.signals import m2m_changed, pre_delete
from django.dispatch import receiver

from gallery.items.item import Item
from gallery.items.models import Image
from gallery.items.retention import Act
from gallery.items.signals import changed, overriding, pictures_found
from moderation.access.permissions import GROUPS
from moderation.audit import roles, trail
from moderation.cases import retention
from moderation.lists import rescans
from moderation.webhooks import outbox
from videos.models import Video

ANNOUNCED = frozenset({"published", "released", "failed"})
"""Verbs after which an image or a video is ready, failed, or held back."""


@receiver(changed)
def write_down(
    sender: type[Model],
    by: str,
    verb: str,
    rows: Sequence[Model],
    before: Any,
    after: Any,
    reason: str,
    batch: int | None,
    **_: Any,
) -> None:
    """Every command of the lower apps is an event, unless it is part of one that writes its own."""
    if trail.within_a_command():
        return
    one = len(rows) == 1
    trail.record(
        by=by,
        verb=f"{sender._meta.model_name}.{verb.replace(' ', '_')}",
        subject=rows[0] if one else sender,
        before=before if one else {"was": before, **trail.named([row.pk for row in rows])},
        after=after if batch is None else {"is": after, "batch": batch},
        count=len(rows),
        reason=reason,
    )


@receiver(overriding)
def keep_evidence(sender: type[Item], rows: Sequence[Item], act: Act, **_: Any) -> None:
    """What cases withhold is released or deleted all the same."""
    retention.let_go(sender, rows, act)


@receiver(changed)
def announce(sender: type[Model], verb: str, rows: Sequence[Model], **_: Any) -> None:
    """Webhooks hear of images and videos that can be found now, or that never will."""
    if issubclass(sender, Item) and verb in ANNOUNCED:
        outbox.enqueue_item_events(cast(Sequence[Image | Video], rows))


@receiver(pictures_found)
def screen_found(ids: Sequence[int], **_: Any) -> None:
    """Pictures that older code did not see were never screened."""
    rescans.screen_images(ids)


@receiver(m2m_changed, sender=User.groups.through)
def let_in(
    action: str, instance: Any, reverse: bool, pk_set: Collection[int] | None, **_: Any
) -> None:
    """Whoever is given a role may log in to the admin, which shows what the role allows."""
    if action != "post_add" or not pk_set:
        return
    if reverse:
        users = User.objects.filter(pk__in=pk_set) if instance.name in GROUPS else None
    else:
        given = Group.objects.filter(pk__in=pk_set, name__in=GROUPS).exists()
        users = User.objects.filter(pk=instance.pk) if given else None
    if users is None:
        return
    users.update(is_staff=True)
    if not reverse:
        instance.is_staff = True


@receiver(m2m_changed, sender=User.groups.through)
def write_down_roles(
    action: str, instance: Any, reverse: bool, pk_set: Collection[int] | None, **_: Any
) -> None:
    """Every role that is given or taken is an event, by the page of a user or of a group."""
    if action == "pre_clear":
        related = instance.user_set if reverse else instance.groups
        pk_set = set(related.values_list("pk", flat=True))
    elif action not in ("post_add", "post_remove"):
        return
    given, others = action == "post_add", pk_set or ()
    if reverse:
        roles.record_roles(others, roles.roles_of([instance.pk]), given=given)
    else:
        roles.record_roles([instance.pk], roles.roles_of(others), given=given)


@receiver(pre_delete, sender=User)
@receiver(pre_delete, sender=Group)
def write_down_leaving(instance: User | Group, **_: Any) -> None:
    """A user who is deleted loses all roles, and with a group everybody loses one."""
    if isinstance(instance, User):
        groups = list(instance.groups.values_list("pk", flat=True))
        roles.record_roles([instance.pk], roles.roles_of(groups), given=False)
    else:
        members = list(instance.user_set.values_list("pk", flat=True))
        roles.record_roles(members, roles.roles_of([instance.pk]), given=False)
