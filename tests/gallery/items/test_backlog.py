"""Adding is refused while the workers are too far behind."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django_q.models import OrmQ

from gallery import tasks
from gallery.items.models import Image
from tests import factories as make
from tests.httpserver import HttpServer
from tests.videos.clips import encode, moving, timed
from videos.models import Video

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("open_api")]


def upload(client: Client, number: int) -> Any:
    return client.post(
        "/api/v1/images/", {"file": SimpleUploadedFile("a.jpg", make.jpeg(make.photo(number)))}
    )


def test_a_full_backlog_refuses_by_every_way_and_only_its_kind(
    client: Client, settings: Any
) -> None:
    settings.MAX_QUEUE = 3
    while OrmQ.objects.count() < 3:
        assert upload(client, OrmQ.objects.count()).status_code == 202
    stored = Image.objects.count()
    with HttpServer({"/a.jpg": make.jpeg(make.photo(90))}) as web:
        link = {"url": f"{web.url}/a.jpg"}
        ways = [("/api/v1/images/", link), ("/api/v1/images/batch/", {"images": [link]})]
        ways.append(("/imgsmlr/mgr/add", link))
        answers = [client.post(path, body, content_type="application/json") for path, body in ways]
        # Refused before the link is fetched.
        assert web.requests == []
    for answer in (*answers, upload(client, 91)):
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "30")
        assert answer.json()["code"] == "backlog"
    assert Image.objects.count() == stored
    film = SimpleUploadedFile("a.mp4", encode(timed(moving("coffee", 1))))
    assert client.post("/api/v1/videos/", {"file": film}).status_code == 202
    assert Video.objects.count() == 1


def test_adding_goes_on_when_the_workers_have_caught_up(client: Client, settings: Any) -> None:
    settings.MAX_QUEUE = 1
    assert upload(client, 1).status_code == 202
    assert upload(client, 2).status_code == 429
    OrmQ.objects.all().delete()
    tasks.describe_images([])
    OrmQ.objects.all().delete()
    assert upload(client, 2).status_code == 202
