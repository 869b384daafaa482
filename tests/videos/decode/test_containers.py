"""What archives hold: old containers and codecs, recordings that begin anywhere, animations."""

from __future__ import annotations

import hashlib
import io
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from django.core.files.base import ContentFile
from PIL import Image

from tests.environment import DATA_DIR
from tests.kept_results import kept_file
from tests.videos import clips
from tests.videos.clips import Pixels, animation, encode, moving, still, timed
from tests.videos.library import add_ready, file_of
from videos import conf
from videos.decode.decoder_protocol import DecodedFrame, TimeGrid, VideoInfo, VideoLimits
from videos.decode.decoding import decode
from videos.decode.errors import NotAVideo, VideoTooLarge
from videos.decode.sniffing import sniff
from videos.items import adding
from videos.match import video_search

LIMITS = VideoLimits(cpu_seconds=30, wall_seconds=60.0)
SIZE = (352, 288)
SHOT = list(moving("coffee", 1, rate=10, size=SIZE))

OLD = {
    "wmv1": ("asf", "wmv1", "asf"),
    "wmv2": ("asf", "wmv2", "asf"),
    "flv": ("flv", "flv", "flv"),
    "flv with H.264": ("flv", "libx264", "flv"),
    "MPEG-1 program stream": ("mpeg", "mpeg1video", "mpegps"),
    "MPEG-2 program stream": ("vob", "mpeg2video", "mpegps"),
    "Cinepak in QuickTime": ("mov", "cinepak", "mov"),
    "Cinepak in AVI": ("avi", "cinepak", "avi"),
    "Sorenson in QuickTime": ("mov", "svq1", "mov"),
    "3GP": ("3gp", "h263", "mp4"),
}


def all_of(data: bytes, **options: object) -> tuple[VideoInfo, list[DecodedFrame]]:
    with decode(io.BytesIO(data), LIMITS, **options) as video:  # type: ignore[arg-type]
        return video.info, list(video)


def written(muxer: str, codec: str) -> bytes:
    """``SHOT``, kept for later runs: Cinepak takes half a second for a frame."""
    key = hashlib.sha256(repr((muxer, codec, av.library_versions)).encode())
    for source in (__file__, clips.__file__):
        key.update(Path(source).read_bytes())
    return kept_file(DATA_DIR / "clips" / key.hexdigest(), lambda: _written(muxer, codec))


def _written(muxer: str, codec: str) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=muxer) as file:
        # MPEG knows no ten frames a second.
        rate = 25 if "mpeg" in codec else 10
        stream = file.add_stream(codec, rate=rate, options={"b": "2M"})
        stream.width, stream.height = SIZE
        formats = stream.codec.video_formats or []
        stream.pix_fmt = formats[0].name if formats else "yuv420p"
        if codec == "libx264":
            stream.pix_fmt = "yuv420p"
        for n, rgb in enumerate(SHOT):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.time_base, frame.pts = Fraction(1, rate), n
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("name", OLD)
def test_old_containers_and_codecs_are_read(name: str) -> None:
    muxer, codec, container = OLD[name]
    data = written(muxer, codec)
    assert sniff(data[:4096]) == container
    _, frames = all_of(data)
    assert len(frames) >= 9
    for n in (0, 8):
        frame, height = frames[n], frames[n].rgb.shape[0]
        # Where its pixels are not square it is shown wider.
        shown = cv2.resize(SHOT[n], (frame.rgb.shape[1], height), interpolation=cv2.INTER_AREA)
        assert np.abs(frame.rgb.astype(int) - shown.astype(int)).mean() < 14
        assert frame.until > frame.t


@pytest.mark.parametrize("cut", [1, 100, 187, 188 * 3 + 77])
def test_a_transport_stream_that_begins_within_a_packet_is_read(cut: int) -> None:
    data = encode(timed(moving("coffee", 4, rate=10), 10), "mpegts", gop=10)
    assert sniff(data[cut : cut + 4096]) == "mpegts"
    _, frames = all_of(data[cut:])
    assert len(frames) >= 25


def test_recordings_put_one_after_another_are_shown_one_after_another() -> None:
    first = encode(timed(moving("coffee", 3, rate=10), 10), "mpegts")
    second = encode(timed(moving("astronaut", 2, rate=10), 10), "mpegts")
    _, frames = all_of(first + second)
    assert len(frames) == 50
    assert all(a.until <= b.t for a, b in pairwise(frames))


def test_a_motion_picture_of_avif_is_a_video() -> None:
    pictures = [Image.fromarray(rgb) for rgb in SHOT[:3]]
    out = io.BytesIO()
    pictures[0].save(
        out, "AVIF", save_all=True, append_images=pictures[1:], duration=[50, 100, 900]
    )
    data = out.getvalue()
    assert sniff(data[:4096]) == "avif"
    _, frames = all_of(data)
    assert [(frame.t, frame.until) for frame in frames] == [(0, 50), (50, 150), (150, 1050)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("data", "says"),
    [(b".RMF" + bytes(400), "RealMedia"), (b"DKIF" + bytes(400), "IVF"), (bytes(900), "read here")],
)
def test_what_is_not_read_is_told_alike_in_searching_and_adding(data: bytes, says: str) -> None:
    with pytest.raises(NotAVideo) as searched:
        video_search.search_videos(data=data)
    with pytest.raises(NotAVideo) as added:
        adding.add_video(by="tests", file=ContentFile(data))
    assert searched.value.message == added.value.message
    assert says in added.value.message


def test_the_frame_on_the_screen_is_due_at_whatever_phase() -> None:
    for phase in (0.0, 13.7, 61.0, 999.9):
        due = TimeGrid(16.0, 0, phase)
        times = [0, 40, 103, 140, 5140, 5203]
        taken = [due.take(*shown) for shown in zip(times, [*times[1:], 5300], strict=True)]
        # Whatever lasts 63 ms is on the screen at some point.
        assert taken[0] and taken[2 - 1] and taken[3] and taken[4] and taken[5]


def test_grids_of_one_phase_share_their_points() -> None:
    for phase in (0.0, 20.5, 700.1):
        fine, coarse = TimeGrid(16.0, 0, phase), TimeGrid(4.0, 0, phase)
        shown = [(t, t + 40) for t in range(0, 10_000, 40)]
        fine_taken = {one for one in shown if fine.take(*one)}
        assert {one for one in shown if coarse.take(*one)} <= fine_taken


def test_the_last_frame_stays_to_the_end() -> None:
    _, frames = all_of(animation(SHOT[:2], "GIF", [50, 10_000]), fps=4)
    assert [(frame.t, frame.until) for frame in frames] == [(0, 50), (50, 10_050)]


@pytest.mark.django_db
def test_slides_with_brief_gaps_are_found_for_as_long_as_they_are_shown() -> None:
    slides = [next(iter(still(name, 0.04))) for name in ("coffee", "chelsea", "camera", "coins")]
    black: Pixels = np.zeros_like(slides[0])
    shown, t = [], 0.0
    for slide in slides:
        shown += [(t, black), (t + 0.05, slide)]
        t += 5.05
    video = add_ready(encode([*shown, (t, black), (t + 0.05, black)]))
    for n, slide in enumerate(slides):
        (hit,) = video_search.search_videos(data=file_of(slide)).results
        assert hit.video == video
        assert hit.start / 1000 == pytest.approx(5.05 * n + 0.05, abs=0.03)
        assert hit.end / 1000 == pytest.approx(5.05 * (n + 1), abs=0.06)


def test_the_pixel_limit_is_a_setting_and_memory_follows_it(settings: object) -> None:
    data = encode([(0.0, np.zeros((2400, 4096, 3), np.uint8))])
    with (
        pytest.raises(VideoTooLarge, match="pixels a frame"),
        decode(io.BytesIO(data), conf.limits()),
    ):
        pass
    settings.MAX_VIDEO_PIXELS = 7680 * 4320  # type: ignore[attr-defined]
    usual = conf.limits().memory_bytes
    conf.forget()
    assert conf.limits().memory_bytes > 2 * usual
    with decode(io.BytesIO(data), conf.limits(), long_side=64) as video:
        assert (video.info.width, video.info.height) == (4096, 2400)
        assert len(list(video)) == 1
