"""Create, change and delete lists and their methods."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import F
from django.utils.module_loading import import_string
from django.utils.translation import gettext

from gallery.items import retention
from gallery.items.file_storage import delete_after_commit
from gallery.items.retention import WithheldReason
from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import OVERRIDE, Actor, NotAllowed, check
from moderation.audit import trail
from moderation.lists import rescans, thresholds, weakening
from moderation.lists.models import BannedFingerprint, BannedItem, BannedList, ListMethod
from moderation.lists.verdicts import PICTURE_TYPES, PROVING, is_stricter
from moderation.lists.weakening import Facts


@weakening.deferrable
def create_list(*, by: Actor, name: str, reason: str = "", **fields: Any) -> BannedList:
    """Create a list with a method for each match type: pdq and copy on, imgsmlr and clip off.

    ``fields``: those of ``FIELDS``, and ``allows_for``, the ids of the lists that an allow list has
    priority over. The action is ``shadow`` unless given. Raises ``NotAllowed``, ``InvalidList``,
    ``Conflict`` if the name is taken, and ``NeedsSecondPerson`` for an allow list that the caller
    may not create alone.
    """
    check(by, "edit lists")
    asked = {"name": name, **fields}
    allows_for = fields.pop("allows_for", ())
    made = BannedList()
    set_fields(made, {"name": name, **fields}, FIELDS)
    save_list(made, allows_for)
    if made.is_allow_list and made.enabled:
        weakening.check(
            by,
            BannedList(name=name),
            ["a new allow list has priority over other lists"],
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
    """Set some of ``FIELDS`` and ``allows_for``. If nothing changes, nothing is recorded.

    If a list becomes hash-only, the pictures and vectors of its items are deleted. If it is enabled
    or becomes stricter, a rescan is queued. If an allow list allows less, the files it allowed are
    screened again. Raises ``NotAllowed``, ``NotFound``, ``InvalidList``, ``Conflict`` if the name
    is taken or if the kind of a list with items would change, and ``NeedsSecondPerson`` if the
    change weakens the list and the caller may not make it alone.
    """
    check(by, "edit lists")
    row = locked(list_id)
    before, was = list_facts(row), BannedList(name=row.name, pk=row.pk, severity=row.severity)
    asked = dict(fields)
    allows_for = fields.pop("allows_for", before["allows_for"])
    set_fields(row, fields, FIELDS)
    save_list(row, allows_for)
    after = list_facts(row)
    changed = differing(before, after)
    if not changed:
        return row
    if "kind" in changed and row.items.exists():
        raise Conflict(
            gettext("The kind of a list that has items cannot change; make another list."),
            field="kind",
        )
    allows = row.is_allow_list
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
    if allows and _allows_less(before, after):
        rescans.screen_allowed(row.items.all())
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
    """Set some of ``METHOD_FIELDS`` of one match type. ``None`` means the default distance.

    If the method is switched on or its threshold is raised, a rescan is queued. Raises
    ``NotAllowed``, ``NotFound``, ``InvalidList``, and ``NeedsSecondPerson`` as in ``change_list``.
    """
    check(by, "edit lists")
    row = locked(list_id)
    method = row.methods.filter(match_type=match_type).first()
    if method is None:
        raise NotFound(
            gettext("%(match_type)r is none of %(choices)s.")
            % {"match_type": match_type, "choices": ", ".join(PICTURE_TYPES)},
            field="match_type",
        )
    before, reached = method_facts(method), reach(method)
    set_fields(method, fields, METHOD_FIELDS)
    for problem in method_problems(method):
        raise problem
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
        scan(row, by=by, reason=f"{match_type} has a higher threshold")
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
    """Delete a list. With ``with_items``, also delete all its items.

    Matches and decisions stay, without their items. ``override`` deletes the list even if cases
    need its items; it requires a reason. Raises ``NotAllowed``, ``NotFound``, ``Conflict`` if the
    list has items or a case needs it, and ``NeedsSecondPerson`` as in ``change_list``.
    """
    check(by, "delete lists")
    row = locked(list_id)
    count = row.items.count()
    if count and not with_items:
        raise Conflict(
            gettext(
                "The list %(list)s has %(count)s items: move them first, or delete them with it."
            )
            % {"list": row.name, "count": count}
        )
    needed_by = cases_needing([row.pk])
    check_needed(needed_by, row.name, by=by, override=override, reason=reason)
    allows = row.is_allow_list
    weakening.check(
        by,
        row,
        ["the list is deleted"] if row.enabled and not allows else [],
        command="delete_list",
        reason=reason,
        arguments={"list_id": list_id, "with_items": with_items, "override": override},
    )
    if allows:
        rescans.screen_allowed(row.items.all())
    before = {
        **list_facts(row),
        "version": row.version,
        "items": count,
        "needed_by": list(needed_by),
    }
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
    """Delete all of the lists, or none, as in ``delete_list``."""
    for pk in sorted(set(list_ids)):
        delete_list(by=by, list_id=pk, **fields)


def touch(list_ids: Iterable[int]) -> None:
    """Raise the versions of lists, in the transaction that changed them or their items."""
    ids = sorted(set(list_ids))
    lock(ids)
    BannedList.objects.filter(pk__in=ids).update(version=F("version") + 1)


def lock(list_ids: Iterable[int]) -> None:
    """Lock the rows of lists until the transaction ends. Call it before locking their items.

    The rows are locked in the order of their ids, so that commands cannot deadlock. The key is not
    locked, so uploads whose matches refer to the lists do not wait.
    """
    rows = BannedList.objects.select_for_update(no_key=True).filter(pk__in=set(list_ids))
    list(rows.order_by("pk").values("pk"))


def locked(list_id: int) -> BannedList:
    """Return the list's row, locked until the transaction ends. Raises ``NotFound``."""
    row = BannedList.objects.select_for_update(no_key=True).filter(pk=list_id).first()
    if row is None:
        raise NotFound(gettext("There is no list %(number)s.") % {"number": list_id}, field="list")
    return row


def check_may_add(by: Actor, row: BannedList) -> None:
    """Raise ``NotAllowed`` if an API key would add to an allow list."""
    if row.is_allow_list and by.via_key:
        raise NotAllowed(gettext("An API key may not add to an allow list: a person must do that."))


def scan(
    row: BannedList, *, by: Actor, reason: str, item_id: int | None = None, after_item: int = 0
) -> None:
    """Queue a rescan for a list's items, if the list is enabled and is a banned list."""
    if row.enabled and not row.is_allow_list:
        rescans.start(by=by, list_id=row.pk, item_id=item_id, after_item=after_item, reason=reason)


def picture_name(sha256: str) -> str:
    """Return a new name in the storage for the picture of an item of this file."""
    return f"banned/{sha256[:2]}/{sha256}-{secrets.token_hex(4)}.jpg"


def forget_media(items: models.QuerySet[BannedItem]) -> None:
    """Delete the pictures and vectors of items. Their hashes stay."""
    delete_after_commit(_pictures(items))
    BannedFingerprint.objects.filter(item__in=items.values("pk")).delete()
    items.exclude(picture="").update(picture="")


def _pictures(items: models.QuerySet[BannedItem]) -> list[str]:
    return list(items.exclude(picture="").values_list("picture", flat=True))


def _why_scan(changed: set[str], before: Facts, after: Facts) -> str:
    if "enabled" in changed:
        return "list enabled"
    return "list made stricter" if is_stricter(after["action"], before["action"]) else ""


def _allows_less(before: Facts, after: Facts) -> bool:
    """Whether an allow list has priority over fewer lists than before. No ids means all lists."""
    if not before["enabled"]:
        return False
    old, new = set(before["allows_for"]), set(after["allows_for"])
    return not after["enabled"] or bool(new and (not old or old - new))


FIELDS = (
    "name", "kind", "category", "description", "owner", "severity", "action", "enabled",
    "hold_on_review", "hash_only", "two_person", "flood_limit", "observe_share",
)  # fmt: skip
METHOD_FIELDS = ("enabled", "threshold", "observe", "may_block")


class InvalidList(UserError):
    code = "invalid_list"


def set_fields(row: models.Model, fields: Mapping[str, Any], known: Iterable[str]) -> None:
    """Set and check fields. Raises ``InvalidList``; ``TypeError`` for unknown names."""
    if unknown := fields.keys() - set(known):
        raise TypeError(f"{type(row).__name__} has no {', '.join(sorted(unknown))}")
    for name, value in fields.items():
        setattr(row, name, value)
    try:
        row.clean_fields()
    except ValidationError as error:
        name, messages = next(iter(error.message_dict.items()))
        raise InvalidList(messages[0], field=name) from error


def list_problems(row: BannedList, allows_for: Collection[Any]) -> Iterator[InvalidList]:
    """Yield an error for each field whose value does not fit the other values."""
    if row.is_allow_list and row.two_person:
        yield InvalidList(
            "An allow list has no cases, so two people cannot decide them.", field="two_person"
        )
    if not 0 <= row.observe_share <= 1:
        yield InvalidList("The share is a number from 0 to 1.", field="observe_share")
    if allows_for and not row.is_allow_list:
        yield InvalidList("Only an allow list has priority over others.", field="allows_for")


def save_list(row: BannedList, allows_for: Collection[int]) -> None:
    """Save the list and set ``allows_for``: the lists it has priority over; none means all.

    Raises ``InvalidList``, and ``Conflict`` if the name is taken.
    """
    for problem in list_problems(row, allows_for):
        raise problem
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        taken = BannedList.objects.filter(name=row.name).exclude(pk=row.pk).first()
        if taken is None:
            raise
        raise Conflict(
            gettext("There is a list %(list)s already.") % {"list": row.name},
            existing_id=taken.pk,
            field="name",
        ) from error
    wanted = set(allows_for)
    banned = BannedList.objects.filter(pk__in=wanted, kind=BannedList.Kind.BANNED)
    if lost := wanted - set(banned.values_list("pk", flat=True)):
        raise InvalidList(
            gettext("There is no banned list %(lost)s.") % {"lost": min(lost)}, field="allows_for"
        )
    row.allows_for.set(wanted)


def method_problems(method: ListMethod) -> Iterator[InvalidList]:
    """Yield an error for each distance that is out of range or does not fit the others."""
    largest = thresholds.LARGEST[method.match_type]
    for name in ("threshold", "observe"):
        value = getattr(method, name)
        # The condition is written so that NaN fails as well.
        if value is not None and not 0 <= value <= largest:
            yield InvalidList(
                f"A distance of {method.match_type} is a number from 0 to {largest:g}.", field=name
            )
    if method.observe is not None and method.observe < method.thresholds.threshold:
        yield InvalidList(
            "The near-miss threshold (observe) is not below the threshold.", field="observe"
        )
    if method.may_block and method.match_type in PROVING:
        yield InvalidList(
            f"{method.match_type} may always block by itself; this is for imgsmlr and clip.",
            field="may_block",
        )


def reach(method: ListMethod) -> float:
    """Return the threshold, or -1 if the method is off."""
    return method.thresholds.threshold if method.enabled else -1.0


def list_facts(row: BannedList) -> Facts:
    allowed = sorted(row.allows_for.values_list("pk", flat=True))
    return {**{name: getattr(row, name) for name in FIELDS}, "allows_for": allowed}


def method_facts(method: ListMethod) -> Facts:
    return {name: getattr(method, name) for name in METHOD_FIELDS}


def differing(before: Facts, after: Facts) -> set[str]:
    return {name for name in before if before[name] != after[name]}


class NeededAsEvidence(Conflict):
    code = "withheld"


def cases_needing(list_ids: Iterable[int]) -> dict[int, WithheldReason]:
    """Return case id → reason, for the cases that need items of these lists."""
    ids = list(list_ids)
    return {
        pk: why for name in settings.LIST_GUARDS for pk, why in import_string(name)(ids).items()
    }


def check_needed(
    needing: Mapping[int, WithheldReason], name: str, *, by: Actor, override: bool, reason: str
) -> None:
    """Raise ``NeededAsEvidence`` if cases need the items, unless an admin overrides with a reason.

    ``name``: the name of the list.
    """
    if not needing:
        return
    if not override:
        counts = ", ".join(f"{kind}: {number}" for kind, number in retention.counts(needing))
        raise NeededAsEvidence(
            gettext(
                "Cases need the items of the list %(name)s (%(counts)s; such as case "
                "%(needing)s). Close these cases first. An administrator may override this "
                "with a reason."
            )
            % {"name": name, "counts": counts, "needing": min(needing)}
        )
    check(by, OVERRIDE)
    if not reason.strip():
        raise UserError(gettext("Say why: cases need what is deleted."), field="reason")
