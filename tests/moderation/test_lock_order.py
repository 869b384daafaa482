"""Two people who run one command in opposite order: neither is told of a deadlock."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from gallery.duplicates import decisions as duplicate_decisions
from gallery.items import changing
from gallery.items.describing import describe_again
from gallery.items.models import DuplicatePair, Image
from moderation.access.permissions import Actor, Role
from moderation.cases import deciding, locks, retention, undoing
from moderation.cases.models import ReviewCase
from moderation.lists import item_changing
from moderation.lists.models import BannedItem
from tests.gallery.items.test_admin import row
from tests.moderation.cases.test_locking import Beside
from tests.moderation.factories import ADMIN, make_case, make_item, make_list, make_person
from videos.items.reindexing import index_again
from videos.models import Video

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 2
MANY = 20


def video(number: int, **fields: Any) -> Video:
    digest = f"{number:032x}"
    values = {"md5": digest, "sha1": digest + "0" * 8, "sha256": digest * 2, "format": "mp4"}
    values |= {"width": 3, "height": 2, "bytes": 5, "added_by": "key:loader", "status": "ready"}
    return Video.objects.create(**(values | fields))


def both(first: Callable[[], Any], second: Callable[[], Any]) -> list[Any]:
    """What two connections answer that begin at the same moment; raises what one raises."""
    running = [Beside(first), Beside(second)]
    return [one.done() for one in running]


def orders(command: Callable[..., Any], model: Any, **fields: Any) -> list[Any]:
    """The command about all rows, in one order and in the other.

    The row in the middle is held until both have come as far as they can: without one order each
    would then have what the other needs.
    """
    ids = list(model.objects.order_by("pk").values_list("pk", flat=True))
    with transaction.atomic():
        model.objects.select_for_update().get(pk=ids[len(ids) // 2])
        running = [
            Beside(partial(command, items=model.objects.order_by(order), **fields))
            for order in ("pk", "-pk")
        ]
        assert not running[0].ended(0.3) and not running[1].ended(0.1)
    return [one.done() for one in running]


@pytest.mark.parametrize("verb", ["quarantine", "release", "delete", "describe_again"])
def test_images(verb: str) -> None:
    state = {
        "release": {"status": "quarantined"},
        "describe_again": {"status": "failed", "failure": "Bad.", "original": "x"},
    }
    run = describe_again if verb == "describe_again" else getattr(changing, f"{verb}_items")
    for number in range(MANY):
        row(number, **state.get(verb, {}))
    assert sorted(orders(run, Image, by="t")) == [0, MANY]


@pytest.mark.parametrize("verb", ["quarantine", "release", "delete", "index_again"])
def test_videos(verb: str) -> None:
    state = {"status": "quarantined"} if verb == "release" else {"original": "x"}
    run = index_again if verb == "index_again" else getattr(changing, f"{verb}_items")
    for number in range(MANY):
        video(number, **state)
    assert sorted(orders(run, Video, by="t")) == [0, MANY]


def test_items() -> None:
    by_turns = (
        item_changing.suspend,
        item_changing.lift_suspension,
        item_changing.retire,
        item_changing.activate,
    )
    for _ in range(2):
        on = make_list(enabled=False)
        for _ in range(MANY // 2):
            make_item(on)
    for command in by_turns:
        found = orders(command, BannedItem, by=ADMIN, reason="x")
        assert sorted(found) == [0, MANY]


def test_cases_are_decided_and_undone_while_their_images_are_moved() -> None:
    """Deciding needs cases and images, and so does deleting: whoever comes second waits."""
    on = make_list()
    people = [Actor.person(make_person(Role.LEAD)) for _ in range(2)]
    for number in range(ROUNDS):
        rows = [row(1000 * number + n) for n in range(MANY)]
        cases = [make_case(make_item(on), one).pk for one in rows]
        chosen = Image.objects.filter(pk__in=[one.pk for one in rows])
        batch, _ = both(
            partial(deciding.decide, by=people[0], case_ids=cases, verb="confirm"),
            partial(
                changing.delete_items,
                items=chosen.order_by("-pk"),
                by="t",
                reason="x",
                override=True,
            ),
        )
        done, held = both(
            partial(undoing.undo_batch, by=people[0], batch_id=batch.pk, reason="a slip"),
            partial(retention.set_hold, by=people[1], case_ids=cases[::-1], reason="x"),
        )
        assert (len(done.undone), held) == (MANY, MANY)


def test_two_decide_the_same_cases_in_opposite_order() -> None:
    on = make_list()
    people = [Actor.person(make_person(Role.MODERATOR)) for _ in range(2)]
    cases = [make_case(make_item(on), row(n)).pk for n in range(MANY)]

    def decide(by: Actor, ids: list[int]) -> str:
        try:
            deciding.decide(by=by, case_ids=ids, verb="confirm")
        except deciding.Conflict as error:
            assert "confirmed already" in error.message
            return "second"
        return "first"

    found = both(lambda: decide(people[0], cases), lambda: decide(people[1], cases[::-1]))
    assert sorted(found) == ["first", "second"]
    assert set(Image.objects.values_list("status", flat=True)) == {"quarantined"}


def test_a_gate_that_extends_a_case_and_somebody_who_decides_it() -> None:
    """The gate has the image and wants the case; deciding must not have them the other way."""
    image, person = row(1), Actor.person(make_person(Role.MODERATOR))
    case = make_case(make_item(make_list()), image)
    has_image, go_on = threading.Event(), threading.Event()

    def gate() -> str:
        with transaction.atomic():
            Image.objects.select_for_update().get(pk=image.pk)
            has_image.set()
            assert go_on.wait(20)
            return ReviewCase.objects.select_for_update().get(pk=case.pk).state

    screening = Beside(gate)
    assert has_image.wait(20)
    decision = Beside(lambda: deciding.decide(by=person, case_ids=[case.pk], verb="confirm"))
    assert not decision.ended(0.5)
    go_on.set()
    assert screening.done() == "open"
    assert decision.done().pk


def test_duplicates() -> None:
    for number in range(ROUNDS):
        rows = [row(1000 * number + n) for n in range(6)]
        for one, other in itertools.pairwise(rows):
            DuplicatePair.objects.create(a=one, b=other, confidence=0.9)

        def merge(keep: Image, rows: list[Image] = rows) -> str:
            copies = [one.pk for one in rows if one != keep]
            try:
                duplicate_decisions.merge_copies(keep=keep.pk, copies=copies, by="t")
            except duplicate_decisions.Conflict as error:
                assert "has changed" in error.message
                return "second"
            return "first"

        found = both(lambda: merge(rows[0]), lambda: merge(rows[-1]))  # noqa: B023
        assert sorted(found) == ["first", "second"]


def test_two_delete_the_two_sides_of_pairs() -> None:
    rows = [row(n) for n in range(MANY)]
    halves = rows[: MANY // 2], rows[MANY // 2 :]
    for one, other in zip(halves[0], reversed(halves[1]), strict=True):
        DuplicatePair.objects.create(a=one, b=other, confidence=0.9)
    found = both(
        *(
            lambda half=half: changing.delete_items(  # type: ignore[misc]
                items=Image.objects.filter(pk__in=[one.pk for one in half]), by="t"
            )
            for half in halves
        )
    )
    assert found == [MANY // 2, MANY // 2] and not DuplicatePair.objects.exists()


def test_claims_of_one_cluster() -> None:
    on = make_list()
    people = [Actor.person(make_person(Role.MODERATOR)) for _ in range(2)]
    for _ in range(ROUNDS):
        first, *_, last = (make_case(make_item(on), cluster="a" * 64).pk for _ in range(20))

        def claim(by: Actor, pk: int) -> str:
            try:
                locks.lock(by=by, case_id=pk)
            except locks.Conflict:
                return "taken"
            locks.unlock(by=by, case_id=pk)
            return "claimed"

        found = both(lambda: claim(people[0], first), lambda: claim(people[1], last))  # noqa: B023
        assert "claimed" in found
