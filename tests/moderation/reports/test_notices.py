"""Notices of people: taken by form and API, searched for copies, decided within 48 hours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ
from PIL import Image as Pillow

from gallery.items.item import Status
from gallery.items.models import Image
from gallery.shared.errors import UserError
from imgsmlr_site.models import ApiKey
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.audit.models import AuditEvent
from moderation.cases import deciding, undoing
from moderation.cases.models import ReviewCase
from moderation.reports import notices, receipts
from moderation.reports.models import Notice, Statement
from moderation.webhooks.models import Delivery, Webhook
from tests import factories as pictures
from tests.moderation import factories as make
from tests.videos import library
from tests.videos.clips import encode, still, timed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]

SAID = {
    "reason": "intimate",
    "statement": "It shows <i>me</i>.",
    "name": "Ada Lovelace",
    "email": "ada@example.org",
}
FORM = {**SAID, "good_faith": "1"}


def person(role: Role = Role.MODERATOR) -> Actor:
    return Actor.person(make.make_person(role))


def upload(picture: Pillow.Image) -> SimpleUploadedFile:
    return SimpleUploadedFile("it.jpg", pictures.jpeg(picture), "image/jpeg")


@pytest.fixture
def photo() -> Pillow.Image:
    return pictures.wheel_photo("coffee.png")


@pytest.fixture
def image(photo: Pillow.Image) -> Image:
    return pictures.add_ready_image(photo.resize((300, 200)), data_id="post-7")


@pytest.fixture
def hook() -> None:
    events = ["notice.received", "notice.overdue", "notice.closed"]
    Webhook.objects.create(name="h", url="https://h.example/", secret="whsec_eA==", events=events)


def sent(event: str) -> list[Any]:
    return [one.payload for one in Delivery.objects.filter(event=event).order_by("pk")]


@pytest.mark.usefixtures("hook")
def test_a_notice_by_the_form_finds_the_copy_and_is_decided(
    image: Image,
    photo: Pillow.Image,
    client: Client,
    settings: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:
    settings.NOTICE_FORM = True
    form = client.get("/notices/")
    assert (form.status_code, form["X-Robots-Tag"]) == (200, "noindex, nofollow")
    answer = client.post("/notices/", {**FORM, "file": upload(photo)})
    assert answer.status_code == 302
    notice = Notice.objects.get()
    of_image, of_picture = notice.cases.order_by("image_id")
    assert (of_image.image, of_image.origin, of_image.held) == (image, "notice", False)
    assert of_picture.picture
    assert notice.due_at - notice.created_at == timedelta(hours=48)
    (told,) = sent("notice.received")
    assert told["path"] == answer["Location"]
    assert "ada" not in str(told).lower()

    page = client.get(answer["Location"])
    assert "no-store" in page["Cache-Control"]
    text = page.content.decode()
    assert "People are looking at it" in text
    assert notice.sha256 in text
    for secret in ("Ada", "example.org", "post-7", "It shows"):
        assert secret not in text, secret

    ann = person()
    client.force_login(ann.user)
    shown = client.get(reverse("console:case", args=[of_image.pk])).content.decode()
    assert "It shows &lt;i&gt;me&lt;/i&gt;." in shown
    assert "Ada" not in shown
    assert "1 notice waits" in client.get(reverse("moderation-dashboard")).content.decode()
    client.logout()

    with django_capture_on_commit_callbacks(execute=True):
        batch = deciding.decide(by=ann, case_ids=[of_image.pk, of_picture.pk], verb="confirm")
    tasks = [one.task for one in OrmQ.objects.all()]
    (task,) = [one for one in tasks if one["func"] == "moderation.tasks.search_again_for_notice"]
    assert task["args"] == (notice.pk,)
    notice.refresh_from_db()
    assert notice.outcome == Notice.Outcome.REMOVED
    image.refresh_from_db()
    assert image.status == Status.QUARANTINED
    assert Statement.objects.get().case == of_image, "nobody uploaded what came with the notice"
    assert sent("notice.closed")[0]["outcome"] == "removed"
    assert "Everything that we found" in client.get(answer["Location"]).content.decode()

    later = pictures.add_ready_image(photo.resize((250, 166)))
    assert notices.search_again(notice.pk) == 1
    notice.refresh_from_db()
    assert notice.closed_at is None, "a copy came since"
    assert notice.cases.filter(image=later, state="open").exists()
    deciding.decide(by=ann, case_ids=[later.cases.get().pk], verb="dismiss")
    notice.refresh_from_db()
    assert notice.outcome == Notice.Outcome.PARTLY
    undoing.undo_batch(by=ann, batch_id=batch.pk, reason="a slip")
    notice.refresh_from_db()
    assert (notice.closed_at, notice.outcome) == (None, "")


def test_what_the_form_refuses(client: Client, settings: Any, photo: Pillow.Image) -> None:
    assert client.get("/notices/").status_code == 404
    assert client.post("/notices/", FORM).status_code == 404, "off until it is switched on"
    settings.NOTICE_FORM = True
    settings.THROTTLE_POINTS = 0

    def refused(**changes: Any) -> str:
        other = Client(REMOTE_ADDR=f"192.0.2.{len(tried)}")
        tried.append(1)
        answer = other.post("/notices/", {**FORM, **changes})
        assert answer.status_code == 400, changes
        assert "It shows &lt;i&gt;me" in answer.content.decode() or "statement" in changes
        return answer.content.decode()

    tried: list[int] = []
    assert "Confirm that" in refused(good_faith="")
    assert "address of the picture, or its file" in refused()
    assert "reached" in refused(email="nobody", file=upload(photo))
    assert "Give one of" in refused(reason="boredom", file=upload(photo))
    assert "Say what" in refused(statement="  ", file=upload(photo))
    assert "not on the public Internet" in refused(address="http://127.0.0.1:9/x.jpg")
    assert "starts with http" in refused(address="javascript:alert(1)", file=upload(photo))
    no_picture = SimpleUploadedFile("it.txt", b"no picture at all", "text/plain")
    assert "picture" in refused(file=no_picture)
    assert not Notice.objects.exists()
    for _ in range(5):
        assert client.post("/notices/", FORM).status_code == 400
    answer = client.post("/notices/", FORM)
    assert (answer.status_code, int(answer["Retry-After"]) > 600) == (429, True)


@pytest.mark.usefixtures("hook")
def test_by_address_of_a_stored_image_over_the_api(image: Image, client: Client) -> None:
    key = {"x-api-key": ApiKey.issue(name="front", scopes=["notices"])[1]}
    api = reverse("notices")
    address = f"http://localhost{reverse('gallery:original', args=[image.pk])}"
    json = {"content_type": "application/json", "headers": key}
    answer = client.post(api, {**SAID, "address": address}, **json)
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert (body["outcome"], body["closed_at"]) == (None, None)
    notice = Notice.objects.get()
    (case,) = notice.cases.all()
    assert case.image == image
    again = client.post(api, {**SAID, "address": address}, **json).json()
    assert Notice.objects.get(pk=notice.pk + 1).cases.get() == case, "it joins the open case"

    Image.objects.filter(pk=image.pk).update(status=Status.QUARANTINED)
    hidden = client.post(api, {**SAID, "address": address}, **json)
    lost = client.post(api, {**SAID, "address": address.replace(str(image.pk), "999")}, **json)
    assert hidden.status_code == lost.status_code == 404
    assert hidden.json() == lost.json(), "nobody learns what is withheld"
    status = reverse("notice", args=[again["receipt"]])
    assert client.get(status, headers=key).json()["page"] == again["page"]
    forged = again["receipt"][:-1] + ("A" if again["receipt"][-1] != "A" else "B")
    assert client.get(reverse("notice", args=[forged]), headers=key).status_code == 404
    assert client.get(reverse("notice-status", args=[forged])).status_code == 404
    other = {"x-api-key": ApiKey.issue(name="other", scopes=["search", "add"])[1]}
    assert client.get(status, headers=other).status_code == 403
    Notice.objects.all().delete()
    gone = client.get(reverse("notice-status", args=[again["receipt"]])).content.decode()
    assert "not stored any more" in gone
    assert "genuine" in gone


@pytest.mark.usefixtures("hook")
def test_what_is_late_is_told_once(client: Client, photo: Pillow.Image) -> None:
    notice = notices.receive(by=person(), data=pictures.jpeg(photo), **SAID)
    assert notices.send_overdue() == 0
    Notice.objects.update(due_at=timezone.now() - timedelta(minutes=1))
    assert (notices.send_overdue(), notices.send_overdue()) == (1, 0)
    assert [one["notice"] for one in sent("notice.overdue")] == [notice.pk]
    lead = person(Role.LEAD)
    client.force_login(lead.user)
    shown = client.get(reverse("moderation-dashboard")).content.decode()
    assert "1 notice was not decided within 48 hours" in shown
    metrics = client.get("/metrics").content.decode()
    assert "notices_open 1.0" in metrics
    assert "notices_overdue 1.0" in metrics
    page = client.get(receipts.path(notice)).content.decode()
    assert "late" in page
    deciding.decide(by=lead, case_ids=[notice.cases.get().pk], verb="confirm")
    notice.refresh_from_db()
    assert notice.outcome == Notice.Outcome.ABSENT, "there was nothing to remove"


def test_who_sent_it_is_for_leads_and_for_a_time(client: Client, photo: Pillow.Image) -> None:
    notice = notices.receive(by=person(), data=pictures.jpeg(photo), **SAID)
    address = reverse("console:notice", args=[notice.pk])
    ann, lead = person(), person(Role.LEAD)
    client.force_login(ann.user)
    assert "Leads see this" in client.get(address).content.decode()
    assert client.post(address).status_code == 403
    with pytest.raises(NotAllowed):
        notices.contact(by=ann, notice_id=notice.pk)
    client.force_login(lead.user)
    assert "Ada" not in client.get(address).content.decode()
    assert "ada@example.org" in client.post(address).content.decode()
    assert AuditEvent.objects.get(verb="notice.contact_seen").actor == lead.name
    assert "Notice" in client.get(reverse("console:notices")).content.decode()

    deciding.decide(by=ann, case_ids=[notice.cases.get().pk], verb="dismiss")
    assert notices.delete_contacts() == 0
    Notice.objects.update(closed_at=timezone.now() - timedelta(days=31))
    assert (notices.delete_contacts(), notices.delete_contacts()) == (1, 0)
    notice.refresh_from_db()
    assert (notice.name, notice.email) == ("", "")
    assert AuditEvent.objects.get(verb="notice.contacts_deleted").count == 1


def test_the_picture_and_its_certain_copy_are_decided_together(image: Image) -> None:
    notice = notices.receive(by=person(), data=image.original.open("rb").read(), **SAID)
    assert {case.image for case in notice.cases.all()} == {image, None}
    assert len({case.cluster for case in notice.cases.all()}) == 1


@pytest.mark.usefixtures("clips_are_read_once")
def test_a_video_that_shows_the_picture_is_found() -> None:
    clip = list(still("astronaut", 2))
    video = library.add_ready(encode(timed(clip)))
    data = pictures.jpeg(Pillow.fromarray(clip[0]))
    notice = notices.receive(by=person(), data=data, **SAID)
    assert {case.video for case in notice.cases.all()} == {video, None}


def test_a_notice_about_a_child_is_for_two_people_and_comes_first(photo: Pillow.Image) -> None:
    notice = notices.receive(by=person(), data=pictures.jpeg(photo), **{**SAID, "reason": "child"})
    case = notice.cases.get()
    assert (case.severity, case.two_person) == (4, True)
    other = make.make_case(make.make_item(make.make_list()))
    assert list(ReviewCase.objects.order_by("-rank")) == [case, other]
    with pytest.raises(UserError):
        notices.receive(by=person(), **SAID)


def test_moderators_read_notices_by_the_api_and_leads_who_sent_them(image: Image) -> None:
    address = f"http://localhost{reverse('gallery:original', args=[image.pk])}"
    by = Actor("key:front", Role.NOBODY, via_key=True)
    first, second = (notices.receive(by=by, address=address, **SAID) for _ in range(2))
    Notice.objects.filter(pk=first.pk).update(closed_at=timezone.now(), outcome="kept")

    def api(role: Role, scope: str = "moderate") -> Client:
        key = ApiKey.issue(name=f"{role} {scope}", scopes=[scope], user=make.make_person(role))[1]
        return Client(headers={"x-api-key": key})

    path = "/api/v1/moderation/notices/"
    moderator, lead = api(Role.MODERATOR), api(Role.LEAD)
    answer = moderator.get(path)
    assert [one["id"] for one in answer.json()["results"]] == [second.pk, first.pk]
    assert "Ada" not in answer.content.decode() and "ada@" not in answer.content.decode()
    (only,) = moderator.get(f"{path}?open=true&reason=intimate").json()["results"]
    assert (only["id"], only["cases"], only["is_overdue"]) == (
        second.pk, list(second.cases.values_list("pk", flat=True)), False,
    )  # fmt: skip
    seen = moderator.get(f"{path}{first.pk}/").json()
    assert (seen["outcome"], "name" in seen) == ("kept", False)
    assert moderator.post(f"{path}{first.pk}/contact/").status_code == 403
    contact = lead.post(f"{path}{first.pk}/contact/").json()
    assert (contact["name"], contact["email"]) == ("Ada Lovelace", "ada@example.org")
    assert AuditEvent.objects.filter(verb="notice.contact_seen").count() == 1
    # Who may hand notices in, or only look at cases, reads none.
    for client, status in (
        (api(Role.MODERATOR, "notices"), 403), (api(Role.VIEWER), 403), (Client(), 401),
    ):  # fmt: skip
        assert client.get(path).status_code == status
        assert client.get(f"{path}{first.pk}/").status_code == status
    assert lead.get(f"{path}{10**6}/").status_code == 404
