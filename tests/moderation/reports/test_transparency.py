"""The numbers of a month, against one that was made by hand, and drafts of CyberTips."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client
from django.urls import reverse

from gallery.shared.errors import Conflict, UserError
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.audit.models import AuditEvent
from moderation.cases import deciding, quality, undoing, wellbeing
from moderation.cases.facts import facts_of
from moderation.cases.models import Decision, ReviewCase
from moderation.lists.models import BannedItem
from moderation.lists.verdicts import Action
from moderation.pipeline import check
from moderation.reports import cybertip, notices, statements, transparency
from moderation.reports.models import Notice, Statement
from tests import factories as pictures
from tests.moderation import factories as make

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]
JUNE, JULY = datetime(2026, 6, 10, tzinfo=UTC), datetime(2026, 7, 10, tzinfo=UTC)


def person(role: Role = Role.MODERATOR) -> Actor:
    return Actor.person(make.make_person(role))


def moved(at: datetime) -> None:
    """Let what was just made have been made then. The audit refuses it, but for its owner."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE moderation_auditevent DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE moderation_auditevent SET at = %s WHERE at > now() - interval '1h'", [at]
        )
        cursor.execute("ALTER TABLE moderation_auditevent ENABLE TRIGGER USER")
    recent = datetime.now(UTC) - timedelta(hours=1)
    Decision.objects.filter(created_at__gt=recent).update(created_at=at)
    Decision.objects.filter(undone_at__gt=recent).update(undone_at=at)
    Statement.objects.filter(appealed_at__gt=recent).update(appealed_at=at)
    Notice.objects.filter(closed_at__gt=recent).update(closed_at=at)


def checked(on: Any, seed: int) -> ReviewCase:
    """A case about a file whose hash is on the list."""
    digest = f"{seed:064x}"
    make.make_item(on, ("sha256", digest))
    found = check.run(by=make.ADMIN, request=check.CheckRequest(hash=digest, hash_type="sha256"))
    assert found.case is not None
    return found.case


@pytest.fixture
def june(settings: Any) -> Actor:
    """In June: four cases of two lists, three decisions, an appeal, a notice that was late. In July
    one of June's decisions is undone."""
    settings.QUALITY_SHARE = 1.0
    terror, gore = make.make_list("terror"), make.make_list("gore", Action.REVIEW)
    shadow = make.make_list("shadow", Action.SHADOW, observe_share=1.0)
    cases = [checked(terror, 1), checked(terror, 2), checked(gore, 3), checked(gore, 4)]
    checked_in_shadow = make.make_case(make.make_item(shadow), origin=ReviewCase.Origin.SHADOW)
    ReviewCase.objects.update(created_at=JUNE - timedelta(hours=10))
    ReviewCase.objects.filter(pk=cases[2].pk).update(created_at=JUNE - timedelta(hours=30))
    ann, bob = person(), person()
    deciding.decide(by=ann, case_ids=[checked_in_shadow.pk], verb="confirm")
    confirmed = deciding.decide(by=ann, case_ids=[cases[0].pk, cases[1].pk], verb="confirm")
    deciding.decide(by=ann, case_ids=[cases[2].pk], verb="dismiss")
    deciding.decide(by=ann, case_ids=[cases[3].pk], verb="escalate")
    quality.give_opinion(by=bob, case_id=cases[1].pk, verb="dismiss")
    statements.appeal(token=cases[0].statement.token, text="No.")
    deciding.decide(by=bob, case_ids=[cases[0].pk], verb="dismiss")
    data = pictures.jpeg(pictures.photo(9))
    said = {"statement": "Me.", "name": "Ada", "email": "ada@example.org"}
    late = notices.receive(by=bob, reason="intimate", data=data, **said)
    notices.receive(by=bob, reason="child", data=pictures.jpeg(pictures.photo(8)), **said)
    Notice.objects.update(created_at=JUNE - timedelta(days=5), due_at=JUNE - timedelta(days=3))
    late.cases.update(created_at=JUNE - timedelta(days=5))
    deciding.decide(by=ann, case_ids=[late.cases.get().pk], verb="dismiss")
    moved(JUNE)
    undoing.undo_batch(by=ann, batch_id=confirmed.pk, reason="a slip")
    moved(JULY)
    return person(Role.LEAD)


def test_a_month_made_by_hand(june: Actor) -> None:
    found = transparency.count(by=june, month="2026-06").as_data()
    nothing = {"opened": 0, "withheld": 0, "confirmed": 0, "dismissed": 0, "undone": 0}
    assert found == {
        "month": "2026-06",
        "all": {"opened": 6, "withheld": 4, "confirmed": 2, "dismissed": 3, "undone": 0},
        "lists": {
            "(no list)": {**nothing, "opened": 2, "dismissed": 1},
            "gore": {**nothing, "opened": 2, "withheld": 2, "dismissed": 1},
            "terror": {**nothing, "opened": 2, "withheld": 2, "confirmed": 2, "dismissed": 1},
        },
        "appeals": {"by_uploaders": 1, "by_moderators": 0, "upheld": 0, "reversed": 1},
        "notices": {
            "received": {"intimate": 1, "child": 1, "other": 0},
            "closed": {"removed": 0, "partly": 0, "kept": 0, "absent": 1},
            "late": 1,
        },
        # Of 10, 10, 30 and 120 hours: the first decisions, not the one after the appeal.
        "median_hours": 20.0,
        "p90_hours": 93.0,
    }
    july = transparency.count(by=june, month="2026-07")
    assert july.all == transparency.OfList(undone=1), "one of the two was decided again since"
    assert transparency.count(by=june, month="2026-06").as_data() == found


def test_page_files_and_command_say_the_same(june: Actor, client: Client) -> None:
    client.force_login(june.user)
    page = client.get(reverse("console:transparency"), {"month": "2026-06"})
    assert "An intimate picture that the person shown did not agree to" in page.content.decode()
    assert page.status_code == 200
    assert "terror" in page.content.decode()
    as_json = client.get(reverse("console:transparency-file", args=["2026-06", "json"]))
    found = json.loads(as_json.content)
    assert found["all"]["opened"] == 6
    as_csv = client.get(reverse("console:transparency-file", args=["2026-06", "csv"]))
    rows = list(csv.DictReader(io.StringIO(as_csv.content.decode())))
    of_terror = {row["measure"]: row["value"] for row in rows if row["list"] == "terror"}
    assert of_terror == {name: str(value) for name, value in found["lists"]["terror"].items()}
    assert AuditEvent.objects.filter(verb="transparency.exported").count() == 2
    printed = io.StringIO()
    call_command("transparency", "2026-06", stdout=printed)
    assert printed.getvalue() == as_csv.content.decode()
    with pytest.raises(CommandError, match=r"such as 2026-11"):
        call_command("transparency", "June")
    for wrong in ("2026-13", "2199-01"):
        with pytest.raises(UserError):
            transparency.count(by=june, month=wrong)
    assert client.get(reverse("console:transparency"), {"month": "x"}).status_code == 400
    with pytest.raises(NotAllowed):
        transparency.count(by=person(), month="2026-06")
    client.force_login(person().user)
    assert client.get(reverse("console:transparency")).status_code == 403


ORDER = (
    "originalFileName", "uploadedToEspTimestamp", "locationOfFile", "fileViewedByEsp",
    "exifViewedByEsp", "publiclyAvailable", "fileRelevance", "industryClassification",
    "originalFileHash",
)  # fmt: skip


@pytest.fixture
def item() -> BannedItem:
    return make.make_item(make.make_list("known csam"))


def test_a_cybertip_draft(item: BannedItem, client: Client) -> None:
    image = pictures.add_ready_image(data_id="post\x0b-7", uploader="u<1>")
    evidence = {**facts_of(image), "url": "https://p.example/7"}
    case = make.make_case(item, image, evidence=evidence)
    lead = person(Role.LEAD)
    with pytest.raises(Conflict, match="not confirmed"):
        cybertip.draft(by=lead, case_id=case.pk)
    ann = person()
    wellbeing.note_look(by=ann, subject=case, what="item 1")
    wellbeing.note_look(by=ann, subject=image, what="thumbnail")
    deciding.decide(by=ann, case_ids=[case.pk], verb="confirm")
    unseen = cybertip.draft(by=lead, case_id=case.pk)
    details = ElementTree.fromstring(unseen.file_details)
    assert details.findtext("fileViewedByEsp") == "false"
    assert "a look at the whole file" in " ".join(unseen.missing)

    wellbeing.note_look(by=ann, subject=case, what="subject")
    client.force_login(lead.user)
    page = client.get(reverse("console:cybertip", args=[case.pk]))
    assert page.status_code == 200
    assert ann.name in page.content.decode()
    assert not AuditEvent.objects.filter(verb="case.cybertip_drafted").exists()
    answer = client.get(reverse("console:cybertip", args=[case.pk]), {"download": "1"})
    packet = zipfile.ZipFile(io.BytesIO(answer.content))
    details = ElementTree.fromstring(packet.read("file_details.xml"))
    names = [one.tag for one in details]
    assert names == sorted(names, key=ORDER.index)
    assert details.findtext("fileViewedByEsp") == "true"
    assert details.findtext("publiclyAvailable") == "true"
    hashes = {one.get("hashType"): one.text for one in details.findall("originalFileHash")}
    assert hashes["SHA256"] == image.sha256
    report = ElementTree.fromstring(packet.read("report.xml"))
    assert [one.tag for one in report] == [
        "incidentSummary", "internetDetails", "personOrUserReported", "additionalInfo",
    ]  # fmt: skip
    assert [one.tag for one in report[0]] == [
        "incidentType", "incidentDateTime", "incidentDateTimeDescription",
    ]  # fmt: skip
    assert report.findtext("personOrUserReported/espIdentifier") == "u<1>"
    said = report.findtext("additionalInfo")
    assert (
        said == f"Case {case.pk}. The id of the upload: post-7. It matched the lists: known csam."
    )
    (look,) = json.loads(packet.read("looks.json"))
    event = AuditEvent.objects.get(pk=look["event"])
    assert (look["by"], look["digest"]) == (ann.name, event.digest)
    readme = packet.read("README.txt").decode()
    assert "It was not sent." in readme
    assert "reportingPerson" in readme
    drafted = AuditEvent.objects.get(verb="case.cybertip_drafted")
    assert (drafted.actor, drafted.after["looks"]) == (lead.name, [event.pk])
    client.force_login(ann.user)
    assert client.get(reverse("console:cybertip", args=[case.pk])).status_code == 403
