"""The scanner for programs that call a script with a file: its exit codes, as a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from imgsmlr_site.models import ApiKey
from moderation.lists import item_adding
from moderation.lists.verdicts import Action
from tests.factories import jpeg, wheel_photo
from tests.moderation.factories import ADMIN, make_list

SCRIPT = Path(__file__).parents[3] / "clients" / "scan" / "imgsmlr_scan.py"


def scan(*arguments: str, **settings: str) -> int:
    environment = {"PATH": os.environ["PATH"], **settings}
    command = [sys.executable, "-I", str(SCRIPT), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode


@pytest.mark.django_db(transaction=True)
def test_exit_codes(live_server: Any, tmp_path: Path) -> None:
    banned, other = tmp_path / "banned.jpg", tmp_path / "other.jpg"
    banned.write_bytes(jpeg(wheel_photo("chelsea.png")))
    other.write_bytes(jpeg(wheel_photo("coffee.png")))
    row = make_list("cats", Action.REVIEW)
    item_adding.add_picture(by=ADMIN, list_id=row.pk, data=banned.read_bytes())
    _, key = ApiKey.issue(name="matrix", scopes=["check"])
    here = {"IMGSMLR_URL": live_server.url, "IMGSMLR_KEY": key}
    assert scan(str(other), **here) == 0
    assert scan(str(banned), **here) == 1
    assert scan(str(banned), **here, IMGSMLR_REFUSES="block") == 0
    assert scan(str(other), IMGSMLR_URL=live_server.url) == 2, "no key"
    assert scan(str(tmp_path / "none"), **here) == 2
    assert scan(str(other), IMGSMLR_URL="http://127.0.0.1:9", IMGSMLR_ON_FAILURE="open") == 0
    assert scan() == 64
