"""``export_videos`` and ``import_videos``: a round trip, and what the archive lacks."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from moderation.cases.models import ReviewCase
from tests.moderation.factories import make_item, make_list
from tests.videos.clips import encode, moving, timed
from tests.videos.library import add_ready, file_of
from videos.items import exporting
from videos.match.video_search import search_videos
from videos.models import Frame, ScreenedHashes, Status, Video

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clips_are_read_once")]
SHOWN = list(moving("astronaut", 2))
CLIP = encode(timed(SHOWN))
OTHER = encode(timed(moving("coffee", 1)))
FILES = ("original", "proxy", "thumbnail")


def run(name: str, *args: Any, **options: Any) -> str:
    out = io.StringIO()
    call_command(name, *map(str, args), stdout=out, stderr=out, **options)
    return out.getvalue()


@pytest.fixture
def videos(monkeypatch: pytest.MonkeyPatch) -> list[Video]:
    monkeypatch.setattr(exporting, "VIDEOS_PER_PART", 1)
    first = add_ready(CLIP, data_id="a", remark="说明", meta={"long": 2**63})
    second = add_ready(OTHER)
    Video.objects.create(
        md5="0" * 32, sha1="", sha256="", format="mp4", width=1, height=1, bytes=1, added_by="x"
    )
    return [first, second]


def state() -> list[Any]:
    """All that must come back, with the contents of files."""
    rows: list[Any] = []
    for video in Video.objects.ready().order_by("id"):
        kept = set(exporting.FIELDS) - {"added_by", *FILES}
        rows.append({name: getattr(video, name) for name in kept})
        rows += [getattr(video, name).read() for name in FILES]
    facts = ("item_id", "t0", "t1", "weight", "view", "version", "pdq", "pdq_quality", "cnn")
    for row in Frame.objects.order_by("item_id", "t0", "view").values_list(*facts):
        rows.append([str(value) for value in row])
    hashes = ScreenedHashes.objects.order_by("pk").values_list("item_id", "packed")
    rows += [(item, bytes(packed)) for item, packed in hashes]
    return rows


def placed() -> list[Any]:
    found = search_videos(data=file_of(SHOWN[len(SHOWN) // 2])).results
    return [(one.video.data_id, one.confidence, one.start) for one in found]


def empty() -> None:
    Video.objects.all().delete()


def test_the_round_trip(videos: list[Video], tmp_path: Path) -> None:
    out = run("export_videos", tmp_path, media=True)
    assert f"2 videos exported to {tmp_path}." in out
    assert "1 videos are not ready" in out
    with pytest.raises(CommandError, match="holds a complete export"):
        run("export_videos", tmp_path)
    before, found = state(), placed()
    assert found
    empty()
    assert "2 added." in run("import_videos", tmp_path)
    assert (state(), placed()) == (before, found)
    assert "2 already here." in run("import_videos", tmp_path)
    assert state() == before
    assert Video.objects.order_by("id")[0].added_by == "command:import_videos"
    with np.load(tmp_path / "videos-000001.npz") as arrays:
        assert set(arrays["item"]) == {videos[0].pk}
        assert arrays["cnn"].shape == (len(arrays["cnn_rows"]), 512)
    line = json.loads((tmp_path / "videos-000001.jsonl").read_text())
    assert (line["data_id"], line["duration_ms"]) == ("a", videos[0].duration_ms)


def test_interrupted_without_originals_and_an_id_that_is_taken(
    videos: list[Video], tmp_path: Path
) -> None:
    written = exporting.export(tmp_path, media=False, by="tests")
    assert next(written) == 1
    written.close()
    with pytest.raises(CommandError, match="export_videos did not finish"):
        run("import_videos", tmp_path)
    assert "2 videos exported" in run("export_videos", tmp_path)
    assert not (tmp_path / "media" / str(videos[0].original.name)).exists()
    found = placed()
    empty()
    Video.objects.create(
        pk=videos[1].pk, md5="1" * 32, sha1="", sha256="", format="mp4", width=1, height=1,
        bytes=1, added_by="x",
    )  # fmt: skip
    out = run("import_videos", tmp_path)
    assert "2 added." in out and "Its id is taken here: it is video" in out
    assert placed() == found
    assert not any(video.original for video in Video.objects.all())


def test_what_the_archive_lacks(videos: list[Video], tmp_path: Path) -> None:
    run("export_videos", tmp_path, media=True)
    media = tmp_path / "media"
    (media / str(videos[0].original.name)).write_bytes(b"other")
    (media / str(videos[1].proxy.name)).unlink()
    empty()
    out = run("import_videos", tmp_path)
    assert "1 added, 1 left out." in out
    assert f"row {videos[0].pk}: Its original is damaged or missing" in out
    assert f"row {videos[1].pk}: Its small copy is damaged or missing" in out
    (tmp_path / "videos-000002.jsonl").unlink()
    with pytest.raises(CommandError, match="has 1 of 2 parts"):
        run("import_videos", tmp_path)


def test_lists_screen_what_moves_in(videos: list[Video], tmp_path: Path) -> None:
    run("export_videos", tmp_path)
    empty()
    make_item(make_list(), ("sha256", videos[0].sha256))
    assert "1 added, 1 added but held back." in run("import_videos", tmp_path)
    held = Video.objects.get(sha256=videos[0].sha256)
    assert (held.status, ReviewCase.objects.get().video) == (Status.QUARANTINED, held)
