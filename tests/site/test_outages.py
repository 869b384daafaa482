"""Which errors mean that the service lacks something for a time, and how they are answered."""

from __future__ import annotations

import errno
import io
import logging
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection
from django.test import Client

from imgsmlr_site.env import LOOPBACK
from imgsmlr_site.outages import WithoutTraceback, outage
from moderation.cases.models import ReviewCase
from tests.broken_decoders import broken_decoders
from tests.factories import photo, png
from tests.moderation.factories import make_list

pytestmark = pytest.mark.django_db(transaction=True)


def error_of(sql: str) -> Exception:
    with pytest.raises(DatabaseError) as caught, connection.cursor() as cursor:
        cursor.execute(sql)
    return caught.value


def test_errors_of_the_database() -> None:
    assert outage(error_of("SELECT 1 FROM nowhere")) is None
    assert outage(IntegrityError("twice")) is None
    raised = "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{}'; END $$"
    full = outage(error_of(raised.format("53100")))
    assert full == ("database", "The database lacks disk space or memory: see the service's log.")
    assert outage(error_of(raised.format("40P01"))) is None  # a deadlock
    gone = error_of("SELECT pg_terminate_backend(pg_backend_pid())")
    connection.close()
    assert outage(gone) == (
        "database",
        "The database does not answer now: try again in some seconds.",
    )


@pytest.mark.parametrize(
    ("number", "word"), [(errno.ENOSPC, "full"), (errno.EROFS, "may not write")]
)
def test_errors_of_the_disk(number: int, word: str) -> None:
    found = outage(OSError(number, "no"))
    assert found is not None and found[0] == "storage" and word in found[1]
    assert outage(FileNotFoundError(errno.ENOENT, "no")) is None


@pytest.mark.parametrize("path", ["/api/v1/status/", "/metrics"])
def test_a_request_without_a_database_says_so(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    settings.OPEN_API = LOOPBACK
    client.raise_request_exception = False
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "HOST", "/nonexistent")
        answer = client.get(path)
        connection.close()
    assert (answer.status_code, answer["Retry-After"]) == (503, "5"), answer.content
    assert "The database does not answer now" in answer.content.decode()
    assert "/nonexistent" not in answer.content.decode()


@pytest.mark.parametrize("path", ["images/", "images/search/", "moderation/check/"])
def test_a_request_without_decoders_says_so(
    client: Client, settings: Any, tmp_path: Path, path: str
) -> None:
    settings.OPEN_API = LOOPBACK
    client.raise_request_exception = False
    make_list()
    with broken_decoders(tmp_path):
        answer = client.post(f"/api/v1/{path}", {"file": io.BytesIO(png(photo(1)))})
    assert (answer.status_code, answer["Retry-After"]) == (503, "5"), answer.content
    assert answer.json()["detail"] == "The service cannot start its decoders; its log says why."
    assert not ReviewCase.objects.exists()


def test_an_outage_is_one_line_of_the_log() -> None:
    stream = io.StringIO()
    logger = logging.Logger("outage")
    handler = logging.StreamHandler(stream)
    handler.addFilter(WithoutTraceback())
    logger.addHandler(handler)
    for error in (OperationalError("it is away\nDETAIL: a row"), ValueError("a mistake")):
        try:
            raise error from psycopg2.Error()
        except Exception:
            logger.exception("failed %s", "here")
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["failed here: it is away", "failed here"]
    assert lines[-1] == "ValueError: a mistake"
