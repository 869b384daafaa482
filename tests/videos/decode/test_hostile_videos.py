"""Files made to do harm, through the door and the worker: refused, or failed with a reason.

Each leaves no process and no temporary file behind; a worker that has seen it indexes the next.
"""

from __future__ import annotations

import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests import processes
from tests.factories import stored_files
from tests.httpserver import HttpServer
from tests.videos.clips import (
    animation,
    costly_gif,
    encode,
    many_streams,
    moving,
    sound_only,
    timed,
)
from videos import conf, tasks
from videos.models import Frame, Status, Video

pytestmark = pytest.mark.django_db(transaction=True)

VIDEOS = "/api/v1/videos/"
FRAMES = timed(moving("astronaut", 4, rate=10), 10)
GOOD = encode(FRAMES[:10])


@pytest.fixture(autouse=True)
def _nothing_is_left_and_the_worker_goes_on(
    web: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any, client: Client
) -> Iterator[None]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    settings.FILE_UPLOAD_TEMP_DIR = str(scratch)
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 100_000
    yield
    assert list(scratch.iterdir()) == []
    assert not processes.forked("decode_child")
    if not Video.objects.exists():
        return  # refused at the door: no worker has seen it
    good = client.post(VIDEOS, {"file": SimpleUploadedFile("good.mp4", GOOD)}).json()["id"]
    assert tasks.index_videos([good]) == 1
    Video.objects.exclude(pk=good).delete()
    kept = Video.objects.get()
    own = {kept.original.name, kept.thumbnail.name, kept.proxy.name}
    assert {name for name in stored_files(settings.MEDIA_ROOT) if name in own} == own


def judged(client: Client, data: bytes) -> tuple[str, str]:
    """("refused" or the status after the worker, the sentence)."""
    started = time.monotonic()
    answer = client.post(VIDEOS, {"file": SimpleUploadedFile("clip.mp4", data)})
    if answer.status_code != 202:
        assert 400 <= answer.status_code < 500, answer.content
        assert not Video.objects.exists()
        outcome = "refused", answer.json()["detail"]
    else:
        assert tasks.index_videos([answer.json()["id"]]) in (0, 1)
        video = Video.objects.get(pk=answer.json()["id"])
        outcome = video.status, video.failure
        if video.status == Status.FAILED:
            assert not Frame.objects.filter(item=video).exists()
            assert (video.thumbnail.name, video.proxy.name) == ("", "")
    assert time.monotonic() - started < 40
    return outcome


def with_number(data: bytes, box: bytes, at: int, value: int) -> bytes:
    """The MP4 with a 32-bit number in a box replaced; ``at`` counts from the box's name."""
    found = data.index(box) + at
    return data[:found] + struct.pack(">I", value) + data[found + 4 :]


def ten_hours() -> bytes:
    data = encode(FRAMES, "mkv")
    at = data.index(b"\x44\x89\x88") + 3  # Duration: a 64-bit float, in ms
    return data[:at] + struct.pack(">d", 36_000_000.0) + data[at + 8 :]


def five_hours() -> bytes:
    data = encode(FRAMES, "mkv")
    at = data.index(b"\x44\x89\x88") + 3
    return data[:at] + struct.pack(">d", 18_000_000.0) + data[at + 8 :]


def huge_gif() -> bytes:
    gif = bytearray(animation([picture for _, picture in FRAMES[:2]], "GIF"))
    gif[6:10] = struct.pack("<HH", 20_000, 20_000)
    return bytes(gif)


def huge_mkv() -> bytes:
    """Matroska states its size in the track; 20,000 needs two bytes, as 320 does."""
    data = encode(FRAMES[:5], "mkv")
    for name, old in ((b"\xb0\x82", 320), (b"\xba\x81", 180)):
        at = data.index(name + old.to_bytes(2 if old > 255 else 1, "big"))
        new = b"\x4e\x20" if old > 255 else b"\xff"
        data = data[: at + 2] + new + data[at + 2 + len(new) :]
    return data


def encrypted() -> bytes:
    data = encode(FRAMES)
    start = data.index(b"mdat") + 8
    moov = data.index(b"moov") - 4
    noise = np.random.default_rng(0).integers(0, 256, moov - start, dtype=np.uint8).tobytes()
    return data[:start] + noise + data[moov:].replace(b"avc1", b"encv")


def scrambled() -> bytes:
    """Encrypted without a word about it in the header."""
    data = encode(FRAMES)
    start, moov = data.index(b"mdat") + 8, data.index(b"moov") - 4
    noise = np.random.default_rng(0).integers(0, 256, moov - start, dtype=np.uint8).tobytes()
    return data[:start] + noise + data[moov:]


def no_frames() -> bytes:
    data = encode(FRAMES)
    return with_number(data, b"stsz", 12, 0)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty"),
    "text": (lambda: b"hello " * 100, "text"),
    "HTML": (lambda: b"<!DOCTYPE html><html><body>Not found</body></html>", "HTML page"),
    "ffconcat": (lambda: b"ffconcat version 1.0\nfile secret.mp4\n", "playlist"),
    "m3u8": (lambda: b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/secret.mp4\n", "playlist"),
    "sound": (sound_only, "no moving picture"),
    "one frame": (lambda: encode(FRAMES[:1]), "single picture"),
    "still picture": (lambda: animation([FRAMES[0][1]], "WEBP"), "image"),
    "no frames": (no_frames, ""),
    "ten hours": (ten_hours, "10:00:00"),
    "1,000 streams": (lambda: many_streams(1000), "streams"),
    "20,000 × 20,000": (huge_gif, "pixels"),
    "encrypted": (encrypted, ""),
    "scrambled": (scrambled, ""),
    "cut off before its index": (lambda: encode(FRAMES)[:-2000], "damaged"),
    "a header alone": (lambda: b"\0\0\0\x20ftypisom" + bytes(600), "damaged"),
    "a container that is not read": (lambda: b"FLV\x01" + bytes(600), "convert it to MP4"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_at_the_door(client: Client, name: str, settings: Any) -> None:
    make, says = REFUSED[name]
    outcome, sentence = judged(client, make())
    assert outcome == "refused"
    assert says in sentence
    assert sentence.endswith(".")
    assert stored_files(settings.MEDIA_ROOT) == []


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7])
@pytest.mark.parametrize("container", ["mp4", "mkv", "avi"])
def test_a_file_that_ends_early_fails(client: Client, container: str, share: float) -> None:
    data = encode(timed(moving("coffee", 8, rate=10), 10), container, index_first=True)
    outcome, sentence = judged(client, data[: int(len(data) * share)])
    assert outcome in ("refused", Status.FAILED)
    assert "again" in sentence


def test_a_claim_of_five_hours_fails(client: Client) -> None:
    outcome, sentence = judged(client, five_hours())
    assert outcome == Status.FAILED
    assert "0:00:04 of the 5:00:00" in sentence


@pytest.mark.slow
def test_an_mp4_that_claims_ten_hours_is_not_believed(client: Client) -> None:
    data = encode(FRAMES)
    scale = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    assert judged(client, with_number(data, b"mvhd", 20, 36_000 * scale)) == (Status.READY, "")
    assert Video.objects.get().duration_ms == 4000


def test_a_size_that_no_frame_has(client: Client) -> None:
    outcome, sentence = judged(client, huge_mkv())
    assert outcome in ("refused", Status.FAILED, Status.READY)
    assert sentence == "" or sentence.endswith(".")


@pytest.mark.slow
@pytest.mark.parametrize("magic", [b"\0\0\0\x18ftypmp42", b"OggS", b"RIFF1234AVI ", b"GIF89a"])
@pytest.mark.parametrize(
    "playlist", ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n#EXTINF:1,\n{}\n"]
)
def test_a_playlist_in_disguise_reads_no_file_and_no_address(
    client: Client, web: HttpServer, tmp_path: Path, magic: bytes, playlist: str
) -> None:
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(GOOD)
    web.routes = {"/secret.mp4": GOOD}
    for target in (str(secret), f"file:{secret}", f"{web.url}/secret.mp4"):
        outcome, _ = judged(client, magic + playlist.format(target).encode())
        assert outcome == "refused"
    assert web.requests == []


def test_a_playlist_behind_a_link(client: Client, web: HttpServer) -> None:
    web.routes = {"/a.mp4": f"#EXTM3U\n#EXTINF:1,\n{web.url}/secret.mp4\n".encode()}
    answer = client.post(VIDEOS, {"url": f"{web.url}/a.mp4"}, content_type="application/json")
    assert answer.status_code == 400
    assert "playlist" in answer.json()["detail"]
    assert [request.path for request in web.requests] == ["/a.mp4"]


@pytest.mark.slow
def test_what_burns_time_fails_within_its_limit(client: Client, settings: Any) -> None:
    settings.VIDEO_TIMEOUT = 5
    outcome, sentence = judged(client, costly_gif(3000, 2000))
    assert outcome == Status.FAILED
    assert "seconds" in sentence


def test_what_burns_memory_fails(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    little = replace(conf.limits(), memory_bytes=250 * 1024**2)
    conf.probe_limits()  # as usual: only the worker has little memory
    data = encode(timed(moving("coffee", 0.4, size=(1920, 1080))))
    with monkeypatch.context() as patch:
        patch.setattr(conf, "limits", lambda: little)
        outcome, sentence = judged(client, data)
    assert outcome == Status.FAILED
    assert sentence.endswith(".")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_random_damage(client: Client, seed: int) -> None:
    rng = np.random.default_rng(seed)
    container = ["mp4", "mkv", "webm", "avi", "mpegts", "ogg"][seed]
    data = bytearray(encode(FRAMES, container))
    for at in rng.integers(0, len(data), 40):
        data[at] = rng.integers(256)
    outcome, sentence = judged(client, bytes(data))
    assert (outcome == Status.READY) == (sentence == "")
