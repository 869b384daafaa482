"""What is banned stays out, from an upload to a decision and back: over HTTP, with real workers."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from django.conf import settings

from gallery.items.preprocessing import Hashes
from tests import factories as make
from tests.httpserver import HttpServer
from tests.journeys.conftest import Service
from tests.journeys.traces import Planted
from tests.processes import wait_until

pytestmark = pytest.mark.slow

LEAD = """
from django.contrib.auth.models import Group, User
user, _ = User.objects.get_or_create(username="journey-lead")
user.groups.add(Group.objects.get(name="admin"))
user.set_password("{word}")
user.save(update_fields=["password"])
print("DONE")
"""


@dataclass(frozen=True)
class Lead:
    """Somebody who owns lists and decides cases, logged in: a key weakens no list."""

    service: Service
    session: requests.Session

    def ask(self, method: str, path: str, **options: Any) -> Any:
        token = {"X-CSRFToken": self.session.cookies["csrftoken"]}
        address = f"{self.service.url}/api/v1/moderation/{path}"
        answer = self.session.request(method, address, headers=token, timeout=60, **options)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def make_list(self, **fields: Any) -> Any:
        body = {"name": secrets.token_hex(6), "action": "block", **fields}
        return self.ask("POST", "lists/", json=body)

    def image(self, pk: int) -> Any:
        return self.session.get(f"{self.service.url}/api/v1/images/{pk}/", timeout=60).json()


@pytest.fixture(scope="module")
def session(service: Service) -> requests.Session:
    word = secrets.token_hex(12)
    script = LEAD.format(word=word)
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", script],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATA_DIR": str(service.data_dir), "DATABASE_URL": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "DONE" in done.stdout, done.stderr
    browser, page = requests.Session(), f"{service.url}/admin/login/"
    browser.get(page, timeout=60)
    form = {"login": "journey-lead", "password": word}
    form["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
    assert "sessionid" in browser.post(page, form, timeout=60).request.headers["Cookie"]
    return browser


@pytest.fixture
def lead(service: Service, session: requests.Session) -> Iterator[Lead]:
    """Its lists are switched off afterwards, so that other journeys meet none."""
    found = Lead(service, session)
    yield found
    for row in found.ask("GET", "lists/")["results"]:
        found.ask("PATCH", f"lists/{row['id']}/", json={"enabled": False})


def searched(service: Service, data: bytes) -> list[int]:
    answer = service.post("/api/v1/images/search/", files={"file": data})
    return [result["image"]["id"] for result in answer.json()["results"]]


def test_match_quarantine_decide_and_find(service: Service, web: HttpServer, lead: Lead) -> None:
    picture = make.photo(7001, (320, 240))
    web.routes["/banned.jpg"] = make.jpeg(picture, 92)
    row = lead.make_list()
    lead.ask("POST", f"lists/{row['id']}/items/", files={"file": make.png(picture)})
    added = service.post("/imgsmlr/mgr/add", json={"url": f"{web.url}/banned.jpg"}).json()
    assert added == {"code": 400, "msg": "image is banned", "data": None}
    # Neither a search nor a list shows it, nor its media.
    assert searched(service, web.routes["/banned.jpg"]) == []
    (case,) = lead.ask("GET", f"cases/?list={row['id']}")["results"]
    pk = case["image"]
    assert service.get(f"/api/v1/images/{pk}/").status_code == 404
    assert service.get(f"/media/images/{pk}/original").status_code == 404
    assert (lead.image(pk)["status"], case["verdict"]) == ("quarantined", "block")
    decided = lead.ask("POST", f"cases/{case['id']}/decide/", json={"verb": "dismiss"})
    assert lead.image(pk)["status"] == "ready"
    assert searched(service, web.routes["/banned.jpg"])[0] == pk
    # Undone, it is hidden again.
    batch = decided["decisions"][-1]["batch"]
    lead.ask("POST", f"batches/{batch}/undo/", json={"reason": "a slip"})
    assert lead.image(pk)["status"] == "quarantined"
    assert searched(service, web.routes["/banned.jpg"]) == []


def test_what_is_banned_later_is_found_among_what_is_here(service: Service, lead: Lead) -> None:
    data = make.jpeg(make.photo(7002, (320, 240)))
    added = service.post("/api/v1/images/?wait=30", files={"file": data}).json()
    assert added["status"] == "ready"
    row = lead.make_list()
    lead.ask("POST", f"lists/{row['id']}/items/", json={"md5": Hashes.of(data).md5})
    wait_until(lambda: lead.image(added["id"])["status"] == "quarantined", 120)
    (case,) = lead.ask("GET", f"cases/?list={row['id']}")["results"]
    assert case["origin"] == "retro_scan"


def test_a_hash_only_list_leaves_no_media(service: Service, lead: Lead) -> None:
    """Neither of an item nor of what is checked: no file, log line, row, or write-ahead log."""
    planted = Planted(make.photo(7003, (320, 240)))
    before = service.files()
    row = lead.make_list(hash_only=True)
    lead.ask("POST", f"lists/{row['id']}/items/", files={"file": planted.file})
    answer = lead.ask("POST", "check/", files={"file": planted.file})
    assert answer["verdict"] == "block" and answer["case"]
    asked = {"file": planted.file}
    assert service.post("/api/v1/moderation/check/", files=asked).json() == {"verdict": "block"}
    service.wait_described()
    assert service.files() == before
    assert planted.traces(service.data_dir) == []

    # The same search finds a picture that is kept.
    kept = Planted(make.photo(7013, (320, 240)))
    assert service.post("/api/v1/images/?wait=30", files={"file": kept.file}).ok
    assert any("/media/originals/" in path for path in kept.traces(service.data_dir))


def test_a_backup_beside_the_service(service: Service, tmp_path: Path) -> None:
    """By the command, as an operator would; a restore is in tests/site/test_backup.py."""
    done = subprocess.run(
        [sys.executable, "manage.py", "backup", str(tmp_path / "backup")],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATA_DIR": str(service.data_dir), "SECRET_KEY": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    sums = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    subprocess.run(sums, cwd=tmp_path / "backup", check=True)
    manifest = json.loads((tmp_path / "backup" / "manifest.json").read_text())
    assert manifest["tables"]["auth_user"] >= 2
    assert not (service.data_dir / "backup-media").exists()


def test_an_allow_entry_frees_and_a_retired_one_does_not(service: Service, lead: Lead) -> None:
    data = make.jpeg(make.photo(7004, (320, 240)))

    def verdict() -> str:
        answer = service.post("/api/v1/moderation/check/", files={"file": data})
        found: str = answer.json()["verdict"]
        return found

    assert verdict() == "allow"
    banned, allowed = lead.make_list(), lead.make_list(kind="allow", action="shadow")
    hashes = {"sha256": Hashes.of(data).sha256}
    lead.ask("POST", f"lists/{banned['id']}/items/", json=hashes)
    assert verdict() == "block"
    item = lead.ask("POST", f"lists/{allowed['id']}/items/", json=hashes)
    assert verdict() == "allow"
    body = {"ids": [item["id"]], "reason": "test"}
    lead.ask("POST", f"lists/{allowed['id']}/items/retire/", json=body)
    assert verdict() == "block"


def test_an_upload_learns_that_it_is_held_and_nobody_else_does(
    service: Service, lead: Lead
) -> None:
    data = make.jpeg(make.photo(7005, (320, 240)))
    row = lead.make_list(action="review")
    lead.ask("POST", f"lists/{row['id']}/items/", json={"md5": Hashes.of(data).md5})
    answer = service.post("/api/v1/images/?wait=30", files={"file": data})
    assert (answer.status_code, answer.json()["status"]) == (201, "quarantined")
    assert service.get(f"/api/v1/images/{answer.json()['id']}/").status_code == 404
