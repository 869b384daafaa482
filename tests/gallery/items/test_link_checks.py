"""Links are looked at again: a real server changes what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from gallery.items import file_storage
from gallery.items.link_checks import MAX_PER_HOST, check_links
from gallery.items.models import Image, LinkCheck
from gallery.tasks import check_links as task
from moderation.audit.models import AuditEvent
from tests.factories import add_ready_image, photo, png
from tests.httpserver import Handler, HttpServer, Reply, RequestHandler

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("open_api")]


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as server:
        yield server


def linked(server: HttpServer, path: str = "/a.png", seed: int = 1) -> Image:
    """An image of which nothing is kept but its link, added a month ago."""
    data = png(photo(seed))
    server.routes.setdefault(path, data)
    image = add_ready_image(data=data, url=server.url + path)
    file_storage.delete_after_commit([image.original.name])
    image.original, image.created_at = "", timezone.now() - timedelta(days=30)
    image.save()
    return image


def again() -> Any:
    """The next look, a week later."""
    LinkCheck.objects.update(checked_at=timezone.now() - timedelta(days=8))
    counts = check_links()
    return dict(counts)


def with_validators(data: bytes) -> Handler:
    """A host that keeps an ETag, and answers 304 to those who have it."""

    def handle(handler: RequestHandler) -> None:
        headers = {"ETag": '"one"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        known = handler.headers.get("If-None-Match") == '"one"'
        handler.reply(Reply(b"" if known else data, 304 if known else 200, headers))

    return handle


def test_the_same_bytes_change_nothing_and_are_not_sent_twice(server: HttpServer) -> None:
    server.routes["/a.png"] = with_validators(png(photo(1)))
    image = linked(server)
    assert again() == {"same": 1}
    assert again() == {"same": 1}
    first, second = server.requests
    assert "If-None-Match" not in first.headers
    assert second.headers["If-None-Match"] == '"one"'
    assert second.headers["If-Modified-Since"] == "Mon, 01 Jan 2024 00:00:00 GMT"
    image.refresh_from_db()
    assert (image.status, image.stale_at) == ("ready", None)


def test_other_bytes_make_the_image_stale_until_the_old_ones_are_back(server: HttpServer) -> None:
    image = linked(server)
    assert again() == {"same": 1}
    server.routes["/a.png"] = png(photo(2))
    assert again() == {"changed": 1}
    image.refresh_from_db()
    assert image.status == "ready"
    assert image.stale_at is not None
    server.routes["/a.png"] = png(photo(1))
    assert again() == {"same": 1}
    image.refresh_from_db()
    assert image.stale_at is None
    verbs = AuditEvent.objects.filter(actor="links").order_by("id").values_list("verb", flat=True)
    assert list(verbs) == ["image.link_changed", "image.link_restored"]


def test_changed_content_is_looked_at_in_full_each_time(server: HttpServer) -> None:
    linked(server)
    server.routes["/a.png"] = with_validators(png(photo(2)))
    assert again() == {"changed": 1}
    assert again() == {"changed": 1}
    assert "If-None-Match" not in server.requests[-1].headers


@pytest.mark.parametrize(
    ("status", "kind", "stale"), [(404, "gone", True), (410, "gone", True), (500, "failed", False)]
)
def test_a_host_that_does_not_give_the_file(
    server: HttpServer, status: int, kind: str, stale: bool
) -> None:
    image = linked(server)
    server.routes["/a.png"] = Reply(b"", status)
    assert again() == {kind: 1}
    image.refresh_from_db()
    assert (image.status, image.stale_at is not None) == ("ready", stale)


def test_only_links_that_are_due_and_whose_image_is_kept_nowhere_else(server: HttpServer) -> None:
    linked(server)
    kept = add_ready_image(data=png(photo(3)), url=server.url + "/kept.png")
    held = linked(server, "/held.png", 4)
    recent = linked(server, "/recent.png", 5)
    uploaded = add_ready_image(data=png(photo(6)))
    Image.objects.filter(pk__in=[kept.pk, uploaded.pk]).update(created_at="2020-01-01T00:00Z")
    Image.objects.filter(pk=held.pk).update(status="quarantined")
    Image.objects.filter(pk=recent.pk).update(created_at=timezone.now())
    assert task() == 1
    assert [request.path for request in server.requests] == ["/a.png"]
    assert task() == 0


def test_it_can_be_turned_off(server: HttpServer, settings: Any) -> None:
    linked(server)
    settings.RECHECK_LINKS_DAYS = 0
    assert task() == 0
    assert not server.requests


def test_one_host_does_not_keep_others_out(server: HttpServer, settings: Any) -> None:
    for number in range(MAX_PER_HOST + 3):
        linked(server, f"/{number}.png", number)
    settings.RECHECK_LINKS_HOURLY = 12 * (MAX_PER_HOST + 1)
    with HttpServer() as other:
        linked(other, "/z.png", 99)
        assert task() == MAX_PER_HOST + 1
        assert len(other.requests) == 1
    assert task() == 3


def test_a_gate_that_fails_holds_the_image(server: HttpServer, settings: Any) -> None:
    image = linked(server)
    settings.LINK_GATES = ["tests.gallery.items.test_link_checks.broken_gate"]
    server.routes["/a.png"] = png(photo(2))
    again()
    image.refresh_from_db()
    assert image.status == "quarantined"


def broken_gate(image: Image, data: bytes) -> bool:
    raise RuntimeError("broken")
