"""What the tests of the console share: a moderator in a browser, and cases with real pictures."""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.db import connection
from playwright.sync_api import Page, expect

from gallery.items import changing
from gallery.items.models import Image
from moderation.cases.models import ReviewCase
from moderation.lists.models import BannedItem
from tests import factories as pictures
from tests.browser.conftest import DESKTOP, OpenPage
from tests.moderation import factories as make

CONSOLE = "/admin/moderation/console/"


def enter(
    open_page: OpenPage, user: User, path: str = "", size: tuple[int, int] = DESKTOP, **options: Any
) -> Page:
    """The user's browser on a page below the console's address."""
    page = open_page(path=f"{CONSOLE}{path}", user=user, size=size, **options)
    page.wait_for_function("window.Alpine !== undefined")
    return page


def enter_console(open_page: OpenPage, user: User, path: str = "", **options: Any) -> Page:
    """The same on one of the console's own pages, which listens to keys by then."""
    page = enter(open_page, user, path, **options)
    keys_act(page)
    return page


def keys_act(page: Page) -> None:
    """Wait until the page that is open listens to keys."""
    page.wait_for_function("document.documentElement.dataset.keys === 'bound'")


def leave(page: Page) -> None:
    """Go away, and wait until the server has done what that and the page asked of it.

    What still runs when a test ends would stand in the way of emptying the tables.
    """
    page.goto("about:blank")
    quiet = 0
    while quiet < 3:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND state <> 'idle'"
            )
            (busy,) = cursor.fetchone()
        quiet = 0 if busy else quiet + 1
        time.sleep(0.1)


def on_case(page: Page, pk: int) -> None:
    """Wait until a case is shown and its heading has the focus."""
    expect(page.locator(f'article[data-case="{pk}"]')).to_be_visible()
    expect(page.locator("#case-title")).to_be_focused()


def shown(page: Page, step: str) -> None:
    """Wait until both pictures are there in a step."""
    page.wait_for_function(
        """step => [...document.querySelectorAll("[data-pane] img")].every(
            (img) => img.complete && img.naturalWidth && img.src.includes(`/${step}/`))""",
        arg=step,
    )


def banned_item(name: str = "Violent extremism", seed: int = 900, **fields: Any) -> BannedItem:
    """An item that has a picture."""
    item = make.make_item(make.make_list(name, **fields), source="a source")
    data = pictures.jpeg(pictures.photo(seed, (480, 360)))
    item.picture.save(f"items/{seed}.jpg", ContentFile(data))
    return item


def case(
    item: BannedItem, seed: int, size: tuple[int, int] = (320, 240), **fields: Any
) -> ReviewCase:
    """A case of a picture that its match hid."""
    data = pictures.png(pictures.photo(seed, size))
    image = pictures.add_ready_image(data=data)
    changing.quarantine_items(items=Image.objects.filter(pk=image.pk), by="worker")
    image.refresh_from_db()
    return make.make_case(item, image, held=True, **fields)
