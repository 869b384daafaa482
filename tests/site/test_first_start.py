"""The first administrator: made once, and led to a password of their own."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from imgsmlr_site.accounts.first_admin import create_first_admin
from imgsmlr_site.models import OneTimePassword

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("edge_urls")]

CHANGE = "/admin/password_change/"


def log_in(password: str) -> Client:
    client = Client()
    posted = {"login": "admin", "password": password}
    assert client.post("/admin/login/?next=/admin/", posted).status_code == 302
    return client


def test_the_first_start_makes_an_admin_and_the_second_does_not() -> None:
    password = create_first_admin()
    assert password is not None and len(password) >= 16
    admin = User.objects.get()
    assert admin.is_superuser and admin.is_staff and admin.is_active
    assert admin.check_password(password)
    assert create_first_admin() is None
    assert admin.check_password(password)


def test_another_superuser_is_enough() -> None:
    User.objects.create_superuser("root")
    assert create_first_admin() is None
    assert not User.objects.filter(username="admin").exists()


def test_the_password_is_stored_nowhere_in_clear() -> None:
    password = create_first_admin()
    stored = OneTimePassword.objects.get().password + User.objects.get().password
    assert password not in stored


def test_two_passwords_differ() -> None:
    first = create_first_admin()
    User.objects.all().delete()
    assert first != create_first_admin()


@pytest.mark.django_db(transaction=True)
def test_of_starters_at_the_same_time_one_gets_the_password() -> None:
    passwords: list[str | None] = []
    barrier = threading.Barrier(4)

    def start() -> None:
        barrier.wait()
        try:
            passwords.append(create_first_admin())
        finally:
            connection.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (given,) = [password for password in passwords if password]
    assert len(passwords) == 4
    assert User.objects.get().check_password(given)


def test_the_admin_leads_to_the_change_of_password_until_it_is_done() -> None:
    password = create_first_admin()
    assert password is not None
    client = log_in(password)
    for page in ("/admin/", "/admin/imgsmlr_site/apikey/", "/admin/auth/user/"):
        answer = client.get(page)
        assert (answer.status_code, answer["Location"]) == (302, CHANGE)
    posted = {"name": "mine", "scopes": ["search"]}
    assert client.post("/admin/imgsmlr_site/apikey/add/", posted)["Location"] == CHANGE
    assert client.get(CHANGE).status_code == 200
    new = "correct horse battery"
    form = {"old_password": password, "new_password1": new, "new_password2": new}
    assert client.post(CHANGE, form).status_code == 302
    assert client.get("/admin/").status_code == 200
    assert log_in(new).get("/admin/").status_code == 200


def test_one_may_log_out_instead() -> None:
    client = log_in(create_first_admin() or "")
    assert client.post("/admin/logout/").status_code in (200, 302)
    assert "/admin/login/" in client.get("/admin/")["Location"]


def test_a_password_changed_elsewhere_frees_the_session() -> None:
    password = create_first_admin() or ""
    client = log_in(password)
    admin = User.objects.get()
    admin.set_password("changed by the command line")
    admin.save()
    assert log_in("changed by the command line").get("/admin/").status_code == 200
    assert "/admin/login/" in client.get("/admin/")["Location"]


def test_other_users_are_left_alone(django_assert_num_queries: Any) -> None:
    create_first_admin()
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    assert client.get("/admin/").status_code == 200
