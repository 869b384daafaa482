"""What weakens a list waits for a second person, whichever door asks for it."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.utils import timezone

from gallery.shared.errors import Conflict, UserError
from imgsmlr_site.models import ApiKey
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.audit.models import AuditEvent
from moderation.imports import run, start
from moderation.imports.models import ListImport
from moderation.lists import item_adding, item_changing, list_changes, list_writes, weakening
from moderation.lists.models import BannedItem, BannedList, ListChange
from moderation.lists.verdicts import Severity
from moderation.lists.weakening import NeedsSecondPerson
from tests.moderation.factories import ADMIN, make_item, make_list, make_person

pytestmark = pytest.mark.django_db
KEY = Actor("key:loader", Role.LEAD, via_key=True)
API = "/api/v1/moderation/"


def person(role: Role = Role.LEAD) -> Actor:
    return Actor.person(make_person(role))


def critical(**fields: Any) -> BannedList:
    return make_list(severity=Severity.CRITICAL, two_person=True, **fields)


WEAKER = [
    {"enabled": False},
    {"action": "shadow"},
    {"action": "review"},
    {"hold_on_review": False},
    {"two_person": False},
    {"severity": 1},
    {"hash_only": True},
]


@pytest.mark.parametrize("fields", WEAKER)
@pytest.mark.parametrize("who", ["key", "lead"])
def test_a_weaker_list_waits(fields: dict[str, Any], who: str) -> None:
    row = critical()
    by = KEY if who == "key" else person()
    with pytest.raises(NeedsSecondPerson):
        list_writes.change_list(by=by, list_id=row.pk, reason="why", **fields)
    (name, value), before = next(iter(fields.items())), row
    row.refresh_from_db()
    assert getattr(row, name) == getattr(before, name)
    change = ListChange.objects.get()
    assert (change.asked_by, change.reason, change.state) == (by.name, "why", "waiting")
    # Asked again it is the same; who asked does not confirm it; another lead does.
    with pytest.raises(NeedsSecondPerson):
        list_writes.change_list(by=by, list_id=row.pk, reason="why", **fields)
    assert ListChange.objects.count() == 1
    with pytest.raises(NotAllowed):
        list_changes.confirm(by=by, change_id=change.pk)
    list_changes.confirm(by=person(), change_id=change.pk, reason="seen")
    row.refresh_from_db()
    assert getattr(row, name) == value
    with pytest.raises(Conflict):
        list_changes.confirm(by=person(), change_id=change.pk)
    verbs = set(AuditEvent.objects.values_list("verb", flat=True))
    assert {"change.asked", "change.confirmed", "list.changed"} <= verbs


@pytest.mark.parametrize(
    ("fields", "waits"),
    [
        ({"enabled": False}, True),
        ({"may_block": False}, True),
        ({"threshold": 20}, True),
        ({"threshold": 25}, False),
        ({"threshold": 40}, False),
    ],
)
def test_a_weaker_method_waits_for_a_key(fields: dict[str, Any], waits: bool) -> None:
    row = make_list()
    method = "clip" if "may_block" in fields else "pdq"
    if method == "clip":
        row.methods.filter(match_type="clip").update(enabled=True, may_block=True)
    if waits:
        with pytest.raises(NeedsSecondPerson):
            list_writes.change_method(by=KEY, list_id=row.pk, match_type=method, **fields)
    else:
        list_writes.change_method(by=KEY, list_id=row.pk, match_type=method, **fields)
    assert ListChange.objects.exists() == waits


def test_many_small_steps_are_a_large_one() -> None:
    row = make_list()
    for threshold in (27, 24):
        list_writes.change_method(by=KEY, list_id=row.pk, match_type="pdq", threshold=threshold)
    with pytest.raises(NeedsSecondPerson, match="from 31 to 20"):
        list_writes.change_method(by=KEY, list_id=row.pk, match_type="pdq", threshold=20)


def test_leads_weaken_other_lists_alone_and_admins_every_list_with_a_reason() -> None:
    list_writes.change_list(by=person(), list_id=make_list().pk, enabled=False)
    row, admin = critical(), person(Role.ADMIN)
    with pytest.raises(UserError, match="Say why"):
        list_writes.change_list(by=admin, list_id=row.pk, enabled=False)
    list_writes.change_list(by=admin, list_id=row.pk, enabled=False, reason="a false list")
    with pytest.raises(NeedsSecondPerson):
        list_writes.change_list(
            by=replace(admin, via_key=True), list_id=make_list().pk, enabled=False
        )
    assert not BannedList.objects.get(pk=row.pk).enabled


def test_an_allow_list_is_a_weakening() -> None:
    critical()
    with pytest.raises(NeedsSecondPerson):
        list_writes.create_list(by=person(), name="ours", kind="allow")
    assert not BannedList.objects.filter(name="ours").exists()
    list_changes.confirm(by=person(), change_id=ListChange.objects.get().pk)
    ours, other = BannedList.objects.get(name="ours"), make_list()
    list_writes.change_list(by=person(), list_id=ours.pk, allows_for=[other.pk])
    with pytest.raises(NeedsSecondPerson):
        list_writes.change_list(by=KEY, list_id=ours.pk, allows_for=[])
    with pytest.raises(NotAllowed, match="allow list"):
        item_adding.add_hashes(by=KEY, list_id=ours.pk, hashes=[("sha256", "ab" * 32, None)])
    item_adding.add_hashes(by=person(), list_id=ours.pk, hashes=[("sha256", "ab" * 32, None)])


@pytest.mark.parametrize("command", ["retire", "suspend", "give_opinion", "move"])
def test_many_items_of_a_list_wait(command: str) -> None:
    row, onto = make_list(), make_list()
    for _ in range(weakening.MANY_ITEMS):
        make_item(row, ("md5", secrets.token_hex(16)))
    more = {"give_opinion": {"opinion": "false_positive"}, "move": {"list_id": onto.pk}}
    given: dict[str, Any] = {"reason": "x", **more.get(command, {})}
    matching = BannedItem.objects.matching().filter(list=row, suspended_at=None)
    some = matching.filter(pk__in=matching.order_by("pk").values("pk")[:5])
    run = getattr(item_changing, command)
    assert run(by=KEY, items=some, **given) == 5
    for _ in range(6):
        make_item(row, ("md5", secrets.token_hex(16)))
    with pytest.raises(NeedsSecondPerson):
        run(by=KEY, items=BannedItem.objects.filter(list=row), **given)
    left = matching.count()
    list_changes.confirm(by=person(), change_id=ListChange.objects.get().pk)
    assert matching.count() < left


def test_an_item_that_would_end_now_waits() -> None:
    item = make_item(make_list(), ("md5", "ab" * 16))
    later, now = timezone.now() + timedelta(days=30), timezone.now()
    item_changing.change_item(by=KEY, item_id=item.pk, expires_at=later)
    with pytest.raises(NeedsSecondPerson):
        item_changing.change_item(by=KEY, item_id=item.pk, expires_at=now)
    list_changes.confirm(by=person(), change_id=ListChange.objects.get().pk)
    item.refresh_from_db()
    assert item.expires_at == now


def test_a_change_that_nobody_confirms_ends_and_one_can_be_refused() -> None:
    row, by = make_list(), person()
    for _ in range(2):
        with pytest.raises(NeedsSecondPerson):
            list_writes.change_list(by=KEY, list_id=row.pk, enabled=False)
        change = ListChange.objects.latest("pk")
        ListChange.objects.filter(pk=change.pk).update(expires_at=timezone.now() - timedelta(1))
    with pytest.raises(Conflict, match="has expired"):
        list_changes.confirm(by=by, change_id=change.pk)
    ListChange.objects.filter(pk=change.pk).update(expires_at=timezone.now() + timedelta(1))
    assert list_changes.refuse(by=by, change_id=change.pk, reason="no").state == "refused"
    row.refresh_from_db()
    assert row.enabled


def test_an_import_of_a_key_that_withdraws_waits_for_a_person() -> None:
    row = make_list()
    for _ in range(weakening.MANY_ITEMS + 1):
        make_item(row, ("md5", secrets.token_hex(16)), source="s", source_id=secrets.token_hex(4))
    options = start.Options(source="s", full=True)
    file = ContentFile(b"md5\n" + b"ab" * 16 + b"\n", "a.csv")
    begun = start.begin(by=KEY, list_id=row.pk, file=file, options=options, confirmed=True)
    done = run.run(by=ADMIN, import_id=begun.pk)
    assert (done.state, row.items.filter(state="retired").count()) == ("waiting", 0)
    with pytest.raises(NotAllowed, match="second person"):
        start.confirm(by=KEY, import_id=begun.pk)
    start.confirm(by=person(), import_id=begun.pk)
    assert run.run(by=ADMIN, import_id=begun.pk).state == "done"
    assert row.items.filter(state="retired").count() == weakening.MANY_ITEMS + 1
    assert ListImport.objects.get().agreed_by.startswith("user:")


def test_the_api_says_that_it_waits_and_a_session_confirms() -> None:
    row = make_list()
    _, text = ApiKey.issue(name="loader", scopes=["lists"])
    key = Client(headers={"x-api-key": text})
    path = f"{API}lists/{row.pk}/"
    answer = key.patch(path, {"enabled": False}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "needs_second_person")
    change = answer.json()["existing_id"]
    assert key.post(f"{API}changes/{change}/confirm/", {}).status_code == 403
    waiting = key.get(f"{API}changes/?state=waiting").json()["results"]
    assert [one["id"] for one in waiting] == [change]
    lead = Client()
    lead.force_login(make_person(Role.LEAD))
    assert lead.post(f"{API}changes/{change}/confirm/", {"reason": "ok"}).status_code == 200
    row.refresh_from_db()
    assert not row.enabled


@pytest.mark.usefixtures("plain_static_files")
def test_the_admin_stores_and_decides_it() -> None:
    row = critical()
    lead, other = Client(), Client()
    lead.force_login(make_person(Role.LEAD))
    other.force_login(make_person(Role.LEAD))
    page = f"/admin/moderation/bannedlist/{row.pk}/change/"
    form = lead.get(page).context["adminform"].form
    given = {name: value for name, value in form.initial.items() if value is not None}
    given |= {"action": "shadow", "reason": "x", "allows_for": []}
    methods = list(row.methods.order_by("pk"))
    given |= {"methods-TOTAL_FORMS": 4, "methods-INITIAL_FORMS": 4}
    for number, one in enumerate(methods):
        given |= {f"methods-{number}-id": one.pk, f"methods-{number}-list": row.pk}
        given |= {f"methods-{number}-enabled": "on"} if one.enabled else {}
    answer = lead.post(page, given, follow=True)
    assert "second person" in answer.content.decode()
    change = ListChange.objects.get()
    row.refresh_from_db()
    assert row.action == "block"
    decide = f"/admin/moderation/listchange/{change.pk}/change/"
    body = {"decision": "confirm", "because": "seen"}
    assert "somebody else" in lead.post(decide, body, follow=True).content.decode()
    other.post(decide, body)
    row.refresh_from_db()
    assert row.action == "shadow"
