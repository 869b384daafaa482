"""Second opinions, the numbers of the dashboard, report packets, and exports."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.audit.models import AuditEvent
from moderation.cases import deciding, quality, reports, statistics
from moderation.cases.models import Decision, ReviewCase
from moderation.imports.models import ListImport
from moderation.lists.models import BannedItem, RetroScan
from tests import factories as pictures
from tests.moderation.factories import make_case, make_item, make_list, make_person
from tests.moderation.recorded import CONFIRMED, DISMISSED, record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]


@pytest.fixture(autouse=True)
def _all_are_sampled(settings: Any) -> None:
    settings.QUALITY_SHARE = 1.0


@pytest.fixture
def ana() -> Actor:
    return Actor.person(make_person(Role.MODERATOR, "ana"))


@pytest.fixture
def bo() -> Actor:
    return Actor.person(make_person(Role.MODERATOR, "bo"))


@pytest.fixture
def lead() -> Actor:
    return Actor.person(make_person(Role.LEAD, "lee"))


def decided(by: Actor, verb: str = "confirm", count: int = 1) -> list[ReviewCase]:
    item = make_item(make_list(), source="a source")
    cases = [make_case(item) for _ in range(count)]
    deciding.decide(by=by, case_ids=[case.pk for case in cases], verb=verb)
    return list(ReviewCase.objects.filter(pk__in=[case.pk for case in cases]).order_by("pk"))


def client_of(actor: Actor) -> Client:
    client = Client()
    client.force_login(actor.user)
    return client


# --- second opinions ------------------------------------------------------------------------


def test_somebody_else_is_asked_and_changes_nothing(ana: Actor, bo: Actor) -> None:
    (case,) = decided(ana)
    assert not quality.waiting_for_review(ana).exists()
    assert list(quality.waiting_for_review(bo)) == [case]
    made = quality.give_opinion(by=bo, case_id=case.pk, verb="dismiss", note="a toy")
    after = ReviewCase.objects.get(pk=case.pk)
    assert (after.state, after.decided_at) == (case.state, case.decided_at)
    assert (made.blind_review, made.state_before, made.state_after) == (
        True,
        case.state,
        case.state,
    )
    assert not quality.waiting_for_review(bo).exists()
    event = AuditEvent.objects.first()
    assert event is not None
    assert (event.actor, event.verb, event.subject_id) == ("user:bo", "case.judged_again", case.pk)


def test_nobody_judges_a_case_of_their_own_or_twice(ana: Actor, bo: Actor, lead: Actor) -> None:
    (case,) = decided(ana)
    with pytest.raises(NotAllowed):
        quality.give_opinion(by=ana, case_id=case.pk, verb="confirm")
    quality.give_opinion(by=bo, case_id=case.pk, verb="confirm")
    with pytest.raises(NotAllowed):
        quality.give_opinion(by=bo, case_id=case.pk, verb="confirm")
    with pytest.raises(Conflict):
        quality.give_opinion(by=lead, case_id=case.pk, verb="confirm")


def test_nobody_judges_their_own_upload(ana: Actor, bo: Actor) -> None:
    image = pictures.add_ready_image()
    image.added_by = bo.name
    image.save()
    case = make_case(make_item(make_list()), image)
    deciding.decide(by=ana, case_ids=[case.pk], verb="confirm")
    assert not quality.waiting_for_review(bo).exists()


def test_only_decided_cases_of_the_last_weeks_and_known_verbs(ana: Actor, bo: Actor) -> None:
    open_case = make_case(make_item(make_list()))
    with pytest.raises(Conflict):
        quality.give_opinion(by=bo, case_id=open_case.pk, verb="confirm")
    (old,) = decided(ana)
    ReviewCase.objects.filter(pk=old.pk).update(decided_at=timezone.now() - timedelta(days=15))
    assert not quality.waiting_for_review(bo).exists()
    with pytest.raises(UserError):
        quality.give_opinion(by=bo, case_id=old.pk, verb="escalate")
    with pytest.raises(NotFound):
        quality.give_opinion(by=bo, case_id=10**9, verb="confirm")


def test_the_share_is_drawn_and_stays_the_same(settings: Any) -> None:
    record(make_list(), [(5.0, CONFIRMED)] * 2000)
    settings.QUALITY_SHARE = 0.1
    some = set(quality.sampled_for_review().values_list("pk", flat=True))
    # 200 ± 13 are expected: five standard deviations.
    assert 133 <= len(some) <= 267
    assert set(quality.sampled_for_review().values_list("pk", flat=True)) == some
    settings.QUALITY_SHARE = 0.2
    assert some < set(quality.sampled_for_review().values_list("pk", flat=True))
    settings.QUALITY_SHARE = 0.0
    assert not quality.sampled_for_review().exists()


def test_agreement_of_each_person_and_list(ana: Actor, bo: Actor, lead: Actor) -> None:
    cases = [*decided(ana, "confirm", 25), *decided(ana, "dismiss", 15)]
    wrong = cases[:5] + cases[-5:]
    for case in cases:
        said = "confirm" if case.state == "confirmed" else "dismiss"
        other = "dismiss" if said == "confirm" else "confirm"
        quality.give_opinion(by=bo, case_id=case.pk, verb=other if case in wrong else said)
    found = quality.agreements(by=lead)
    assert (found.all.cases, found.all.raw) == (40, 0.75)
    assert found.all.kappa == pytest.approx((0.75 - 0.53125) / (1 - 0.53125))
    assert [line.name for line in found.people] == ["ana"]
    assert len(found.lists) == 2 and all(line.agreement.raw is None for line in found.lists[1:])
    # Others see only how their own decisions fared.
    assert quality.agreements(by=bo).people == []
    assert [line.name for line in quality.agreements(by=ana).people] == ["ana"]


def test_an_undone_opinion_counts_no_more(ana: Actor, bo: Actor, lead: Actor) -> None:
    (case,) = decided(ana)
    made = quality.give_opinion(by=bo, case_id=case.pk, verb="confirm")
    Decision.objects.filter(pk=made.pk).update(undone_at=timezone.now())
    assert quality.agreements(by=lead).all.cases == 0


def test_the_page_does_not_say_what_was_said(ana: Actor, bo: Actor) -> None:
    (case,) = decided(ana, "dismiss")
    url = reverse("console:second-opinions")
    client = client_of(bo)
    text = client.get(url).content.decode()
    assert f"Case {case.pk}" in text
    for word in ("ana", "dismissed", "different"):
        assert word not in text.split("<main")[-1].split('class="second-opinions')[-1]
    answer = client.post(url, {"case": case.pk, "verb": "confirm", "looked": "0"}, follow=True)
    assert "Nothing to review" in answer.content.decode()
    made = Decision.objects.get(blind_review=True)
    assert (made.case, made.verb, made.looked) == (case, "confirm", False)


# --- dashboard ------------------------------------------------------------------------------


def test_the_numbers_of_the_dashboard(ana: Actor, bo: Actor, lead: Actor) -> None:
    on = make_list("terror", severity=4)
    for hours, count in ((0, 3), (5, 2), (50, 1), (24 * 30, 4)):
        for _ in range(count):
            make_case(make_item(on), created_at=timezone.now() - timedelta(hours=hours))
    cases = decided(ana, "confirm", 10)
    now = timezone.now()
    for n, case in enumerate(cases):
        ReviewCase.objects.filter(pk=case.pk).update(
            created_at=now - timedelta(minutes=n + 1), decided_at=now
        )
    quality.give_opinion(by=bo, case_id=cases[0].pk, verb="confirm")
    found = statistics.overview(by=lead)
    assert [(age.name, age.counts[0]) for age in found.queue] == [
        ("under an hour", 3),
        ("under a day", 2),
        ("under a week", 1),
        ("older", 4),
    ]
    today = found.days[-1]
    assert (today.confirmed, today.dismissed, today.escalated) == (10, 0, 0)
    assert found.delays.decided == 10
    assert found.delays.median == pytest.approx(5.5 * 60)
    assert found.delays.p90 == pytest.approx(9.1 * 60)
    assert found.agreements.all.cases == 1


def test_what_is_not_as_it_should_be_is_on_the_page(lead: Actor, bo: Actor) -> None:
    on = make_list("a list that floods")
    item = make_item(on, suspended_at=timezone.now())
    ListImport.objects.create(
        list=on, state=ListImport.State.FAILED, file_name="bad.xml", sha256="0" * 64,
        format="ncmec", size=1, failure="It is no XML.", added_by="user:lee",
    )  # fmt: skip
    RetroScan.objects.create(list=on, reason="new items", added_by="user:lee")
    record(on, [(5.0, CONFIRMED)] * 20 + [(5.0, DISMISSED)] * 20)
    text = client_of(lead).get(reverse("moderation-dashboard")).content.decode()
    for words in (f"Item {item.pk}", "bad.xml", "It is no XML.", "scans of what is here", "50 %"):
        assert words in text
    assert "All decisions as CSV" in text
    assert (
        "All decisions as CSV"
        not in client_of(bo).get(reverse("moderation-dashboard")).content.decode()
    )
    nobody = Actor.person(make_person(Role.NOBODY))
    assert client_of(nobody).get(reverse("moderation-dashboard")).status_code == 403


# --- packets and exports --------------------------------------------------------------------


def opened(body: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(body))


def with_files(ana: Actor) -> ReviewCase:
    image = pictures.add_ready_image(data=pictures.png(pictures.photo(3)), data_id="=1+1")
    item = make_item(make_list("terror"), ("sha256", "ab" * 32), ("pdq", "0f" * 32, 90))
    item.picture.save("items/1.jpg", ContentFile(pictures.jpeg(pictures.photo(4))))
    case = make_case(item, image)
    deciding.decide(by=ana, case_ids=[case.pk], verb="confirm", note="=SUM(A1)")
    return case


def test_a_packet_holds_all_but_media(ana: Actor, lead: Actor) -> None:
    case = with_files(ana)
    packet = opened(reports.build_case_report(by=lead, case_id=case.pk))
    assert sorted(packet.namelist()) == [
        "README.txt", "audit.json", "case.json", "decisions.csv", "hashes.json",
    ]  # fmt: skip
    told = json.loads(packet.read("case.json"))
    assert (told["id"], told["state"]) == (case.pk, "confirmed")
    (match,) = told["matches"]
    assert (match["list_name"], match["distance"], match["threshold"]) == ("terror", 12, 31)
    assert match["list_version"] == 1
    hashes = json.loads(packet.read("hashes.json"))
    assert hashes["subject"]["sha256"] == case.evidence["sha256"]
    assert {row["value"] for row in hashes["items"]} == {"ab" * 32, "0f" * 32}
    (row,) = csv.DictReader(io.StringIO(packet.read("decisions.csv").decode()))
    assert (row["by"], row["verb"], row["note"]) == ("ana", "confirm", "'=SUM(A1)")
    verbs = [event["verb"] for event in json.loads(packet.read("audit.json"))]
    assert verbs == ["case.confirmed"]
    event = AuditEvent.objects.get(verb="case.exported")
    assert (event.actor, event.after) == ("user:lee", {"media": []})


def test_media_only_for_who_may_export_it(ana: Actor, lead: Actor) -> None:
    case = with_files(ana)
    with pytest.raises(NotAllowed):
        reports.build_case_report(by=lead, case_id=case.pk, media=True)
    with pytest.raises(NotAllowed):
        reports.build_case_report(by=ana, case_id=case.pk)
    assert not AuditEvent.objects.filter(verb="case.exported").exists()
    admin = Actor.person(make_person(Role.ADMIN))
    packet = opened(reports.build_case_report(by=admin, case_id=case.pk, media=True))
    item = BannedItem.objects.get()
    files = {name for name in packet.namelist() if name.startswith("media/")}
    assert files == {"media/subject.png", f"media/item-{item.pk}.jpg"}
    assert packet.read("media/subject.png") == pictures.png(pictures.photo(3))
    event = AuditEvent.objects.get(verb="case.exported")
    assert event.after == {"media": sorted(name.removeprefix("media/") for name in files)}


def test_a_packet_outlives_what_it_is_about(ana: Actor, lead: Actor) -> None:
    case = with_files(ana)
    assert case.image is not None
    case.image.delete()
    told = opened(reports.build_case_report(by=lead, case_id=case.pk))
    assert json.loads(told.read("hashes.json"))["subject"]["sha256"] == case.evidence["sha256"]
    with pytest.raises(NotFound):
        reports.build_case_report(by=lead, case_id=10**9)


def test_pages_hand_out_packets_and_decisions(ana: Actor, bo: Actor, lead: Actor) -> None:
    case = with_files(ana)
    url = reverse("console:packet", args=[case.pk])
    answer = client_of(lead).get(url)
    assert answer["Content-Type"] == "application/zip"
    assert opened(answer.content).testzip() is None
    assert client_of(bo).get(url).status_code == 403
    assert client_of(lead).get(url, {"media": "1"}).status_code == 403
    assert url in client_of(lead).get(reverse("console:case", args=[case.pk])).content.decode()
    assert url not in client_of(bo).get(reverse("console:case", args=[case.pk])).content.decode()
    answer = client_of(lead).get(reverse("console:decisions-csv"))
    (row,) = csv.DictReader(io.StringIO(b"".join(answer).decode()))  # type: ignore[arg-type]
    assert (row["case"], row["lists"]) == (str(case.pk), "terror")
    event = AuditEvent.objects.latest("id")
    assert (event.actor, event.verb, event.count) == ("user:lee", "decision.exported", 1)
    assert client_of(bo).get(reverse("console:decisions-csv")).status_code == 403


# --- API ------------------------------------------------------------------------------------


def key(user: User, *scopes: str) -> dict[str, str]:
    from imgsmlr_site.models import ApiKey

    _, text = ApiKey.issue(name=f"key of {user}", scopes=list(scopes), user=user)
    return {"Authorization": f"Bearer {text}"}


def test_thresholds_over_the_api(lead: Actor, bo: Actor) -> None:
    on = make_list()
    record(on, [(5.0, CONFIRMED)] * 60 + [(36.0, DISMISSED)] * 10)
    url = f"/api/v1/moderation/lists/{on.pk}/thresholds/pdq/"
    headers = key(lead.user, "lists")
    told = Client().get(url, {"proposed": "40", "precision": "0.9"}, headers=headers).json()
    assert (told["threshold"], told["observe"], told["decided"]) == (31, 52, 70)
    assert told["move"] == {
        "added": 10,
        "dropped": 0,
        "confirmed": 0,
        "dismissed": 10,
        "left_open": 0,
    }
    assert told["suggested"] == 35
    point = told["points"][31]
    assert (point["threshold"], point["matched"], point["confirmed"]) == (31, 60, 60)
    assert point["precision"]["value"] == 1 > point["precision"]["low"] > 0.9
    assert told["points"][3]["precision"] is None
    body = {"threshold": 25, "reason": "by script"}
    done = Client().post(url, body, headers=headers, content_type="application/json")
    assert done.json() == {"threshold": 25, "scan": None}
    refused = Client().post(
        url, body, headers=key(bo.user, "lists"), content_type="application/json"
    )
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    for odd in ({"proposed": "99"}, {"proposed": "nan"}, {"precision": "2"}):
        assert Client().get(url, odd, headers=headers).status_code == 400
    missing = f"/api/v1/moderation/lists/{on.pk}/thresholds/md5/"
    assert Client().get(missing, headers=headers).status_code == 404


def test_packets_and_numbers_over_the_api(ana: Actor, lead: Actor) -> None:
    case = with_files(ana)
    headers = key(lead.user, "moderate")
    packet = Client().get(f"/api/v1/moderation/cases/{case.pk}/packet/", headers=headers)
    assert opened(packet.content).testzip() is None
    refused = Client().get(
        f"/api/v1/moderation/cases/{case.pk}/packet/", {"media": "true"}, headers=headers
    )
    assert refused.status_code == 403
    answer = Client().get("/api/v1/moderation/decisions.csv", headers=headers)
    assert b"ana" in b"".join(answer)  # type: ignore[arg-type]
    told = Client().get("/api/v1/moderation/statistics/", headers=headers).json()
    assert told["per_day"][f"{timezone.now().date()}"]["confirmed"] == 1
    assert told["agreement"] is None
    assert Client().get("/api/v1/moderation/statistics/").status_code == 401
