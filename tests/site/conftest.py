"""People and keys of the edge's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client, override_settings

from imgsmlr_site.models import ApiKey


@pytest.fixture(autouse=True)
def closed(settings: Any, plain_static_files: None) -> None:
    """No open network, proxy or throttle unless a test says so; plain static files."""
    settings.OPEN_API = settings.TRUSTED_PROXIES = ()
    settings.THROTTLE_POINTS = 0


@pytest.fixture(scope="module")
def edge_urls() -> Iterator[None]:
    """The routes of ``edge_views`` beside the site's. Reading all routes takes a test's time."""
    with override_settings(ROOT_URLCONF="tests.site.edge_views"):
        yield


@pytest.fixture
def issue(db: None) -> Callable[..., str]:
    """``issue("search", "add", name=…)`` → the text of a new key."""

    def make(*scopes: str, **fields: Any) -> str:
        fields.setdefault("name", f"key {ApiKey.objects.count()}")
        return ApiKey.issue(scopes=list(scopes), **fields)[1]

    return make


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def staff(db: None) -> User:
    return User.objects.create_user("bob", is_staff=True)


@pytest.fixture
def moderator(db: None) -> User:
    person = User.objects.create_user("mod", is_staff=True)
    person.groups.add(Group.objects.get(name="moderator"))
    return person


@pytest.fixture
def superuser(db: None) -> User:
    return User.objects.create_superuser("root")


@pytest.fixture
def login() -> Callable[..., Client]:
    """``login(user)`` → a client with a session that checks CSRF as a browser would meet it."""

    def make(user: User, **options: Any) -> Client:
        client = Client(**options)
        client.force_login(user)
        return client

    return make
