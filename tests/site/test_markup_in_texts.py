"""Texts that others wrote are shown as texts: every page, with markup in every field."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import orjson
import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import Error, connection, transaction
from django.test import Client

from tests.site import access_cells

pytestmark = pytest.mark.django_db

MARK = "pwned"
PAYLOADS = (
    f"\"oncut={MARK}()'oncut={MARK}()></script><svg/onload={MARK}()>",
    f"javascript:{MARK}()//<b {MARK}>{{{{ {MARK} }}}}",
)
"""The first leaves quotes of both kinds, scripts and blocks of data, the second begins an address.
Few, as pages show each, and short, to fit into most fields.
"""
TEXTS = frozenset(
    {
        *("remark", "data_id", "url", "added_by", "uploader", "failure", "reindex_failure"),
        *("name", "description", "owner", "note", "source", "source_id", "retired_because"),
        *("category", "list_name", "reason", "asked_by", "decided_by", "answer", "file_name"),
        *("agreed_by", "legal_hold_reason", "place", "excerpt", "cluster", "edit"),
        *("first_name", "last_name", "email", "by", "username"),
    }
)
"""Fields that hold what somebody wrote, or what another host or program said."""
RUN = ("on", "x-", "@", ":", "style")
"""How attributes begin whose value a browser, or the admin's Alpine, runs."""
ADDRESSES = frozenset({"href", "src", "action", "formaction", "data", "poster", "xlink:href"})
OURS = ("gallery", "videos", "moderation", "imgsmlr_site", "auth")
FIXED = frozenset({"auth.Group", "auth.Permission", "gallery.ClipVersion"})


def poison(payload: str) -> set[tuple[str, str]]:
    """Write the payload into every text of every row. Return the fields that took it."""
    taken = set()
    for model in apps.get_models():
        meta = model._meta
        if meta.app_label not in OURS or meta.label in FIXED:
            continue
        for field in meta.concrete_fields:
            if field.name not in TEXTS and field.name != "meta":
                continue
            text = orjson.dumps({payload: payload}).decode() if field.name == "meta" else payload
            if _write(meta.db_table, field.column, text, unique=field.unique):
                taken.add((meta.db_table, field.column))
    return taken


def _write(table: str, column: str, text: str, *, unique: bool) -> int:
    """Return how many rows took it."""
    suffix = " || id" if unique else ""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f'UPDATE "{table}" SET "{column}" = %s{suffix}', [text])
            return cursor.rowcount
    except Error:  # a rule of the database forbids it
        return 0


class Page(HTMLParser):
    """Collects what a browser would run because of a payload."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.script: dict[str, str | None] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.script = dict(attributes)
        for name, value in attributes:
            words = (value or "").strip().lower()
            leads = name in ADDRESSES and words.startswith("javascript:")
            if MARK in name or (MARK in words and (leads or name.startswith(RUN))):
                self.found.append(f"<{tag} {name}={value!r}>")

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self.script = None

    def handle_data(self, data: str) -> None:
        data_block = self.script is not None and self.script.get("type") == "application/json"
        if self.script is not None and MARK in data and not data_block:
            self.found.append(f"<script>{data[:80]}")


@pytest.fixture
def pages() -> Iterator[tuple[Client, list[str]]]:
    access_cells.callers()
    world = access_cells.World()
    root = Client()
    root.force_login(User.objects.get(username="root"))
    paths = {ask.path for ask in access_cells.asks(world) if ask.method == "GET"}
    yield root, sorted(paths)


def html_of(root: Client, path: str) -> str | None:
    answer: Any = root.get(path, headers={"accept": "text/html"})
    assert answer.status_code != 500, path
    if not answer.get("Content-Type", "").startswith("text/html"):
        return None
    return b"".join(answer).decode() if answer.streaming else answer.content.decode()


@pytest.mark.slow
def test_no_page_runs_what_is_written_in_a_text(pages: tuple[Client, list[str]]) -> None:
    root, paths = pages
    leaves, leads = PAYLOADS
    with transaction.atomic():
        taken = poison(leads)
        shown = showing(root, paths, leads)
        transaction.set_rollback(True)
    # The payloads do reach the pages, so the check sees them.
    assert len(taken) > 40 and len(shown) > 25, shown
    with transaction.atomic():
        # What every page shows of the one is all that it could show of the other.
        assert poison(leaves) <= taken
        assert len(showing(root, shown, leaves)) > 25
        transaction.set_rollback(True)


def showing(root: Client, paths: list[str], payload: str) -> list[str]:
    """Which of the pages show it; none of them may run it."""
    found = []
    for path in paths:
        text = html_of(root, path)
        if text is not None:
            assert Page(text).found == [], f"{path} with {payload}"
            found += [path] if MARK in text else []
    return found


def test_the_check_sees_what_runs() -> None:
    leaves, leads = PAYLOADS
    no_tags = leaves.replace("<", "&lt;").replace(">", "&gt;")
    for text in (
        *PAYLOADS,
        f"<a title='{leaves}'>",
        f'<a title="{leaves}">',
        f"<a title='{no_tags}'>",
        f'<a title="{no_tags}">',
        f"<script>a = '{leaves}",
        f'<script type="application/json">"{leaves}',
        f"<script>a = '{MARK}'</script>",
        f'<a href="{leads}">',
        f"{leads[:29]} …",
    ):
        assert Page(text).found, text
    assert Page(f"&lt;script&gt;{MARK}&lt;/script&gt;").found == []
