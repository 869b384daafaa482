"""The page of the audit: searched, filtered, folded, and taken away as a file."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from gallery.items import changing
from gallery.items.models import Image
from moderation.access.permissions import Actor, Role
from moderation.audit import trail
from moderation.audit.models import AuditEvent
from moderation.cases import deciding
from moderation.lists import list_writes
from tests.factories import add_ready_image, photo
from tests.moderation.factories import ADMIN, make_case, make_item, make_list, make_person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]
PAGE = "/admin/moderation/auditevent/"


@pytest.fixture
def lead() -> Client:
    client = Client()
    client.force_login(make_person(Role.LEAD, "lena"))
    return client


def events(client: Client, **query: Any) -> list[Any]:
    return list(client.get(PAGE, query).context["cl"].result_list)


def ids(client: Client, **query: Any) -> set[int]:
    return {event.pk for event in events(client, **query)}


def latest() -> int:
    return AuditEvent.objects.latest("id").pk


@pytest.mark.slow
def test_the_audit_is_searched_by_person_data_id_and_case(lead: Client) -> None:
    images = [add_ready_image(photo(n), data_id=f"post-{n}") for n in range(3)]
    added = {event.subject_id: event.pk for event in AuditEvent.objects.filter(verb="image.added")}
    item = make_item(make_list("terror"))
    cases = [make_case(item, image) for image in images[:2]]
    ana = Actor.person(make_person(Role.LEAD, "ana"))
    deciding.decide(by=ana, case_ids=[case.pk for case in cases], verb="confirm")
    decided = latest()
    changing.quarantine_items(items=Image.objects.filter(data_id="post-2"), by="user:ana")
    alone = latest()
    changing.release_items(items=Image.objects.filter(pk=images[2].pk), by="user:bo")
    list_writes.create_list(by=ADMIN, name="spam")
    made = AuditEvent.objects.latest("id")

    assert ids(lead, q="ana") == ids(lead, q="user:ana") == {decided, alone}
    assert ids(lead, q=f"case {cases[0].pk}") == {decided}
    assert decided in ids(lead, q=str(cases[1].pk))
    assert {added[images[0].pk], decided} <= ids(lead, q="post-0")
    assert decided not in ids(lead, q="post-2") >= {added[images[2].pk], alone}
    assert ids(lead, q=f"image {images[0].pk}") == ids(lead, q="post-0") - {decided}
    assert ids(lead, q="spam") == ids(lead, q=made.digest) == {made.pk}
    assert ids(lead, q="nobody") == ids(lead, q="case 99999999999") == set()
    changing.delete_items(items=Image.objects.filter(pk=images[2].pk), by="user:bo")
    assert ids(lead, q=f"image {images[2].pk}") >= {added[images[2].pk], alone, latest()}


def test_events_about_many_are_found_by_each_of_them(lead: Client) -> None:
    images = [add_ready_image(photo(n), data_id=f"post-{n}") for n in range(2)]
    changing.quarantine_items(items=Image.objects.all(), by="user:ana")
    assert AuditEvent.objects.get(pk=latest()).subject_id is None
    for image in images:
        assert latest() in ids(lead, q=image.data_id)


def test_actions_people_and_days_are_chosen_from_lists(lead: Client) -> None:
    row = make_list("terror")
    for by in ("user:ana", "worker"):
        trail.record(by=by, verb="list.changed", subject=row, reason="<b>why</b>")
    trail.record(by="user:ana", verb="list.exported", subject=row)
    assert len(ids(lead, verb="list.changed")) == 2
    assert len(ids(lead, verb="list.changed", actor="user:ana")) == 1
    today = timezone.localdate()
    tomorrow, yesterday = (str(today + timedelta(days=days)) for days in (1, -1))
    assert len(ids(lead, at_from=str(today), at_to=str(today))) == 3
    assert ids(lead, at_from=tomorrow) == ids(lead, at_to=yesterday) == set()
    assert len(ids(lead, at_from="no day", at_to="9999-12-31")) == 3
    shown = lead.get(PAGE).content.decode()
    assert '<option value="user:ana">ana</option>' in shown
    assert '<option value="worker">A worker</option>' in shown
    assert '<optgroup label="Cases">' in shown and "second opinion" in shown
    assert f'changed the list <a href="/admin/moderation/bannedlist/{row.pk}/change/">' in shown
    assert "&lt;b&gt;why" in shown and "<b>why" not in shown
    event = AuditEvent.objects.earliest("id")
    one = lead.get(reverse("admin:moderation_auditevent_change", args=[event.pk])).content.decode()
    assert event.digest in one and "ana</dd>" not in one and "&lt;b&gt;why" in one
    for unknown in ({"run": "x"}, {"run": event.pk}, {"run": 10**17}):
        assert lead.get(PAGE, unknown).status_code == 200


def look(by: str, number: int = 1) -> list[int]:
    image = Image.objects.first()
    assert image is not None
    return [
        trail.record(by=by, verb="media.seen", subject=image, after={"what": "thumbnail"}).pk
        for _ in range(number)
    ]


def test_many_looks_in_a_row_are_one_line_that_opens(lead: Client) -> None:
    image = add_ready_image(photo(1), data_id="post-1")
    first = look("user:ana", 3)
    other = look("user:bo")
    first += look("user:ana", 2)
    between = trail.record(by="user:ana", verb="user.logged_out", subject=image).pk
    second = look("user:ana", 2)

    lines = {event.pk: event.run for event in events(lead, actor="user:ana")}
    assert list(lines) == [second[-1], between, first[-1]]
    assert (lines[second[-1]].looks, lines[first[-1]].looks) == (2, 5)
    whole = ids(lead)
    assert {*lines, *other} <= whole and not {*first[:-1], *second[:-1]} & whole
    shown = lead.get(PAGE).content.decode()
    assert "ana looked clearly 5 times since" in shown
    assert f'href="?run={first[-1]}"' in shown
    assert ids(lead, run=first[-1]) == set(first)
    assert ids(lead, q="post-1") >= {*first, *second, *other}, "a search asks for each"
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE moderation_auditevent DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE moderation_auditevent SET at = at - interval '1 day' WHERE id <= %s", [first[2]]
        )
        cursor.execute("ALTER TABLE moderation_auditevent ENABLE TRIGGER USER")
    lines = {event.pk: event.run for event in events(lead, verb="media.seen", actor="user:ana")}
    assert {pk: run.looks for pk, run in lines.items()} == {
        second[-1]: 2, first[-1]: 2, first[2]: 3,
    }, "a day ends a run, so that days as a filter do not cut one"  # fmt: skip
    yesterday = str(timezone.localdate() - timedelta(days=1))
    (line,) = events(lead, at_to=yesterday, verb="media.seen")
    assert (line.pk, line.run.looks) == (first[2], 3)


def test_what_is_filtered_is_a_file(lead: Client) -> None:
    image = add_ready_image(photo(1), data_id="=HYPERLINK(1)")
    looks = look("user:ana", 3)
    trail.record(by="user:bo", verb="image.quarantined", subject=image, reason="=SUM(1)")
    address = reverse("admin:moderation_auditevent_export")

    def sent(query: str, form: str) -> str:
        answer = lead.post(f"{address}?{query}", {"format": form})
        assert answer["Cache-Control"].startswith("private, no-store")
        return b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]

    lines = sent("actor=user:ana", "csv").splitlines()
    assert [line.split(",")[0] for line in lines] == ["id", *map(str, looks)], "each look"
    assert lines[1].endswith(f"ana looked clearly at image {image.pk} (=HYPERLINK(1)) (thumbnail)")
    quarantined = sent("verb=image.quarantined", "csv").splitlines()
    assert len(quarantined) == 2 and "'=SUM(1)" in quarantined[1]
    assert sent("q=ana", "jsonl").count('"verb":"media.seen"') == 3
    exports = AuditEvent.objects.filter(verb="auditevent.exported").order_by("id")
    assert [(one.actor, one.count) for one in exports] == [
        ("user:lena", 3), ("user:lena", 1), ("user:lena", 3),
    ]  # fmt: skip
    assert lead.get(address).status_code == 403
    assert lead.post(address, {"format": "exe"}).status_code == 403
    client = Client()
    client.force_login(make_person(Role.MODERATOR))
    assert client.post(address, {"format": "csv"}).status_code == 403
    assert exports.count() == 3


def test_links_lead_only_where_the_reader_may_go(lead: Client) -> None:
    trail.record(by="x", verb="user.created", subject=make_person(Role.VIEWER, "bo"))
    assert "made the account bo" in lead.get(PAGE).content.decode()
