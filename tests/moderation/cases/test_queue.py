"""The queue: its order, its filters, and that it stays quick with 50,000 cases."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from gallery.items.item import Status
from gallery.items.models import Image
from gallery.shared.errors import Conflict, NotFound
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.audit.models import AuditEvent
from moderation.cases import deciding, locks, queue, undoing
from moderation.cases.models import ReviewCase
from moderation.cases.queue import Filters
from moderation.lists.models import BannedItem
from moderation.lists.verdicts import Severity
from tests.moderation import factories as make

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]
MANY = """
INSERT INTO moderation_reviewcase (state, origin, verdict, severity, confidence, two_person, held,
    cluster, sampling_weight, evidence, picture, created_at, decided_at, legal_hold,
    legal_hold_reason)
SELECT CASE WHEN n %% 10 = 0 THEN 'confirmed' ELSE 'open' END, 'upload', 'review', 1 + n %% 4,
    (n * 7919 %% 1000) / 1000.0, false, false,
    md5((n / 2)::text), 1, jsonb_build_object('sha256', md5(n::text) || md5(n::text)), '',
    now() - n * interval '13 seconds', CASE WHEN n %% 10 = 0 THEN now() END, false,
    ''
FROM generate_series(1, %s) n;
INSERT INTO moderation_casematch (case_id, list_id, item_id, sha256, list_name, list_version,
    source, match_type, distance, threshold, observe, quality, verdict, created_at, edit)
SELECT c.id, %s, %s, '', 'list', 1, '', CASE WHEN c.id %% 3 = 0 THEN 'copy' ELSE 'pdq' END,
    c.id %% 40, 31, 52, 90, 'review', c.created_at, ''
FROM moderation_reviewcase c;
ANALYZE moderation_reviewcase, moderation_casematch;
"""


@pytest.fixture
def item(db: None) -> BannedItem:
    return make.make_item(make.make_list("terror"))


def numbers(found: queue.Cases) -> list[int]:
    return list(found.values_list("pk", flat=True))


def moderator(role: Role = Role.MODERATOR) -> Actor:
    return Actor.person(make.make_person(role))


def test_priority_is_severity_times_confidence_times_age(item: BannedItem) -> None:
    now = timezone.now()

    def case(severity: Severity, confidence: float, days: float) -> int:
        created = now - timedelta(days=days)
        made = make.make_case(item, severity=severity, confidence=confidence, created_at=created)
        return made.pk

    low, half, critical = (
        case(Severity.LOW, 1.0, 0),
        case(Severity.HIGH, 0.5, 0),
        case(Severity.CRITICAL, 1.0, 0),
    )
    old, older = case(Severity.LOW, 1.0, 1.9), case(Severity.LOW, 1.0, 2.1)
    none = case(Severity.CRITICAL, 0.0, 0)
    # 4 · 1 · 2⁰ lies between 1 · 1 · 2^1.9 and 1 · 1 · 2^2.1
    assert numbers(queue.cases(Filters(), moderator())) == [older, critical, old, half, low, none]


def test_filters(item: BannedItem) -> None:
    by, other = moderator(), make.make_item(make.make_list("spam"))
    now = timezone.now()
    first = make.make_case(item, distance=0.0)
    second = make.make_case(item, distance=20.0, created_at=now - timedelta(days=3))
    third = make.make_case(other, distance=40.0, origin=ReviewCase.Origin.SAMPLE)
    third.evidence["uploader"] = "mallory"
    third.save()
    locks.lock(by=by, case_id=third.pk)
    deciding.decide(by=moderator(), case_ids=[first.pk], verb="dismiss")
    found = {
        "": {second.pk, third.pk},
        "status=decided": {first.pk},
        "status=dismissed&band=exact": {first.pk},
        "status=confirmed": set(),
        f"list={item.list_id}": {second.pk},
        "match_type=pdq&band=edge": {second.pk},
        "match_type=copy": set(),
        "band=beyond": {third.pk},
        "age=week": {second.pk},
        "age=hour": {third.pk},
        "assignee=me": {third.pk},
        "assignee=nobody": {second.pk},
        f"assignee={by.user.get_username()}": {third.pk},
        "origin=sample": {third.pk},
        f"item={item.pk}": {second.pk},
        f"item={item.pk}&band=beyond": set(),
        "uploader=mallory": {third.pk},
        "item=x&uploader=": {second.pk, third.pk},
        "list=x&band=none&origin=&status=9": {second.pk, third.pk},
    }
    for text, expected in found.items():
        filters = Filters.read(QueryDict(text))
        assert set(numbers(queue.cases(filters, by))) == expected, text
        assert Filters.read(QueryDict(filters.query)) == filters


def test_the_queue_shows_one_case_of_a_cluster(item: BannedItem) -> None:
    now = timezone.now()
    twins = [
        make.make_case(item, cluster="a" * 64, created_at=now - timedelta(hours=n)).pk
        for n in range(3)
    ]
    alone = make.make_case(item, severity=Severity.LOW).pk
    found = queue.cases(Filters(), moderator())
    assert numbers(queue.heads(found)) == [twins[2], alone]
    assert queue.sizes(found, ["a" * 64]) == {"a" * 64: 3}
    far = queue.cases(Filters(age="hour"), moderator())
    assert numbers(queue.heads(far)) == [twins[0], alone], "of those that the filters let through"


def test_claiming_the_next(item: BannedItem) -> None:
    ann, bob = moderator(), moderator()
    twins = [make.make_case(item, cluster="a" * 64, severity=Severity.HIGH) for _ in range(2)]
    single = make.make_case(item)
    mine = locks.lock_next(by=ann, filters=Filters())
    assert mine == twins[0]
    assert ReviewCase.objects.filter(claimed_by=ann.user).count() == 2, "with its cluster"
    assert locks.lock_next(by=bob, filters=Filters()) == single
    assert locks.lock_next(by=bob, filters=Filters(), but=single.pk) is None
    assert locks.lock_next(by=ann, filters=Filters(), but=twins[0].pk) is None
    assert locks.lock_next(by=bob, filters=Filters(), skipped=[single.pk, 10**9]) == single
    locks.unlock(by=ann, case_id=twins[0].pk)
    assert locks.lock_next(by=bob, filters=Filters(), skipped=[single.pk]) == twins[0]
    with pytest.raises(NotAllowed):
        locks.lock_next(by=moderator(Role.VIEWER), filters=Filters())


def test_a_claim_is_soft_and_ends(item: BannedItem) -> None:
    ann, bob = moderator(), moderator()
    case = make.make_case(item)
    locks.lock(by=ann, case_id=case.pk)
    with pytest.raises(Conflict, match="is working on case"):
        locks.lock(by=bob, case_id=case.pk)
    with pytest.raises(Conflict, match="is working on this case"):
        deciding.decide(by=bob, case_ids=[case.pk], verb="confirm")
    seen = locks.report_presence(by=bob, case_id=case.pk)
    assert (seen.holder, seen.mine) == (ann.user.get_username(), False)
    assert locks.report_presence(by=ann, case_id=case.pk).others == [bob.user.get_username()]
    locks.lock(by=bob, case_id=case.pk, take_over=True)
    assert locks.report_presence(by=bob, case_id=case.pk).mine
    ReviewCase.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    locks.lock(by=ann, case_id=case.pk)
    deciding.decide(by=ann, case_ids=[case.pk], verb="confirm")
    with pytest.raises(Conflict, match="confirmed already"):
        locks.lock(by=ann, case_id=case.pk)
    with pytest.raises(NotFound):
        locks.lock(by=ann, case_id=10**9)


@pytest.mark.django_db(transaction=True)
def test_nobody_is_given_what_another_is_given() -> None:
    on = make.make_item(make.make_list())
    for n in range(12):
        make.make_case(on, cluster=f"{n // 3:064}")
    people = [make.make_person(Role.MODERATOR) for _ in range(4)]
    barrier, taken = threading.Barrier(4), []

    def work(user: User) -> None:
        try:
            barrier.wait()
            case = locks.lock_next(by=Actor.person(user), filters=Filters())
            taken.append(case.cluster if case else None)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(user,)) for user in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == 4, taken
    assert None not in taken


def queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


@pytest.mark.slow
def test_no_page_asks_a_query_for_each_of_50_000_cases(item: BannedItem, client: Client) -> None:
    for n in range(30):
        make.make_case(item, cluster=f"{n:064}")
    client.force_login(make.make_person(Role.MODERATOR))
    pages = ("console:queue", "console:grid")
    client.get(reverse(pages[0]))  # a session's first request writes its end
    few = [queries(client, reverse(name)) for name in pages]
    with connection.cursor() as cursor:
        cursor.execute(MANY, [50_000, item.list_id, item.pk])
    assert [queries(client, reverse(name)) for name in pages] == few, "no query for each row"
    for query in (f"list={item.list_id}&match_type=copy", "age=week", "status=decided"):
        for name, most in zip(pages, few, strict=True):
            assert queries(client, f"{reverse(name)}?{query}") <= most + 2, (name, query)
    case = queue.cases(Filters(), moderator()).first()
    assert case is not None
    assert queries(client, reverse("console:case", args=[case.pk])) <= 32
    by = moderator()
    with CaptureQueriesContext(connection) as captured:
        locks.lock_next(by=by, filters=Filters())
    assert len(captured) <= 12


@pytest.mark.slow
def test_a_thousand_cases_in_few_statements(item: BannedItem) -> None:
    status = {"status": Status.READY, "added_by": "tests", "format": "png"}
    images = Image.objects.bulk_create(
        Image(
            md5=f"{n:032x}", sha1=f"{n:040x}", sha256=f"{n:064x}", width=9, height=9, bytes=9,
            **status,
        )
        for n in range(1000)
    )  # fmt: skip
    cases = [make.make_case(item, image) for image in images]
    by, ids = moderator(), [case.pk for case in cases]
    for verb, allow, after in (("confirm", False, "quarantined"), ("dismiss", True, "ready")):
        with CaptureQueriesContext(connection) as to_decide:
            batch = deciding.decide(by=by, case_ids=ids, verb=verb, allow=allow)
        assert Image.objects.filter(status=after).count() == 1000
        with CaptureQueriesContext(connection) as to_undo:
            undoing.undo_batch(by=by, batch_id=batch.pk, reason="a slip")
        assert max(len(to_decide), len(to_undo)) <= 100, "none for each case"
    assert Image.objects.filter(status=Status.READY).count() == 1000
    assert AuditEvent.objects.filter(actor=by.name).count() <= 5, "one for each command"
