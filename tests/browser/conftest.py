"""Debian's Chromium against the real server, on a page size and theme of the test's choice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

BROWSERS = (Path("/usr/bin/chromium-headless-shell"), Path("/usr/bin/chromium"))
"""The first that is there. The shell has no window of its own: a page opens four times as fast."""

DESKTOP, PHONE = (1280, 900), (390, 844)
PATIENCE = 30_000
"""Milliseconds; only a busy machine needs more than a fraction of it."""

OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    browser_path = next((path for path in BROWSERS if path.exists()), None)
    if browser_path is None:
        reason = "No browser: apt-get install chromium-headless-shell"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path,
            # Pages of one context share a process, which then knows the styles and scripts.
            args=[
                *("--no-sandbox", "--disable-gpu", "--in-process-gpu"),
                "--renderer-process-limit=1",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def _static_files_as_they_are(settings: Any) -> None:
    """Nothing collects them for the tests, so there is no manifest of hashed names."""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture(scope="session", autouse=True)
def _static_files_are_kept() -> Iterator[None]:
    """By the browser, as those of a service. It would ask for young files on each page again."""
    serve = StaticFilesHandler.serve

    def serve_for_long(handler: StaticFilesHandler, request: Any) -> Any:
        response = serve(handler, request)
        response["Cache-Control"] = "max-age=86400"
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StaticFilesHandler, "serve", serve_for_long)
        yield


@pytest.fixture(scope="session")
def shared(
    django_db_setup: None, chromium: Browser, live_server: LiveServer
) -> Iterator[BrowserContext]:
    """Of the first page of each test, unless it wants a context of its own.

    A page that stays open keeps the process, which has read the styles and scripts. All is closed
    before the database goes, to which the server connects for each connection of the browser.
    """
    context = chromium.new_context(base_url=live_server.url)
    context.new_page().goto("/healthz")
    yield context
    context.close()


@pytest.fixture
def opened() -> list[Page]:
    """The pages that the test opened."""
    return []


@pytest.fixture
def open_page(
    chromium: Browser, shared: BrowserContext, opened: list[Page], live_server: LiveServer
) -> Iterator[OpenPage]:
    """``open_page(query)`` opens the search page, ``path`` another; ``user`` has logged in.

    The test fails if a script fails or the policy (CSP) refuses something.
    """
    problems: list[str] = []

    def open_page(
        query: str = "",
        size: tuple[int, int] = DESKTOP,
        theme: str = "light",
        path: str = "/imgsmlr/",
        user: User | None = None,
        **options: Any,
    ) -> Page:
        own = opened or options
        context = chromium.new_context(base_url=live_server.url, **options) if own else shared
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        opened.append(page)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            lambda message: (
                problems.append(message.text) if "Content Security Policy" in message.text else None
            ),
        )
        if user is not None:
            context.add_cookies([session_of(user, live_server.url)])
        page.goto(f"{path}{query}")
        return page

    yield open_page
    for context in {page.context for page in opened} - {shared}:
        context.close()
    stays, *others = shared.pages
    for page in others:
        page.close()
    shared.clear_cookies()
    shared.set_offline(False)
    stays.evaluate("localStorage.clear()")
    assert problems == []


def session_of(user: User, url: str) -> Any:
    """The cookie of a user who has just logged in."""
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return {"name": name, "value": client.cookies[name].value, "url": url}


@pytest.fixture
def left_quietly(open_page: OpenPage, opened: list[Page]) -> Iterator[None]:
    """Each page is left when the test ends, and what it asked of the server is done."""
    from tests.browser.console import leave

    yield
    for page in opened:
        leave(page)
