"""Commands that change the same items at once wait for one another, and none waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection, transaction

from moderation.access.permissions import Actor, Role
from moderation.cases import locks
from moderation.cases.models import CaseMatch, ReviewCase
from moderation.imports import run, start
from moderation.imports.models import ListImport
from moderation.lists import item_changing, list_writes
from moderation.lists.models import BannedItem, BannedList
from moderation.lists.verdicts import Action
from tests.factories import photo
from tests.moderation.factories import ADMIN, make_case, make_item, make_list, make_person
from tests.moderation.pipeline.test_gates import add, pdq_of

pytestmark = pytest.mark.django_db(transaction=True)


class Beside:
    """Something that runs in a thread with a connection of its own."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.result: Any = None
        self.error: Exception | None = None

        def run() -> None:
            try:
                self.result = work()
            except Exception as error:
                self.error = error
            finally:
                connection.close()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def ended(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def done(self) -> Any:
        """What it answered; raises what it raised."""
        assert self.ended(20), "it waits for ever"
        if self.error:
            raise self.error
        return self.result


def imported(on: BannedList, note: str) -> ListImport:
    """An import that changes each item."""
    lines = [f"pdq,{number:064x},P,{number},{note}" for number in range(1, 9)]
    text = "\n".join(["kind,hash,source,source_id,note", *lines, f"pdq,{pdq_of(photo(1))},P,9,"])
    return start.begin(
        by=ADMIN, list_id=on.pk, file=ContentFile(text.encode(), name="list.csv"), confirmed=True
    )


def test_a_bulk_retirement_waits_for_an_import_and_uploads_do_not() -> None:
    on = list_writes.create_list(by=ADMIN, name="partner", action=Action.REVIEW)
    run.run(by=ADMIN, import_id=imported(on, "first").pk)
    row = imported(on, "second")
    written, go_on = threading.Event(), threading.Event()

    def tell(percent: int) -> None:
        # Its items are changed, and all of it is still to be committed.
        if percent == 99:
            written.set()
            assert go_on.wait(20)

    running = Beside(lambda: run.run(by=ADMIN, import_id=row.pk, tell=tell))
    assert written.wait(20)
    chosen = BannedItem.objects.filter(list=on).order_by("-pk")
    retiring = Beside(lambda: item_changing.retire(by=ADMIN, items=chosen, reason="all of it"))
    try:
        assert not retiring.ended(0.5)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")
        # Its match names the list and the item that are locked.
        assert add(photo(1)).status == "quarantined"
        assert CaseMatch.objects.get().list == on
    finally:
        go_on.set()
    assert running.done().state == "done"
    assert retiring.done() == 9
    assert set(chosen.values_list("state", "note")) == {("retired", "second"), ("retired", "")}


def test_two_people_who_retire_the_same_items_do_not_block_each_other() -> None:
    for _ in range(2):
        on = make_list()
        for _ in range(30):
            make_item(on)
    both = [
        Beside(
            lambda order=order: item_changing.retire(  # type: ignore[misc]
                by=ADMIN, items=BannedItem.objects.order_by(*order), reason="test"
            )
        )
        for order in (["pk"], ["-list", "-pk"])
    ]
    assert sorted(one.done() for one in both) == [0, 60]


def test_giving_up_a_claim_does_not_wait_for_who_decides_the_cluster() -> None:
    """Else the two would wait for one another: the decision has the first case and needs both."""
    item = make_item(make_list())
    first, second = (make_case(item, cluster="a" * 64) for _ in range(2))
    by = Actor.person(make_person(Role.MODERATOR))
    locks.lock(by=by, case_id=second.pk)
    locked, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            assert ReviewCase.objects.select_for_update().get(pk=first.pk).claimed_by == by.user
            locked.set()
            assert go_on.wait(20)

    deciding = Beside(hold)
    try:
        assert locked.wait(20)
        Beside(lambda: locks.unlock(by=by, case_id=second.pk)).done()
    finally:
        go_on.set()
    deciding.done()
    assert ReviewCase.objects.get(pk=second.pk).claimed_by is None
