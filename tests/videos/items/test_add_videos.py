"""``manage.py add_videos``: directories, lists, what is passed over, and going on after a stop."""

from __future__ import annotations

import csv
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests import factories as make
from tests.httpserver import HttpServer
from tests.videos.clips import animation, encode, moving, timed
from videos.index import indexing
from videos.items import importing
from videos.models import Status, Video

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clips_are_read_once")]
CLIP = encode(timed(moving("astronaut", 1)))
OTHER = encode(timed(moving("coffee", 1)))


def add_videos(target: Path, **options: Any) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("add_videos", str(target), stdout=out, stderr=err, **options)
    return out.getvalue().strip(), err.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two videos in a folder, one a second time, a GIF, and what is no video."""
    root = tmp_path / "folder"
    (root / "sub").mkdir(parents=True)
    (root / "a.mp4").write_bytes(CLIP)
    (root / "copy of a.mp4").write_bytes(CLIP)
    (root / "sub" / "b").write_bytes(OTHER)
    frames = [frame for _, frame in timed(moving("chelsea", 1, rate=10), 10)]
    (root / "c.gif").write_bytes(animation(frames, "GIF"))
    (root / "still.png").write_bytes(make.png(make.photo(1)))
    (root / "notes.txt").write_text("not a video")
    (root / "broken.mp4").write_bytes(CLIP[: len(CLIP) // 2])
    os.mkfifo(root / "pipe")
    return root


def test_a_directory(folder: Path) -> None:
    out, err = add_videos(folder, remark="batch", data_id_prefix="x/")
    assert out == "3 added, 1 already there, 3 no videos, 1 failed."
    assert "broken.mp4: The file begins like MP4 but is damaged" in err
    assert {(v.data_id, v.remark, v.status) for v in Video.objects.all()} == {
        ("x/a.mp4", "batch", Status.READY),
        ("x/sub/b", "batch", Status.READY),
        ("x/c.gif", "batch", Status.READY),
    }
    assert all(video.frames.exists() for video in Video.objects.all())


def test_running_it_again_adds_nothing(folder: Path) -> None:
    add_videos(folder)
    out, _ = add_videos(folder)
    assert out == "4 already there, 3 no videos, 1 failed."
    assert Video.objects.count() == 3


def test_a_report_lists_what_was_not_added(folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.csv"
    _, err = add_videos(folder, report=report)
    assert err == ""
    with report.open(newline="") as stream:
        rows = {row["source"]: row["outcome"] for row in csv.DictReader(stream)}
    assert rows == {
        "broken.mp4": "failed",
        "notes.txt": "skipped",
        "pipe": "skipped",
        "still.png": "skipped",
    }


def test_links_and_csv(tmp_path: Path, web: HttpServer) -> None:
    web.routes = {"/a": CLIP}
    links = tmp_path / "links.txt"
    links.write_text(f"# two\n{web.url}/a\n{web.url}/none\n")
    assert add_videos(links)[0] == "1 added, 1 failed."
    before = len(web.requests)
    assert add_videos(links)[0] == "1 already there, 1 failed."
    assert [request.path for request in web.requests[before:]] == ["/none"]
    (tmp_path / "b.mp4").write_bytes(OTHER)
    table = tmp_path / "table.csv"
    table.write_text('file,data_id,meta\nb.mp4,id-b,"{""k"": 1}"\nnone.mp4,,\n')
    assert add_videos(table)[0] == "1 added, 1 failed."
    video = Video.objects.get(data_id="id-b")
    assert (video.meta, video.added_by) == ({"k": 1}, "command:add_videos")


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A folder with one video."""
    root = tmp_path / "one"
    root.mkdir()
    (root / "a.mp4").write_bytes(CLIP)
    return root


def test_a_video_that_fails_while_it_is_indexed(one: Path, settings: Any) -> None:
    settings.VIDEO_TIMEOUT = -1
    out, err = add_videos(one)
    assert out == "1 failed."
    assert "longer than" in err


def hold_back(item: Any) -> bool:
    """A publishing gate."""
    return False


def test_a_video_that_is_held_back(one: Path, settings: Any) -> None:
    settings.PUBLISHING_GATES = [f"{__name__}.hold_back"]
    assert add_videos(one)[0] == "1 added but held back."


def test_ctrl_c_and_then_again(one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (one / "b.mp4").write_bytes(OTHER)
    index_videos = indexing.index_videos

    def stop(*_: Any, **__: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(importing.indexing, "index_videos", stop)
    with pytest.raises(SystemExit) as stopped:
        add_videos(one)
    assert stopped.value.code == 130
    monkeypatch.setattr(importing.indexing, "index_videos", index_videos)
    assert add_videos(one)[0] == "1 added, 1 already there."
    # What was stored and not yet indexed is left to the workers.
    assert indexing.index_left_over() == 1
    assert set(Video.objects.values_list("status", flat=True)) == {Status.READY}


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no"):
        add_videos(tmp_path / "none")
    assert add_videos(tmp_path)[0] == "nothing to add."
