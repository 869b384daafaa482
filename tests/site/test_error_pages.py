"""Errors outside REST framework: a page for browsers, the API's shape for programs."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
QUEUE = "/admin/moderation/console/"


@pytest.fixture
def viewer() -> Client:
    user = User.objects.create_user("vera", is_staff=True)
    user.groups.set(Group.objects.filter(name="viewer"))
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def answers(client: Client, method: str, path: str, **given: Any) -> tuple[Any, Any]:
    """What a browser and what a program get."""
    page = client.generic(method, path, headers={"Accept": BROWSER}, **given)
    other = client.generic(method, path, **given)
    assert page["Content-Type"].startswith("text/html")
    assert other["Content-Type"] == "application/json"
    assert page.status_code == other.status_code
    assert set(other.json()) == {"type", "code", "detail"}
    return page, other


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/api/v1/nothing/", 404, "not_found"),
        ("GET", "/admin/nothing/", 404, "not_found"),
        ("GET", "/admin/gallery/image/batches/7/", 404, "not_found"),
        ("GET", f"{QUEUE}grid/", 403, "forbidden"),
        ("GET", f"{QUEUE}next/", 405, "method_not_allowed"),
        ("GET", "/nothing?a=%00", 400, "nul_character"),
    ],
)
def test_each_has_its_form(viewer: Client, method: str, path: str, status: int, code: str) -> None:
    page, other = answers(viewer, method, path)
    assert (page.status_code, other.json()["code"]) == (status, code)
    text = page.content.decode()
    assert f"Error {status}" in text
    assert 'href="/admin/"' in text
    if status == 405:
        assert page["Allow"] == other["Allow"] == "POST"
        assert page["Content-Length"] == str(len(page.content))


def test_who_is_not_signed_in_may_do_so(client: Client) -> None:
    """Signing in leads back to a page that is there, never to one that is not."""
    page, _ = answers(client, "GET", "/nothing")
    assert 'href="/admin/login/"' in page.content.decode()
    assert "next=" not in page.content.decode()


def test_too_large(viewer: Client, settings: Any) -> None:
    settings.MAX_REQUEST_BYTES = 100
    page, other = answers(viewer, "POST", f"{QUEUE}next/", data=b"x" * 101)
    assert (page.status_code, other.json()["code"]) == (413, "too_large")
    settings.MAX_REQUEST_BYTES = 10_000_000
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    form = {"data": f"a={'x' * 200}", "content_type": "application/x-www-form-urlencoded"}
    page, other = answers(Client(), "POST", "/admin/login/", **form)
    assert (page.status_code, other.json()["code"]) == (413, "too_large")


def test_a_form_that_is_too_old() -> None:
    page, other = answers(Client(enforce_csrf_checks=True), "POST", "/admin/login/")
    assert (page.status_code, other.json()["code"]) == (403, "csrf_failed")
    assert "load the page again" in page.content.decode()


def test_a_failure_shows_a_page_that_needs_nothing(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr("moderation.cases.console.queue_pages._context", fail)
    page, other = answers(viewer, "GET", QUEUE)
    assert (page.status_code, other.json()["code"]) == (500, "internal_error")
    assert "secret" not in page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_an_outage_is_said_on_a_page(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "HOST", "/nonexistent")
        page, other = answers(viewer, "GET", QUEUE)
        connection.close()
    assert (page.status_code, page["Retry-After"], other["Retry-After"]) == (503, "5", "5")
    assert "The database does not answer now" in page.content.decode()
