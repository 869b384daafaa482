"""What the docs name is there: files, functions, and above all those of docs/where.md."""

from __future__ import annotations

import re
from importlib import import_module
from operator import attrgetter
from pkgutil import resolve_name

import pytest
from django.conf import settings

ROOT = settings.BASE_DIR
PAGE = (ROOT / "docs/where.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.endswith("|") and "?" in line.split("|")[1]]
NAMES = sorted(set(re.findall(r"`([\w/]+)\.py`: `([\w.]+)`", PAGE)))
DOCS = sorted(
    str(path.relative_to(ROOT))
    for path in (*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"))
    if path.name != "CHANGELOG.md"
)
OURS = "gallery|videos|moderation|imgsmlr_site|tests|benchmarks"
IMAGINED = re.compile(r"\bfoo\b|_foo\b|/foo\.")
"""What the recipes of CONTRIBUTING.md add."""


def test_ten_things_are_answered_each_by_a_name() -> None:
    assert len(ROWS) >= 10
    assert all(re.search(r"\.py`: `", row) for row in ROWS)


@pytest.mark.parametrize(("path", "name"), NAMES)
def test_the_name_is_there(path: str, name: str) -> None:
    module = import_module(path.replace("/", "."))
    found = attrgetter(name)(module)
    assert found.__module__ == module.__name__, "it is only imported there: name its own file"


@pytest.mark.parametrize("page", DOCS)
def test_paths_and_dotted_names_are_there(page: str) -> None:
    text = (ROOT / page).read_text()
    paths = re.findall(rf"(?<![\w/.])((?:{OURS}|docs|static|templates)/[\w/.-]+\.\w+)", text)
    missing = {path for path in paths if not (ROOT / path).exists() and not IMAGINED.search(path)}
    for name in re.findall(rf"`((?:{OURS})(?:\.\w+)+)`", text):
        try:
            resolve_name(name)
        except (ImportError, AttributeError):
            missing.add(name)
    assert missing == set()
