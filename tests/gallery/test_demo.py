"""``manage.py demo`` against a real server: what it adds can be found, and it adds it once."""

from __future__ import annotations

import io
import socket
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from gallery.items.models import Image
from gallery.management import demo_pictures, demo_videos
from gallery.search.image_search import ImageQuery, search_images
from tests.httpserver import HttpServer
from tests.videos.library import file_of
from videos.index import indexing
from videos.match import video_search as videos_searching
from videos.models import Video

FEW = 2
RATE = 10


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_pictures, "EACH", FEW)
    monkeypatch.setattr(demo_videos, "RATE", RATE)


def run(site: str, **options: Any) -> str:
    out = io.StringIO()
    call_command("demo", site=site, stdout=out, **options)
    return out.getvalue()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_filled_once_and_found(live_server: Any, open_api: None) -> None:
    """What is made again has the same bytes, else it would be added again."""
    count = len(demo_pictures.FAMILIES) * (FEW + len(demo_pictures.EDITS))
    output = run(live_server.url)
    assert f"{count} pictures added, 0 were there." in output
    assert "2 videos added, 0 were there." in output
    output = run(live_server.url)
    assert f"0 pictures added, {count} were there." in output
    assert "0 videos added, 2 were there." in output

    assert len(set(Image.objects.ready().values_list("data_id", flat=True))) == count
    original = Image.objects.get(data_id="demo/card-1")
    found = search_images(
        ImageQuery(image_id=original.pk), match_type="imgsmlr", limit=10, threshold=2.0
    )
    names = [match.image.data_id for match in found.matches]
    assert names[0] == "demo/card-1"
    assert "demo/card-1-recompressed" in names
    assert original.meta == {"family": "card", "edit": ""}

    tour, trailer = (Video.objects.get(data_id=f"demo/{name}") for name in ("tour", "trailer"))
    assert indexing.index_videos([tour.pk, trailer.pk]) == 2
    moment = list(demo_videos.footage("tour"))[round(6.4 * RATE)]
    (hit, *others) = videos_searching.search_videos(data=file_of(moment)).results
    assert (hit.video, others) == (tour, [])
    assert hit.start - 300 <= 6400 <= hit.end + 300
    # What the trailer shows of the tour: its water and its poster.
    shared = list(demo_videos.footage("trailer"))[round(1.6 * RATE)]
    hits = {hit.video for hit in videos_searching.search_videos(data=file_of(shared)).results}
    assert hits == {tour, trailer}
    tour.refresh_from_db()
    assert tour.duration_ms is not None
    assert tour.duration_ms <= 15_000


@pytest.mark.django_db(transaction=True)
def test_a_key_is_needed(live_server: Any) -> None:
    with pytest.raises(CommandError, match=r"asks for a key: .* --key"):
        run(live_server.url)
    assert not Image.objects.exists()


def test_nothing_runs_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(CommandError, match=r"No service answers .* `make run`"):
        run(f"http://127.0.0.1:{port}")


def test_something_else_runs_there() -> None:
    with (
        HttpServer({"/healthz": b"hello"}) as server,
        pytest.raises(CommandError, match="not this service"),
    ):
        run(server.url)
