"""Single sign-on against a real provider: who comes in, as whom, and with what rights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from django.contrib.auth.models import Group, User
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from imgsmlr_site.env import env_url
from moderation.audit.models import AuditEvent
from tests.oidc_provider import CLIENT, SECRET, Provider

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("edge_urls")]

START = "/admin/oidc/sso/login/"
SET_UP = "/admin/second-factor/totp/activate/"


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    found = Provider()
    settings.OIDC_ISSUER, settings.OIDC_NAME = found.issuer, "Example staff"
    app = {"provider_id": "sso", "name": "Example staff", "client_id": CLIENT, "secret": SECRET}
    app["settings"] = {"server_url": found.issuer}  # type: ignore[assignment]
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}
    }
    yield found
    found.close()


def come_back(client: Client) -> str:
    """The address to which the provider sends a browser that begins a login."""
    to = client.get(START)["Location"]
    return str(requests.get(to, allow_redirects=False, timeout=10).headers["Location"])


def log_in() -> Client:
    client = Client()
    parts = urlsplit(come_back(client))
    client.get(f"{parts.path}?{parts.query}")
    return client


def test_it_is_off_unless_an_issuer_is_set(client: Client) -> None:
    assert client.get(START).status_code == 404
    assert "oidc" not in client.get("/admin/login/").content.decode()


def test_a_new_person_has_no_rights_until_somebody_gives_a_role(provider: Provider) -> None:
    assert "Log in by Example staff" in Client().get("/admin/login/").content.decode()
    client = log_in()
    pia = User.objects.get()
    assert (pia.username, pia.is_staff, pia.is_superuser) == ("pia", False, False)
    assert not pia.has_usable_password() and not pia.groups.exists()
    refused = client.get("/admin/", follow=True)
    assert "You are logged in as pia, who may not open this page" in refused.content.decode()
    assert client.get("/api/methods/").json()["actor"] == "user:pia"
    assert client.post("/api/methods/").status_code == 403
    pia.groups.add(Group.objects.get(name="moderator"))
    assert log_in().get("/admin/").status_code == 200
    assert User.objects.count() == 1
    verbs = AuditEvent.objects.order_by("id").values_list("verb", "after__methods")
    assert list(verbs) == [
        ("user.created", None),
        ("user.logged_in", ["oidc"]),
        ("user.role_given", None),
        ("user.logged_in", ["oidc"]),
    ]


def test_nobody_becomes_another_by_name_or_address(provider: Provider) -> None:
    root = User.objects.create_superuser("root", email="root@example.org")
    provider.person = {
        "sub": "2",
        "preferred_username": "root",
        "email": "root@example.org",
        "email_verified": True,
    }
    client = log_in()
    assert client.get("/admin/").status_code == 302
    (other,) = User.objects.exclude(pk=root.pk)
    assert other.username != "root" and not other.is_staff


@pytest.mark.parametrize(("trusted", "first"), [(False, SET_UP), (True, None)])
def test_a_needed_second_factor_may_be_the_providers(
    provider: Provider, settings: Any, trusted: bool, first: str | None
) -> None:
    settings.SECOND_FACTOR, settings.OIDC_SECOND_FACTOR = "lead", trusted
    log_in()
    User.objects.get().groups.add(Group.objects.get(name="lead"))
    client = log_in()
    assert client.get("/admin/").get("Location") == first
    if not trusted:
        assert "QR code" in client.get(SET_UP).content.decode()


def test_a_login_that_is_not_ours_is_refused(provider: Provider) -> None:
    # Begun by another browser.
    parts = urlsplit(come_back(Client()))
    answer = Client().get(f"{parts.path}?{parts.query}", follow=True)
    assert "did not succeed" in answer.content.decode()
    # The person refused.
    kept, provider.person = provider.person, None
    assert "_auth_user_id" not in log_in().session
    # The token is for another client.
    provider.person, provider.audience = kept, "another"
    assert "_auth_user_id" not in log_in().session
    assert not User.objects.exists()
    assert AuditEvent.objects.filter(verb="user.login_failed").count() == 3


def test_a_deactivated_person_stays_out(provider: Provider) -> None:
    log_in()
    User.objects.update(is_active=False)
    assert "_auth_user_id" not in log_in().session


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("https://login.example/realms/a", True),
        ("http://127.0.0.1:9000", True),
        ("http://login.example", False),
        ("login.example", False),
    ],
)
def test_tokens_travel_over_https(monkeypatch: pytest.MonkeyPatch, value: str, good: bool) -> None:
    monkeypatch.setenv("OIDC_ISSUER", value)
    if good:
        assert env_url("OIDC_ISSUER") == value
    else:
        with pytest.raises(ImproperlyConfigured, match="does not begin with https"):
            env_url("OIDC_ISSUER")
