"""Request ids, from the header through the log to the tasks, and reasons of refusals."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import resolve
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from imgsmlr_site import request_ids, request_log
from imgsmlr_site.env import LOOPBACK, env_choice
from tests.factories import photo, png
from tests.service import ROOT

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("edge_urls")]

WORKER = """
import sys
from django_q.worker import worker
from multiprocessing import Queue, Value
import orjson
tasks, results = Queue(), Queue()
tasks.put(orjson.loads(sys.stdin.read()))
tasks.put("STOP")
worker(tasks, results, Value("f", -1))
from gunicorn.config import Config
from gunicorn.glogging import Logger
from imgsmlr_site import gunicorn_conf
config = Config()
config.set("logconfig_dict", gunicorn_conf.logconfig_dict)
Logger(config).info("Listening")
"""


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """The refusals that were logged, as (line, request id)."""
    caplog.handler.addFilter(request_ids.RequestIdFilter())

    def found() -> list[tuple[str, str]]:
        name = request_log.logger.name
        return [(r.getMessage(), r.request_id) for r in caplog.records if r.name == name]

    return found


def test_an_id_is_taken_or_made(client: Client) -> None:
    answer = client.get("/healthz", headers={"x-request-id": "trace-1.a:b"})
    assert answer["X-Request-ID"] == "trace-1.a:b"
    made = {client.get("/healthz")["X-Request-ID"] for _ in range(2)}
    assert len(made) == 2
    for bad in ("a b", "x" * 65, "a\\nb", "<script>"):
        answer = client.get("/healthz", headers={"x-request-id": bad})
        assert len(answer["X-Request-ID"]) == 32


def test_a_refusal_says_why_without_what_was_sent(
    client: Client, lines: Any, settings: Any
) -> None:
    key = {"x-api-key": "a-wrong-secret", "x-request-id": "one"}
    client.get("/api/v1/status/?token=hidden", headers=key)
    settings.OPEN_API = LOOPBACK
    file = SimpleUploadedFile("secret-name.png", b"secret bytes")
    client.post("/api/v1/images/", {"file": file}, headers={"x-request-id": "two"})
    client.get("/nothing%0Ahere/", headers={"x-request-id": "three"})
    client.get("/api/v1/images/999999/", headers={"x-request-id": "four"})
    client.get("/healthz")
    assert lines() == [
        (
            "GET /api/v1/status/ 401 invalid_key: This API key is not known here: check that it "
            "was copied whole.",
            "one",
        ),
        (
            "POST /api/v1/images/ 400 not_an_image: This is text, not a picture; send JPEG, "
            "PNG, GIF, WebP, BMP, TIFF, AVIF, HEIC, JPEG XL or JPEG 2000.",
            "two",
        ),
        (
            "GET /nothing%0Ahere/ 404 not_found: There is nothing at this address: /api/docs/ "
            "lists what there is.",
            "three",
        ),
        ("GET /api/v1/images/999999/ 404 not_found: There is no image 999999.", "four"),
    ]


def test_the_original_api_and_pages_are_explained_too(
    client: Client, lines: Any, settings: Any
) -> None:
    settings.OPEN_API = LOOPBACK
    client.post("/imgsmlr/search", b'{"url": ["hidden"]}', content_type="application/json")
    client.put("/healthz")
    body = b'{"url": "ftp://secret.test/"}'
    assert client.post("/imgsmlr/search", body, content_type="application/json").status_code == 200
    (first, _), (second, _), (third, _) = lines()
    assert first.startswith("POST /imgsmlr/search 422 type_error.str: ")
    assert "hidden" not in first
    assert second == ("PUT /healthz 405 method_not_allowed: This address takes GET, HEAD, not PUT.")
    assert third.startswith("POST /imgsmlr/search 200 fetch_refused: ")
    assert "secret" not in third


@pytest.mark.parametrize(
    ("urls", "path", "logged"),
    [
        (
            "imgsmlr_site.accounts.reset_urls",
            "/password_reset/MTI/secret-token/",
            "/password_reset/***/***/",
        ),
        (None, "/statements/secret-token/", "/statements/***/"),
        (None, "/notices/secret-receipt/", "/notices/***/"),
        (None, "/api/v1/images/shared/secret-token/", "/api/v1/images/shared/***/"),
    ],
)
def test_a_link_that_is_a_secret_is_not_logged(urls: str | None, path: str, logged: str) -> None:
    request = RequestFactory().post(path)
    request.resolver_match = resolve(path, urls)
    assert request_log.path_without_secrets(request) == logged


def test_text_from_outside_stays_one_line() -> None:
    assert request_log.printable("a\nb\x1b[2J\u2028c") == "a b�[2J c"
    assert len(request_log.printable("x" * 1000)) == request_log.MAX_TEXT


def test_a_task_carries_the_id_of_its_request(client: Client, settings: Any) -> None:
    settings.OPEN_API = LOOPBACK
    answer = client.post(
        "/api/v1/images/",
        {"file": SimpleUploadedFile("a.png", png(photo(1)))},
        headers={"x-request-id": "from-the-client"},
    )
    assert answer.status_code in (201, 202), answer.content
    tasks = [SignedPackage.loads(task.payload) for task in OrmQ.objects.all()]
    assert {task["request_id"] for task in tasks} == {"from-the-client"}
    # Outside of requests there is none, such as for scheduled tasks.
    assert request_ids.request_id.get() == request_ids.NONE


@pytest.mark.slow
def test_json_lines_of_a_worker_and_of_gunicorn() -> None:
    """A real worker process runs one task that logs, and one line more says how it ended."""
    task = {
        "id": "1",
        "name": "one",
        "func": "logging.warning",
        "args": ["it is %s", "odd"],
        "kwargs": {},
        "request_id": "r1",
    }
    here = connection.settings_dict
    url = f"postgresql://imgsmlr@/{here['NAME']}?host={quote(here['HOST'])}&port={here['PORT']}"
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", WORKER],
        cwd=ROOT,
        env={**os.environ, "LOG_FORMAT": "json", "DATABASE_URL": url},
        input=orjson.dumps(task).decode(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    first, second, third = (orjson.loads(line) for line in done.stderr.splitlines())
    assert (first["message"], first["level"], first["request_id"]) == ("it is odd", "WARNING", "r1")
    assert first["time"].endswith("+00:00")
    assert (second["task"], second["outcome"]) == ("logging.warning", "done")
    assert second["request_id"] == "r1"
    assert second["seconds"] >= 0
    assert (third["message"], third["logger"]) == ("Listening", "gunicorn.error")


def test_a_bad_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "xml")
    with pytest.raises(ImproperlyConfigured, match="none of: text, json"):
        env_choice("LOG_FORMAT", ("text", "json"))


def test_plain_lines_end_in_the_id(settings: Any) -> None:
    text = logging.Formatter(settings.LOGGING["formatters"]["text"]["format"])
    record = logging.LogRecord("a", logging.INFO, "", 0, "hello", (), None)
    request_ids.RequestIdFilter().filter(record)
    assert text.format(record).endswith("INFO a: hello [-]")
