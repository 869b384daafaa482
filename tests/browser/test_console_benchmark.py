"""The benchmark of the console runs, on a tiny size: pages, keys in the browser, bulk and undo."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

from benchmarks import console
from moderation.cases.models import CaseMatch, Decision, ReviewCase

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]


@pytest.mark.slow
def test_console(chromium: Browser, live_server: LiveServer) -> None:
    item = console.fill(40, images=10)
    assert ReviewCase.objects.count() == CaseMatch.objects.count() == 40
    assert ReviewCase.objects.open().count() == 20
    somebody = console.lead()
    cookie = console.session(somebody)
    address = urlsplit(live_server.url)
    assert address.hostname
    assert address.port
    client = console.Client(address.hostname, address.port, cookie)
    for name, *figures in console.pages(client, item.list_id, 40, requests=1):
        assert all(figures), name
    with pytest.raises(RuntimeError, match="404"):
        client.seconds(f"{console.CONSOLE}nowhere/")
    assert all(taken > 0 for taken in console.next_cases(chromium, live_server.url, cookie, 2))
    decided = 2 * (2 + console.WARM_UP)
    assert Decision.objects.count() == decided, "two of a cluster with each key"
    assert all(taken > 0 for taken in console.bulk(somebody, 10))
    assert ReviewCase.objects.open().count() == 20 - decided, "the bulk is undone"
