"""A new password by mail, where a mail server is set."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client

pytestmark = pytest.mark.django_db
ASK = "/admin/password_reset/"
NEW = "correct horse battery"


@pytest.fixture
def person(settings: Any) -> User:
    settings.ROOT_URLCONF = "tests.site.reset_urls"
    return User.objects.create_superuser("root", "root@example.org", "old horse battery")


def test_without_a_mail_server_there_is_no_such_page(client: Client) -> None:
    assert client.get(ASK).status_code in (302, 404)
    assert "Forgot" not in client.get("/admin/login/").content.decode()


def test_the_link_sets_a_password_once(client: Client, person: User) -> None:
    session = Client()
    session.force_login(person)
    assert ASK in client.get("/admin/login/").content.decode()
    assert client.post(ASK, {"email": "ROOT@example.org"})["Location"] == f"{ASK}sent/"
    (sent,) = mail.outbox
    assert sent.to == ["root@example.org"]
    link = re.search(r"http://testserver(/\S+)", sent.body)[1]
    page = client.get(link)["Location"]
    weak = client.post(page, {"new_password1": "root@example.org", "new_password2": NEW})
    assert weak.status_code == 200
    posted = {"new_password1": NEW, "new_password2": NEW}
    assert client.post(page, posted)["Location"] == f"{ASK}done/"
    person.refresh_from_db()
    assert person.check_password(NEW)
    assert session.get("/admin/")["Location"].startswith("/admin/login/")
    # The link logs nobody in: a second factor is still asked for.
    assert client.get("/admin/").status_code == 302
    assert "This link was used" in Client().get(link).content.decode()


def test_asking_is_limited_and_tells_nothing(client: Client, person: User, settings: Any) -> None:
    settings.LOGIN_ATTEMPTS = 2
    for address in ("nobody@example.org", "root@example.org"):
        assert client.post(ASK, {"email": address})["Location"] == f"{ASK}sent/"
    assert len(mail.outbox) == 1
    answer = client.post(ASK, {"email": "root@example.org"})
    assert "Too many attempts" in answer.content.decode()
    assert len(mail.outbox) == 1
