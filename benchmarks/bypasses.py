"""The verdicts of the running filter for files made to evade it, by entry point."""

from __future__ import annotations

import secrets
import time
from typing import Any, Final

import requests

from benchmarks import report, service
from tests import bypasses, factories
from tests.bypasses import BYPASSES, Bypass

WAIT_SECONDS: Final = 60
HEADER: Final = ("file", "check", "add", "search")


def run(started: service.Service, quick: bool, command: str) -> None:
    """Send each file to each entry point and print the table. It takes about two minutes."""
    doors = Doors(started)
    doors.ban(factories.png(bypasses.banned()))
    rows = []
    for bypass in BYPASSES:
        data = bypass.make()
        row = [bypass.name, doors.check(data), doors.add(bypass, data), doors.search(bypass, data)]
        print(report.table(HEADER, [row]).splitlines()[-1], flush=True)
        rows.append(row)
    body = (
        "One photograph is on a list that blocks. Each file shows it to whoever opens it in a "
        "viewer. `check` is the verdict; `add` is what became of the upload; `search` is whether "
        "the file could be searched with (`SCREEN_QUERIES=true`).\n\n"
        f"{report.table(HEADER, rows)}"
    )
    print(body)
    report.write("bypasses", "Files that tried to pass the filter", command, body)


class Doors:
    def __init__(self, started: service.Service) -> None:
        from django.contrib.auth.models import User

        from imgsmlr_site.models import ApiKey

        user = User.objects.create_superuser(f"bypasses-{secrets.token_hex(3)}", password="x")
        scopes = ["add", "search", "check", "lists", "moderate"]
        self._key = ApiKey.issue(name=user.username, scopes=scopes, user=user)[1]
        self._url = f"http://{started.host}:{started.port}/api/v1/"

    def ban(self, data: bytes) -> None:
        """Add a picture to a new list that blocks."""
        name = secrets.token_hex(4)
        row = self._ask("POST", "moderation/lists/", json={"name": name, "action": "block"}).json()
        added = self._ask("POST", f"moderation/lists/{row['id']}/items/", files={"file": data})
        added.raise_for_status()

    def check(self, data: bytes) -> str:
        answer = self._ask("POST", "moderation/check/", files={"file": data})
        return answer.json()["verdict"] if answer.ok else self._refusal(answer)

    def add(self, bypass: Bypass, data: bytes) -> str:
        path = "videos/" if bypass.media == "video" else "images/"
        answer = self._ask("POST", path, files={"file": data}, params={"wait": 30})
        if answer.status_code in (201, 202):
            return self._status(path, answer.json()["id"])
        return self._refusal(answer)

    def search(self, bypass: Bypass, data: bytes) -> str:
        path = f"{bypass.media}s/search/"
        answer = self._ask("POST", path, files={"file": data})
        return "answered" if answer.ok else self._refusal(answer)

    def _status(self, path: str, pk: int) -> str:
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            answer = self._ask("GET", f"{path}{pk}/")
            status = str(answer.json().get("status")) if answer.ok else self._refusal(answer)
            if status != "pending":
                return {"ready": "published"}.get(status, status)
            time.sleep(0.2)
        return "pending"

    def _refusal(self, answer: requests.Response) -> str:
        code = {"query_banned": "refused", "image_banned": "quarantined"}
        said = str(answer.json().get("code", answer.status_code))
        return code.get(said, said)

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(
            method, self._url + path, headers={"X-API-Key": self._key}, timeout=120, **options
        )
