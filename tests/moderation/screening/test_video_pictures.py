"""Whatever a video shows is compared: briefly, in another stream, behind transparency."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from django.core.files.base import ContentFile
from PIL import Image as Pillow

from moderation.cases.models import ReviewCase
from moderation.lists import policies
from moderation.lists.models import BannedList, RetroScan
from moderation.lists.verdicts import Verdict
from moderation.pipeline import rescan
from moderation.screening import content, screen
from tests.moderation.factories import make_item, make_list
from tests.moderation.pipeline.test_gates import pdq_of
from tests.videos.clips import Pixels, Timed, animation, encode, moving, still, timed
from videos.index import indexing
from videos.items import adding
from videos.models import Video

pytestmark = pytest.mark.django_db
SIZE = (320, 180)


def picture(name: str) -> Pixels:
    return next(iter(still(name, 0.04, size=SIZE)))


BANNED, DECOY = picture("coffee"), picture("astronaut")


def banned() -> BannedList:
    on = make_list()
    make_item(on, ("pdq", pdq_of(Pillow.fromarray(BANNED)), 90))
    return on


def check(data: bytes) -> Verdict:
    return screen.screen(content.of_bytes(data), policies.current()).verdict


def add(data: bytes) -> Video:
    video = adding.add_video(file=ContentFile(data), by="tests")
    indexing.index_videos([video.pk])
    video.refresh_from_db()
    return video


def flashed(at: float, seconds: float, *, rate: float = 25) -> list[Timed]:
    """Moving footage with the banned picture in it."""
    frames = timed(moving("chelsea", 3, rate=rate, size=SIZE), rate)
    return [(t, BANNED if at <= t < at + seconds - 1e-6 else rgb) for t, rgb in frames]


def with_streams(*streams: list[Timed], container: str = "mp4") -> bytes:
    """A file with several streams of pictures, the first as large as the others."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska" if container == "mkv" else container) as file:
        made = []
        for frames in streams:
            stream = file.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            stream.height, stream.width = frames[0][1].shape[:2]
            stream.pix_fmt = "yuv420p"
            made.append(stream)
        for stream, frames in zip(made, streams, strict=True):
            for seconds, rgb in frames:
                frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
                frame.time_base, frame.pts = Fraction(1, 25), round(seconds * 25)
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return out.getvalue()


def with_cover(frames: list[Timed]) -> bytes:
    """An MKV with the banned picture as its cover."""
    cover, out = io.BytesIO(), io.BytesIO()
    Pillow.fromarray(BANNED).save(cover, "JPEG", quality=90)
    with av.open(io.BytesIO(encode(frames))) as source, av.open(out, "w", format="mp4") as file:
        shown = file.add_stream_from_template(source.streams.video[0])
        picture = file.add_stream("mjpeg", rate=1)
        picture.height, picture.width, picture.pix_fmt = SIZE[1], SIZE[0], "yuvj420p"
        picture.disposition = av.stream.Disposition.attached_pic
        attached = av.Packet(cover.getvalue())
        attached.stream, attached.pts, attached.dts = picture, 0, 0
        attached.time_base = Fraction(1, 1)
        file.mux(attached)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = shown
                file.mux(packet)
    return out.getvalue()


def transparent(codec: str, container: str, layout: str, behind: int) -> bytes:
    """The banned picture as it is over white (255) or black (0), or as the colour of what is not to
    be seen at all (None): something plain over the other grounds."""
    grey = BANNED.astype(float).mean(axis=2)
    rgba = np.empty((*grey.shape, 4), np.uint8)
    # Black paint of varying strength over white, white paint of varying strength over black.
    rgba[..., :3] = 255 - behind
    rgba[..., 3] = 255 - grey if behind else grey
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=10)
        stream.height, stream.width = grey.shape
        stream.pix_fmt = layout
        stream.options = {"auto-alt-ref": "0", "b": "2M"} if codec.startswith("libvpx") else {}
        for n in range(8):
            frame = av.VideoFrame.from_ndarray(rgba, format="rgba")
            frame.time_base, frame.pts = Fraction(1, 10), n
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def colour_alone() -> bytes:
    """An animated PNG whose colour is the banned picture, with no pixel to be seen."""
    rgba = [np.dstack([rgb, np.full(rgb.shape[:2], 1, np.uint8)]) for rgb in (DECOY, BANNED)]
    return animation(rgba, "PNG", 500)


FILES: dict[str, Callable[[], bytes]] = {
    "held for the last second": lambda: encode([(0.0, DECOY), (0.2, BANNED), (1.2, BANNED)]),
    "a slide of five seconds": lambda: encode(
        [(0.0, DECOY), (0.05, BANNED), (5.05, DECOY), (5.1, picture("camera"))]
    ),
    "100 ms in moving footage": lambda: encode(flashed(1.04, 0.12)),
    "one frame of 40 ms": lambda: encode(flashed(1.64, 0.04)),
    "the second stream": lambda: with_streams(
        timed(still("astronaut", 1)), timed(still("coffee", 1))
    ),
    "the second stream of an MKV": lambda: with_streams(
        timed(still("astronaut", 1)), timed(still("coffee", 1)), container="mkv"
    ),
    "the cover": lambda: with_cover(timed(still("astronaut", 1))),
    "VP9 over black": lambda: transparent("libvpx-vp9", "webm", "yuva420p", 0),
    "VP9 over white": lambda: transparent("libvpx-vp9", "webm", "yuva420p", 255),
    "VP8 over black": lambda: transparent("libvpx", "webm", "yuva420p", 0),
    "QuickTime animation over black": lambda: transparent("qtrle", "mov", "argb", 0),
    "ProRes 4444 over black": lambda: transparent("prores_ks", "mov", "yuva444p10le", 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", FILES)
def test_a_banned_picture_is_found_whenever_and_wherever_it_is_shown(what: str) -> None:
    on = banned()
    if "stream" in what:
        make_item(on, ("pdq", pdq_of(Pillow.fromarray(next(iter(still("coffee", 0.04))))), 90))
    data = FILES[what]()
    assert check(data) == Verdict.BLOCK
    video = add(data)
    assert video.status == "quarantined", video.failure
    assert ReviewCase.objects.filter(video=video, verdict="block").exists()


def test_what_none_of_it_shows_is_published() -> None:
    banned()
    data = with_streams(timed(still("astronaut", 1)), timed(still("chelsea", 1)))
    assert check(data) == Verdict.ALLOW
    assert add(data).status == "ready"


def test_a_scan_finds_what_a_video_showed_for_a_tenth_of_a_second() -> None:
    video = add(encode(flashed(1.04, 0.12)))
    assert video.status == "ready"
    scan = RetroScan.objects.create(list=banned(), reason="test", added_by="test")
    assert rescan.run(scan.pk)
    video.refresh_from_db()
    assert video.status == "quarantined"
    (match,) = ReviewCase.objects.get(video=video).matches.all()
    assert match.time_ms is not None and 1000 <= match.time_ms <= 1160


def test_a_brief_picture_is_in_the_small_copy_that_moderators_see() -> None:
    from moderation.cases import media

    banned()
    add(encode(flashed(1.04, 0.12)))
    case = ReviewCase.objects.get()
    shown = media.subject_pixels(case, time_ms=case.matches.get().time_ms or 0)
    found = pdq_of(Pillow.fromarray(shown))
    assert (int(found, 16) ^ int(pdq_of(Pillow.fromarray(BANNED)), 16)).bit_count() <= 31


@pytest.mark.parametrize("first_ms", [50, 300])
def test_an_animation_of_two_frames_is_a_video(first_ms: int) -> None:
    banned()
    video = add(animation([DECOY, BANNED], "GIF", [first_ms, 10_000]))
    assert (video.status, video.duration_ms) == ("quarantined", first_ms + 10_000)


def test_the_colour_of_what_cannot_be_seen_is_compared() -> None:
    banned()
    assert check(colour_alone()) == Verdict.BLOCK
    assert add(colour_alone()).status == "quarantined"


@pytest.mark.slow
@pytest.mark.parametrize("key", ["one key", "another key", "a third key"])
def test_whatever_the_hidden_phase_is(key: str, settings: Any) -> None:
    settings.SECRET_KEY = key
    banned()
    assert check(encode(flashed(1.04, 0.12))) == Verdict.BLOCK
