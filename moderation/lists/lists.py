"""Lists and how each uses its match types: made, changed, deleted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import models, transaction
from django.db.models import F

from gallery.items.file_storage import delete_after_commit
from gallery.shared.errors import Conflict, NotFound
from moderation.access.permissions import Actor, NotAllowed, check
from moderation.audit import trail
from moderation.lists import (
    freed,
    needed,
    retro_scan,
    thresholds,
    weakening,
)
from moderation.lists.list_values import (
    FIELDS,
    METHOD_FIELDS,
    STRICTNESS,
    Facts,
    InvalidList,
    check_method,
    differing,
    list_facts,
    method_facts,
    reach,
    save_list,
    set_allows_for,
    set_fields,
)
from moderation.lists.models import (
    BannedFingerprint,
    BannedItem,
    BannedList,
    ListMethod,
)
from moderation.lists.verdicts import PICTURE_TYPES, Action

__all__ = ["FIELDS", "METHOD_FIELDS", "InvalidList"]


@weakening.deferrable
def create_list(*, by: Actor, name: str, reason: str = "", **fields: Any) -> BannedList:
    """Make a list with a method for each match type: pdq and copy on, imgsmlr and clip off.

    ``fields``: those of ``FIELDS``, and ``allows_for``, ids of the lists that an allow list
    outranks. It only notes what it would do (``shadow``) unless ``action`` says otherwise.
    Raises ``NotAllowed``, ``InvalidList``, ``Conflict`` for a name that is taken, and
    ``NeedsSecondPerson`` for an allow list that the caller may not make alone.
    """
    check(by, "edit lists")
    asked = {"name": name, **fields}
    allows_for = fields.pop("allows_for", ())
    made = BannedList()
    set_fields(made, {"name": name, **fields}, FIELDS)
    save_list(made)
    set_allows_for(made, allows_for)
    if made.kind == BannedList.Kind.ALLOW and made.enabled:
        weakening.check(
            by,
            BannedList(name=name),
            ["a new allow list outranks others"],
            command="create_list",
            reason=reason,
            arguments=asked,
            critical=weakening.critical_for(allows_for),
        )
    ListMethod.objects.bulk_create(
        ListMethod(list=made, match_type=match_type, enabled=match_type in thresholds.ON_AT_FIRST)
        for match_type in PICTURE_TYPES
    )
    trail.record(
        by=by.name, verb="list.created", subject=made, after=list_facts(made), reason=reason
    )
    return made


@weakening.deferrable
def change_list(*, by: Actor, list_id: int, reason: str = "", **fields: Any) -> BannedList:
    """Set some of ``FIELDS`` and ``allows_for``. What changes nothing leaves no trace.

    A list that becomes hash-only loses the pictures and vectors of its items for good. One that
    is enabled or acts more strictly is looked for in what is already here; so is what an allow list
    has freed, if it frees less. Raises ``NotAllowed``, ``NotFound``, ``InvalidList``, ``Conflict``
    for a name that is taken or another kind of a list that has items, and ``NeedsSecondPerson``
    where the list is weakened and the caller may not do that alone.
    """
    check(by, "edit lists")
    row = locked(list_id)
    before, was = list_facts(row), BannedList(name=row.name, pk=row.pk, severity=row.severity)
    asked = dict(fields)
    allows_for = fields.pop("allows_for", before["allows_for"])
    set_fields(row, fields, FIELDS)
    save_list(row)
    set_allows_for(row, allows_for)
    after = list_facts(row)
    changed = differing(before, after)
    if not changed:
        return row
    if "kind" in changed and row.items.exists():
        raise Conflict("A list that has items stays what it is; make another list.", field="kind")
    allows = row.kind == BannedList.Kind.ALLOW
    weakening.check(
        by,
        was,
        weakening.of_list(before, after),
        command="change_list",
        reason=reason,
        arguments={"list_id": list_id, **asked},
        critical=weakening.critical_for(after["allows_for"]) if allows else None,
    )
    if "hash_only" in changed and row.hash_only:
        forget_media(row.items.all())
    touch([row.pk])
    if why := _why_scan(changed, before, after):
        scan(row, by=by, reason=why)
    if allows and _frees_less(before, after):
        freed.screen_again(row.items.all())
    row.refresh_from_db()
    trail.record(
        by=by.name,
        verb="list.changed",
        subject=row,
        before={name: before[name] for name in changed},
        after={name: after[name] for name in changed},
        reason=reason,
    )
    return row


@weakening.deferrable
def change_method(
    *, by: Actor, list_id: int, match_type: str, reason: str = "", **fields: Any
) -> ListMethod:
    """Set some of ``METHOD_FIELDS`` of one match type; ``None`` is the default distance.

    A method that is switched on or reaches further is looked for in what is already here. Raises
    ``NotAllowed``, ``NotFound``, ``InvalidList``, and ``NeedsSecondPerson`` as ``change_list``.
    """
    check(by, "edit lists")
    row = locked(list_id)
    method = row.methods.filter(match_type=match_type).first()
    if method is None:
        raise NotFound(f"{match_type!r} is none of {', '.join(PICTURE_TYPES)}.", field="match_type")
    before, reached = method_facts(method), reach(method)
    set_fields(method, fields, METHOD_FIELDS)
    check_method(method)
    changed = differing(before, method_facts(method))
    if not changed:
        return method
    weakening.check(
        by,
        row,
        weakening.of_method(row, method, before),
        command="change_method",
        reason=reason,
        arguments={"list_id": list_id, "match_type": match_type, **fields},
    )
    method.save()
    touch([row.pk])
    if reach(method) > reached:
        scan(row, by=by, reason=f"{match_type} reaches further")
    trail.record(
        by=by.name,
        verb="list.method_changed",
        subject=row,
        before={"match_type": match_type, **{name: before[name] for name in changed}},
        after={"match_type": match_type, **{name: getattr(method, name) for name in changed}},
        reason=reason,
    )
    return method


@weakening.deferrable
def delete_list(
    *,
    by: Actor,
    list_id: int,
    with_items: bool = False,
    override: bool = False,
    reason: str = "",
) -> None:
    """Delete a list, and with ``with_items`` all that is on it, for good.

    What was matched and decided stays, without the items. ``override``: also if cases still need
    them, for a reason. Raises ``NotAllowed``, ``NotFound``, ``Conflict`` for a list that has
    items or that a case needs, and ``NeedsSecondPerson`` as ``change_list`` does.
    """
    check(by, "delete lists")
    row = locked(list_id)
    count = row.items.count()
    if count and not with_items:
        raise Conflict(
            f"The list {row.name} has {count} items: move them first, or say that they are to be "
            "deleted with it."
        )
    needing = needed.needing([row.pk])
    needed.check_needed(needing, row.name, by=by, override=override, reason=reason)
    allows = row.kind == BannedList.Kind.ALLOW
    weakening.check(
        by,
        row,
        ["the list is deleted"] if row.enabled and not allows else [],
        command="delete_list",
        reason=reason,
        arguments={"list_id": list_id, "with_items": with_items, "override": override},
    )
    if allows:
        freed.screen_again(row.items.all())
    before = {**list_facts(row), "version": row.version, "items": count, "needed_by": list(needing)}
    imports = row.imports.exclude(file="")
    delete_after_commit([*_pictures(row.items.all()), *imports.values_list("file", flat=True)])
    row.items.all().delete()
    row.delete()
    trail.record(
        by=by.name,
        verb="list.deleted",
        subject=BannedList(pk=list_id),
        before=before,
        count=count + 1,
        reason=reason,
    )


@transaction.atomic
def delete_lists(*, by: Actor, list_ids: Iterable[int], **fields: Any) -> None:
    """``delete_list`` for each of them, or for none."""
    for pk in sorted(set(list_ids)):
        delete_list(by=by, list_id=pk, **fields)


def touch(list_ids: Iterable[int]) -> None:
    """Raise the versions of lists, in the transaction that changed them or their items."""
    ids = sorted(set(list_ids))
    lock(ids)
    BannedList.objects.filter(pk__in=ids).update(version=F("version") + 1)


def lock(list_ids: Iterable[int]) -> None:
    """Lock the rows of lists to the end of the transaction, before any of their items: in this one
    order, by id, no two commands can each wait for the other.

    The key stays free, so that uploads whose matches name the lists do not wait.
    """
    rows = BannedList.objects.select_for_update(no_key=True).filter(pk__in=set(list_ids))
    list(rows.order_by("pk").values("pk"))


def locked(list_id: int) -> BannedList:
    """The list's row, locked to the end of the transaction. Raises ``NotFound``."""
    row = BannedList.objects.select_for_update(no_key=True).filter(pk=list_id).first()
    if row is None:
        raise NotFound(f"There is no list {list_id}.", field="list")
    return row


def check_may_add(by: Actor, row: BannedList) -> None:
    """Raise ``NotAllowed`` for a key that would add to an allow list: what is let through although
    it is banned is for a person to say."""
    if row.kind == BannedList.Kind.ALLOW and by.via_key:
        raise NotAllowed("A key may not add to an allow list: that is for a person to do.")


def scan(
    row: BannedList, *, by: Actor, reason: str, item_id: int | None = None, after_item: int = 0
) -> None:
    """Have what is already here looked through for a list's items, if the list bans anything."""
    if row.enabled and row.kind == BannedList.Kind.BANNED:
        retro_scan.start(
            by=by, list_id=row.pk, item_id=item_id, after_item=after_item, reason=reason
        )


def forget_media(items: models.QuerySet[BannedItem]) -> None:
    """Delete pictures and vectors of items, for good; their hashes stay."""
    delete_after_commit(_pictures(items))
    BannedFingerprint.objects.filter(item__in=items.values("pk")).delete()
    items.exclude(picture="").update(picture="")


def _pictures(items: models.QuerySet[BannedItem]) -> list[str]:
    return list(items.exclude(picture="").values_list("picture", flat=True))


def _why_scan(changed: set[str], before: Facts, after: Facts) -> str:
    if "enabled" in changed:
        return "list enabled"
    stricter = STRICTNESS[Action(after["action"])] > STRICTNESS[Action(before["action"])]
    return "list made stricter" if stricter else ""


def _frees_less(before: Facts, after: Facts) -> bool:
    """Whether an allow list outranks fewer lists than before; no ids: all."""
    if not before["enabled"]:
        return False
    old, new = set(before["allows_for"]), set(after["allows_for"])
    return not after["enabled"] or bool(new and (not old or old - new))
