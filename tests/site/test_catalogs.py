"""The catalogs of translated texts: complete, in step with the sources, and compiled."""

from __future__ import annotations

import ast
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from gettext import GNUTranslations
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from imgsmlr_site.management.commands.write_texts import APPS

ROOT = Path(settings.BASE_DIR)
CATALOGS = sorted(path for app in APPS for path in ROOT.glob(f"{app}/locale/*/LC_MESSAGES/*.po"))
PARTS = re.compile(r"%\(\w+\)[a-z]|%[sd]|\{\w*\}|</?\w+|&\w+;")
"""What a translation has to keep: placeholders, elements, entities."""


@dataclass
class Entry:
    catalog: Path
    flags: str = ""
    texts: dict[str, str] = field(default_factory=dict)
    """msgctxt, msgid, msgid_plural, msgstr or msgstr[0]… → text."""

    @property
    def translations(self) -> list[str]:
        return [text for key, text in self.texts.items() if key.startswith("msgstr")]

    @property
    def key(self) -> str:
        context = self.texts.get("msgctxt")
        return f"{context}\x04{self.texts['msgid']}" if context else self.texts["msgid"]

    def __str__(self) -> str:
        return f"{self.catalog.relative_to(ROOT)}: {self.key}"


def entries(path: Path) -> Iterator[Entry]:
    for block in path.read_text().split("\n\n"):
        entry, key = Entry(path), ""
        for line in block.splitlines():
            if line.startswith("#,"):
                entry.flags += line
            elif found := re.fullmatch(r'(?:(msg\S+) )?(".*")', line):
                key = found[1] or key
                entry.texts[key] = entry.texts.get(key, "") + ast.literal_eval(found[2])
        if entry.texts.get("msgid"):
            yield entry


ALL = [entry for path in CATALOGS for entry in entries(path)]


def test_every_text_has_its_translation() -> None:
    languages = {path.parts[-3] for path in CATALOGS}
    assert len(languages) == len(settings.LANGUAGES) - 1
    assert len(CATALOGS) == 2 * len(APPS) * len(languages)
    assert not [str(entry) for entry in ALL if not all(entry.translations)], "write them"
    assert not [str(entry) for entry in ALL if "fuzzy" in entry.flags], "look at them"


def test_translations_keep_placeholders_and_markup() -> None:
    differ = []
    for entry in ALL:
        # The singular may do without the number.
        source = entry.texts.get("msgid_plural", entry.texts["msgid"])
        wanted = Counter(PARTS.findall(source))
        differ += [
            str(entry) for text in entry.translations if Counter(PARTS.findall(text)) != wanted
        ]
    assert not differ


def test_one_text_is_translated_in_one_way() -> None:
    """The apps' catalogs are one at run time: the first that has a text wins."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for entry in ALL:
        key = (entry.catalog.parts[-3], entry.catalog.stem, entry.key)
        found.setdefault(key, set()).add(entry.translations[0])
    assert not {key: texts for key, texts in found.items() if len(texts) > 1}


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_compiled_catalog_is_this_one(path: Path) -> None:
    with path.with_suffix(".mo").open("rb") as file:
        compiled: dict[Any, str] = dict(GNUTranslations(file)._catalog)  # type: ignore[attr-defined]
    compiled.pop("", None)
    written: dict[Any, str] = {}
    for entry in entries(path):
        if "msgid_plural" in entry.texts:
            written |= {(entry.key, at): text for at, text in enumerate(entry.translations)}
        else:
            written[entry.key] = entry.texts["msgstr"]
    assert compiled == written, "run: make texts"


@pytest.mark.slow
def test_the_catalogs_hold_the_texts_of_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("xgettext"):
        if os.environ.get("CI"):
            pytest.fail("No GNU gettext: apt-get install gettext")
        pytest.skip("No GNU gettext: apt-get install gettext")
    other = shutil.ignore_patterns("*.pyc", "*.png", "*.jpg", "migrations", "__pycache__")
    for folder in (*APPS, "templates", "static"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=other)
    monkeypatch.chdir(tmp_path)
    call_command("write_texts")
    stale = [
        str(path.relative_to(ROOT))
        for path in CATALOGS
        if (tmp_path / path.relative_to(ROOT)).read_text() != path.read_text()
    ]
    assert not stale, "run: make texts"
