"""The list of people, and inviting one: a link sets a password, once."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from imgsmlr_site.accounts import invitations
from moderation.access.permissions import Actor, Role
from moderation.audit.models import AuditEvent
from moderation.cases import deciding, quality
from moderation.cases.models import Exposure
from tests.moderation.factories import make_case, make_item, make_list, make_person

pytestmark = pytest.mark.django_db
PEOPLE, INVITE = "/admin/auth/user/", "/admin/auth/user/add/"
NEW = "correct horse battery"


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def told() -> list[tuple[str, str, Any]]:
    events = AuditEvent.objects.filter(subject="auth.user").order_by("id")
    return [(event.actor, event.verb, event.after) for event in events]


def link_of(answer: Any) -> str:
    text = answer.content.decode()
    return re.search(r'id="invitation">http://testserver([^<]+)<', text)[1]


def test_an_invited_person_sets_a_password_once(root: Client) -> None:
    assert "Invite a person" in root.get(INVITE).content.decode()
    answer = root.post(INVITE, {"username": "ana", "email": "ana@example.org", "role": "lead"})
    assert "no-store" in answer["Cache-Control"]
    link = link_of(answer)
    assert not mail.outbox, "no mail server is set up"
    ana = User.objects.get(username="ana")
    assert (Role.of(ana), ana.is_superuser, ana.has_usable_password()) == (Role.LEAD, False, False)
    assert told() == [
        ("user:root", "user.created", {"user": "ana"}),
        ("user:root", "user.role_given", {"user": "ana", "roles": ["lead"]}),
        ("user:root", "user.invited", {"user": "ana", "by": "link"}),
    ]
    assert "invited" in root.get(PEOPLE).content.decode()
    person = Client()
    asked = person.get(link)
    page = asked["Location"]
    assert "Choose your password" in person.get(page).content.decode()
    assert (
        person.post(page, {"new_password1": "short", "new_password2": "short"}).status_code == 200
    )
    done = person.post(page, {"new_password1": NEW, "new_password2": NEW}, follow=True)
    assert "Your password is set" in done.content.decode()
    ana.refresh_from_db()
    assert ana.check_password(NEW)
    assert told()[-1][1] == "user.password_changed"
    for client in (person, Client()):
        assert "counts no more" in client.get(link, follow=True).content.decode()
    assert person.get("/admin/").status_code == 302, "the link logs nobody in"
    assert root.post(reverse("admin:auth_user_invite", args=[ana.pk])).status_code == 403


def test_a_link_ends_and_can_be_made_anew(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    first = link_of(root.post(INVITE, {"username": "bo", "role": "viewer"}))
    bo = User.objects.get(username="bo")
    again = reverse("admin:auth_user_invite", args=[bo.pk])
    assert again in root.get(f"{PEOPLE}{bo.pk}/change/").content.decode()
    second = link_of(root.post(again))
    assert Client().get(second).status_code == 302
    for wrong in (first[:-3] + "xx/", first.replace(first.split("/")[3], "MQ")):
        assert Client().get(wrong).status_code in (200, 404), wrong
    monkeypatch.setattr(invitations, "DAYS", -1)
    assert "counts no more" in Client().get(second).content.decode()
    monkeypatch.undo()
    bo.is_active = False
    bo.save()
    assert "counts no more" in Client().get(second).content.decode()
    assert root.post(again).status_code == root.get(again).status_code == 403
    assert [verb for _, verb, _ in told()].count("user.invited") == 2


def test_where_mails_are_sent_only_the_person_has_the_link(root: Client, settings: Any) -> None:
    settings.EMAIL_URL = "smtp://mail.example.org"
    answer = root.post(INVITE, {"username": "cy", "email": "cy@example.org", "role": "moderator"})
    (sent,) = mail.outbox
    link = re.search(r"http://testserver(/\S+)", sent.body)[1]
    assert sent.to == ["cy@example.org"] and link not in answer.content.decode()
    assert "was sent to cy@example.org" in answer.content.decode()
    assert Client().get(link).status_code == 302
    assert told()[-1][2] == {"user": "cy", "by": "mail"}
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    broken = root.post(INVITE, {"username": "di", "email": "di@example.org", "role": "viewer"})
    assert "could not be sent" in broken.content.decode() and link_of(broken)


def test_what_cannot_be_invited_is_said(root: Client) -> None:
    for fields, words in (
        ({"username": "ROOT", "role": "lead"}, "account ROOT already"),
        ({"username": "a b", "role": "lead"}, "valid username"),
        ({"username": "eve", "role": "superuser"}, "not one of the available"),
        ({"username": "eve", "email": "x", "role": "lead"}, "valid email"),
    ):
        assert words in root.post(INVITE, fields).content.decode()
    assert not User.objects.filter(username="eve").exists()


def test_the_list_says_role_login_factor_looks_and_agreement(root: Client) -> None:
    ana, bo = make_person(Role.LEAD, "ana"), make_person(Role.MODERATOR, "bo")
    User.objects.create_user("cy")
    User.objects.filter(pk=ana.pk).update(last_login=timezone.now() - timedelta(hours=3))
    today = timezone.localdate()
    Exposure.objects.create(user=bo, day=today, count=40)
    Exposure.objects.create(user=bo, day=today - timedelta(days=29), count=2)
    Exposure.objects.create(user=bo, day=today - timedelta(days=30), count=900)
    item = make_item(make_list())
    case = make_case(item)
    deciding.decide(by=Actor.person(bo), case_ids=[case.pk], verb="confirm")
    share, quality.settings.QUALITY_SHARE = quality.settings.QUALITY_SHARE, 1.0
    try:
        quality.give_opinion(by=Actor.person(ana), case_id=case.pk, verb="confirm")
    finally:
        quality.settings.QUALITY_SHARE = share
    shown = root.get(PEOPLE)
    rows = re.sub(r"<[^>]+>|\s+", " ", shown.content.decode())
    assert "3 h ago" in rows and "too few (1 of 1)" in rows
    looked = {person.username: person.looked for person in shown.context["cl"].result_list}
    assert looked == {"ana": 0, "bo": 42, "cy": 0, "root": 0}

    def named(**query: Any) -> set[str]:
        found = root.get(PEOPLE, query).context["cl"].result_list
        return {person.username for person in found}

    assert named(role="lead") == {"ana"}
    assert named(role="admin") == {"root"}
    assert named(role="none") == {"cy"}
    assert named(q="bo", role="moderator") == {"bo"}


def test_the_list_takes_few_queries(root: Client, django_assert_max_num_queries: Any) -> None:
    for number in range(20):
        make_person(Role.MODERATOR, f"person {number}")
    with django_assert_max_num_queries(16):
        assert root.get(PEOPLE).status_code == 200


def test_only_superusers_invite_with_a_role(client: Client) -> None:
    from django.contrib.auth.models import Permission

    manager = User.objects.create_user("max", is_staff=True)
    some = Permission.objects.filter(codename__in=("view_user", "add_user", "change_user"))
    manager.user_permissions.set(some)
    client.force_login(manager)
    page = client.get(INVITE).content.decode()
    assert 'name="role"' not in page
    words = re.sub(r"<[^>]+>|\s+", " ", page)
    assert "People" in words and "Users" not in words
    assert re.search(r"<button[^>]* name=\"_save\"[^>]*>\s*Invite\s*</button>", page)
    client.post(INVITE, {"username": "eve", "role": "admin"})
    eve = User.objects.get(username="eve")
    assert (eve.is_staff, eve.groups.count()) == (False, 0)
    assert client.post(reverse("admin:auth_user_invite", args=[eve.pk])).status_code == 403
    shown = client.get(PEOPLE).content.decode()
    assert "looks, 30 days" not in shown.lower() and "agreement" not in shown.lower()


def test_leads_see_the_list_and_no_account(root: Client) -> None:
    ana = make_person(Role.MODERATOR, "ana")
    for role, seen in ((Role.LEAD, 200), (Role.MODERATOR, 403)):
        client = Client()
        client.force_login(make_person(role))
        assert client.get(PEOPLE).status_code == seen
        assert ('href="/admin/auth/user/"' in client.get("/admin/").content.decode()) == (
            seen == 200
        )
        assert client.get(f"{PEOPLE}{ana.pk}/change/").status_code == 403
        assert client.get(INVITE).status_code == 403
        client.post(PEOPLE, {"action": "reset_second_factor", "_selected_action": ana.pk})
    assert not AuditEvent.objects.filter(verb="user.second_factor_reset").exists()
    lead = Client()
    lead.force_login(make_person(Role.LEAD))
    shown = lead.get(PEOPLE).content.decode()
    assert f"{PEOPLE}{ana.pk}/change/" not in shown and "looks, 30 days" in shown.lower()
