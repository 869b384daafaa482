"""API keys: issued once, hashed, revoked, expired; the admin that makes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.test import Client
from django.utils import timezone

from gallery.shared.errors import Conflict
from imgsmlr_site.models import ApiKey, digest
from tests import pages

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("edge_urls")]

ADD_PAGE = "/admin/imgsmlr_site/apikey/add/"
LIST_PAGE = "/admin/imgsmlr_site/apikey/"


def status(client: Client, text: str) -> int:
    return client.get("/api/methods/", headers={"x-api-key": text}).status_code


def halves(text: str) -> tuple[str, str]:
    """Of a key's secret: none of them may be found anywhere."""
    secret = text.split("_", 2)[2]
    return secret[:21], secret[21:]


def test_a_key_has_256_random_bits_and_only_its_hash_is_stored() -> None:
    key, text = ApiKey.issue(name="loader", scopes=["search"])
    assert re.fullmatch(rf"imgs_{key.prefix}_[\w-]{{43}}", text)
    with connection.cursor() as cursor:
        cursor.execute("SELECT imgsmlr_site_apikey::text FROM imgsmlr_site_apikey")
        row = cursor.fetchone()[0]
    assert not any(part in row for part in halves(text))
    assert digest(text) in row


def test_two_keys_differ() -> None:
    texts = {ApiKey.issue(name=f"n{i}", scopes=["search"])[1] for i in range(20)}
    assert len(texts) == 20


def test_a_revoked_key_stops_at_once_and_says_so(client: Client) -> None:
    key, text = ApiKey.issue(name="loader", scopes=["search"])
    assert status(client, text) == 200
    key.revoke()
    answer = client.get("/api/methods/", headers={"x-api-key": text})
    assert answer.status_code == 401
    assert "loader is revoked" in answer.json()["detail"]
    with pytest.raises(Conflict):
        key.revoke()


@pytest.mark.parametrize(("left", "expected"), [(60, 200), (0, 401), (-60, 401)])
def test_a_key_ends_when_it_expires(client: Client, left: int, expected: int) -> None:
    ends = timezone.now() + timedelta(seconds=left)
    _, text = ApiKey.issue(name="loader", scopes=["search"], expires_at=ends)
    assert status(client, text) == expected


def test_a_changed_letter_is_another_key(client: Client) -> None:
    _, text = ApiKey.issue(name="loader", scopes=["search"])
    assert status(client, text[:-1] + ("a" if text[-1] != "a" else "b")) == 401
    assert status(client, text.upper()) == 401
    assert status(client, text) == 200


@pytest.mark.parametrize(("bound", "queries"), [(False, 1), (True, 2)])
def test_the_look_up_is_one_query_and_one_for_the_user(
    client: Client, django_assert_num_queries: Any, bound: bool, queries: int
) -> None:
    """No join: it made the look-up of every key four times as long, for the few with a user."""
    owner = User.objects.create_user("ann") if bound else None
    _, text = ApiKey.issue(name="loader", scopes=["search"], user=owner)
    status(client, text)  # writes last_used_at
    with django_assert_num_queries(queries):
        assert status(client, text) == 200


def test_the_last_use_is_written_at_most_once_a_minute(client: Client) -> None:
    key, text = ApiKey.issue(name="loader", scopes=["search"])
    status(client, text)
    key.refresh_from_db()
    first = key.last_used_at
    assert first is not None and timezone.now() - first < timedelta(seconds=30)
    status(client, text)
    key.refresh_from_db()
    assert key.last_used_at == first
    old = first - timedelta(seconds=61)
    ApiKey.objects.update(last_used_at=old)
    status(client, text)
    key.refresh_from_db()
    assert key.last_used_at > old


@pytest.mark.parametrize(
    "fields",
    [
        {"scopes": ["moderate"]},
        {"scopes": ["search", "moderate"]},
        {"scopes": []},
        {"scopes": ["root"]},
    ],
)
def test_the_database_refuses_what_must_not_be(fields: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiKey.issue(name="bad", **fields)
    key = ApiKey(name="bad", **fields)
    key.assign_secret()
    with pytest.raises(ValidationError):
        key.full_clean()


def test_a_name_is_used_once_and_its_user_stays() -> None:
    owner = User.objects.create_user("ann")
    ApiKey.issue(name="loader", scopes=["moderate"], user=owner)
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiKey.issue(name="loader", scopes=["search"])
    with pytest.raises(ProtectedError):
        owner.delete()


# --- The admin --------------------------------------------------------------------------


def test_a_superuser_issues_a_key_and_sees_it_once(
    login: Callable[..., Client], superuser: User, client: Client
) -> None:
    browser = login(superuser)
    assert browser.get(ADD_PAGE).status_code == 200
    answer = browser.post(ADD_PAGE, {"name": "loader", "scopes": ["search", "add"]})
    assert answer.status_code == 200, answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    text = re.search(r"imgs_[\w-]+", answer.content.decode()).group()
    assert status(client, text) == 200
    key = ApiKey.objects.get()
    assert key.scopes == ["search", "add"]
    for page in (LIST_PAGE, f"{LIST_PAGE}{key.pk}/change/", f"{LIST_PAGE}{key.pk}/history/"):
        shown = browser.get(page)
        assert shown.status_code == 200
        assert not any(part in shown.content.decode() for part in halves(text))
        assert key.sha256 not in shown.content.decode()


def test_the_form_explains_a_moderator_key_without_a_user(
    login: Callable[..., Client], superuser: User
) -> None:
    answer = login(superuser).post(ADD_PAGE, {"name": "console", "scopes": ["moderate"]})
    assert "needs a user" in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_a_change_keeps_name_and_secret(
    login: Callable[..., Client], superuser: User, client: Client
) -> None:
    key, text = ApiKey.issue(name="loader", scopes=["search"])
    page = f"{LIST_PAGE}{key.pk}/change/"
    posted = {"name": "other", "scopes": ["add"], "prefix": "x", "revoked_at": ""}
    assert login(superuser).post(page, posted).status_code == 302
    key.refresh_from_db()
    assert (key.name, key.scopes) == ("loader", ["add"])
    assert status(client, text) == 403


def test_the_admin_revokes_and_never_deletes(
    login: Callable[..., Client], superuser: User, client: Client
) -> None:
    key, text = ApiKey.issue(name="loader", scopes=["search"])
    browser = login(superuser)
    other, other_text = ApiKey.issue(name="shop", scopes=["search"])
    posted = {"action": "revoke", "_selected_action": [key.pk, other.pk]}
    page = pages.shown(browser, LIST_PAGE, posted)
    assert page.context["title"] == "Revoke 2 keys?"
    assert status(client, text) == 200
    answer = pages.confirm(browser, LIST_PAGE, posted, page)
    assert [str(one) for one in answer.context["messages"]] == ["2 keys revoked: loader, shop."]
    assert (status(client, text), status(client, other_text)) == (401, 401)
    assert "revoked already" in browser.post(LIST_PAGE, posted, follow=True).content.decode()
    assert browser.post(f"{LIST_PAGE}{key.pk}/delete/", {"post": "yes"}).status_code == 403
    assert ApiKey.objects.count() == 2


def test_staff_with_every_permission_cannot_issue_keys(
    login: Callable[..., Client], staff: User
) -> None:
    from django.contrib.auth.models import Permission

    staff.user_permissions.set(Permission.objects.all())
    key, _ = ApiKey.issue(name="loader", scopes=["search"])
    browser = login(staff)
    assert browser.post(ADD_PAGE, {"name": "mine", "scopes": ["lists"]}).status_code == 403
    for page in (ADD_PAGE, LIST_PAGE, f"{LIST_PAGE}{key.pk}/change/"):
        assert browser.get(page).status_code == 403
    assert "apikey" not in browser.get("/admin/").content.decode()
