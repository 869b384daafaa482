"""Video bytes → frames: every container, exact times, windows, and what hostile files do."""

from __future__ import annotations

import io
import resource
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import processes
from tests.videos.clips import (
    CODECS,
    animation,
    costly_gif,
    encode,
    many_streams,
    moving,
    photograph,
    plain,
    sound_only,
    still,
    timed,
)
from videos.decode.decoder_protocol import DecodedFrame, VideoInfo, VideoLimits
from videos.decode.decoding import decode
from videos.decode.errors import NotAVideo, VideoTooLarge, VideoTooSlow
from videos.decode.sniffing import sniff

ROOT = Path(__file__).resolve().parents[3]
LIMITS = VideoLimits(cpu_seconds=20, wall_seconds=20.0)
LOSSY = 6.0
FRAMES = timed(moving("astronaut", 2, rate=10), 10)


def all_of(
    data: bytes, limits: VideoLimits = LIMITS, **options: Any
) -> tuple[VideoInfo, list[DecodedFrame]]:
    with decode(io.BytesIO(data), limits, **options) as video:
        return video.info, list(video)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


@pytest.fixture(autouse=True)
def _clean_disk_and_no_process_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield
    assert list(scratch.iterdir()) == []
    assert not processes.forked("decode_child")


# --- containers


@pytest.mark.parametrize("container", CODECS)
def test_each_container_is_recognised_and_decoded_with_exact_times(container: str) -> None:
    data = encode(FRAMES, container)
    assert sniff(data[:4096]) == container
    info, frames = all_of(data)
    assert (info.container, info.width, info.height) == (container, 320, 180)
    assert info.duration_ms == pytest.approx(2000, abs=110)
    assert [frame.t for frame in frames] == [100 * n for n in range(20)]
    for n in (0, 7, 19):
        assert difference(frames[n].rgb, FRAMES[n][1]) < LOSSY
    assert not frames[0].rgb.flags.writeable
    progress = [frame.progress for frame in frames]
    assert progress == sorted(progress)
    assert 0.0 <= progress[0] < 0.5 < progress[-1] <= 1.0


@pytest.mark.parametrize(
    ("format", "container"), [("GIF", "gif"), ("WEBP", "webp"), ("PNG", "png")]
)
def test_animations_have_the_times_of_their_frames(format: str, container: str) -> None:
    pictures = [picture for _, picture in FRAMES[:5]]
    data = animation(pictures, format, [100, 250, 40, 500, 100])
    info, frames = all_of(data)
    assert info == VideoInfo(container, container, 320, 180, None, frames=5)
    assert [frame.t for frame in frames] == [0, 100, 350, 390, 890]
    assert all(
        difference(frame.rgb, picture) < 12 for frame, picture in zip(frames, pictures, strict=True)
    )
    assert frames[-1].progress == 1.0


def test_a_gif_that_asks_for_no_delay_is_shown_as_browsers_show_it() -> None:
    _, frames = all_of(animation([picture for _, picture in FRAMES[:3]], "GIF", 0))
    assert [frame.t for frame in frames] == [0, 100, 200]


def test_a_still_picture_of_an_animated_format_is_one_frame() -> None:
    _, frames = all_of(animation([FRAMES[0][1]], "PNG"))
    assert [frame.t for frame in frames] == [0]


def test_a_video_of_one_frame_is_one_frame() -> None:
    _, frames = all_of(encode(FRAMES[:1]))
    assert [frame.t for frame in frames] == [0]


@pytest.mark.parametrize("container", ["mp4", "mkv", "mpegts"])
def test_sound_beside_the_picture_changes_nothing(container: str) -> None:
    _, frames = all_of(encode(FRAMES, container, audio=True))
    steps = np.diff([frame.t for frame in frames])
    assert len(frames) == 20
    assert set(steps.tolist()) == {100}


# --- times


@pytest.mark.parametrize("container", ["mp4", "mkv", "webm", "mpegts"])
def test_variable_frame_rate(container: str) -> None:
    times = [0.0, 0.04, 0.08, 0.5, 0.533, 2.0, 2.001, 5.25]
    pictures = [picture for _, picture in FRAMES]
    data = encode(list(zip(times, pictures, strict=False)), container)
    _, frames = all_of(data)
    assert [frame.t for frame in frames] == [0, 40, 80, 500, 533, 2000, 2001, 5250]


def test_b_frames_come_in_order_of_presentation() -> None:
    frames = timed(moving("coffee", 2, rate=25))
    data = encode(frames, options={"preset": "medium", "bf": "3"})
    _, decoded = all_of(data)
    assert [frame.t for frame in decoded] == [40 * n for n in range(50)]
    assert max(difference(d.rgb, f[1]) for d, f in zip(decoded, frames, strict=True)) < LOSSY


def test_a_rate_takes_the_frame_on_the_screen_at_each_point_of_a_grid() -> None:
    _, frames = all_of(encode(timed(moving("coffee", 2, rate=10), 10)), fps=4)
    assert [frame.t for frame in frames] == [0, 200, 500, 700, 1000, 1200, 1500, 1700]
    assert [frame.until - frame.t for frame in frames] == [100] * 8


@pytest.mark.slow
@pytest.mark.parametrize("container", CODECS)
def test_a_window_is_the_same_frames_at_the_same_times(container: str) -> None:
    data = encode(timed(moving("coffee", 6, rate=10), 10), container, gop=20)
    _, whole = all_of(data)
    _, window = all_of(data, start_ms=3250, end_ms=4100)
    assert [frame.t for frame in window] == [3200 + 100 * n for n in range(10)]
    by_time = {frame.t: frame.rgb for frame in whole}
    assert all(difference(frame.rgb, by_time[frame.t]) == 0 for frame in window)


def test_a_window_of_an_animation() -> None:
    data = animation([picture for _, picture in FRAMES[:10]], "GIF", 100)
    _, frames = all_of(data, start_ms=550, end_ms=800)
    assert [frame.t for frame in frames] == [500, 600, 700, 800]


def test_a_window_after_the_end_has_no_frames() -> None:
    _, frames = all_of(encode(FRAMES), start_ms=60_000, end_ms=61_000)
    assert frames == []


# --- geometry


def rotated(data: bytes, matrix: tuple[int, int, int, int]) -> bytes:
    """The MP4 with its track's display matrix replaced: a, b, c, d in whole turns."""
    a, b, c, d = (value << 16 for value in matrix)
    at = data.index(b"tkhd") + 4 + 40
    return data[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[at + 36 :]


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
        ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
        ((0, -1, 1, 0), lambda p: np.rot90(p)),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
    ],
)
def test_rotation_metadata(matrix: tuple[int, int, int, int], turn: Any) -> None:
    info, frames = all_of(rotated(encode(FRAMES[:3]), matrix))
    expected = turn(FRAMES[0][1])
    assert (info.height, info.width) == expected.shape[:2]
    assert difference(frames[0].rgb, expected) < LOSSY


def test_frames_are_reduced_to_the_long_side_and_never_enlarged() -> None:
    data = encode(timed(still("coffee", 0.2, size=(640, 360))))
    info, frames = all_of(data, long_side=128)
    assert (info.width, info.height) == (640, 360)
    assert frames[0].rgb.shape == (72, 128, 3)
    assert all_of(data)[1][0].rgb.shape == (288, 512, 3)
    assert all_of(encode(FRAMES[:2]))[1][0].rgb.shape == (180, 320, 3)


def test_a_resolution_that_changes_midway_gives_frames_of_one_size() -> None:
    small = encode(timed(still("coffee", 1)), "mpegts")
    later = [(1 + t, picture) for t, picture in timed(still("coffee", 1, size=(640, 360)))]
    _, frames = all_of(small + encode(later, "mpegts"))
    assert [frame.t for frame in frames] == [40 * n for n in range(50)]
    assert {frame.rgb.shape for frame in frames} == {(180, 320, 3)}


# --- files that are no videos, or damaged


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"hello " * 50, "text"),
        (b"<!DOCTYPE html><html>", "HTML page"),
        (b"ffconcat version 1.0\nfile secret.mp4\n", "playlist"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n", "playlist"),
        (b"\xff\xd8\xff\xe0" + bytes(400), "add it as an image"),
        (b".RMF" + bytes(400), "convert it to MP4"),
        (b"FLV\x01" + bytes(400), "damaged"),
        (bytes(5000), "not a video"),
        (b"\0\0\0\x20ftypisom" + bytes(600), "damaged"),
        (b"\x1a\x45\xdf\xa3" + bytes(600), "damaged"),
        (b"RIFF\0\0\0\0AVI " + bytes(600), ""),
        (b"OggS" + bytes(600), ""),
        ((b"G" + bytes(187)) * 20, ""),
        (b"GIF89a" + bytes(20), ""),
    ],
)
def test_what_is_no_video_is_refused_with_a_reason(data: bytes, says: str) -> None:
    with pytest.raises(NotAVideo) as caught:
        all_of(data)
    assert says in caught.value.message
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize("place", [Path, io.BytesIO])
def test_no_process_is_started_for_what_begins_like_no_video(
    place: type[Path] | type[io.BytesIO], tmp_path: Path
) -> None:
    (tmp_path / "junk").write_bytes(b"text " * 10_000)
    source = tmp_path / "junk" if place is Path else io.BytesIO(b"text " * 10_000)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
    with pytest.raises(NotAVideo, match="This is text"), decode(source, LIMITS):
        pass
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt == before


@pytest.mark.parametrize(
    "playlist", ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n#EXTINF:1,\n{}\n"]
)
@pytest.mark.parametrize("magic", [b"", b"\0\0\0\x18ftypmp42", b"OggS", b"RIFF1234AVI "])
def test_a_playlist_in_disguise_reads_no_other_file(
    playlist: str, magic: bytes, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(encode(FRAMES[:5]))
    disguise = tmp_path / "clip.mp4"
    for target in (str(secret), secret.name, f"file:{secret}"):
        disguise.write_bytes(magic + playlist.format(target).encode())
        with pytest.raises(NotAVideo), decode(disguise, LIMITS) as video:
            list(video)


def test_sound_alone_is_refused() -> None:
    with pytest.raises(NotAVideo, match="no moving picture"):
        all_of(sound_only())


@pytest.mark.slow
@pytest.mark.parametrize("container", ["mp4", "mkv", "avi"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7])
def test_a_truncated_file_is_refused(container: str, share: float) -> None:
    data = encode(timed(moving("coffee", 8, rate=10), 10), container, index_first=True)
    with pytest.raises(NotAVideo) as caught:
        all_of(data[: int(len(data) * share)])
    assert "again" in caught.value.message


def test_damage_in_the_middle_loses_a_few_frames_only() -> None:
    data = bytearray(encode(timed(moving("coffee", 4, rate=10), 10), gop=5))
    middle = len(data) // 2
    data[middle : middle + 300] = bytes(300)
    _, frames = all_of(bytes(data))
    assert 20 <= len(frames) <= 40


def test_an_encrypted_track_is_refused() -> None:
    data = encode(FRAMES)
    mangled = bytearray(data)
    start = data.index(b"mdat") + 8
    rng = np.random.default_rng(0)
    mangled[start:] = rng.integers(0, 256, len(data) - start, dtype=np.uint8).tobytes()
    moov = data.index(b"moov") - 4
    mangled[moov:] = data[moov:].replace(b"avc1", b"encv")
    with pytest.raises(NotAVideo) as caught:
        all_of(bytes(mangled))
    assert "encrypted" in caught.value.message or "not accepted" in caught.value.message


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_random_damage_never_harms_the_caller(seed: int) -> None:
    rng = np.random.default_rng(seed)
    container = list(CODECS)[seed % len(CODECS)]
    data = bytearray(encode(FRAMES[:8], container))
    for at in rng.integers(0, len(data), 40):
        data[at] = rng.integers(256)
    try:
        _, frames = all_of(bytes(data))
    except (NotAVideo, VideoTooLarge) as refusal:
        assert refusal.message.endswith(".")
    else:
        assert len(frames) <= 16


# --- limits


def with_header(data: bytes, box: bytes, at: int, value: int) -> bytes:
    """The MP4 with a 32-bit number in a box replaced; ``at`` counts from the box's name."""
    found = data.index(box) + at
    return data[:found] + struct.pack(">I", value) + data[found + 4 :]


def test_a_header_that_claims_ten_hours() -> None:
    data = encode(FRAMES, "mkv")
    at = data.index(b"\x44\x89\x88") + 3  # Duration: a 64-bit float, in ms
    claims = data[:at] + struct.pack(">d", 36_000_000.0) + data[at + 8 :]
    with pytest.raises(VideoTooLarge, match="claims to last 10:00:00"):
        all_of(claims)
    with pytest.raises(NotAVideo, match="0:00:02 of the 10:00:00"):
        all_of(claims, VideoLimits(max_duration_ms=11 * 3_600_000))


@contextmanager
def decoding_takes_at_most(seconds: float) -> Iterator[None]:
    """Of processor time, which a busy machine does not lengthen."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    try:
        yield
    finally:
        assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - used < seconds


def test_an_mp4_header_that_claims_ten_hours_is_not_believed() -> None:
    data = encode(FRAMES)
    scale = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    info, frames = all_of(with_header(data, b"mvhd", 20, 36_000 * scale))
    assert info.duration_ms == 2000
    assert len(frames) == 20


def test_a_claim_of_a_thousand_million_frames() -> None:
    data = encode(FRAMES)
    claims = with_header(data, b"stts", 12, 1_000_000_000)
    with pytest.raises((NotAVideo, VideoTooLarge)), decoding_takes_at_most(10):
        all_of(with_header(claims, b"stsz", 12, 1_000_000_000), LIMITS)


def test_a_video_that_lasts_longer_than_allowed() -> None:
    with pytest.raises(VideoTooLarge, match="Cut it into parts"):
        all_of(encode(timed(still("coffee", 3, rate=5), 5)), VideoLimits(max_duration_ms=2000))


def test_a_stream_without_a_claim_that_goes_on_for_too_long() -> None:
    data = animation([picture for _, picture in FRAMES], "GIF", 500)
    with pytest.raises(VideoTooLarge, match="goes on beyond"):
        all_of(data, VideoLimits(max_duration_ms=2000))


def test_more_frames_than_allowed() -> None:
    with pytest.raises(VideoTooLarge):
        all_of(encode(FRAMES, "mkv"), VideoLimits(max_frames=10))
    with pytest.raises(VideoTooLarge):
        all_of(animation([picture for _, picture in FRAMES], "GIF"), VideoLimits(max_frames=10))


def test_huge_dimensions_are_refused_before_they_are_decoded() -> None:
    data = encode(FRAMES)
    with pytest.raises(VideoTooLarge, match="320 × 180"):
        all_of(data, VideoLimits(max_pixels=320 * 100))
    gif = bytearray(animation([FRAMES[0][1]] * 2, "GIF"))
    gif[6:10] = struct.pack("<HH", 20_000, 20_000)
    with pytest.raises(VideoTooLarge, match="pixels"), decoding_takes_at_most(5):
        all_of(bytes(gif))


def test_a_frame_that_really_has_sixteen_million_pixels() -> None:
    data = encode([(0.0, np.zeros((4096, 4096, 3), np.uint8))])
    with pytest.raises(VideoTooLarge, match="4,096 × 4,096 pixels a frame"):
        all_of(data)


def test_more_bytes_than_allowed(tmp_path: Path) -> None:
    data = encode(FRAMES)
    limits = VideoLimits(max_bytes=len(data) - 1)
    with pytest.raises(VideoTooLarge, match="bytes"):
        all_of(data, limits)
    path = tmp_path / "video"
    path.write_bytes(data)
    with pytest.raises(VideoTooLarge, match="bytes"), decode(path, limits):
        pass
    with decode(path, VideoLimits(max_bytes=len(data))) as video:
        assert len(list(video)) == 20


def test_a_thousand_streams() -> None:
    data = many_streams(1000)
    with pytest.raises(VideoTooLarge, match="streams"):
        all_of(data)
    assert len(all_of(data, VideoLimits(max_streams=1001, max_pictures=1001))[1]) == 1


def test_memory_is_limited() -> None:
    data = encode(timed(still("coffee", 0.4, size=(1920, 1080))), options={"preset": "ultrafast"})
    with pytest.raises((VideoTooLarge, NotAVideo)):
        all_of(data, VideoLimits(memory_bytes=220 * 1024**2))


@pytest.mark.slow
def test_processor_time_is_limited() -> None:
    data = costly_gif(3000, 2000)
    assert len(data) < 100_000
    with pytest.raises(VideoTooSlow, match="processor time"):
        all_of(data, VideoLimits(cpu_seconds=1, wall_seconds=60.0))


def test_time_spent_waiting_is_limited_and_the_callers_own_is_not() -> None:
    data = encode(timed(moving("coffee", 4)))
    with pytest.raises(VideoTooSlow, match=r"longer than 0\.01 seconds"):
        all_of(data, VideoLimits(wall_seconds=0.01))
    with decode(io.BytesIO(data), VideoLimits(wall_seconds=10.0)) as video:
        first = next(iter(video))
        left = video._messages._left
        time.sleep(0.3)
        assert first.t == 0
        assert video._messages._left == left


def test_leaving_early_ends_the_process() -> None:
    with decode(io.BytesIO(encode(timed(moving("coffee", 8)))), LIMITS) as video:
        for frame in video:
            assert frame.t == 0
            break


@pytest.mark.slow
def test_only_one_frame_is_held_in_memory() -> None:
    data = encode(timed(still("coffee", 12, size=(640, 360))))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with decode(io.BytesIO(data), LIMITS) as video:
        count = sum(1 for _ in video)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert count == 300
    assert grown < 40_000  # kilobytes; all frames would be 132,000


def test_the_long_side_is_checked() -> None:
    with pytest.raises(ValueError, match="long_side"), decode(io.BytesIO(b""), LIMITS, long_side=0):
        pass


def test_the_decoding_process_gets_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "do not tell")
    with decode(io.BytesIO(encode(FRAMES)), LIMITS) as video:
        (pid,) = processes.forked("decode_child")
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        limits = Path(f"/proc/{pid}/limits").read_text()
        status = Path(f"/proc/{pid}/status").read_text()
        next(iter(video))
    assert b"do not tell" not in environment
    assert "Max file size             0" in limits
    assert "Seccomp:\t2\n" in status  # no network, no other programs


def test_flat_and_grey_videos_decode() -> None:
    _, frames = all_of(encode(timed(plain(0, 0.4))))
    assert max(int(frame.rgb.max()) for frame in frames) <= 2
    assert photograph("camera").shape[2] == 3
