"""The module for Synapse, in a real homeserver: uploads, media in events, failures."""

from __future__ import annotations

import base64
import importlib
import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from PIL import ImageOps

from imgsmlr_site.models import ApiKey
from moderation.cases.models import ReviewCase
from moderation.lists import item_adding
from moderation.lists.verdicts import Action
from tests.factories import jpeg, wheel_photo
from tests.moderation.factories import ADMIN, make_list
from tests.peers import place_of_peers, python_with
from tests.processes import wait_until
from tests.service import free_port

MODULE = Path(__file__).parents[3] / "clients" / "synapse"
CLIENT = "/_matrix/client/v3"
READER = "token_of_an_account_that_reads_media"
READS = {
    "id": "reader",
    "as_token": READER,
    "hs_token": "unused",
    "sender_localpart": "reader",
    "url": None,
    "namespaces": {},
}


class Homeserver:
    """``modules``: the settings of each instance of the module. All of them have to accept."""

    def __init__(self, python: Path, directory: Path, modules: Sequence[dict[str, Any]]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "log"
        self._python, self._directory = python, directory
        self._modules = modules
        self.session = requests.Session()

    def configuration(self) -> dict[str, Any]:
        resources = [{"names": ["client", "media"]}]
        listener = {"port": self.port, "type": "http", "bind_addresses": ["127.0.0.1"]}
        return {
            "server_name": "here",
            "signing_key": f"ed25519 a_1 {base64.b64encode(secrets.token_bytes(32)).decode()}",
            "listeners": [{**listener, "resources": resources}],
            "database": {"name": "sqlite3", "args": {"database": str(self._directory / "db")}},
            "media_store_path": str(self._directory / "media"),
            "registration_shared_secret": "secret",
            "macaroon_secret_key": "secret",
            "form_secret": "secret",
            "enable_registration": True,
            "enable_registration_without_verification": True,
            "report_stats": False,
            "trusted_key_servers": [],
            "app_service_config_files": [str(self._directory / "reader.yaml")],
            "modules": [
                {
                    "module": "synapse_imgsmlr.ImgsmlrSpamChecker",
                    "config": {"homeserver": self.url, "token": READER, **module},
                }
                for module in self._modules
            ],
        }

    def start(self) -> None:
        self._directory.mkdir(exist_ok=True)
        file = self._directory / "homeserver.yaml"
        file.write_text(json.dumps(self.configuration()))  # JSON is YAML
        (self._directory / "reader.yaml").write_text(json.dumps(READS))
        command = [str(self._python), "-m", "synapse.app.homeserver", "-c", str(file)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env={**os.environ, "PYTHONPATH": str(MODULE)}, stdout=log, stderr=log
            )
        wait_until(self._answers, 90)

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()[-3000:]
        try:
            return requests.get(f"{self.url}/health", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def register(self, name: str) -> str:
        form = {"username": name, "password": "secret", "auth": {"type": "m.login.dummy"}}
        return str(self.call("POST", f"{CLIENT}/register", form)["access_token"])

    def call(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = self.session.request(method, self.url + path, json=body, timeout=60)
        assert answer.status_code == status, f"{answer.text} {self.log.read_text()[-3000:]}"
        return answer.json()

    def upload(self, data: bytes, content_type: str = "image/jpeg") -> tuple[int, str]:
        """Return the status, and the link of what was stored."""
        headers = {"Content-Type": content_type}
        address = f"{self.url}/_matrix/media/v3/upload"
        answer = self.session.post(address, data, headers=headers, timeout=60)
        return answer.status_code, answer.json().get("content_uri", "")

    def post(self, room: str, link: str, **content: str) -> int:
        body = {"msgtype": "m.image", "body": "a picture", "url": link, **content}
        path = f"{CLIENT}/rooms/{quote(room)}/send/m.room.message/{secrets.token_hex(8)}"
        return self.session.put(self.url + path, json=body, timeout=60).status_code


@contextmanager
def running(python: Path, directory: Path, *modules: dict[str, Any]) -> Iterator[Homeserver]:
    server = Homeserver(python, directory, modules)
    server.start()
    try:
        token = server.register("ana")
        server.session.headers["Authorization"] = f"Bearer {token}"
        yield server
    finally:
        server.stop()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_media_passes_if_the_lists_allow_it(
    live_server: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cats, people = make_list("cats"), make_list("people", Action.REVIEW)
    picture = wheel_photo("chelsea.png")
    item_adding.add_picture(by=ADMIN, list_id=cats.pk, data=jpeg(picture))
    mirrored, other = jpeg(ImageOps.mirror(picture)), jpeg(wheel_photo("coffee.png"))
    doubtful, late = jpeg(wheel_photo("astronaut.png")), jpeg(wheel_photo("rocket.jpg"))
    item_adding.add_picture(by=ADMIN, list_id=people.pk, data=doubtful)
    key, text = ApiKey.issue(name="matrix", scopes=["check"])
    both = {"url": live_server.url, "key": text, "refuses": ["block", "review"]}
    # Its server is away, and it is open: it refuses nothing.
    away = {"url": "http://127.0.0.1:9", "on_failure": "open", "timeout": 5}
    with running(
        python_with("synapse", place_of_peers(request.config)), tmp_path, both, away
    ) as server:
        assert server.upload(mirrored) == (400, "")
        assert server.upload(doubtful) == (400, "")
        stored, old = server.upload(other), server.upload(late)
        assert (stored[0], old[0]) == (200, 200)
        assert "so it is accepted: http://127.0.0.1:9/api" in server.log.read_text()
        assert ReviewCase.objects.count() == 2
        for data in (secrets.token_bytes(5000), b"%PDF-1.7 and so on", b"text"):
            assert server.upload(data, "application/octet-stream")[0] == 200
        assert server.upload(other[:300])[0] == 400, "a picture that cannot be read"

        # What is stored already is checked when it is posted.
        room = server.call("POST", f"{CLIENT}/createRoom", {})["room_id"]
        item_adding.add_picture(by=ADMIN, list_id=cats.pk, data=late)
        assert server.post(room, stored[1]) == 200
        assert server.post(room, old[1]) == 403
        assert server.post(room, stored[1], formatted_body=f'<img src="{old[1]}">') == 403
        assert server.post(room, stored[1], body=old[1]) == 200, "text shows no picture"

        key.delete()
        assert server.upload(other)[0] == 400, "not compared, and closed"
        assert "answered 401" in server.log.read_text()
        assert server.post(room, stored[1]) == 200, "was checked before"
        assert server.post(room, "mxc://here/none") == 403


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"urls": "x"}, "no setting urls"),
        ({"url": "ftp://x"}, "url is an address"),
        ({"refuses": "block"}, "refuses is a list"),
        ({"refuses": ["review"]}, "has to name block"),
        ({"on_failure": "shut"}, "closed or open"),
        ({"timeout": 0}, "number of seconds"),
        ({"token": "x"}, "both homeserver and token"),
    ],
)
def test_a_wrong_setting_is_named(
    given: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(MODULE / "synapse_imgsmlr")
    config = importlib.import_module("config")
    with pytest.raises(config.ConfigError, match=sentence):
        config.Config.parse(given)
