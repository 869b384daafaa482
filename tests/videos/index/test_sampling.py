"""Frames → spans: what is stored, for which stretch of time, and what may vote."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pytest

from tests.videos.clips import PHOTOGRAPHS, Pixels, encode, film, moving, plain, still, timed
from videos.decode.decoder_protocol import DecodedFrame, VideoLimits
from videos.decode.decoding import decode
from videos.decode.frame_quality import frame_kind
from videos.decode.thumbnails import coarse_thumbnail, correlation, grey_thumbnail
from videos.index.borders import BorderDetector
from videos.index.sampling import (
    SAMPLES_PER_SECOND,
    Span,
    find_spans,
    rarity_weights,
    spread_frames,
)

RATE = 4


def frames(*shots: Iterable[Pixels], rate: float = RATE) -> list[DecodedFrame]:
    pictures = [picture for shot in shots for picture in shot]
    times = [round(1000 * n / rate) for n in range(len(pictures) + 1)]
    return [
        # Shown for less than the time to the next sample, as at 25 a second.
        DecodedFrame(t, min(t + 40, following), picture, 0.0)
        for (t, following), picture in zip(pairwise(times), pictures, strict=True)
    ]


def sampled(*shots: Iterable[Pixels]) -> list[Span]:
    return list(find_spans(frames(*shots)))


def boxed(shot: Iterable[Pixels], colour: int = 0, bars: int = 30) -> list[Pixels]:
    """The shot within horizontal bars."""
    out = []
    for picture in shot:
        picture = picture.copy()
        picture[:bars] = picture[-bars:] = colour
        out.append(picture)
    return out


# --- spans


def test_a_static_shot_is_one_span_with_its_exact_times() -> None:
    (first, second) = sampled(still("coffee", 8, rate=RATE), still("astronaut", 5, rate=RATE))
    assert (first.t0, first.t1) == (0, 7750)
    assert (second.t0, second.t1) == (8000, 12_750)


def test_a_span_is_shown_by_a_frame_towards_its_middle() -> None:
    shot = list(still("coffee", 8, rate=RATE))
    titled = shot[0].copy()
    titled[70:90, 60:200] = 255
    (span,) = sampled([titled, *shot[1:]])
    assert (span.t0, span.t1) == (0, 7750)
    assert 0.25 * 7750 <= span.t <= 0.5 * 7750
    assert np.array_equal(span.rgb, shot[span.t * RATE // 1000])


def test_a_static_shot_is_stored_again_after_thirty_seconds() -> None:
    found = sampled(still("coffee", 100, rate=RATE))
    assert len(found) == 4
    assert max(span.t1 - span.t0 for span in found) <= 31_000
    assert found[-1].t1 == 99_750


def test_there_is_a_sample_after_each_cut() -> None:
    names = ("coffee", "astronaut", "chelsea", "rocket", "camera", "page")
    found = sampled(*(still(name, 0.75, rate=RATE) for name in names))
    assert [span.t0 for span in found] == [750 * n for n in range(6)]
    assert all(span.t1 - span.t0 <= 500 for span in found)


def test_a_moving_shot_has_a_sample_each_second_and_spans_that_leave_no_longer_gap() -> None:
    found = sampled(moving("coins", 20, rate=RATE, start=(0, 0, 0.4), end=(1, 1, 0.4)))
    assert 8 <= len(found) <= 20
    assert all(span.t0 <= span.t <= span.t1 for span in found)
    gaps = [after.t0 - before.t1 for before, after in pairwise(found)]
    assert min(gaps) > 0
    assert max(gaps) <= 1000


def test_every_frame_of_a_span_looks_like_the_stored_one() -> None:
    shots = frames(moving("chelsea", 15, rate=RATE), moving("coffee", 15, rate=RATE))
    looks = {frame.t: coarse_thumbnail(grey_thumbnail(frame.rgb)) for frame in shots}
    for span in find_spans(shots):
        within = [look for t, look in looks.items() if span.t0 <= t <= span.t1]
        assert min(correlation(looks[span.t], look) for look in within) >= 0.85


def test_flicker_is_not_a_cut_at_every_frame() -> None:
    rng = np.random.default_rng(0)
    names = [PHOTOGRAPHS[n] for n in rng.integers(0, 8, 80)]
    found = sampled(*(still(name, 0.25, rate=RATE) for name in names))
    assert len(found) <= 80 / 2


def test_frames_that_stay_for_long_stand_for_all_of_it() -> None:
    pictures = [next(still(name, 1, rate=1)) for name in ("coffee", "astronaut", "camera")]
    times = [(0, 10_000), (10_000, 24_950), (25_000, 30_000)]
    slides = [DecodedFrame(*time, rgb, 0.0) for time, rgb in zip(times, pictures, strict=True)]
    assert [(span.t0, span.t1) for span in find_spans(slides)] == times


def test_nothing_gives_nothing_and_one_frame_one_span() -> None:
    assert sampled() == []
    (only,) = sampled(still("coffee", 0.25, rate=RATE))
    assert (only.t0, only.t1, only.votes) == (0, 0, True)


@pytest.mark.slow
def test_a_film_takes_at_most_seven_tenths_of_a_vector_per_second() -> None:
    found = decoded_spans(film())
    assert len(found) <= 0.7 * 60
    assert sum(span.t1 - span.t0 for span in found) >= 25_000
    assert all(a.t1 < b.t0 for a, b in pairwise(found))


@pytest.mark.slow
def test_bars_do_not_make_frames_look_alike() -> None:
    plain_film, with_bars = ([*decoded_spans(film(bars))] for bars in (False, True))
    assert all(span.box is not None for span in with_bars)
    assert len(with_bars) == pytest.approx(len(plain_film), rel=0.15)
    voting = [sum(span.votes for span in found) for found in (plain_film, with_bars)]
    assert voting[1] == pytest.approx(voting[0], rel=0.15)


def decoded_spans(data: bytes) -> list[Span]:
    with decode(io.BytesIO(data), VideoLimits(), fps=SAMPLES_PER_SECOND) as video:
        return list(find_spans(video))


# --- what may vote


def test_dark_flat_and_noisy_pictures_do_not_vote() -> None:
    rng = np.random.default_rng(0)
    noise = [
        np.repeat(rng.integers(0, 256, (180, 320, 1), dtype=np.uint8), 3, axis=2) for _ in range(8)
    ]
    found = sampled(
        plain(0, 2, rate=RATE),
        still("coffee", 2, rate=RATE),
        plain(180, 2, rate=RATE),
        noise,
        still("astronaut", 2, rate=RATE),
    )
    kinds = {span.t0: span.kind for span in found}
    assert kinds[0] == "dark"
    assert kinds[2000] == "picture"
    assert kinds[4000] == "flat"
    assert {span.kind for span in found if 6000 <= span.t0 < 7500} == {"noise"}
    assert [span.votes for span in found] == [span.kind == "picture" for span in found]
    # The timeline has no hole where nothing may vote.
    assert max(b.t0 - a.t1 for a, b in pairwise(found)) <= 1000


def test_a_title_on_black_and_a_night_sky_are_dark() -> None:
    sky = next(still("hubble_deep_field", 1, rate=1))
    assert frame_kind(sky, grey_thumbnail(sky)) == "dark"
    title = np.zeros((180, 320, 3), np.uint8)
    title[80:100, 60:260] = 255
    assert frame_kind(title, grey_thumbnail(title)) == "dark"


@pytest.mark.parametrize("name", [name for name in PHOTOGRAPHS if name != "hubble_deep_field"])
def test_photographs_vote_even_dull_ones_and_textures(name: str) -> None:
    picture = next(still(name, 1, rate=1))
    assert frame_kind(picture, grey_thumbnail(picture)) == "picture"


def test_a_gradient_is_flat() -> None:
    ramp = np.linspace(100, 140, 320)[None, :, None]
    gradient = np.broadcast_to(ramp, (180, 320, 3)).astype(np.uint8)
    assert frame_kind(gradient, grey_thumbnail(gradient)) == "flat"


def test_likeness_of_pictures_without_contrast() -> None:
    black, white = (np.full((64, 64), level, np.float32) for level in (0, 255))
    photo = grey_thumbnail(next(still("coffee", 1, rate=1)))
    assert correlation(black, black) == 1.0
    assert correlation(black, white) == 0.0
    assert correlation(black, photo) == 0.0
    assert correlation(photo, photo) == pytest.approx(1.0)
    assert correlation(photo, 0.5 * photo + 20) == pytest.approx(1.0)


def test_rarity_falls_with_lookalikes() -> None:
    assert rarity_weights([0, 2, 14]).tolist() == [1.0, 0.5, 0.25]


# --- borders


@pytest.mark.parametrize("colour", [0, 255, 90])
def test_bars_of_any_colour_are_trimmed(colour: int) -> None:
    found = sampled(boxed(moving("coffee", 20, rate=RATE), colour))
    assert {span.box for span in found} == {(0, 30, 320, 150)}
    assert found[0].picture.shape == (120, 320, 3)


def test_bars_on_all_sides_and_after_encoding() -> None:
    pictures = boxed(moving("astronaut", 6, rate=10))
    for picture in pictures:
        picture[:, :40] = picture[:, -40:] = 0
    data = encode(timed(pictures, 10), options={"crf": "35"})
    with decode(io.BytesIO(data), VideoLimits(), fps=4) as video:
        found = list(find_spans(video))
    left, top, right, bottom = found[0].box or (0, 0, 0, 0)
    assert np.abs(np.subtract((left, top, right, bottom), (40, 30, 280, 150))).max() <= 3


def test_a_logo_in_a_bar_does_not_keep_the_bar() -> None:
    pictures = boxed(moving("coffee", 20, rate=RATE))
    for picture in pictures:
        picture[8:20, 290:310] = 200
    assert sampled(pictures)[0].box == (0, 30, 320, 150)


def test_a_dark_wall_that_lights_up_once_is_no_border() -> None:
    dark = boxed(moving("coffee", 10, rate=RATE))
    lit = list(moving("coffee", 1, rate=RATE))
    assert sampled(dark, lit)[0].box is None


def test_a_plain_sky_over_a_skyline_is_no_border() -> None:
    x = np.arange(320)
    skyline = 130 - np.abs(x - 160) // 2
    land = np.arange(180)[:, None] > skyline[None, :]
    shot = [
        np.where(land[..., None], picture, np.uint8(190)) for picture in moving("grass", 20, rate=4)
    ]
    assert {span.box for span in sampled(shot)} == {None}


def test_each_stretch_has_borders_of_its_own() -> None:
    shots = [still(name, 1.5, rate=RATE) for name in PHOTOGRAPHS[:10] * 2]
    boxes = [boxed(shot) for shot in (still(n, 1.5, rate=RATE) for n in PHOTOGRAPHS[:10] * 2)]
    found = sampled(*shots, *boxes)
    assert {span.box for span in found[:20]} == {None}
    assert {span.box for span in found[20:]} == {(0, 30, 320, 150)}


def test_no_frames_and_black_frames_have_no_borders() -> None:
    borders = BorderDetector()
    assert borders.box() is None
    borders.add(np.zeros((180, 320, 3), np.uint8))
    assert borders.box() is None


# --- queries


def numbered(count: int) -> list[DecodedFrame]:
    return [
        DecodedFrame(125 * n, 125 * n + 40, np.zeros((1, 1, 3), np.uint8), 0.0)
        for n in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 5, 64, 65, 127, 128, 129, 500, 10_000])
def test_a_query_is_spread_over_the_whole(count: int) -> None:
    chosen = spread_frames(numbered(count))
    times = [frame.t // 125 for frame in chosen]
    assert len(chosen) == count if count <= 64 else 40 <= len(chosen) <= 64
    assert times == sorted(set(times))
    if count:
        assert times[0] == 0
        assert times[-1] >= count - 1 - max(1, count / 60)
        assert max(np.diff(times), default=0) <= 2.1 * max(1, count / len(chosen))


def test_spreading_holds_few_frames() -> None:
    alive: list[int] = []

    def stream() -> Iterable[DecodedFrame]:
        import gc
        import weakref

        seen: Sequence[weakref.ref[np.ndarray]] = []
        for n in range(1000):
            rgb = np.zeros((1, 1, 3), np.uint8)
            seen = [*seen, weakref.ref(rgb)]
            yield DecodedFrame(n, n + 1, rgb, 0.0)
            if n % 200 == 0:
                gc.collect()
                alive.append(sum(ref() is not None for ref in seen))

    spread_frames(stream())
    assert max(alive) <= 130
