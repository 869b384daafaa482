"""Receivers of signals about images, videos, and users' roles."""

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
from gallery.items.signals import (
    changed,
    exported,
    files_deleted,
    overriding,
    pictures_found,
    version_replaced,
)
from moderation.access.permissions import GROUPS
from moderation.audit import people, trail
from moderation.cases import retention, signals
from moderation.cases.models import Decision, ReviewCase
from moderation.lists import describing, rescans
from moderation.reports import notices, statements
from moderation.webhooks import outbox
from videos.models import Video

WEBHOOK_VERBS = frozenset({"published", "released", "failed"})
"""Verbs after which an image or a video is ready, failed, or withheld."""


@receiver(changed)
def record_change(
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
    """Record each command of the lower apps, unless it is part of a command that records itself."""
    if trail.within_a_command():
        return
    one = len(rows) == 1
    trail.record(
        by=by,
        verb=f"{sender._meta.model_name}.{verb.replace(' ', '_')}",
        subject=rows[0] if one else sender,
        before=before if one else {"was": before, **trail.summarize_ids([row.pk for row in rows])},
        after=after if batch is None else {"is": after, "batch": batch},
        count=len(rows),
        reason=reason,
    )


@receiver(exported)
def record_export(sender: type[Model], by: str, count: int, **_: Any) -> None:
    trail.record(by=by, verb=f"{sender._meta.model_name}.exported", subject=sender, count=count)


@receiver(overriding)
def keep_case_evidence(sender: type[Item], rows: Sequence[Item], act: Act, **_: Any) -> None:
    """Keep the evidence of cases whose withheld items are released or deleted by an override."""
    retention.keep_before_override(sender, rows, act)


@receiver(changed)
def enqueue_webhooks(sender: type[Model], verb: str, rows: Sequence[Model], **_: Any) -> None:
    """Enqueue webhook messages about images and videos that became ready or failed."""
    if issubclass(sender, Item) and verb in WEBHOOK_VERBS:
        outbox.enqueue_item_events(cast(Sequence[Image | Video], rows))


@receiver(files_deleted)
def delete_case_pictures(sender: type[Item], rows: Sequence[Item], by: str, **_: Any) -> None:
    """Delete the pictures that cases keep of items whose files are deleted."""
    retention.delete_pictures_of(sender, rows, by)


@receiver(pictures_found)
def screen_found_pictures(ids: Sequence[int], **_: Any) -> None:
    """Screen pictures of an image that older code did not find."""
    rescans.screen_images(ids)


@receiver(signals.withheld)
def state_why_withheld(case: ReviewCase, **_: Any) -> None:
    statements.follow_withheld(case)


@receiver(signals.decided)
def report_decisions(decisions: Sequence[Decision], **_: Any) -> None:
    statements.follow_decisions(decisions)
    notices.follow_decisions(decisions)


@receiver(signals.undone)
def report_undone(decisions: Sequence[Decision], **_: Any) -> None:
    statements.follow_decisions(decisions, undone=True)
    notices.follow_decisions(decisions)


@receiver(m2m_changed, sender=User.groups.through)
def grant_admin_login(
    action: str, instance: Any, reverse: bool, pk_set: Collection[int] | None, **_: Any
) -> None:
    """Allow a user who gets a role to log in to the admin."""
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
def record_role_changes(
    action: str, instance: Any, reverse: bool, pk_set: Collection[int] | None, **_: Any
) -> None:
    """Record each role given or taken, from the user's side or the group's."""
    if action == "pre_clear":
        related = instance.user_set if reverse else instance.groups
        pk_set = set(related.values_list("pk", flat=True))
    elif action not in ("post_add", "post_remove"):
        return
    given, others = action == "post_add", pk_set or ()
    if reverse:
        people.record_roles(others, people.roles_of([instance.pk]), given=given)
    else:
        people.record_roles([instance.pk], people.roles_of(others), given=given)


@receiver(m2m_changed, sender=User.user_permissions.through)
@receiver(m2m_changed, sender=Group.permissions.through)
def record_permission_changes(
    action: str, instance: Any, reverse: bool, pk_set: Collection[int] | None, **_: Any
) -> None:
    """Record permissions given to a user or a group, or taken, except by migrations."""
    if reverse or not people.in_request():
        return
    if action == "pre_clear":
        held = instance.user_permissions if isinstance(instance, User) else instance.permissions
        pk_set = set(held.values_list("pk", flat=True))
    elif action not in ("post_add", "post_remove"):
        return
    people.record_permissions(instance, pk_set or (), given=action == "post_add")


@receiver(pre_delete, sender=User)
@receiver(pre_delete, sender=Group)
def record_role_losses(instance: User | Group, **_: Any) -> None:
    """Record the roles lost with a deleted user or group."""
    if isinstance(instance, User):
        groups = list(instance.groups.values_list("pk", flat=True))
        people.record_roles([instance.pk], people.roles_of(groups), given=False)
    else:
        members = list(instance.user_set.values_list("pk", flat=True))
        people.record_roles(members, people.roles_of([instance.pk]), given=False)


@receiver(version_replaced)
def drop_vectors_of_items(version: str, **_: Any) -> None:
    describing.drop_version(version)
