"""docs/where.md: every file and function that it names is there."""

from __future__ import annotations

import re
from importlib import import_module
from operator import attrgetter

import pytest
from django.conf import settings

PAGE = (settings.BASE_DIR / "docs/where.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.endswith("|") and "?" in line.split("|")[1]]
NAMES = sorted(set(re.findall(r"`([\w/]+)\.py`: `([\w.]+)`", PAGE)))


def test_ten_things_are_answered_each_by_a_name() -> None:
    assert len(ROWS) >= 10
    assert all(re.search(r"\.py`: `", row) for row in ROWS)


@pytest.mark.parametrize(("path", "name"), NAMES)
def test_the_name_is_there(path: str, name: str) -> None:
    module = import_module(path.replace("/", "."))
    found = attrgetter(name)(module)
    assert found.__module__ == module.__name__, "it is only imported there: name its own file"
