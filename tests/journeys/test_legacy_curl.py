"""The commands of the original's README, as a user pastes them into a shell."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests import factories as make
from tests.httpserver import HttpServer
from tests.journeys.conftest import Service

pytestmark = pytest.mark.slow

ADD = """
curl http://127.0.0.1:8140/imgsmlr/mgr/add -d '{"url": "http://host:port/image-file.jpg"}'
"""
SEARCH = """
curl 'http://127.0.0.1:8140/imgsmlr/search' \\
  -H 'Content-Type: application/json;charset=UTF-8' \\
  -d '{"url":"http://host:port/search-image.jpg"}'
"""


def run(command: str, service: Service, web: HttpServer) -> Any:
    """The JSON that the command prints, with the README's two addresses replaced."""
    command = command.replace("http://127.0.0.1:8140", service.url)
    command = command.replace("http://host:port", web.url)
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_commands_of_the_original(service: Service, web: HttpServer) -> None:
    web.routes = {
        "/image-file.jpg": make.jpeg(make.photo(901)),
        "/search-image.jpg": make.jpeg(make.photo(901), 70),
    }
    added = run(ADD, service, web)
    image = added["data"]["id"]
    assert added == {"code": 200, "msg": "OK", "data": {"id": image}}
    found = run(SEARCH, service, web)
    assert (found["code"], found["msg"], found["data"]["threshold"]) == (200, "OK", 0.1)
    (match,) = found["data"]["images"]
    assert 0 < match.pop("simr") < 0.1
    assert len(match.pop("md5")) == 32
    assert match == {
        "id": image,
        "url": web.url + "/image-file.jpg",
        "dataId": None,
        "remark": None,
        "meta": None,
    }
    again = {"code": 400, "msg": "image file already exists", "data": None}
    assert run(ADD, service, web) == again
    web.routes.clear()
    gone = {"code": 400, "msg": "fetch url failed, status: 404", "data": None}
    assert run(ADD, service, web) == gone
    assert service.request("DELETE", f"/api/v1/images/{image}/").status_code == 204
