"""How long a session lasts: without a request, in all, and after a new password."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from imgsmlr_site.accounts.sessions import SEEN, STARTED, end_sessions, forget_ended

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("edge_urls")]
HOUR = 3600


@pytest.fixture
def client(login: Callable[..., Client], superuser: User, settings: Any) -> Client:
    settings.SESSION_IDLE_HOURS, settings.SESSION_COOKIE_AGE = 2, 10 * HOUR
    client = login(superuser)
    client.get("/admin/")
    return client


def hours_left() -> float:
    return (Session.objects.get().expire_date - timezone.now()) / timedelta(hours=1)


def shift(client: Client, **seconds: float) -> None:
    """Move what the session knows of its past."""
    session = client.session
    for name, back in seconds.items():
        session[name] = time.time() - back
    session.save()


def test_a_session_ends_when_nothing_was_asked_for_a_while(client: Client) -> None:
    assert hours_left() == pytest.approx(2, abs=0.05)
    assert int(client.cookies["sessionid"]["max-age"]) == pytest.approx(2 * HOUR, abs=60)
    Session.objects.update(expire_date=timezone.now())
    assert client.get("/admin/").status_code == 302


def test_requests_move_the_end_but_not_beyond_the_limit(client: Client) -> None:
    shift(client, **{SEEN: HOUR, STARTED: HOUR})
    Session.objects.update(expire_date=timezone.now() + timedelta(minutes=1))
    client.get("/admin/")
    assert hours_left() == pytest.approx(2, abs=0.05)
    shift(client, **{SEEN: HOUR, STARTED: 9 * HOUR})
    client.get("/admin/")
    assert hours_left() == pytest.approx(1, abs=0.05)
    shift(client, **{SEEN: HOUR, STARTED: 10 * HOUR})
    client.get("/admin/")
    assert client.get("/admin/").status_code == 302


def test_not_every_request_writes(client: Client) -> None:
    before = Session.objects.get()
    client.get("/admin/")
    after = Session.objects.get()
    assert (after.session_data, after.expire_date) == (before.session_data, before.expire_date)


def test_a_new_password_ends_all_other_sessions(
    client: Client, login: Callable[..., Client], superuser: User
) -> None:
    superuser.set_password("old horse battery")
    superuser.save()
    here, elsewhere = login(superuser), login(superuser)
    new = "correct horse battery"
    form = {"old_password": "old horse battery", "new_password1": new, "new_password2": new}
    assert here.post("/admin/password_change/", form).status_code == 302
    assert here.get("/admin/").status_code == 200
    assert elsewhere.get("/admin/").status_code == 302


def test_ended_sessions_are_deleted(client: Client) -> None:
    assert forget_ended() == 0
    Session.objects.update(expire_date=timezone.now())
    assert forget_ended() == 1 and not Session.objects.exists()


def test_sessions_of_one_person_are_ended(
    client: Client, login: Callable[..., Client], superuser: User, moderator: User
) -> None:
    other = login(moderator)
    assert end_sessions(superuser) == 1
    assert client.get("/admin/").status_code == 302
    assert other.get("/admin/").status_code == 200
