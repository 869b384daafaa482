"""How the people and programs of this machine get in, and nobody else does."""

from __future__ import annotations

import os
import pty
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest
import requests
from django.core.management import call_command
from django.test import Client

from imgsmlr_site import local_access
from imgsmlr_site.models import ApiKey
from imgsmlr_site.postgres.server import EmbeddedPostgres
from tests import migrated
from tests.environment import DATA_DIR
from tests.processes import wait_until
from tests.service import ROOT, directory_of_a_service, environment, free_port

SITE = "http://127.0.0.1:8140"


@pytest.fixture
def here(db: None, settings: Any, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


def link() -> str:
    return urlsplit(re.findall(r"http\S+/enter/\S+", local_access.welcome(SITE))[0]).path


def test_the_key_is_made_once_and_only_its_owner_may_read_it(here: Path, client: Client) -> None:
    for _ in range(2):
        assert local_access.ensure_key() == here / "key"
    assert stat.S_IMODE((here / "key").stat().st_mode) == 0o600
    key = ApiKey.objects.get()
    assert (key.name, key.scopes) == ("local", ["search", "add", "check"])
    text = (here / "key").read_text()
    assert client.get("/api/v1/status/", headers={"x-api-key": text}).status_code == 200


@pytest.mark.parametrize("how", ["revoked", "another database"])
def test_a_key_that_does_not_work_is_replaced(here: Path, client: Client, how: str) -> None:
    local_access.ensure_key()
    if how == "revoked":
        ApiKey.objects.get().revoke()
    else:
        ApiKey.objects.all().delete()
    text = local_access.ensure_key().read_text()
    assert client.get("/api/v1/status/", headers={"x-api-key": text}).status_code == 200


def test_a_link_lets_one_browser_in_and_works_once(here: Path) -> None:
    path = link()
    first, second = Client(), Client()
    assert first.head(path).status_code == 405
    answer = first.get(path)
    assert (answer.status_code, answer["Location"]) == (302, "/imgsmlr/")
    assert first.get("/api/v1/status/").status_code == 200
    answer = second.get(path)
    assert (answer.status_code, answer.json()["code"]) == (403, "link_used")
    assert second.get("/api/v1/status/").status_code == 401


def test_a_link_ends_with_the_next_one_and_after_a_day(here: Path, client: Client) -> None:
    old, new = link(), link()
    assert client.get(old).status_code == 403
    past = local_access.link_file().stat().st_mtime - local_access.LINK_SECONDS
    os.utime(local_access.link_file(), (past, past))
    assert client.get(new).status_code == 403


def test_the_session_of_a_link_writes_with_its_csrf_token_and_ends_with_the_key(
    here: Path, settings: Any
) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.get(link())
    form = {"data_id": "x"}
    assert browser.post("/api/v1/images/", form).status_code == 403
    browser.get("/imgsmlr/")
    token = {"x-csrftoken": browser.cookies["csrftoken"].value}
    assert browser.post("/api/v1/images/", form, headers=token).status_code == 400
    other_site = {**token, "origin": "http://evil.example"}
    assert browser.post("/api/v1/images/", form, headers=other_site).status_code == 403
    ApiKey.objects.get().revoke()
    assert browser.get("/api/v1/status/").status_code == 401


def test_what_the_link_shows_of_its_token_does_not_open_it(here: Path, client: Client) -> None:
    link()
    assert client.get(f"/enter/{local_access.link_file().read_text()}").status_code == 403


def test_the_command_prints_both(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("login_link", site="https://pictures.example/")
    output = capsys.readouterr().out
    assert "https://pictures.example/enter/" in output
    assert f"$(cat {here}/key)" in output
    assert (here / "key").read_text() not in output


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with directory_of_a_service() as directory:
        yield directory


@pytest.mark.slow
def test_the_start_at_a_terminal(django_db_setup: None, data_dir: Path) -> None:
    """The printed link and the printed command work; without them nothing does.

    ``DATABASE_URL`` leads to a server that ``up`` neither starts nor stops.
    """
    database = EmbeddedPostgres(DATA_DIR).dsn
    migrated.fill(database)
    ours, theirs = pty.openpty()
    port = free_port()
    up = subprocess.Popen(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env=environment(data_dir, PORT=str(port), DATABASE_URL=database, DEBUG="1"),
        stdout=theirs,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    output = ""

    def printed() -> bool:
        nonlocal output
        try:
            output += os.read(ours, 65_536).decode()
        except BlockingIOError:
            assert up.poll() is None, output
        return "Programs send the key" in output

    wait_until(printed, 90)
    site = f"http://127.0.0.1:{port}"
    # So does a plain proxy_pass of nginx: from the loopback, to it, and no header tells of it.
    assert requests.get(f"{site}/api/v1/status/", timeout=30).status_code == 401
    browser = requests.Session()
    browser.get(re.findall(rf"{site}/enter/\S+", output)[0], timeout=30)
    assert browser.get(f"{site}/api/v1/status/", timeout=30).status_code == 200
    command = re.findall(r'curl -H "X-API-Key: .*?" \S+', output)[0]
    told = subprocess.run(["sh", "-c", f"{command} -sf"], cwd=ROOT, capture_output=True)
    assert b'"version"' in told.stdout
    os.killpg(up.pid, signal.SIGINT)
    os.set_blocking(ours, True)
    with pytest.raises(OSError):  # the end of a terminal
        while os.read(ours, 65_536):
            pass
    assert up.wait(timeout=30) == 0
    assert not (data_dir / "pg").exists()
    psycopg2.connect(database).close()
