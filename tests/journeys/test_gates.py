"""One banned picture, mirrored, through every door for other programs, at a started service."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from django.conf import settings
from PIL import Image, ImageOps

from tests.factories import jpeg, wheel_photo
from tests.httpserver import Handler, HttpServer, Reply, RequestHandler
from tests.journeys.conftest import MASTODON_SECRET, Service
from tests.processes import wait_until
from tests.videos.clips import encode, timed
from tests.videos.library import clip_of, frame_at

pytestmark = pytest.mark.slow

SCANNER = Path(settings.BASE_DIR, "clients", "scan", "imgsmlr_scan.py")
SET_UP = """
from imgsmlr_site.models import ApiKey
from moderation.access.permissions import Actor
from moderation.lists import list_writes
list_writes.create_list(by=Actor.machine("command"), name="GATES", action="block")
print(ApiKey.issue(name="gates", scopes=["check", "hma", "add", "search"])[1])
"""


@pytest.fixture
def key(service: Service) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", SET_UP],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATA_DIR": str(service.data_dir), "DATABASE_URL": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.split()[-1]


class Storage(HttpServer):
    """The bucket *uploads*, whose objects anybody may fetch."""

    def __init__(self, port: int, **objects: bytes) -> None:
        routes = {f"/uploads/{name}.jpg": self._object(data) for name, data in objects.items()}
        super().__init__(routes, port=port)
        self.tagged: list[bytes] = []

    def _object(self, data: bytes) -> Handler:
        def handle(handler: RequestHandler) -> None:
            if handler.command == "PUT":
                self.tagged.append(handler.body)
            asked_for_tags = "tagging=" in handler.path
            handler.reply(Reply(b"<Tagging/>" if asked_for_tags else data))

        return handle


def test_every_door_knows_a_banned_picture(service: Service, key: str, tmp_path: Path) -> None:
    original, other = wheel_photo("rocket.jpg"), jpeg(wheel_photo("retina.jpg"))
    banned = jpeg(ImageOps.mirror(original))
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {key}"

    def ask(method: str, path: str, status: int = 200, **options: Any) -> Any:
        answer = session.request(method, service.url + path, timeout=60, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    def link(name: str) -> str:
        return f"http://127.0.0.1:{service.storage_port}/uploads/{name}.jpg"

    def told_by_mastodon(name: str) -> Any:
        attached = [{"type": "image", "url": link(name)}]
        post = {"id": name, "account": {"id": "7"}, "media_attachments": attached}
        body = json.dumps({"event": "status.created", "object": post}).encode()
        signature = hmac.new(MASTODON_SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature": f"sha256={signature}"}
        return ask("POST", "/gate/mastodon", data=body, headers=headers)["outcome"]

    def told_by_storage(name: str) -> Any:
        sent = {"bucket": {"name": "uploads"}, "object": {"key": f"{name}.jpg"}}
        event = {"Records": [{"eventName": "s3:ObjectCreated:Put", "s3": sent}]}
        return ask("POST", "/gate/s3", json=event)["objects"][0]["outcome"]

    bank = "/hma/c/bank/GATES/content"
    item = ask("POST", bank, files={"photo": jpeg(original)})["id"]
    with Storage(service.storage_port, banned=banned, other=other) as storage:
        for data, name, verdict in ((banned, "banned", "block"), (other, "other", "allow")):
            found = verdict == "block"
            checked = ask("POST", "/api/v1/moderation/check/", files={"file": data})
            assert checked["verdict"] == verdict
            ask("POST", "/gate/pict-rs", 406 if found else 200, data=data)
            outcome = "refused" if found else "accepted"
            assert told_by_mastodon(name) == told_by_storage(name) == outcome
            assert f"<Key>imgsmlr</Key><Value>{outcome}<".encode() in storage.tagged[-1]
            hashed = ask("GET", "/hma/h/hash", params={"url": link(name)})
            asked = {"signal": hashed["pdq"], "signal_type": "pdq"}
            assert list(ask("GET", "/hma/m/lookup", params=asked)) == (["GATES"] if found else [])
            file = tmp_path / name
            file.write_bytes(data)
            here = {**os.environ, "IMGSMLR_URL": service.url, "IMGSMLR_KEY": key}
            command = [sys.executable, "-I", str(SCANNER), str(file)]
            assert subprocess.run(command, env=here, check=False).returncode == int(found)
        assert ask("POST", "/iqdb/images/41", files={"file": other})["post_id"] == 41
        posts = ask("POST", "/iqdb/query", files={"file": other})
        assert [post["post_id"] for post in posts] == [41]
    ask("DELETE", f"{bank}/{item}")  # other journeys add these pictures
    ask("DELETE", "/iqdb/images/41")


def test_a_client_of_trace_moe_finds_the_video_and_the_moment(service: Service) -> None:
    """It sends a still of the original, smaller and as a JPEG, as its users' screenshots are."""
    file = {"file": ("museum.mp4", encode(timed(clip_of("museum", 0, 6))))}
    given = {"data_id": "museum.mp4", "meta": json.dumps({"anilist": 21034, "episode": 3})}
    added = service.post("/api/v1/videos/", data=given, files=file)
    assert added.status_code == 202, added.text
    video = f"/api/v1/videos/{added.json()['id']}/"
    wait_until(lambda: service.get(video).json()["status"] != "pending", 120)
    shown = Image.fromarray(frame_at("museum", 3.0))
    shown = shown.resize((shown.width * 2 // 3, shown.height * 2 // 3))
    answer = service.post(
        "/trace.moe/search?cutBorders&anilistInfo",
        data=jpeg(shown),
        headers={"Content-Type": "image/jpeg"},
    )
    assert answer.status_code == 200, answer.text
    best = answer.json()["result"][0]
    assert (best["filename"], best["episode"]) == ("museum.mp4", 3)
    assert best["similarity"] > 0.9
    assert abs(best["at"] - 3) < 1 and best["from"] <= best["at"] <= best["to"]
    for name in ("image", "video"):
        assert requests.get(best[name], timeout=60).status_code == 200
    assert service.request("DELETE", video).status_code == 204
