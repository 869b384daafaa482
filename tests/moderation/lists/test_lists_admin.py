"""The admin of lists, items, matches and the audit: a door for those whose role allows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from moderation.access.permissions import Actor, Role
from moderation.audit import trail
from moderation.audit.models import AuditEvent
from moderation.cases import deciding, retention
from moderation.cases.models import ReviewCase
from moderation.lists import list_writes
from moderation.lists.models import BannedItem, BannedList, RetroScan
from tests import factories as make
from tests import pages
from tests.moderation.factories import ADMIN, make_case, make_item, make_list, make_person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]

A, B = "a1" * 32, "b2" * 32
PAGES = {
    "bannedlist": Role.VIEWER,
    "banneditem": Role.VIEWER,
    "casematch": Role.VIEWER,
    "auditevent": Role.LEAD,
}


@pytest.fixture
def login(db: None) -> Callable[[Role], Client]:
    """A client of a new person with a role."""

    def make_client(role: Role) -> Client:
        client = Client()
        client.force_login(make_person(role))
        return client

    return make_client


@pytest.fixture
def lead(login: Callable[[Role], Client]) -> Client:
    return login(Role.LEAD)


def page(model: str, name: str = "changelist", *args: Any) -> str:
    return reverse(f"admin:moderation_{model}_{name}", args=args)


def texts(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def act(client: Client, action: str, *items: BannedItem, **data: Any) -> Any:
    body = {"action": action, "_selected_action": [item.pk for item in items], **data}
    return client.post(page("banneditem"), body, follow=True)


def confirm(client: Client, action: str, *items: BannedItem, **data: Any) -> Any:
    """The same, confirmed on the page that it leads to."""
    body = {"action": action, "_selected_action": [item.pk for item in items]}
    return pages.confirm(client, page("banneditem"), body, **data)


@pytest.mark.slow
@pytest.mark.parametrize("role", list(Role))
def test_each_role_sees_what_it_may(login: Callable[[Role], Client], role: Role) -> None:
    row = make_list()
    item = make_item(row, ("sha256", A))
    match = make_case(item).matches.get()
    event = AuditEvent.objects.first() or _event(row)
    rows = {"bannedlist": row, "banneditem": item, "casematch": match, "auditevent": event}
    client = login(role)
    sidebar = client.get(reverse("admin:index")).content.decode()
    for model, least in PAGES.items():
        allowed = 200 if role >= least else 403
        assert client.get(page(model)).status_code == allowed, model
        assert client.get(page(model, "change", rows[model].pk)).status_code == allowed, model
        assert (page(model) in sidebar) == (role >= least), model
        add = client.get(page(model, "add")).status_code
        editable = model in ("bannedlist", "banneditem") and role >= Role.LEAD
        assert add == (200 if editable else 403), model
    delete = client.get(page("bannedlist", "delete", row.pk)).status_code
    assert delete == (200 if role >= Role.ADMIN else 403)
    for model in ("banneditem", "casematch", "auditevent"):
        assert client.get(page(model, "delete", rows[model].pk)).status_code == 403


def _event(row: BannedList) -> AuditEvent:
    return trail.record(by="user:ana", verb="list.changed", subject=row, before={"a": ["<b>"]})


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MODERATOR])
def test_who_may_not_edit_gets_nothing_through(login: Callable[[Role], Client], role: Role) -> None:
    row = make_list("terror")
    item = make_item(row, ("sha256", A))
    client = login(role)
    form = {"name": "other", "kind": "banned", "severity": 2, "action": "block"}
    assert client.post(page("bannedlist", "change", row.pk), form).status_code == 403
    assert client.post(page("bannedlist", "add"), form).status_code == 403
    assert client.post(page("banneditem", "add"), {"to": row.pk}).status_code == 403
    confirm(client, "retire", item)
    confirm(client, "move", item, to=row.pk)
    item.refresh_from_db()
    row.refresh_from_db()
    assert (item.state, row.name, AuditEvent.objects.count()) == ("active", "terror", 0)


def list_form(row: BannedList | None = None, **fields: Any) -> dict[str, Any]:
    form: dict[str, Any] = {
        "name": row.name if row else "terror",
        "kind": "banned",
        "category": "",
        "description": "",
        "owner": "",
        "severity": 2,
        "action": row.action if row else "shadow",
        "enabled": "on",
        "hold_on_review": "on",
        "observe_share": "0.1",
        "flood_limit": "",
        "reason": "",
    }
    if row is None:
        form |= {"methods-TOTAL_FORMS": 4, "methods-INITIAL_FORMS": 0}
        for number in range(4):
            form |= {f"methods-{number}-threshold": "", f"methods-{number}-observe": ""}
        form |= {"methods-0-enabled": "on", "methods-1-enabled": "on"}
    else:
        methods = list(row.methods.order_by("id"))
        form |= {"methods-TOTAL_FORMS": len(methods), "methods-INITIAL_FORMS": len(methods)}
        for number, method in enumerate(methods):
            form[f"methods-{number}-id"] = method.pk
            form[f"methods-{number}-list"] = row.pk
            form[f"methods-{number}-threshold"] = ""
            form[f"methods-{number}-observe"] = ""
            if method.enabled:
                form[f"methods-{number}-enabled"] = "on"
    return {name: value for name, value in {**form, **fields}.items() if value is not None}


def test_making_a_list(lead: Client) -> None:
    answer = lead.post(page("bannedlist", "add"), list_form(reason="asked for"), follow=True)
    assert answer.status_code == 200
    row = BannedList.objects.get()
    assert (row.name, row.action, row.methods.count()) == ("terror", "shadow", 4)
    event = AuditEvent.objects.get()
    assert (event.verb, event.reason) == ("list.created", "asked for")
    assert event.actor.startswith("user:")
    methods = {method.match_type: method.enabled for method in row.methods.all()}
    assert methods == {"pdq": True, "copy": True, "imgsmlr": False, "clip": False}


def test_the_methods_of_a_new_list_are_chosen_with_it(lead: Client) -> None:
    shown = lead.get(page("bannedlist", "add")).content.decode()
    for words in ("1. What it is", "2. What it does", "3. By which methods", "31, 52",
                  "Default: medium.", "which means 100 (FLOOD_LIMIT)"):  # fmt: skip
        assert words in shown, words
    chosen = {"methods-0-threshold": "20", "methods-1-enabled": None, "methods-3-enabled": "on"}
    bad = list_form(**{**chosen, "methods-0-threshold": "300"})
    assert "0 to 256" in lead.post(page("bannedlist", "add"), bad).content.decode()
    assert not BannedList.objects.exists()
    lead.post(page("bannedlist", "add"), list_form(**chosen, reason="new"))
    row = BannedList.objects.get()
    made = {method.match_type: (method.enabled, method.threshold) for method in row.methods.all()}
    assert made == {
        "pdq": (True, 20), "copy": (False, None), "imgsmlr": (False, None), "clip": (True, None),
    }  # fmt: skip
    assert set(AuditEvent.objects.values_list("reason", flat=True)) == {"new"}


def test_a_lead_without_a_list_is_told_to_begin_with_one(lead: Client) -> None:
    begin = "Begin with a list"
    assert begin in lead.get(page("bannedlist")).content.decode()
    assert begin not in lead.get(page("bannedlist"), {"q": "x"}).content.decode()
    for model in ("banneditem", "listimport"):
        assert "There is no list yet" in lead.get(page(model, "add")).content.decode()
    make_list()
    assert begin not in lead.get(page("bannedlist")).content.decode()
    for model in ("banneditem", "listimport"):
        assert "There is no list yet" not in lead.get(page(model, "add")).content.decode()


def test_lists_are_switched_together(lead: Client, login: Callable[[Role], Client]) -> None:
    rows = [list_writes.create_list(by=ADMIN, name=f"list {number}") for number in range(3)]
    critical = list_writes.create_list(by=ADMIN, name="critical", severity=4)
    chosen = [row.pk for row in (*rows, critical)]

    def ask(action: str, **given: Any) -> Any:
        body = {"action": action, "_selected_action": chosen}
        return pages.confirm(lead, page("bannedlist"), body, **given)

    assert "all of them are enabled already" in "".join(texts(ask("enable_lists")))
    said = "".join(texts(ask("disable_lists", reason="too many")))
    assert "Disabled: list 0, list 1, list 2." in said
    assert "critical: Nothing was changed" in said
    enabled = BannedList.objects.filter(enabled=True)
    assert enabled.get().name == "critical"
    assert AuditEvent.objects.filter(verb="list.changed", reason="too many").count() == 3
    assert AuditEvent.objects.filter(verb="change.asked").count() == 1
    ask("enable_lists")
    assert enabled.count() == 4
    viewer = login(Role.VIEWER)
    viewer.post(page("bannedlist"), {"action": "disable_lists", "_selected_action": chosen})
    assert enabled.count() == 4


def test_changing_a_list_and_its_thresholds(lead: Client) -> None:
    row = list_writes.create_list(by=ADMIN, name="terror")
    form = list_form(row, action="block", reason="proved")
    form |= {"methods-0-threshold": "20", "methods-1-enabled": None}
    form = {name: value for name, value in form.items() if value is not None}
    answer = lead.post(page("bannedlist", "change", row.pk), form, follow=True)
    assert answer.status_code == 200
    row.refresh_from_db()
    assert (row.action, row.version) == ("block", 4)
    assert row.methods.get(match_type="pdq").threshold == 20
    assert not row.methods.get(match_type="copy").enabled
    events = AuditEvent.objects.order_by("id")[1:]
    assert [(event.verb, event.reason) for event in events] == [
        ("list.changed", "proved"),
        ("list.method_changed", "proved"),
        ("list.method_changed", "proved"),
    ]
    assert RetroScan.objects.filter(list=row).count() == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": "taken"}, "already exists"),
        ({"methods-0-threshold": "300"}, "0 to 256"),
        ({"methods-0-threshold": "-1"}, "0 to 256"),
        ({"methods-0-threshold": "nan"}, "number"),
        ({"methods-0-observe": "3"}, "is not below the threshold"),
        ({"methods-0-may_block": "on"}, "may always block by itself"),
        ({"observe_share": "2"}, "share is a number from 0 to 1"),
        ({"kind": "allow", "two_person": "on"}, "allow list has no cases"),
        ({"kind": "allow"}, "cannot change"),
    ],
)
def test_what_a_list_cannot_be_is_said(lead: Client, fields: Any, sentence: str) -> None:
    make_list("taken")
    row = list_writes.create_list(by=ADMIN, name="terror")
    make_item(row, ("sha256", A))
    answer = lead.post(page("bannedlist", "change", row.pk), list_form(row, **fields), follow=True)
    assert sentence in answer.content.decode()
    assert AuditEvent.objects.count() == 1
    assert BannedList.objects.get(pk=row.pk).version == 1


def test_an_allow_list_names_what_it_outranks(lead: Client) -> None:
    banned = make_list("banned")
    form = list_form(name="ours", kind="allow", allows_for=[banned.pk])
    lead.post(page("bannedlist", "add"), form)
    assert list(BannedList.objects.get(name="ours").allows_for.all()) == [banned]
    answer = lead.post(page("bannedlist", "add"), {**form, "name": "x", "kind": "banned"})
    assert "Only an allow list" in answer.content.decode()


def test_deleting_a_list_says_what_goes(login: Callable[[Role], Client]) -> None:
    row = make_list("terror")
    make_item(row, ("sha256", A))
    client = login(Role.ADMIN)
    path = page("bannedlist", "delete", row.pk)
    shown = client.get(path)
    assert "terror" in shown.content.decode() and "1 item</a>" in shown.content.decode()
    assert "needs" not in shown.content.decode() and "override" not in shown.context["form"].fields
    client.post(path, {"post": "yes", "reason": "x"})
    pages.undo(client, path, shown, reason=" ")
    make_item(row, ("sha256", B))
    list_writes.touch([row.pk])
    assert "has changed" in pages.undo(client, path, shown).content.decode()
    assert BannedList.objects.exists(), "only what was shown, and with a reason"
    pages.undo(client, path, reason="contract ended")
    assert not BannedList.objects.exists()
    event = AuditEvent.objects.get()
    assert (event.verb, event.reason, event.count) == ("list.deleted", "contract ended", 3)


def needed_lists() -> tuple[list[BannedList], dict[str, ReviewCase]]:
    """Lists that an open case, a legal hold and a quarantined picture need, and a free one."""
    names = ("open", "hold", "quarantine", "free")
    rows = {name: make_list(name) for name in names}
    cases = {name: make_case(make_item(rows[name], ("sha256", A))) for name in ("open", "hold")}
    image = make.add_ready_image(make.photo(2))
    cases["quarantine"] = make_case(make_item(rows["quarantine"]), image)
    by = Actor.person(make_person(Role.MODERATOR))
    deciding.decide(by=by, case_ids=[cases["quarantine"].pk], verb="confirm")
    deciding.decide(by=by, case_ids=[cases["hold"].pk], verb="dismiss")
    retention.set_hold(by=ADMIN, case_ids=[cases["hold"].pk], reason="court order 7")
    over = make_case(make_item(rows["free"]))
    deciding.decide(by=by, case_ids=[over.pk], verb="dismiss")
    return list(rows.values()), cases


@pytest.mark.slow
def test_a_list_that_cases_need_is_deleted_by_override_alone(
    login: Callable[[Role], Client],
) -> None:
    rows, cases = needed_lists()
    client, lead = login(Role.ADMIN), login(Role.LEAD)
    whys = {"open": "open", "hold": "under a legal hold", "quarantine": "confirmed"}
    for row in rows[:3]:
        path, case = page("bannedlist", "delete", row.pk), cases[row.name]
        shown = client.get(path)
        text = shown.content.decode()
        link = reverse("console:case", args=[case.pk])
        assert f'<a href="{link}">Case {case.pk} is {whys[row.name]}</a>' in text
        assert "This field is required" in pages.undo(client, path, shown).content.decode()
        assert lead.get(path).status_code == 403
        api = f"/api/v1/moderation/lists/{row.pk}/?with_items=true"
        answer = client.delete(api)
        assert (answer.status_code, answer.json()["code"]) == (409, "withheld")
        assert lead.delete(f"{api}&override=true&reason=x").status_code == 403
        assert client.delete(f"{api}&override=true&reason=+").json()["field"] == "reason"
    assert BannedList.objects.count() == 4
    assert not client.get(page("bannedlist", "delete", rows[3].pk)).context["needing"]
    shown = client.get(page("bannedlist", "delete", rows[0].pk))
    fields = {"confirmed": shown.context["token"], "reason": "a court asks", "override": "on"}
    client.post(page("bannedlist", "delete", rows[0].pk), fields)
    event = AuditEvent.objects.get(verb="list.deleted")
    assert (event.reason, event.before["needed_by"]) == ("a court asks", [cases["open"].pk])
    match = cases["open"].matches.get()
    assert (match.list_id, match.item_id, match.list_name) == (None, None, "open")
    case_page = client.get(reverse("console:case", args=[match.case_id])).content.decode()
    assert "item deleted" in case_page and "<strong>12</strong> of 31" in case_page


def test_several_lists_are_deleted_together_or_not_at_all(
    login: Callable[[Role], Client],
) -> None:
    rows, cases = needed_lists()
    client, changelist = login(Role.ADMIN), page("bannedlist", "changelist")
    chosen = {"action": "delete_lists", "_selected_action": [row.pk for row in rows]}
    shown = pages.shown(client, changelist, chosen)
    assert dict(shown.context["counts"]) == {
        "an undecided case": 1, "a legal hold": 1, "a confirmed case": 1,
    }  # fmt: skip
    pages.confirm(client, changelist, chosen, shown)
    assert BannedList.objects.count() == 4, "not without the tick"
    late = make_case(make_item(rows[3]))
    again = pages.confirm(client, changelist, chosen, shown, override="on").content.decode()
    assert "has changed" in again and f"Case {late.pk} is open" in again
    pages.confirm(client, changelist, chosen, override="on")
    assert not BannedList.objects.exists()
    assert AuditEvent.objects.filter(verb="list.deleted").count() == 4
    assert ReviewCase.objects.count() == len(cases) + 2
    assert "delete_lists" not in login(Role.LEAD).get(changelist).content.decode()


def test_adding_items_in_every_way(lead: Client) -> None:
    row = make_list()
    image = make.add_ready_image(make.photo(2))
    form = {
        "to": row.pk,
        "hashes": f"sha256 {A}\n\npdq {B} 80\nsha256 {A}\nsha256 zz\n",
        "files": [
            SimpleUploadedFile("a.png", make.png(make.photo(1))),
            SimpleUploadedFile("b.txt", b"no picture"),
        ],
        "urls": "",
        "images": f"{image.pk} 4711",
        "videos": "4711",
        "source": "us",
        "note": "n",
        "reason": "reported",
    }
    before = AuditEvent.objects.count()
    answer = lead.post(page("banneditem", "add"), form)
    outcomes = answer.context["outcomes"]
    problems = [bool(outcome.problem) for outcome in outcomes]
    assert problems == [False, False, True, True, False, True, False, True, True]
    assert row.items.count() == 4
    assert {item.source for item in row.items.all()} == {"us"}
    # The hashes are one command, each picture is one.
    assert AuditEvent.objects.count() == before + 3


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "at least one hash"),
        ({"hashes": A}, "not a kind and a hash"),
        ({"hashes": f"pdq {A} good"}, "not a kind and a hash"),
        ({"images": "one"}, "Give ids"),
        ({"hashes": "\n".join(f"sha256 {n:064x}" for n in range(1001))}, "At most 1,000"),
        ({"images": " ".join(map(str, range(1, 60)))}, "At most 50"),
    ],
)
def test_what_cannot_be_added_is_said(lead: Client, fields: Any, sentence: str) -> None:
    row = make_list()
    answer = lead.post(page("banneditem", "add"), {"to": row.pk, **fields})
    assert sentence in answer.content.decode()
    assert not BannedItem.objects.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("action", "given", "start", "field", "expected"),
    [
        ("retire", {}, {}, "state", "retired"),
        (
            "activate",
            {},
            {"state": "retired", "retired_at": "2026-01-01T00:00Z"},
            "state",
            "active",
        ),
        ("give_opinion", {"opinion": "disputed"}, {}, "opinion", "disputed"),
        ("lift_suspension", {}, {"suspended_at": "2026-01-01T00:00Z"}, "suspended_at", None),
    ],
)
def test_actions_ask_and_are_one_command(
    lead: Client, action: str, given: Any, start: Any, field: str, expected: Any
) -> None:
    row = make_list("terror")
    chosen = [make_item(row, ("sha256", f"{n:064x}"), **start) for n in range(3)]
    asked = act(lead, action, *chosen)
    assert "3" in asked.content.decode()
    assert "terror" in asked.content.decode()
    assert not AuditEvent.objects.exists()
    confirm(lead, action, *chosen, **given, reason="")  # without a reason it asks again
    assert not AuditEvent.objects.exists()
    done = confirm(lead, action, *chosen, reason="because", **given)
    assert any(text.startswith("3 items") for text in texts(done))
    event = AuditEvent.objects.get()
    assert (event.count, event.reason) == (3, "because")
    assert {getattr(item, field) for item in BannedItem.objects.all()} == {expected}


def test_moving(lead: Client) -> None:
    here, there = make_list("here"), make_list("there")
    item = make_item(here, ("sha256", A), source="s", source_id="7")
    confirm(lead, "move", item, to=there.pk)
    item.refresh_from_db()
    assert item.list == there
    other = make_item(here, ("sha256", B), source="s", source_id="7")
    answer = confirm(lead, "move", other, to=there.pk)
    assert any("twice" in text for text in texts(answer))


def test_moving_onto_an_allow_list_is_asked_about(lead: Client) -> None:
    here, there = make_list("here"), make_list("there", kind="allow")
    item = make_item(here, ("sha256", A))
    assert "there (allow list)" in act(lead, "move", item).content.decode()
    asked = confirm(lead, "move", item, to=there.pk)
    assert "Tick this to let the same files pass" in asked.content.decode()
    assert BannedItem.objects.get().list == here
    confirm(lead, "move", item, to=there.pk, override="on")
    assert BannedItem.objects.get().list == there
    # An exception that moves between allow lists lets nothing new pass.
    confirm(lead, "move", item, to=make_list("others", kind="allow").pk)
    assert BannedItem.objects.get().list.name == "others"


def test_what_does_not_fit_is_no_success(lead: Client) -> None:
    item = make_item(make_list(), ("sha256", A))
    answer = confirm(lead, "activate", item, reason="because")
    assert texts(answer) == ["1 item not changed. Only retired items change."]


def test_a_selection_that_changed_is_asked_again(lead: Client) -> None:
    item = make_item(make_list(), ("sha256", A))
    asked = act(lead, "retire", item)
    BannedItem.objects.update(opinion="disputed")
    body = {"action": "retire", "_selected_action": [item.pk]}
    answer = pages.confirm(lead, page("banneditem"), body, asked)
    assert "selection has changed" in answer.content.decode()
    assert BannedItem.objects.get().state == "active"
    act(lead, "retire", item, confirmed="1", reason="x")
    assert BannedItem.objects.get().state == "active"


def test_everything_that_a_filter_shows(lead: Client) -> None:
    here, there = make_list(), make_list()
    items = [make_item(here, ("sha256", f"{n:064x}")) for n in range(60)]
    make_item(there, ("sha256", B))
    body = {"action": "retire", "_selected_action": [items[0].pk], "select_across": "1"}
    pages.confirm(lead, page("banneditem") + f"?list__id__exact={here.pk}", body)
    assert here.items.filter(state="retired").count() == 60
    assert there.items.get().state == "active"
    assert AuditEvent.objects.get().count == 60


def test_a_moderator_gives_opinions_and_no_more(login: Callable[[Role], Client]) -> None:
    item = make_item(make_list(), ("sha256", A))
    client = login(Role.MODERATOR)
    shown = client.get(page("banneditem")).content.decode()
    assert 'value="give_opinion"' in shown
    assert 'value="retire"' not in shown
    confirm(client, "give_opinion", item, opinion="confirmed")
    assert BannedItem.objects.get().opinion == "confirmed"


def test_finding_items(lead: Client) -> None:
    row = make_list()
    first = make_item(row, ("sha256", A), ("pdq", B, 90), source="us", source_id="case 7")
    second = make_item(
        make_list(), ("md5", "c3" * 16), state="retired", retired_at="2026-01-01T00:00Z"
    )

    def found(**query: Any) -> set[int]:
        answer = lead.get(page("banneditem"), query)
        return {item.pk for item in answer.context["cl"].result_list}

    assert found() == {first.pk, second.pk}
    assert found(q=A.upper()) == found(q=B) == found(q="case 7") == found(q=first.pk) == {first.pk}
    assert found(q="nothing") == set()
    assert found(list__id__exact=row.pk) == found(source="us") == {first.pk}
    assert found(state="retired") == {second.pk}


def test_an_items_page(lead: Client, django_assert_max_num_queries: Any) -> None:
    item = make_item(make_list(), ("sha256", A), ("pdq", B, 90))
    make_case(item)
    path = page("banneditem", "change", item.pk)
    with django_assert_max_num_queries(25):
        shown = lead.get(path).content.decode()
    assert A in shown
    assert "12 of 31" in shown
    form = {"tags": "a,b", "note": "seen", "expires_at_0": "", "expires_at_1": "", "reason": "r"}
    lead.post(path, {**form, "category": "", "severity": "", "owner": ""})
    item.refresh_from_db()
    assert (item.tags, item.note) == (["a", "b"], "seen")
    event = AuditEvent.objects.get()
    assert (event.verb, event.reason) == ("item.changed", "r")


def test_exports(lead: Client, login: Callable[[Role], Client]) -> None:
    item = make_item(make_list(), ("sha256", A))
    for action in ("export_csv", "export_lines"):
        answer = act(lead, action, item)
        assert A in b"".join(answer.streaming_content).decode()
    assert AuditEvent.objects.filter(verb="items.exported").count() == 2
    assert A not in act(login(Role.VIEWER), "export_csv", item).content.decode()


def test_matches_are_filtered(lead: Client) -> None:
    item = make_item(make_list(), ("pdq", B, 90))
    image = make.add_ready_image(make.photo(1))
    near, far = (
        make_case(item, image, distance=distance).matches.get() for distance in (3.0, 40.0)
    )

    def found(**query: Any) -> set[int]:
        answer = lead.get(page("casematch"), query)
        return {match.pk for match in answer.context["cl"].result_list}

    assert found(near="near") == found(near="within") == {near.pk}
    assert found(near="beyond") == {far.pk}
    assert found(case="1") == found(q=image.sha256) == found(q=item.pk) == {near.pk, far.pk}
    assert found(case="0") == found(near="same") == set()


@pytest.mark.slow
@pytest.mark.parametrize("model", list(PAGES))
def test_the_number_of_queries_does_not_grow(
    lead: Client, model: str, django_assert_max_num_queries: Any
) -> None:
    row = make_list()
    for number in range(30):
        make_case(make_item(make_list(), ("sha256", f"{number:064x}")))
        _event(row)
    with django_assert_max_num_queries(16):
        assert lead.get(page(model)).status_code == 200
