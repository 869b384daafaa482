"""Who may do what: every route asked by everybody, compared with the table that says what is right.

``ACCESS_TABLE=write`` in the environment writes the table again; read the difference before it is
committed: each 2xx in it is something that somebody may do.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from imgsmlr_site.env import LOOPBACK
from tests.site import access_cells

pytestmark = pytest.mark.django_db
TABLE = Path(__file__).parent / "access_table.txt"

Cells = dict[tuple[str, str], int]
WITHOUT_A_ROLE = ("nobody", "no role", "demoted", "key of no role", "key of demoted")
PUBLIC = (
    "GET healthz", "GET readyz", "GET imgsmlr/", "GET admin:account_inactive",
    "GET admin:password_reset_welcome",
)  # fmt: skip
"""What answers 2xx to anybody: states of the service, and pages that show what their caller may."""
OWN_FACTOR = ("GET admin:mfa_", "GET admin:account_")
"""Pages about the caller's own login."""
EXPORTS = (
    "POST admin:gallery_image_changelist export_csv",
    "POST admin:videos_video_changelist export_csv",
)
"""Rows of what a viewer may read anyway."""
SEARCHES = (
    "POST api/v1/images/search/", "POST api/v1/images/compare/", "POST api/v1/videos/search/",
    "POST imgsmlr/search",
)  # fmt: skip


@pytest.fixture
def cells(settings: Any) -> Cells:
    settings.OPEN_API = LOOPBACK
    everybody = access_cells.callers()
    world = access_cells.World()
    asked = access_cells.asks(world)
    assert len({ask.name for ask in asked}) == len(asked)
    for caller in everybody:
        caller.client.raise_request_exception = True
    return {
        (ask.name, caller.name): access_cells.answer(caller, ask)
        for ask in asked
        for caller in everybody
        # Pages know no keys: one of an admin stands for all.
        if not (caller.key and "admin" in ask.path and caller.name != "key of admin")
    }


@pytest.mark.slow
def test_everybody_may_do_what_the_table_says_and_no_more(cells: Cells) -> None:
    assert len(cells) > 2500
    assert Counter(cells.values())[500] == 0
    _check_rules(cells)
    if os.environ.get("ACCESS_TABLE") == "write":
        TABLE.write_text(written(cells))
    said = read(TABLE.read_text())
    opened = {
        cell: code for cell, code in cells.items() if is_open(code) and said.get(cell) != code
    }
    assert opened == {}, "these answer now; if that is right, write the table again"
    assert cells == said


def is_open(code: int) -> bool:
    return 200 <= code < 300


def _check_rules(cells: Cells) -> None:
    """What no table may say."""
    opened = [cell for cell, code in cells.items() if is_open(code)]
    for row, caller in opened:
        cell = f"{row} by {caller}"
        if row.endswith("admin:password_change") or row.startswith(OWN_FACTOR):
            continue
        reads = row.startswith("GET ") or row in SEARCHES
        if caller == "nobody":
            assert row in PUBLIC, cell
        if caller in WITHOUT_A_ROLE:
            assert reads and "moderation" not in row and "quarantined" not in row, cell
        if caller in ("viewer", "key of viewer"):
            assert reads or "check" in row or row in EXPORTS, cell
        if row.startswith(("PATCH ", "DELETE ")) and " other}" in row:
            assert caller in ("open", "lead", "admin", "key of lead", "key of admin"), cell
        if "quarantined other" in row:
            moderates = ("moderator", "lead", "admin")
            assert caller in moderates + tuple(f"key of {one}" for one in moderates), cell
        if row.startswith(("PATCH list ", "POST list kind=allow", "POST allow list")):
            assert caller in ("lead", "admin"), cell


def written(cells: Cells) -> str:
    """A line for each request: who is answered with what, the same answers together."""
    rows: dict[str, dict[int, list[str]]] = {}
    for (row, caller), code in cells.items():
        rows.setdefault(row, {}).setdefault(code, []).append(caller)
    lines = [
        "# What is asked | status: by whom, … | made by ACCESS_TABLE=write pytest, see the test"
    ]
    for row, by_code in sorted(rows.items()):
        parts = [f"{code}: {', '.join(who)}" for code, who in sorted(by_code.items())]
        lines.append(" | ".join([row, *parts]))
    return "\n".join(lines) + "\n"


def read(text: str) -> Cells:
    found: Cells = {}
    for line in text.splitlines()[1:]:
        row, *parts = line.split(" | ")
        for part in parts:
            code, _, who = part.partition(": ")
            found |= {(row, caller): int(code) for caller in who.split(", ")}
    return found
