"""Stored English sentences in the language of the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.utils import translation

from moderation.access.stored_sentences import sentence
from moderation.lists.formats.rows import InvalidRow
from tests.moderation.lists.hashlist_files import DATA
from tests.moderation.lists.test_formats import rows_of

BROKEN = sorted(path.name for path in Path(DATA).iterdir() if path.name.startswith("broken"))


@pytest.mark.parametrize("name", BROKEN)
def test_why_a_row_is_bad(name: str) -> None:
    bad = [row for row in rows_of(name) if isinstance(row, InvalidRow)]
    assert bad
    for row in bad:
        assert (sentence(row.reason), sentence(row.place)) == (row.reason, row.place)
        with translation.override("zh-hans"):
            for said in (sentence(row.reason), sentence(row.place)):
                assert re.search("[一-鿿]", said), said


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (
            "The receiver answered 302: redirects are not followed.",
            "接收方返回 302：不会跟随重定向。",
        ),
        ("hooks.example did not answer within 5 seconds.", "hooks.example 在 5 秒内没有响应。"),
        ("the file breaks off: it is cut short", "文件中断：它被截断"),
        ("Something that nobody has translated.", "Something that nobody has translated."),
        ("", ""),
    ],
)
def test_known_sentences_with_values(stored: str, shown: str) -> None:
    with translation.override("zh-hans"):
        assert sentence(stored) == shown
