"""The README's first commands, run as they are printed, answer what is printed below them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.httpserver import HttpServer
from tests.journeys.conftest import Service
from tests.service import ROOT, environment

pytestmark = pytest.mark.slow

SAMPLES = ROOT / "docs" / "samples"


def examples() -> list[tuple[str, str]]:
    """(command, answer), in their order: a block of a shell, and the JSON below it."""
    text = (ROOT / "README.md").read_text()
    start = text[text.index("**The original's API**") : text.index("## Match types")]
    return re.findall(r"```sh\n(.*?)```\n```json\n(.*?)\n```", start, re.DOTALL)


def pattern(answer: str) -> str:
    """What the answer must match: ``…`` is anything, ids differ from service to service."""
    parts = [re.escape(part.strip()) for part in answer.split("…")]
    return re.sub(r'"id":\d+', r'"id":\\d+', ".*".join(parts))


def test_the_commands_of_the_readme(service: Service, web: HttpServer) -> None:
    web.routes = {f"/{path.name}": path.read_bytes() for path in SAMPLES.iterdir()}
    found = examples()
    assert len(found) == 6
    made: list[tuple[str, Any]] = []
    # The service of the tests is open: its first start made no key.
    here = environment(service.data_dir, PORT=service.url.rpartition(":")[2])
    manage = [sys.executable, "manage.py", "login_link"]
    subprocess.run(manage, cwd=ROOT, env=here, check=True, capture_output=True, timeout=60)
    try:
        for command, answer in found:
            asked = 'KEY="X-API-Key: $(cat var/key)"\n' + command
            for printed, here in (
                ("http://127.0.0.1:8140", service.url),
                ("http://127.0.0.1:9000", web.url),
                ("var/key", str(service.data_dir / "key")),
            ):
                asked, answer = asked.replace(printed, here), answer.replace(printed, here)
            done = subprocess.run(
                ["bash", "-c", asked], cwd=ROOT, capture_output=True, text=True, timeout=90
            )
            assert done.returncode == 0, done.stderr
            assert re.fullmatch(pattern(answer), done.stdout), (command, done.stdout)
            body = json.loads(done.stdout)
            if "/mgr/add" in command:
                made.append(("images", body["data"]["id"]))
            elif "/search" not in command:
                made.append(("videos" if "/videos/" in command else "images", body["id"]))
    finally:
        for kind, number in made:
            service.request("DELETE", f"/api/v1/{kind}/{number}/")
    assert [kind for kind, _ in made] == ["images", "images", "videos"]
