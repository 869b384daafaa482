"""Deciding and undoing: what follows, who may, two people, appeals, two at the same moment."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import close_old_connections, connection

from gallery.items import changing
from gallery.items.item import Status
from gallery.items.models import Image
from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.audit import trail
from moderation.audit.models import AuditEvent
from moderation.cases import deciding, undoing
from moderation.cases.models import Decision, DecisionBatch, ReviewCase
from moderation.cases.states import CaseState
from moderation.lists.models import BannedItem, BannedList
from moderation.lists.verdicts import Severity
from tests import factories as pictures
from tests.moderation import factories as make

pytestmark = pytest.mark.django_db


def person(role: Role = Role.MODERATOR, name: str = "") -> Actor:
    return Actor.person(make.make_person(role, name))


def image(seed: int = 1, *, quarantined: bool = False) -> Image:
    made = pictures.add_ready_image(data=pictures.png(pictures.photo(seed)))
    if quarantined:
        changing.quarantine_items(items=Image.objects.filter(pk=made.pk), by="worker")
    return made


def status(of: Image) -> str:
    return Image.objects.values_list("status", flat=True).get(pk=of.pk)


def state(case: ReviewCase) -> str:
    return ReviewCase.objects.values_list("state", flat=True).get(pk=case.pk)


def decide(by: Actor, *cases: ReviewCase, verb: str = "confirm", **options: Any) -> DecisionBatch:
    return deciding.decide(by=by, case_ids=[case.pk for case in cases], verb=verb, **options)


@pytest.fixture
def item(db: None) -> BannedItem:
    return make.make_item(make.make_list("terror"))


def test_confirming_quarantines_and_leaves_one_event(item: BannedItem) -> None:
    picture, by = image(), person(name="ann")
    case = make.make_case(item, picture)
    batch = decide(by, case, note="seen before")
    assert (state(case), status(picture)) == (CaseState.CONFIRMED, Status.QUARANTINED)
    (event,) = AuditEvent.objects.filter(actor="user:ann")
    assert (event.verb, event.subject_id, event.count) == ("case.confirmed", case.pk, 1)
    assert event.reason == "It is what the list holds: seen before"
    assert event.after["batch"] == batch.pk
    case.refresh_from_db()
    assert case.held
    assert case.decided_at is not None


def test_dismissing_releases_what_the_case_hid(item: BannedItem) -> None:
    hidden, other = image(1, quarantined=True), image(2, quarantined=True)
    decide(person(), make.make_case(item, hidden, held=True), verb="dismiss")
    decide(person(), make.make_case(item, other, held=False), verb="dismiss")
    assert status(hidden) == Status.READY
    assert status(other) == Status.QUARANTINED, "somebody else hid it"


def test_what_another_case_hides_stays_hidden(item: BannedItem) -> None:
    picture, by = image(quarantined=True), person()
    first = make.make_case(item, picture, held=True)
    second = make.make_case(item, picture, held=True)
    decide(by, first, verb="dismiss")
    assert status(picture) == Status.QUARANTINED
    decide(by, second, verb="dismiss")
    assert status(picture) == Status.READY


def test_an_allowed_picture_is_allowed_by_its_bytes_alone(item: BannedItem) -> None:
    by = person()
    evidence = {"sha256": "ab" * 32, "md5": "cd" * 16, "pdq": "ef" * 32}
    case = make.make_case(item, evidence=evidence)
    twin = make.make_case(item, evidence=evidence)
    decide(by, case, twin, verb="dismiss", allow=True)
    (entry,) = BannedItem.objects.filter(list__kind=BannedList.Kind.ALLOW)
    assert entry.list.name == "Allowed by moderators"
    assert sorted(entry.hashes.values_list("kind", "value")) == [
        ("md5", "cd" * 16),
        ("sha256", "ab" * 32),
    ]
    version = entry.list.version
    undoing.undo_batch(by=by, batch_id=DecisionBatch.objects.get().pk, reason="a slip")
    entry.refresh_from_db()
    assert entry.state == BannedItem.State.RETIRED
    assert BannedList.objects.get(pk=entry.list_id).version > version
    with pytest.raises(UserError, match="Only dismissed cases"):
        decide(by, case, allow=True)


@pytest.mark.parametrize("role", [Role.NOBODY, Role.VIEWER])
def test_a_role_that_may_not(item: BannedItem, role: Role) -> None:
    case = make.make_case(item)
    with pytest.raises(NotAllowed, match="Only a moderator may decide cases"):
        decide(person(role), case)
    assert not Decision.objects.exists()


def test_only_a_person_decides(item: BannedItem) -> None:
    case = make.make_case(item)
    with pytest.raises(NotAllowed, match="not a person"):
        decide(Actor.machine("worker"), case)


def test_nobody_decides_about_the_own_upload(item: BannedItem) -> None:
    by = person(name="ann")
    picture = pictures.add_ready_image(data=pictures.png(pictures.photo(3)))
    Image.objects.filter(pk=picture.pk).update(added_by="user:ann")
    case = make.make_case(item, picture)
    with pytest.raises(NotAllowed, match="uploaded it yourself"):
        decide(by, case)
    decide(person(), case)


def test_escalated_cases_are_for_a_lead(item: BannedItem) -> None:
    by, case = person(), make.make_case(item)
    decide(by, case, verb="escalate", reason="legal")
    assert state(case) == CaseState.ESCALATED
    with pytest.raises(NotAllowed, match="only a lead"):
        decide(person(), case)
    decide(person(Role.LEAD), case)
    assert state(case) == CaseState.CONFIRMED


def two_person_case(item: BannedItem, how: str) -> ReviewCase:
    if how == "list":
        BannedList.objects.filter(pk=item.list_id).update(two_person=True)
    picture = image(quarantined=True)
    fields: dict[str, Any] = {"list": {}, "severity": {"severity": Severity.CRITICAL}}.get(
        how, {"two_person": True}
    )
    return make.make_case(item, picture, held=True, **fields)


@pytest.mark.parametrize("how", ["list", "severity", "case"])
def test_two_who_agree(item: BannedItem, how: str) -> None:
    case, first, second = two_person_case(item, how), person(), person()
    decide(first, case, verb="dismiss")
    assert state(case) == CaseState.VOTED
    assert case.image is not None
    assert status(case.image) == Status.QUARANTINED, "nothing follows from the first vote"
    with pytest.raises(NotAllowed, match="already voted"):
        decide(first, case, verb="dismiss")
    decide(second, case, verb="dismiss")
    assert (state(case), status(case.image)) == (CaseState.DISMISSED, Status.READY)


def test_two_who_disagree_need_a_lead_who_has_not_voted(item: BannedItem) -> None:
    case, lead = two_person_case(item, "case"), person(Role.LEAD)
    decide(lead, case)
    decide(person(), case, verb="dismiss")
    assert state(case) == CaseState.CONFLICT
    with pytest.raises(NotAllowed, match="only a lead"):
        decide(person(), case)
    with pytest.raises(NotAllowed, match="already voted"):
        decide(lead, case)
    decide(person(Role.LEAD), case)
    assert state(case) == CaseState.CONFIRMED


def test_both_must_want_an_allow_entry(item: BannedItem) -> None:
    for wants in (False, True):
        case = make.make_case(item, two_person=True)
        decide(person(), case, verb="dismiss", allow=wants)
        decide(person(), case, verb="dismiss", allow=True)
    assert BannedItem.objects.filter(list__kind=BannedList.Kind.ALLOW).count() == 1


def test_no_severity_needs_two_where_the_settings_say_so(item: BannedItem, settings: Any) -> None:
    settings.TWO_PERSON_SEVERITY = "none"
    case = make.make_case(item, severity=Severity.CRITICAL)
    decide(person(), case)
    assert state(case) == CaseState.CONFIRMED


def test_an_appeal_is_for_somebody_else(item: BannedItem) -> None:
    picture, first, filer = image(), person(), person()
    case = make.make_case(item, picture)
    decide(first, case)
    decide(filer, case, verb="appeal", note="it is my own photo")
    assert (state(case), status(picture)) == (CaseState.APPEALED, Status.QUARANTINED)
    for barred in (first, filer):
        with pytest.raises(NotAllowed, match="already voted"):
            decide(barred, case, verb="dismiss")
    decide(person(), case, verb="dismiss")
    assert (state(case), status(picture)) == (CaseState.DISMISSED, Status.READY)
    assert [one.verb for one in case.decisions.all()] == ["confirm", "appeal", "dismiss"]


def test_all_or_none(item: BannedItem) -> None:
    by, cases = person(), [make.make_case(item) for _ in range(3)]
    decide(by, cases[1])
    with pytest.raises(Conflict, match=f"Case {cases[1].pk}: It is confirmed already"):
        decide(by, *cases)
    assert state(cases[0]) == CaseState.OPEN
    with pytest.raises(NotFound):
        deciding.decide(by=by, case_ids=[cases[0].pk, 10**9], verb="confirm")
    with pytest.raises(UserError, match="1 to 1,000"):
        deciding.decide(by=by, case_ids=[], verb="confirm")
    with pytest.raises(UserError, match="not a reason to confirm"):
        decide(by, cases[0], reason="different")
    with pytest.raises(UserError, match="not a decision"):
        decide(by, cases[0], verb="skip")


def test_undoing_a_confirmation(item: BannedItem) -> None:
    picture, by = image(), person()
    case = make.make_case(item, picture)
    done = undoing.undo_batch(by=by, batch_id=decide(by, case).pk, reason="wrong key")
    case.refresh_from_db()
    assert (case.state, status(picture), case.held) == (CaseState.OPEN, Status.READY, False)
    assert case.decided_at is None
    assert (list(done.undone), list(done.left)) == ([case.pk], [])
    event = AuditEvent.objects.get(verb="case.undone")
    assert (event.reason, event.subject_id) == ("wrong key", done.batch.pk)
    with pytest.raises(Conflict, match="undone already"):
        undoing.undo_batch(by=by, batch_id=done.batch.pk, reason="a slip")
    decide(by, case, verb="dismiss")
    assert state(case) == CaseState.DISMISSED, "who took a decision back may decide again"


def test_undoing_a_dismissal_hides_again(item: BannedItem) -> None:
    picture, by = image(quarantined=True), person()
    case = make.make_case(item, picture, held=True)
    undoing.undo_batch(by=by, batch_id=decide(by, case, verb="dismiss").pk, reason="a slip")
    case.refresh_from_db()
    assert (case.state, case.held, status(picture)) == ("open", True, Status.QUARANTINED)


def test_undoing_an_appeal_restores_the_time_of_the_decision(item: BannedItem) -> None:
    case = make.make_case(item)
    decide(person(), case)
    case.refresh_from_db()
    decided_at = case.decided_at
    filer = person()
    batch = decide(filer, case, verb="appeal")
    undoing.undo_batch(by=filer, batch_id=batch.pk, reason="a slip")
    case.refresh_from_db()
    assert (case.state, case.decided_at) == (CaseState.CONFIRMED, decided_at)


def test_whose_batches_one_may_undo(item: BannedItem) -> None:
    batch = decide(person(), make.make_case(item))
    with pytest.raises(NotAllowed, match="decisions of others"):
        undoing.undo_batch(by=person(), batch_id=batch.pk, reason="a slip")
    undoing.undo_batch(by=person(Role.LEAD), batch_id=batch.pk, reason="a slip")
    with pytest.raises(NotFound):
        undoing.undo_batch(by=person(), batch_id=10**9, reason="a slip")


def test_what_was_changed_since_is_left(item: BannedItem) -> None:
    by, cases = person(), [make.make_case(item) for _ in range(3)]
    batch = decide(by, *cases)
    decide(person(), cases[1], verb="appeal")
    done = undoing.undo_batch(by=by, batch_id=batch.pk, reason="a slip")
    assert list(done.left) == [cases[1].pk]
    assert [state(case) for case in cases] == ["open", "appealed", "open"]
    again = decide(by, cases[0])
    decide(person(), cases[0], verb="appeal")
    with pytest.raises(Conflict, match="Nothing to undo"):
        undoing.undo_batch(by=by, batch_id=again.pk, reason="a slip")


def test_undoing_leaves_an_upload_that_was_released_since(item: BannedItem) -> None:
    picture, by = image(), person()
    batch = decide(by, make.make_case(item, picture))
    changing.release_items(
        items=Image.objects.filter(pk=picture.pk), by="user:root", reason="x", override=True
    )
    undoing.undo_batch(by=by, batch_id=batch.pk, reason="a slip")
    assert status(picture) == Status.READY
    gone = decide(by, make.make_case(item, picture))
    changing.delete_items(
        items=Image.objects.filter(pk=picture.pk), by="user:root", reason="x", override=True
    )
    assert len(undoing.undo_batch(by=by, batch_id=gone.pk, reason="a slip").undone) == 1


@pytest.mark.django_db(transaction=True)
def test_two_who_decide_at_the_same_moment() -> None:
    on = make.make_item(make.make_list())
    cases = [make.make_case(on, image(seed)) for seed in range(3)]
    people = [make.make_person(Role.MODERATOR) for _ in range(4)]
    barrier, outcomes = threading.Barrier(len(people)), []

    def work(user: User, verb: str) -> None:
        close_old_connections()
        try:
            barrier.wait()
            decide(Actor.person(user), *cases, verb=verb)
            outcomes.append(verb)
        except Conflict as error:
            outcomes.append(error.message)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=work, args=(user, verb))
        for user, verb in zip(people, ["confirm", "dismiss"] * 2, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 4
    assert sum(outcome in ("confirm", "dismiss") for outcome in outcomes) == 1, outcomes
    assert Decision.objects.count() == 3
    assert list(trail.find_breaks()) == []
