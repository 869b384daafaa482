"""Lists and their methods: what can be set, who may, and what each change leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from gallery.shared.errors import Conflict, NotFound
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.audit import trail
from moderation.audit.models import AuditEvent
from moderation.lists import list_writes, thresholds
from moderation.lists.list_writes import InvalidList
from moderation.lists.models import BannedItem, BannedList, ListMethod, RetroScan
from tests.moderation.factories import ADMIN, make_item, make_list, make_person

pytestmark = pytest.mark.django_db

A, B = "a1" * 32, "b2" * 32


def events() -> list[str]:
    return list(AuditEvent.objects.order_by("id").values_list("verb", flat=True))


def version(row: BannedList) -> int:
    return BannedList.objects.get(pk=row.pk).version


def test_a_new_list_only_notes_and_uses_pdq_and_copies() -> None:
    made = list_writes.create_list(by=ADMIN, name="terror", category="tvec", reason="asked for")
    assert (made.action, made.enabled, made.hold_on_review) == ("shadow", True, True)
    enabled = dict(made.methods.values_list("match_type", "enabled"))
    assert enabled == {"pdq": True, "copy": True, "imgsmlr": False, "clip": False}
    (event,) = AuditEvent.objects.all()
    assert (event.verb, event.actor, event.reason) == ("list.created", "command", "asked for")
    assert event.after["category"] == "tvec"


def test_a_name_is_there_once() -> None:
    first = list_writes.create_list(by=ADMIN, name="terror")
    other = list_writes.create_list(by=ADMIN, name="other")
    with pytest.raises(Conflict) as caught:
        list_writes.create_list(by=ADMIN, name="terror")
    assert caught.value.existing_id == first.pk
    with pytest.raises(Conflict, match="terror already"):
        list_writes.change_list(by=ADMIN, list_id=other.pk, name="terror")
    assert events() == ["list.created", "list.created"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"kind": "grey"}, "kind"),
        ({"action": "explode"}, "action"),
        ({"severity": 9}, "severity"),
        ({"observe_share": 1.5}, "observe_share"),
        ({"observe_share": float("nan")}, "observe_share"),
        ({"flood_limit": "many"}, "flood_limit"),
        ({"kind": "allow", "two_person": True}, "two_person"),
        ({"allows_for": [1]}, "allows_for"),
        ({"kind": "allow", "allows_for": [10**9]}, "allows_for"),
    ],
)
def test_what_a_list_cannot_be(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidList) as caught:
        list_writes.create_list(by=ADMIN, **{"name": "x", **fields})
    assert caught.value.field == field
    assert not BannedList.objects.exists()
    assert not AuditEvent.objects.exists()


def test_a_misspelt_field_is_an_error_of_the_program() -> None:
    with pytest.raises(TypeError, match="colour"):
        list_writes.create_list(by=ADMIN, name="x", colour="red")


def test_a_change_says_what_was_and_what_is() -> None:
    row = list_writes.create_list(by=ADMIN, name="terror")
    list_writes.change_list(by=ADMIN, list_id=row.pk, action="block", owner="ana", reason="proved")
    event = AuditEvent.objects.latest("id")
    assert event.before == {"action": "shadow", "owner": ""}
    assert event.after == {"action": "block", "owner": "ana"}
    assert (event.subject, event.subject_id) == ("moderation.bannedlist", row.pk)
    assert version(row) == 2


def test_what_changes_nothing_leaves_no_trace() -> None:
    row = list_writes.create_list(by=ADMIN, name="terror")
    list_writes.change_list(by=ADMIN, list_id=row.pk, name="terror")
    list_writes.change_method(by=ADMIN, list_id=row.pk, match_type="pdq", threshold=None)
    assert events() == ["list.created"]
    assert version(row) == 1
    assert not RetroScan.objects.exists()


def test_no_list_of_that_id() -> None:
    for call in (list_writes.change_list, list_writes.delete_list):
        with pytest.raises(NotFound, match="no list 77"):
            call(by=ADMIN, list_id=77)
    with pytest.raises(NotFound):
        list_writes.change_method(by=ADMIN, list_id=77, match_type="pdq", enabled=False)


@pytest.mark.parametrize(
    ("before", "change", "scans"),
    [
        ({"action": "shadow"}, {"action": "review"}, 1),
        ({"action": "review"}, {"action": "block"}, 1),
        ({"action": "block"}, {"action": "review"}, 0),
        ({"enabled": False}, {"enabled": True}, 1),
        ({"enabled": True}, {"enabled": False}, 0),
        ({"enabled": False}, {"action": "block"}, 0),
        ({"kind": "allow", "enabled": False}, {"enabled": True}, 0),
        ({}, {"owner": "bo"}, 0),
    ],
)
def test_a_list_that_catches_more_is_looked_for(
    before: dict[str, Any], change: dict[str, Any], scans: int
) -> None:
    row = list_writes.create_list(by=ADMIN, name="x", **before)
    list_writes.change_list(by=ADMIN, list_id=row.pk, **change)
    assert RetroScan.objects.filter(list=row).count() == scans


@pytest.mark.parametrize(
    ("match_type", "before", "change", "scans"),
    [
        ("pdq", {}, {"threshold": 40}, 1),
        ("pdq", {"threshold": 40}, {"threshold": None}, 0),
        ("pdq", {"threshold": 10}, {"threshold": None}, 1),
        ("pdq", {}, {"observe": 60}, 0),
        ("clip", {}, {"threshold": 0.5}, 0),
        ("clip", {}, {"enabled": True}, 1),
        ("pdq", {}, {"enabled": False}, 0),
    ],
)
def test_a_method_that_reaches_further_is_looked_for(
    match_type: str, before: dict[str, Any], change: dict[str, Any], scans: int
) -> None:
    row = list_writes.create_list(by=ADMIN, name="x")
    ListMethod.objects.filter(list=row, match_type=match_type).update(**before)
    list_writes.change_method(by=ADMIN, list_id=row.pk, match_type=match_type, **change)
    assert RetroScan.objects.filter(list=row).count() == scans
    assert version(row) == 2
    assert events() == ["list.created", "list.method_changed"]


@pytest.mark.parametrize(
    ("match_type", "fields", "field"),
    [
        ("pdq", {"threshold": -1}, "threshold"),
        ("pdq", {"threshold": 257}, "threshold"),
        ("pdq", {"threshold": float("nan")}, "threshold"),
        ("copy", {"threshold": 1.01}, "threshold"),
        ("pdq", {"threshold": "far"}, "threshold"),
        ("pdq", {"observe": 30}, "observe"),
        ("pdq", {"threshold": 40, "observe": 39}, "observe"),
        ("pdq", {"may_block": True}, "may_block"),
    ],
)
def test_what_a_method_cannot_be(match_type: str, fields: dict[str, Any], field: str) -> None:
    row = list_writes.create_list(by=ADMIN, name="x")
    with pytest.raises(InvalidList) as caught:
        list_writes.change_method(by=ADMIN, list_id=row.pk, match_type=match_type, **fields)
    assert caught.value.field == field
    assert events() == ["list.created"]


def test_clip_may_block_where_a_list_says_so() -> None:
    row = list_writes.create_list(by=ADMIN, name="x")
    list_writes.change_method(by=ADMIN, list_id=row.pk, match_type="clip", may_block=True)
    assert row.methods.get(match_type="clip").may_block


def test_an_unknown_match_type() -> None:
    row = list_writes.create_list(by=ADMIN, name="x")
    with pytest.raises(NotFound, match="none of pdq, copy"):
        list_writes.change_method(by=ADMIN, list_id=row.pk, match_type="md5", enabled=False)


def test_the_bounds_of_a_method() -> None:
    assert thresholds.effective("pdq", None, None) == thresholds.Thresholds(31, 52)
    assert thresholds.effective("pdq", 10, None) == thresholds.Thresholds(10, 52)
    assert thresholds.effective("pdq", 60, None) == thresholds.Thresholds(60, 60)
    assert thresholds.effective("clip", None, 0.3) == thresholds.Thresholds(0.1, 0.3)


def test_a_list_with_items_stays_what_it_is() -> None:
    row = make_list()
    make_item(row, ("sha256", A))
    with pytest.raises(Conflict, match="cannot change"):
        list_writes.change_list(by=ADMIN, list_id=row.pk, kind="allow")
    assert BannedList.objects.get(pk=row.pk).kind == "banned"


def test_an_allow_list_names_the_lists_it_outranks() -> None:
    banned, other = make_list(), make_list()
    allow = list_writes.create_list(by=ADMIN, name="ours", kind="allow", allows_for=[banned.pk])
    list_writes.change_list(by=ADMIN, list_id=allow.pk, allows_for=[other.pk])
    assert list(allow.allows_for.all()) == [other]
    event = AuditEvent.objects.latest("id")
    assert (event.before, event.after) == (
        {"allows_for": [banned.pk]},
        {"allows_for": [other.pk]},
    )


def test_a_list_with_items_is_deleted_only_with_them() -> None:
    row = make_list("terror")
    make_item(row, ("sha256", A))
    make_item(row, ("sha256", B))
    with pytest.raises(Conflict, match="has 2 items"):
        list_writes.delete_list(by=ADMIN, list_id=row.pk)
    assert row.items.count() == 2
    list_writes.delete_list(by=ADMIN, list_id=row.pk, with_items=True, reason="contract ended")
    assert not BannedList.objects.exists()
    assert not BannedItem.objects.exists()
    (event,) = AuditEvent.objects.all()
    assert (event.verb, event.count, event.subject_id) == ("list.deleted", 3, row.pk)
    assert event.before["name"] == "terror"


def test_touching_raises_each_version_once() -> None:
    first, second, third = make_list(), make_list(), make_list()
    list_writes.touch([first.pk, second.pk, first.pk])
    assert [version(row) for row in (first, second, third)] == [2, 2, 1]


ALLOWED = {
    "create": Role.LEAD,
    "change": Role.LEAD,
    "method": Role.LEAD,
    "delete": Role.ADMIN,
}


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("command", list(ALLOWED))
def test_who_may(command: str, role: Role) -> None:
    row = make_list()
    by = Actor.person(make_person(role))
    calls: dict[str, Any] = {
        "create": lambda: list_writes.create_list(by=by, name="new"),
        "change": lambda: list_writes.change_list(by=by, list_id=row.pk, owner="x"),
        "method": lambda: list_writes.change_method(
            by=by, list_id=row.pk, match_type="pdq", enabled=False
        ),
        "delete": lambda: list_writes.delete_list(by=by, list_id=row.pk),
    }
    if role >= ALLOWED[command]:
        calls[command]()
        assert AuditEvent.objects.count() == 1
        assert list(trail.find_breaks()) == []
    else:
        with pytest.raises(NotAllowed):
            calls[command]()
        assert not AuditEvent.objects.exists()
