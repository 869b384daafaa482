"""From stored files to frames: what a video's rows say, and what a worker survives."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone

from gallery.imaging import descriptors
from gallery.imaging.descriptors import pdq
from gallery.imaging.descriptors.cnn import square
from gallery.items import changing
from gallery.items.item import Item
from gallery.items.signals import changed
from gallery.shared.errors import StorageAway
from gallery.shared.fork_server import CannotStart
from tests.broken_decoders import broken_decoders
from tests.factories import stored_files
from tests.httpserver import HttpServer
from tests.videos.clips import Pixels, encode, film, moving, plain, still, timed
from videos import tasks
from videos.decode.decoder_protocol import VideoLimits
from videos.decode.decoding import decode
from videos.decode.proxies import read_window
from videos.index import indexing
from videos.index.describing import FULL_VIEW, TRIMMED_VIEW
from videos.items import adding, reindexing
from videos.models import FRAME_VERSION, Frame, Status, Video

pytestmark = pytest.mark.django_db

BY = "tests"
TWO_SHOTS = encode(timed([*moving("astronaut", 3), *moving("coffee", 3)]))
SHORT = encode(timed(moving("chelsea", 1.5)))


def add(data: bytes = TWO_SHOTS, **fields: Any) -> Video:
    return adding.add_video(file=ContentFile(data), by=BY, **fields)


def ready(data: bytes = TWO_SHOTS) -> Video:
    video = add(data)
    assert indexing.index_videos([video.pk]) == 1
    video.refresh_from_db()
    assert video.status == Status.READY
    return video


def framed(frames: list[Pixels]) -> list[Pixels]:
    """Black bars above and below."""
    return [np.pad(frame, ((40, 40), (0, 0), (0, 0))) for frame in frames]


def hold_back(item: Item) -> bool:
    """A publishing gate."""
    return False


# --- what is stored


def test_a_video_becomes_ready_with_frames_that_cover_it() -> None:
    video = ready()
    assert (video.progress, video.failure, video.attempts) == (100, "", 0)
    assert (video.duration_ms, video.fps, video.claimed_until) == (6000, 25.0, None)
    frames = list(video.frames.order_by("t0"))
    assert {(f.view, f.version, f.weight) for f in frames} == {(FULL_VIEW, FRAME_VERSION, 1.0)}
    assert frames[0].t0 == 0
    assert 3000 in [f.t0 for f in frames]  # the cut
    assert all(a.t1 < b.t0 for a, b in pairwise(frames))
    assert all(b.t0 - a.t1 <= 1250 for a, b in pairwise(frames))
    assert all(np.linalg.norm(np.array(f.cnn)) == pytest.approx(1, abs=0.01) for f in frames)
    assert {f.pdq_quality for f in frames} == {100}


def test_a_frame_is_what_the_picture_at_its_time_gives() -> None:
    video = ready()
    frame = video.frames.get(t0=3000)
    with decode(io.BytesIO(TWO_SHOTS), VideoLimits()) as decoded:
        rgb = next(picture.rgb for picture in decoded if picture.t == 3000)
    (vector,) = descriptors.get_copy().embed([square(rgb)])
    assert float(vector @ np.array(frame.cnn)) > 0.9999
    hashed = pdq.describe_pdq(rgb)
    assert hashed is not None
    assert (frame.pdq, frame.pdq_quality) == (hashed["pdq"], hashed["pdq_quality"])


def test_a_static_shot_is_one_row() -> None:
    video = ready(encode(timed(still("coffee", 8))))
    frame = video.frames.get()
    assert (frame.t0, frame.view) == (0, FULL_VIEW)
    assert frame.t1 >= 7500


@pytest.mark.slow
def test_black_and_flat_frames_are_on_the_timeline_and_never_vote() -> None:
    video = ready(encode(timed([*plain(0, 3), *moving("coffee", 3), *plain(128, 3)])))
    silent = list(video.frames.filter(weight=0).order_by("t0"))
    assert [(f.t0, f.cnn) for f in silent] == [(0, None), (6000, None)]
    assert silent[0].t1 >= 2700
    assert video.frames.filter(weight__gt=0).count() >= 2


@pytest.mark.slow
def test_borders_give_a_second_row_of_each_span() -> None:
    video = ready(encode(timed(framed(list(moving("astronaut", 4))))))
    views = video.frames.values_list("t0", "view")
    full = {t0 for t0, view in views if view == FULL_VIEW}
    trimmed = {t0 for t0, view in views if view == TRIMMED_VIEW}
    assert trimmed == full
    plain_video = ready(encode(timed(moving("astronaut", 4))))
    twin = plain_video.frames.get(t0=0)
    bare = video.frames.get(t0=0, view=TRIMMED_VIEW)
    whole = video.frames.get(t0=0, view=FULL_VIEW)
    alike = [float(np.array(f.cnn) @ np.array(twin.cnn)) for f in (bare, whole)]
    assert alike[0] > 0.95 > alike[1]


@pytest.mark.slow
def test_pictures_that_other_videos_show_weigh_less() -> None:
    first = ready()
    again = ready(encode(timed([*moving("astronaut", 3), *moving("rocket", 3)])))
    shared = again.frames.filter(t1__lt=3000).values_list("weight", flat=True)
    own = again.frames.filter(t0__gte=3000).values_list("weight", flat=True)
    assert shared
    assert list(shared) == pytest.approx([1 / np.log2(3)] * len(shared))
    assert set(own) == {1.0}
    assert set(first.frames.values_list("weight", flat=True)) == {1.0}


def test_a_row_is_small_enough_for_seven_a_page() -> None:
    video = ready(encode(timed(framed(list(moving("astronaut", 2))))))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(pg_column_size(frame.*)), max(pg_column_size(frame.cnn)) "
            "FROM videos_frame frame WHERE item_id = %s",
            [video.pk],
        )
        row, vector = cursor.fetchone()
    # Of 8 KB; at 0.7 rows a second that is 820 bytes a second.
    assert vector > 1024
    assert row + 4 <= (8192 - 24) / 7


@pytest.mark.slow
@pytest.mark.parametrize("bars", [False, True])
def test_a_second_of_film_takes_less_than_a_vector_and_a_kilobyte(bars: bool) -> None:
    """Photographs, a shot of two to eight seconds each, panned or zoomed over; also with bars,
    where each span has two rows."""
    video = ready(film(bars))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(cnn), sum(pg_column_size(frame.*) + 4) FROM videos_frame frame "
            "WHERE item_id = %s",
            [video.pk],
        )
        vectors, table = cursor.fetchone()
    seconds = (video.duration_ms or 0) / 1000
    print(f"{vectors / seconds:.2f} vectors, {table / seconds:.0f} bytes of rows a second")
    assert seconds == pytest.approx(60, abs=0.2)
    assert 0.3 <= vectors / seconds <= 0.7 * (1 + bars)
    assert table / seconds <= 1024 * (1 + bars)


def test_the_small_copy_has_the_times_and_pictures_of_the_original() -> None:
    times = [0.0, 0.04, 0.08, 0.5, 0.533, 2.0, 2.5, 3.25]
    pictures = list(moving("coffee", 1, rate=len(times), size=(640, 360)))
    video = ready(encode(list(zip(times, pictures, strict=True)), gop=100))
    with default_storage.open(video.proxy.name) as proxy:
        frames = read_window(proxy, 0, 10_000)
    # What is on the screen each eighth of a second, and what looks unlike that in between.
    assert {round(1000 * t) for t in times} <= {t for t, _ in frames}
    # What is held is repeated, up to its end.
    held = [t for t, _ in frames if 533 <= t < 2000]
    assert (held[-1], max(b - a for a, b in pairwise(held))) == (1999, 216)
    assert {rgb.shape for _, rgb in frames} == {(160, 284, 3)}
    assert default_storage.size(video.proxy.name) < 200_000


def test_the_thumbnail_is_a_picture_and_no_black_frame(settings: Any) -> None:
    settings.THUMBNAIL_SIZE = 100
    video = ready(encode(timed([*plain(0, 2), *moving("coffee", 2)])))
    with default_storage.open(video.thumbnail.name) as file:
        picture = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR)
    assert max(picture.shape) == 100
    assert picture.mean() > 30


# --- publishing


def test_a_gate_holds_a_video_back(settings: Any) -> None:
    settings.PUBLISHING_GATES = [f"{__name__}.hold_back"]
    video = add(SHORT)
    assert indexing.index_videos([video.pk]) == 1
    video.refresh_from_db()
    assert (video.status, video.progress) == (Status.QUARANTINED, 100)
    assert video.frames.exists()


def test_the_news_comes_when_the_frames_are_there() -> None:
    seen: list[int] = []

    def note(verb: str, rows: list[Video], **_: Any) -> None:
        if verb == "published":
            seen.append(Frame.objects.filter(item=rows[0]).count())

    changed.connect(note)
    try:
        video = ready(SHORT)
    finally:
        changed.disconnect(note)
    assert seen == [video.frames.count()]


# --- interruptions


def test_a_second_task_does_nothing() -> None:
    video = ready(SHORT)
    before = list(video.frames.values_list("id"))
    assert tasks.index_videos([video.pk]) == 0
    assert list(video.frames.values_list("id")) == before


def test_a_worker_that_died_is_followed_by_another_and_no_frame_is_there_twice() -> None:
    video = add(SHORT)
    assert indexing._claim(video.pk) is not None  # and then the worker dies
    assert tasks.index_videos([video.pk]) == 0
    assert tasks.sweep() == 0
    Video.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert tasks.sweep() == 1
    video.refresh_from_db()
    assert (video.status, video.attempts) == (Status.READY, 0)
    assert video.frames.count() == len(set(video.frames.values_list("t0", "view")))


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_killed_leaves_nothing_and_is_followed_by_another(
    settings: Any, tmp_path: Path
) -> None:
    video = add(encode(timed([*moving("astronaut", 60, rate=10)], 10)))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    worker = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.videos.index.lone_worker"),
            *(connection.settings_dict["NAME"], str(settings.MEDIA_ROOT), str(video.pk)),
        ],
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    wait_until(lambda: any(scratch.glob("video-*/*")))
    worker.kill()
    worker.wait()
    # The process that decodes has nobody to read it any more.
    wait_until(lambda: not any(scratch.iterdir()))
    video.refresh_from_db()
    assert (video.status, video.attempts, video.frames.count()) == (Status.PENDING, 1, 0)
    assert stored_files(settings.MEDIA_ROOT) == [video.original.name]
    assert tasks.sweep() == 0  # it might still be alive
    Video.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert tasks.sweep() == 1
    video.refresh_from_db()
    assert (video.status, video.attempts, video.progress) == (Status.READY, 0, 100)
    assert video.frames.count() == len(set(video.frames.values_list("t0", "view"))) >= 20
    names = [video.original.name, video.thumbnail.name, video.proxy.name]
    assert stored_files(settings.MEDIA_ROOT) == sorted(names)


def wait_until(condition: Callable[[], bool]) -> None:
    """Raises AssertionError after a minute."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_worker_that_was_overtaken_stores_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    video = add(SHORT)
    finish = indexing._finish

    def late(claimed: Video, new: Any) -> None:
        # Its lease ran out meanwhile, and another worker was quicker.
        Video.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
        monkeypatch.setattr(indexing, "_finish", finish)
        assert tasks.index_videos([video.pk]) == 1
        finish(claimed, new)

    monkeypatch.setattr(indexing, "_finish", late)
    assert tasks.index_videos([video.pk]) == 0
    video.refresh_from_db()
    assert video.status == Status.READY
    assert video.frames.count() == len(set(video.frames.values_list("t0", "view")))


def test_a_full_disk_costs_a_video_no_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    video = add(SHORT)

    def disk_full(name: str, content: Any) -> str:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "save", disk_full)
        with pytest.raises(OSError, match="No space"):
            tasks.sweep()
    video.refresh_from_db()
    assert (video.status, video.attempts) == (Status.PENDING, 0)
    assert tasks.sweep() == 1


def test_videos_wait_while_the_storage_is_not_mounted(settings: Any) -> None:
    video = add(SHORT)
    aside = settings.MEDIA_ROOT.rename(settings.MEDIA_ROOT.with_name("aside"))
    with pytest.raises(StorageAway):
        tasks.sweep()
    video.refresh_from_db()
    assert (video.status, video.attempts) == (Status.PENDING, 0)
    aside.rename(settings.MEDIA_ROOT)
    assert tasks.sweep() == 1


@pytest.mark.slow
def test_videos_wait_while_no_decoder_can_start(tmp_path: Path) -> None:
    video = add(SHORT)
    with broken_decoders(tmp_path), pytest.raises(CannotStart):
        tasks.sweep()
    video.refresh_from_db()
    assert (video.status, video.attempts) == (Status.PENDING, 0)
    assert tasks.sweep() == 1


def test_a_video_that_ends_the_worker_three_times_fails() -> None:
    video = add(SHORT)
    for _ in range(indexing.MAX_ATTEMPTS):
        assert indexing._claim(video.pk) is not None
        Video.objects.update(claimed_until=None)
    assert tasks.index_videos([video.pk]) == 0
    video.refresh_from_db()
    assert (video.status, video.failure) == (Status.FAILED, indexing.DEADLY)


@pytest.mark.django_db(transaction=True)
def test_a_video_deleted_while_it_is_indexed(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "PROGRESS_SECONDS", 0.0)
    video = add(SHORT)

    def delete(share: float) -> None:
        changing.delete_items(items=Video.objects.filter(pk=video.pk), by=BY)

    assert indexing.index_videos([video.pk], report=delete) == 0
    assert not Video.objects.exists()
    assert not Frame.objects.exists()
    assert stored_files(settings.MEDIA_ROOT) == []


@pytest.mark.django_db(transaction=True)
def test_a_failed_transaction_leaves_no_frame_and_no_file(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = add(SHORT)

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(indexing, "publish", broken)
    with pytest.raises(RuntimeError):
        indexing.index_videos([video.pk])
    assert not Frame.objects.exists()
    assert stored_files(settings.MEDIA_ROOT) == [video.original.name]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_progress_grows_and_others_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "PROGRESS_SECONDS", 0.0)
    video = add(encode(timed(moving("coffee", 6)), index_first=True))
    seen: list[tuple[int, bool]] = []

    def look(share: float) -> None:
        def elsewhere() -> None:
            row = Video.objects.get(pk=video.pk)
            assert row.claimed_until is not None
            seen.append((row.progress, row.claimed_until > timezone.now()))
            connection.close()

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    assert indexing.index_videos([video.pk], report=look) == 1
    shares = [progress for progress, _ in seen]
    assert shares == sorted(shares)
    assert shares[0] < 50 < shares[-1] <= 99
    assert all(leased for _, leased in seen)


def test_progress_is_committed_no_more_than_once_a_second(
    django_assert_max_num_queries: Any,
) -> None:
    video = add(SHORT)
    claimed = indexing._claim(video.pk)
    assert claimed is not None
    progress = indexing._Progress(claimed, None)
    with django_assert_max_num_queries(0):
        for share in np.linspace(0, 1, 100):
            progress(float(share))


# --- failures


def test_a_lost_original_is_a_failure_with_a_reason() -> None:
    video = add(SHORT)
    default_storage.delete(video.original.name)
    assert indexing.index_videos([video.pk]) == 0
    video.refresh_from_db()
    assert (video.status, video.failure) == (Status.FAILED, indexing.LOST)


def test_a_missing_model_is_a_failure_that_can_be_retried(settings: Any, tmp_path: Any) -> None:
    video = add(SHORT)
    descriptors.configure(models=tmp_path)
    try:
        assert indexing.index_videos([video.pk]) == 0
    finally:
        descriptors.configure(models=settings.DATA_DIR / "models")
    video.refresh_from_db()
    assert video.status == Status.FAILED
    assert "prepare_models" in video.failure
    assert reindexing.index_again(items=Video.objects.all(), by=BY) == 1
    assert indexing.index_videos([video.pk]) == 1


def test_indexing_that_takes_too_long_fails(settings: Any) -> None:
    video = add()
    settings.VIDEO_TIMEOUT = -1
    assert indexing.index_videos([video.pk]) == 0
    video.refresh_from_db()
    assert video.status == Status.FAILED
    assert "longer than" in video.failure


# --- indexing anew


def test_indexing_anew_replaces_frames_and_files(settings: Any) -> None:
    video = ready(SHORT)
    old_frames, old_files = set(video.frames.values_list("id")), stored_files(settings.MEDIA_ROOT)
    assert reindexing.index_again(items=Video.objects.all(), by=BY) == 1
    video.refresh_from_db()
    assert (video.status, video.reindex, video.progress) == (Status.READY, True, 0)
    assert video.frames.count() == len(old_frames)  # found all the while
    assert indexing.index_videos([video.pk]) == 1
    video.refresh_from_db()
    assert (video.status, video.reindex, video.progress) == (Status.READY, False, 100)
    new_frames = set(video.frames.values_list("id"))
    assert len(new_frames) == len(old_frames)
    assert not new_frames & old_frames
    assert set(video.frames.values_list("weight", flat=True)) == {1.0}  # its own do not count
    assert video.original.name in old_files


def test_indexing_anew_that_fails_leaves_the_video_as_it_is() -> None:
    video = ready(SHORT)
    reindexing.index_again(items=Video.objects.all(), by=BY)
    default_storage.delete(video.original.name)
    assert indexing.index_videos([video.pk]) == 0
    video.refresh_from_db()
    assert (video.status, video.reindex, video.reindex_failure) == (
        Status.READY,
        False,
        indexing.LOST,
    )
    assert video.frames.exists()


def test_a_gate_is_asked_about_new_frames_too(settings: Any) -> None:
    video = ready(SHORT)
    reindexing.index_again(items=Video.objects.all(), by=BY)
    settings.PUBLISHING_GATES = [f"{__name__}.hold_back"]
    assert indexing.index_videos([video.pk]) == 1
    video.refresh_from_db()
    assert (video.status, video.reindex) == (Status.QUARANTINED, False)


def test_a_quarantined_video_stays_so_when_indexed_anew() -> None:
    video = ready(SHORT)
    changing.quarantine_items(items=Video.objects.all(), by=BY)
    assert reindexing.index_again(items=Video.objects.all(), by=BY) == 1
    assert indexing.index_videos([video.pk]) == 1
    video.refresh_from_db()
    assert (video.status, video.reindex) == (Status.QUARANTINED, False)


def test_a_link_is_fetched_again_to_be_indexed_anew(web: HttpServer) -> None:
    web.routes = {"/clip": SHORT}
    video = adding.add_video(url=f"{web.url}/clip", by=BY)
    assert indexing.index_videos([video.pk]) == 1
    video.refresh_from_db()
    assert video.original.name == ""
    before = set(video.frames.values_list("id"))
    assert reindexing.index_again(items=Video.objects.all(), by=BY) == 1
    assert indexing.index_videos([video.pk]) == 1
    video.refresh_from_db()
    assert (video.status, video.reindex, video.reindex_failure) == (Status.READY, False, "")
    assert (video.original.name, video.progress) == ("", 100)
    assert not before & set(video.frames.values_list("id"))


@pytest.mark.parametrize(
    ("now", "says"), [(TWO_SHOTS, "another file"), (None, "answered 404 for this address")]
)
def test_a_link_that_leads_elsewhere_now(web: HttpServer, now: bytes | None, says: str) -> None:
    web.routes = {"/clip": SHORT}
    video = adding.add_video(url=f"{web.url}/clip", by=BY)
    assert indexing.index_videos([video.pk]) == 1
    web.routes = {} if now is None else {"/clip": now}
    reindexing.index_again(items=Video.objects.all(), by=BY)
    assert indexing.index_videos([video.pk]) == 0
    video.refresh_from_db()
    assert (video.status, video.reindex) == (Status.READY, False)
    assert says in video.reindex_failure
    assert video.frames.exists()


def test_what_cannot_be_indexed_anew_is_left_alone() -> None:
    waiting = add(SHORT)
    without = ready()
    Video.objects.filter(pk=without.pk).update(original="")
    assert reindexing.index_again(items=Video.objects.all(), by=BY) == 0
    waiting.refresh_from_db()
    assert (waiting.status, waiting.reindex) == (Status.PENDING, False)


# --- deleting


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_deleting_takes_frames_and_files(settings: Any) -> None:
    ready(SHORT)
    kept = ready()
    assert changing.delete_items(items=Video.objects.exclude(pk=kept.pk), by=BY) == 1
    assert Video.objects.get() == kept
    assert not Frame.objects.exclude(item=kept).exists()
    names = [kept.original.name, kept.thumbnail.name, kept.proxy.name]
    assert stored_files(settings.MEDIA_ROOT) == sorted(names)
