"""What the page of a case says, and deciding all open cases of an uploader or of an item."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from moderation.access.permissions import Actor, Role
from moderation.audit.models import AuditEvent
from moderation.cases import deciding, locks, pace, wellbeing
from moderation.cases.models import CaseMatch, Decision, DecisionBatch, ReviewCase
from moderation.cases.queue import Filters
from moderation.lists.models import BannedItem
from tests import factories as pictures
from tests import pages
from tests.moderation import factories as make

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]
BULK = "console:bulk"
WHOLE = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]


@pytest.fixture
def item(db: None) -> BannedItem:
    return make.make_item(make.make_list("terror"))


def enter(role: Role = Role.MODERATOR, name: str = "") -> tuple[Client, Actor]:
    client, user = Client(), make.make_person(role, name)
    client.force_login(user)
    return client, Actor.person(user)


def page_of(client: Client, case: ReviewCase) -> Any:
    answer = client.get(reverse("console:case", args=[case.pk]))
    assert answer.status_code == 200
    return answer


def add_match(case: ReviewCase, item: BannedItem, **fields: Any) -> CaseMatch:
    match = case.matches.first()
    assert match is not None
    values = {"pk": None, "item": item, "list": item.list, "list_name": item.list.name, **fields}
    for name, value in values.items():
        setattr(match, name, value)
    match.save(force_insert=True)
    return match


def test_an_item_is_one_row_with_all_that_found_it(item: BannedItem) -> None:
    item.picture.save("items/1.jpg", ContentFile(pictures.jpeg(pictures.photo(2))))
    case = make.make_case(item)
    geometry = {
        "inliers": 40, "mirrored": True, "rotation": 90.0, "crop": True, "border": False,
        "query_region": WHOLE, "candidate_region": WHOLE,
    }  # fmt: skip
    add_match(case, item, match_type="copy", distance=0.02, threshold=0.5, geometry=geometry)
    other = make.make_item(make.make_list("another"))
    add_match(case, other, verdict="block")
    client, _ = enter()
    page = page_of(client, case)
    rows = page.context["items"]
    assert [[method["match"].match_type for method in row["methods"]] for row in rows] == [
        ["pdq", "copy"],
        ["pdq"],
    ]
    assert [row["verdict"] for row in rows] == ["review", "block"]
    assert rows[0]["match"].match_type == "copy", "it shows where the item is"
    text = page.content.decode()
    words = "Mirrored crop, turned by 90°, 98 % sure."
    assert f"data-how>{words}</p>" in text
    assert text.count("<tr data-match") == 2
    assert re.search(rf"<title>\s*Case {case.pk}: terror\b", text)
    # The picture of a video is not the frame that matched.
    BannedItem.objects.filter(pk=item.pk).update(media=BannedItem.Media.VIDEO)
    rows = page_of(client, case).context["items"]
    assert (rows[0]["aligns"], rows[0]["item_region"]) == (False, None)


def test_ages_are_true_from_the_first_second(item: BannedItem) -> None:
    case = make.make_case(item)
    client, _ = enter()
    addresses = [reverse("console:queue"), reverse("console:case", args=[case.pk])]
    for address in addresses:
        text = client.get(address).content.decode()
        assert "just now" in text
    ReviewCase.objects.update(created_at=timezone.now() - timedelta(hours=3))
    for address in addresses:
        assert "3 h ago" in client.get(address).content.decode()


def test_the_grid_says_how_many_wait_for_others(item: BannedItem) -> None:
    make.make_case(item)
    make.make_case(item, state="escalated")
    client, _ = enter()
    for name in ("console:queue", "console:grid"):
        assert "(1 for you, 1 for others)" in client.get(reverse(name)).content.decode()


def test_other_uploads_are_those_of_an_uploader_that_is_known(item: BannedItem) -> None:
    evidence = {"sha256": "1" * 64, "uploader": "mallory", "added_by": "key:site"}
    first, second, third = (make.make_case(item, evidence=evidence) for _ in range(3))
    unknown = make.make_case(item, evidence={**evidence, "uploader": None})
    client, by = enter()
    deciding.decide(by=by, case_ids=[third.pk], verb="confirm")
    text = page_of(client, first).content.decode()
    assert "Other uploads from mallory" in text
    assert "1 confirmed, 0 dismissed, 1 waiting" in text
    assert page_of(client, unknown).context["uploader"] == {}
    assert "Other uploads" not in page_of(client, unknown).content.decode()
    assert second.pk in {
        row["case"].pk
        for row in client.get(f"{reverse('console:queue')}?uploader=mallory").context["rows"]
    }


@pytest.mark.parametrize("whose", ["uploader", "item"])
def test_all_open_cases_are_decided_and_undone_together(item: BannedItem, whose: str) -> None:
    evidence = {"sha256": "1" * 64, "uploader": "<b>mallory</b>"}
    cases = [make.make_case(item, evidence=evidence, cluster=str(n)) for n in range(3)]
    twice = make.make_case(item, evidence=evidence, cluster="3", two_person=True)
    led = make.make_case(item, evidence=evidence, cluster="4", state="escalated")
    make.make_case(make.make_item(make.make_list()), evidence={"sha256": "2" * 64})
    client, _ = enter()
    value = "<b>mallory</b>" if whose == "uploader" else str(item.pk)
    address = f"{reverse(BULK)}?{Filters(**{whose: value}).query}"
    assert address.replace("&", "&amp;") in page_of(client, cases[0]).content.decode()
    asked = client.post(address, {"verb": "confirm", "all": "1"})
    text = asked.content.decode()
    assert "Confirm 4 cases of 4 pictures" in text
    assert "1 left out: It is in escalated: only a lead decides it." in text
    words = "the uploader &lt;b&gt;mallory&lt;/b&gt;" if whose == "uploader" else f"item {item.pk}"
    assert f"They are open cases of <strong>{words}</strong>." in text
    assert not Decision.objects.exists(), "it only asks"
    data = {"verb": "confirm", "cases": asked.context["ids"]}
    pages.confirm(client, address, data, asked, reason="same")
    batch = DecisionBatch.objects.get()
    states = dict(ReviewCase.objects.values_list("pk", "state"))
    assert [states[case.pk] for case in cases] == ["confirmed"] * 3
    assert (states[twice.pk], states[led.pk]) == ("voted", "escalated")
    event = AuditEvent.objects.get(verb="case.confirmed")
    assert (event.count, event.after["batch"]) == (4, batch.pk)
    pages.undo(client, client.get(reverse("console:batch", args=[batch.pk])).context["undo"])
    assert ReviewCase.objects.filter(state="open").count() == 5
    viewer, _ = enter(Role.VIEWER)
    assert viewer.post(address, {"verb": "confirm", "all": "1"}).status_code == 403


def test_the_page_of_an_item_leads_to_its_open_cases(item: BannedItem) -> None:
    case = make.make_case(item)
    add_match(case, item, match_type="copy")
    address = reverse("admin:moderation_banneditem_change", args=[item.pk])
    client, by = enter()
    grid = f"{reverse('console:grid')}?item={item.pk}"
    assert f'<a href="{grid}">1: see and decide them together</a>' in (
        client.get(address).content.decode()
    )
    deciding.decide(by=by, case_ids=[case.pk], verb="dismiss")
    assert "<dt>Open cases</dt><dd>none</dd>" in client.get(address).content.decode()


def test_progress_and_pace(item: BannedItem, settings: Any) -> None:
    cases = [make.make_case(item) for _ in range(12)]
    twins = [make.make_case(item, cluster="a" * 64) for _ in range(2)]
    make.make_case(item, state="escalated")
    client, by = enter()
    assert "1 of 13" in page_of(client, cases[0]).content.decode()
    deciding.decide(by=by, case_ids=[case.pk for case in twins], verb="dismiss")
    for case in cases[:4]:
        deciding.decide(by=by, case_ids=[case.pk], verb="dismiss")
    # Five pictures within ten minutes.
    DecisionBatch.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    DecisionBatch.objects.filter(pk=DecisionBatch.objects.last().pk).update(  # type: ignore[union-attr]
        created_at=timezone.now() - timedelta(minutes=10)
    )
    now = pace.progress(by, Filters())
    assert (now.number, now.all, now.capped, now.pace) == (6, 13, False, 30)
    assert "6 of 13, 30 an hour" in page_of(client, cases[5]).content.decode()
    assert pace.progress(by, Filters(status="escalated")).all == 6
    # After a long pause another sitting begins.
    DecisionBatch.objects.update(created_at=timezone.now() - timedelta(minutes=31))
    assert (pace.progress(by, Filters()).number, pace.progress(by, Filters()).pace) == (1, 0)


def test_review_goes_on_where_somebody_left_off(item: BannedItem) -> None:
    cases = [make.make_case(item) for _ in range(4)]
    client, _ = enter()
    following = reverse("console:next")
    assert client.post(following)["Location"].endswith(f"/{cases[0].pk}/")
    client.get(reverse("console:case", args=[cases[0].pk]))
    client.post(reverse("console:skip", args=[cases[0].pk]))
    client.get(reverse("console:case", args=[cases[2].pk]))
    client.post(reverse("console:release", args=[cases[2].pk]))
    assert client.post(following)["Location"].endswith(f"/{cases[2].pk}/"), "left off there"
    _, bob = enter(name="bob")
    locks.lock(by=bob, case_id=cases[2].pk, take_over=True)
    assert client.post(following)["Location"].endswith(f"/{cases[1].pk}/"), "skipped come last"
    elsewhere = client.post(f"{following}?status=escalated")["Location"]
    assert elsewhere == f"{reverse('console:queue')}?status=escalated"


def test_looks_avoided_by_person_and_list(item: BannedItem) -> None:
    (ann, by), (_, lead) = enter(name="ann"), enter(Role.LEAD, "lee")
    cases = [
        make.make_case(item, pictures.add_ready_image(pictures.photo(seed))) for seed in range(4)
    ]
    ann.get(reverse("console:subject", args=[cases[0].pk, "clear"]))
    ids = ",".join(str(case.pk) for case in cases[:3])
    pages.confirm(ann, reverse(BULK), {"verb": "dismiss", "cases": ids}, reason="different")
    assert [Decision.objects.get(case=case).looked for case in cases[:3]] == [True, False, False]
    deciding.decide(by=lead, case_ids=[cases[3].pk], verb="dismiss", looked=True)
    since = timezone.now() - timedelta(days=30)
    care = wellbeing.looks_avoided(by=lead, since=since)
    assert (care.all.decided, care.all.avoided) == (4, 2)
    assert [(row.name, row.decided, row.avoided) for row in care.people] == [
        ("ann", 3, 2),
        ("lee", 1, 0),
    ]
    assert [(row.name, row.decided, row.avoided) for row in care.lists] == [("terror", 4, 2)]
    own = wellbeing.looks_avoided(by=by, since=since)
    assert [row.name for row in own.people] == ["ann"]
    text = ann.get(reverse("moderation-dashboard")).content.decode()
    assert "50 % of 4 decisions" in text
