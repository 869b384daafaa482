"""The videos benchmark: footage, films, questions, answers and what they are worth."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmarks.recall import corpus as pictures
from benchmarks.recall import duplicates
from benchmarks.recall.corpus import Source
from benchmarks.recall.drawing import Pixels
from benchmarks.videos import (
    asking,
    corpus,
    costs,
    cutting,
    edits,
    figures,
    footage,
    gallery,
    peers,
    queries,
    results,
    table,
    tracks,
)
from benchmarks.videos.asking import Answer, Found
from benchmarks.videos.corpus import Clip, Corpus, Film
from benchmarks.videos.cutting import Plan, Shot
from benchmarks.videos.queries import Counts, Excerpt, Question
from benchmarks.videos.tracks import Track
from tests.benchmarks.test_recall_transforms import picture
from videos.match.confidence import VideoEvidence, confidence
from videos.models import Video

RATE = 25
SIZES = corpus.Sizes(1, 1)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DIR", str(tmp_path / "bench"))
    tracks.track.cache_clear()


def key(digit: int, *, outsider: bool = False, odd: bool = True) -> str:
    """A key of which the corpus thinks so."""
    first = next(n for n in range(digit * 100, 10**6) if (n % 3 == 0) == outsider)
    found = f"{first:08x}" + "0" * 55 + ("1" if odd else "2")
    assert corpus.is_outsider(found) == outsider
    assert corpus.part_of(found) == ("test" if odd else "calibration")
    return found


def counted(count: int, size: tuple[int, int] = (160, 96)) -> list[Pixels]:
    """Frames whose brightness is ten times their number."""
    return [np.full((size[1], size[0], 3), 10 * n, np.uint8) for n in range(count)]


def video(path: Path, frames: list[Pixels], rate: float = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(footage.mp4(frames, rate, crf=10))
    return path


def levels(frames: Any) -> list[int]:
    return [round(float(rgb.mean()) / 10) for rgb in frames]


def test_frames_come_back_at_their_times(tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4", counted(20), rate=10)
    times, frames = zip(*footage.read(path), strict=True)
    assert times == pytest.approx(np.arange(20) / 10)
    assert levels(frames) == list(range(20))
    assert [round(t, 3) for t, _ in footage.read(path, 0.45, 0.8)] == [0.5, 0.6, 0.7, 0.8]
    assert levels(footage.shown(path, [0.0, 0.05, 0.1, 0.19, 1.85, 7.0])) == [0, 0, 1, 1, 18, 19]
    assert levels(footage.shown(path, [1.3, 1.3])) == [13, 13]


def test_a_gif_has_its_rate_and_its_colours() -> None:
    with Image.open(io.BytesIO(footage.gif(counted(5), 10))) as image:
        assert (image.format, getattr(image, "n_frames", 0), image.info["duration"]) == (
            "GIF",
            5,
            100,
        )


def test_an_empty_clip_is_an_error() -> None:
    with pytest.raises(ValueError, match="no frames"):
        footage.mp4([], RATE, 28)


def plan(*shots: Shot, bar: int = 0) -> Plan:
    return Plan("a", 160, 96, RATE, bar, shots)


def rendered(found: Plan, path: Path, clip: Path | None = None) -> list[Pixels]:
    cutting.render(found, path, lambda _: picture(3, 480, 640), lambda _: clip or path)
    return [rgb for _, rgb in footage.read(path)]


def test_a_film_shows_its_shots_one_after_another(tmp_path: Path) -> None:
    clip = video(tmp_path / "clip.mp4", counted(20), rate=10)
    found = plan(
        Shot("picture", "p", 1.0, (0.2, 0.2, 0.6), (0.8, 0.8, 0.6)),
        Shot("black", "", 0.6),
        Shot("clip", "c", 0.4, start=1.0),
        Shot("title", "Summer", 0.4),
    )
    frames = rendered(found, tmp_path / "film.mp4", clip)
    assert len(frames) == round(found.seconds * RATE) == 60
    assert frames[0].shape == (96, 160, 3)
    assert np.abs(frames[0].astype(int) - frames[24]).mean() > 5, "the camera moves"
    assert max(int(rgb.max()) for rgb in frames[26:40]) < 24
    assert levels(frames[41:50:5]) == [10, 12]
    assert int(frames[55].max()) > 150 and float(frames[55].mean()) < 30


def test_bars_stay_black_and_fades_mix(tmp_path: Path) -> None:
    still = (0.5, 0.5, 0.9)
    found = plan(
        Shot("picture", "p", 0.4, still, still),
        Shot("black", "", 0.8, faded=True),
        bar=10,
    )
    frames = rendered(found, tmp_path / "film.mp4")
    assert int(frames[0][:8].max()) < 24 and int(frames[0][-8:].max()) < 24
    means = [float(rgb.mean()) for rgb in frames]
    assert means[0] > means[13] > means[17] > means[21]
    assert means[-1] < 4


def test_episodes_share_their_opening_and_pictures_filmed_anew() -> None:
    random = np.random.default_rng(1)
    keys = [f"p{n}" for n in range(15)]
    first, second = cutting.plans("s", keys, [("c0", 5.0), ("c1", 1.0)], random)
    assert first.shots[0] == second.shots[0]
    assert first.shots[1].what != second.shots[1].what
    shown = [[s for s in one.shots[1:] if s.kind == "picture"] for one in (first, second)]
    names = [{shot.what for shot in shots} for shots in shown]
    assert names[0] | names[1] == set(keys[1:])
    again = names[0] & names[1]
    assert len(again) == round(cutting.SEEN_AGAIN * len(names[0]))
    boxes = [{shot.what: shot.begin for shot in shots} for shots in shown]
    assert all(boxes[0][name] != boxes[1][name] for name in again)
    excerpts = [s for one in (first, second) for s in one.shots if s.kind == "clip"]
    assert sorted(shot.what for shot in excerpts) == ["c0", "c1"]
    assert all(s.start + s.seconds <= {"c0": 5.0, "c1": 1.0}[s.what] for s in excerpts)
    assert cutting.plans("s", keys, [], np.random.default_rng(2))[0].name != first.name
    assert replace(first).name == first.name


def test_clips_are_the_moving_pictures_of_packages_once_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inside = corpus.directory() / "packages" / "toys"
    clip = video(inside / "a.mp4", counted(10), rate=10)
    (inside / "again.mp4").write_bytes(clip.read_bytes())
    (inside / "link.mp4").symlink_to(clip)
    (inside / "still.gif").write_bytes(footage.gif(counted(1), 10))
    (inside / "two.gif").write_bytes(footage.gif(counted(2), 10))
    (inside / "broken.avi").write_bytes(b"RIFF nothing")
    (inside / "notes.txt").write_text("no video")
    monkeypatch.setattr(corpus, "DEBIAN", ("toys",))
    monkeypatch.setattr(corpus, "WHEELS", ())
    found = corpus.clips()
    assert [one.key for one in found] == sorted(one.key for one in found)
    by_path = {one.path: one for one in found}
    assert set(by_path) == {"packages/toys/a.mp4", "packages/toys/two.gif"}
    assert by_path["packages/toys/a.mp4"].seconds == pytest.approx(1.0)
    clip.unlink()
    assert corpus.clips() == found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Corpus]:
    """A corpus like the real one: two series, stored clips, outsiders of both kinds."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        cache = tmp_path_factory.mktemp("bench")
        monkeypatch.setenv("BENCH_DIR", str(cache))
        supply(monkeypatch)
        found = corpus.build(SIZES, workers=1)
        tracks.prepare(found.films.values(), workers=1)
    return cache, found


def supply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures and clips instead of those of the packages."""
    known = []
    for digit in range(1, 17):
        name = key(digit, outsider=digit % 4 == 0, odd=digit % 2 == 1 or digit % 8 == 4)
        known.append(Source(name, pictures.PHOTOS[digit % 2], f"{digit}.png", f"{name}.png"))
        path = pictures.working_copy(known[-1])
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), cv2.cvtColor(picture(digit, 300, 400), cv2.COLOR_RGB2BGR))
    clips = []
    for digit, outsider in ((20, False), (21, True)):
        path = video(corpus.directory() / f"{digit}.mp4", _moving(digit, 4.0))
        clips.append(Clip(key(digit, outsider=outsider), "lebiniou-data", path.name, 4.0))
    monkeypatch.setattr(pictures, "sources", lambda workers: known)
    monkeypatch.setattr(duplicates, "unique", lambda found: found)
    monkeypatch.setattr(corpus, "clips", lambda: clips)
    monkeypatch.setattr(corpus, "PICTURES", 4)
    monkeypatch.setattr(cutting, "FORMATS", ((320, 180),))
    monkeypatch.setattr(cutting, "RATES", (10,))


@pytest.fixture
def small(made: tuple[Path, Corpus], monkeypatch: pytest.MonkeyPatch) -> Corpus:
    cache, found = made
    monkeypatch.setenv("BENCH_DIR", str(cache))
    monkeypatch.setattr(queries, "HEIGHT", 180)  # that of the films
    monkeypatch.setattr(queries, "RATE", 10.0)
    return found


def _moving(seed: int, seconds: float) -> list[Pixels]:
    random = np.random.default_rng(seed)
    boxes = cutting.random_box(random), cutting.random_box(random)
    return list(cutting.pan(picture(seed, 400, 600), (320, 180), *boxes, round(seconds * RATE)))


@pytest.mark.slow
def test_films_are_made_of_one_part_and_of_no_outsiders(small: Corpus) -> None:
    assert [len(small.of("test")), len(small.of("calibration"))] == [3, 2]
    for film in small.films.values():
        assert small.path(film.key).is_file()
        *_, before, last = tracks.track(film.key).times
        assert film.seconds == pytest.approx(last + (last - before), abs=0.05)
        for _, at, end, begin in film.excerpts:
            assert 0 <= at < end <= film.seconds + 0.1 and begin >= 0
        for made_of in film.made_of:
            assert corpus.part_of(made_of) == film.part
            assert not corpus.is_outsider(made_of)
    cut = [film for film in small.films.values() if film.package == corpus.CUT]
    assert {kind for film in cut for kind, _, _ in film.plain} == {"title", "black"}
    for film in cut:
        for _, a, b in film.plain:
            assert not tracks.tells(tracks.track(film.key).at((a + b) / 2 + 0.2))
    assert small.pictures and small.clips
    assert not {*small.pictures, *small.clips} & {*small.films}
    assert not set(small.pictures) & {made for film in cut for made in film.made_of}


def test_building_again_cuts_nothing_again(small: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(corpus, "_rendered", never)
    monkeypatch.setattr(tracks, "_made", never)
    supply(monkeypatch)
    assert corpus.build(SIZES, workers=1) == small
    tracks.prepare(small.films.values(), workers=1)


COUNTS = Counts(6, 3, 6, 3, 2)


def test_questions_are_the_same_each_time_and_about_the_part_alone(small: Corpus) -> None:
    asked = queries.run_questions(small, COUNTS)
    assert asked == queries.run_questions(small, COUNTS)
    assert len({question.name for question in asked}) == len(asked)
    rows = figures.by_row(asked)
    assert set(rows) == {
        *queries.STILL_ROWS,
        *queries.CLIP_ROWS,
        *queries.FLAGGED,
        queries.UNRELATED_STILL,
        queries.UNRELATED_CLIP,
    }
    tests = {film.key for film in small.of("test")}
    for question in asked:
        for one in question.excerpts:
            if question.row.startswith("unrelated"):
                assert one.key in {*small.pictures, *small.clips}
            else:
                assert one.key in tests
                assert one.start + one.seconds <= small.films[one.key].seconds + 0.1
    assert {len(question.excerpts) for question in rows[queries.MONTAGE]} == {3}
    doubled = rows["clip, speed 2"]
    assert all(12 <= question.excerpts[0].seconds <= 20 for question in doubled)
    other = queries.run_questions(small, COUNTS, part="calibration")
    assert not {question.name for question in other} & {
        question.name for question in asked if question.excerpts
    }


def test_what_is_asked_for_shows_something(small: Corpus) -> None:
    for question in queries.of_films(small.of("test"), "screenshot", 40):
        (one,) = question.excerpts
        assert one.start in tracks.track(one.key).times
        assert tracks.tells(tracks.track(one.key).at(one.start))


@pytest.mark.slow
def test_every_row_sends_a_file_of_its_kind(small: Corpus) -> None:
    for question in queries.run_questions(small, Counts(1, 1, 1, 2, 2)):
        data = queries.data(question, small)
        if question.still:
            with Image.open(io.BytesIO(data)) as image:
                assert image.format == ("PNG" if question.row == "screenshot" else "JPEG")
            continue
        gif = question.row == queries.GIF
        path = corpus.directory() / ("sent.gif" if gif else "sent.mp4")
        path.write_bytes(data)
        times = [t for t, _ in footage.read(path)]
        length = sum(one.seconds for one in question.excerpts) / question.speed
        if question.row not in queries.FLAGGED:
            assert times[-1] == pytest.approx(length, abs=0.15)


def test_the_clean_screenshot_is_the_very_frame(small: Corpus) -> None:
    (question, *_) = queries.of_films(small.of("test"), "screenshot", 3)
    (one,) = question.excerpts
    rgb = np.asarray(Image.open(io.BytesIO(queries.data(question, small))))
    grey = tracks.track(one.key).at(one.start)
    assert float(tracks.alike(tracks.look(rgb)[None], grey)[0]) > 0.999


def test_sped_up_footage_shows_later_moments_sooner(small: Corpus) -> None:
    (question, *_) = queries.of_films(small.of("test"), "clip, speed 2", 1)
    (one,) = question.excerpts
    path = corpus.directory() / "sent.mp4"
    path.write_bytes(queries.data(question, small))
    seen = tracks.track(one.key)
    sent = {round(t, 2): tracks.look(rgb) for t, rgb in footage.read(path)}
    for t in (1.0, 3.0, 5.0):
        moment = one.start + 2 * t
        right, wrong = (
            tracks.alike(seen.at(at)[None], sent[t])[0] for at in (moment, one.start + t)
        )
        assert right > 0.9 and right > wrong


EDITS: dict[str, Callable[[Pixels], Pixels]] = {
    "mirrored": edits.mirrored,
    "cropped": edits.cropper(0.1),
    "letterboxed": edits.letterboxer(np.random.default_rng(1)),
    "played": edits.player(np.random.default_rng(1)),
}


def test_edits_do_what_they_say() -> None:
    rgb = picture(1, 180, 320)
    done = {name: edit(rgb) for name, edit in EDITS.items()}
    assert np.array_equal(done["mirrored"][:, ::-1], rgb)
    assert np.array_equal(done["cropped"], rgb[18:162, 32:288])
    height, width = done["letterboxed"].shape[:2]
    bar = (height - 180) // 2, (width - 320) // 2
    assert sorted(bar)[0] == 0 and sorted(bar)[1] >= 18
    inside = done["letterboxed"][bar[0] : bar[0] + 180, bar[1] : bar[1] + 320]
    assert np.array_equal(inside, rgb)
    assert int(done["letterboxed"].sum()) == int(rgb.sum())
    assert done["played"].shape[0] > 180 and done["played"].shape[1] > 320
    for name, edit in EDITS.items():
        assert np.array_equal(edit(rgb), done[name]), name


def test_moments_that_look_the_same_are_equivalent() -> None:
    looks = [tracks.look(picture(n)) for n in (1, 2, 1)]
    brighter = np.clip(looks[0].astype(int) * 0.8 + 20, 0, 255).astype(np.uint8)
    track = Track(np.array([0.0, 1.0, 2.0, 3.0]), np.stack([*looks, brighter]))
    assert track.equivalents(looks[0]).tolist() == [0.0, 2.0, 3.0]
    assert np.array_equal(track.at(1.7), looks[1])
    assert np.array_equal(track.at(-1), looks[0])
    flat = [np.full((64, 64), level, np.uint8) for level in (0, 2, 60)]
    assert tracks.alike(np.stack([*flat, looks[0]]), flat[0]).tolist() == [1, 1, 0, 0]


def test_dark_and_flat_moments_tell_nothing() -> None:
    assert tracks.tells(tracks.look(picture(1)))
    assert not tracks.tells(np.full((64, 64), 128, np.uint8))
    assert not tracks.tells(tracks.look(cutting.card("Summer again", (320, 180))))


def hit(film: str, start: float, end: float, **others: Any) -> Found:
    values: dict[str, Any] = {
        "confidence": 0.9,
        "query_start": 0.0,
        "query_end": end - start,
        "offset": start,
        "speed": 1.0,
        "mirrored": False,
        "kind": "still",
        "evidence": (0.9, 0.8, 1.0, 2, 0.9, 20, 1.0),
    }
    return Found(film, start=start, end=end, **{**values, **others})


def answered(*found: Found, low: bool = False, ambiguous: int = 0) -> Answer:
    return Answer(found, low, ambiguous)


def changing(seed: int, seconds: int = 20) -> Track:
    """Another picture each second."""
    looks = [tracks.look(picture(100 * seed + n)) for n in range(seconds)]
    return Track(np.arange(seconds, dtype=float), np.stack(looks))


TRACKS = {"a": changing(1), "b": changing(2)}
TRACKS["copy"] = Track(TRACKS["a"].times + 5, TRACKS["a"].greys)


def clip_question(
    number: int, start: float = 4.0, seconds: float = 6.0, speed: float = 1.0
) -> Question:
    return Question("clip, mirrored", number, (Excerpt("a", start, seconds),), speed)


def test_a_row_counts_what_is_right_and_shown() -> None:
    asked = [clip_question(n) for n in range(5)]
    answers = {
        asked[0].name: answered(hit("a", 4.5, 10.0), ambiguous=1),
        asked[1].name: answered(hit("b", 4.0, 10.0), hit("a", 4.0, 10.0)),
        asked[2].name: answered(hit("a", 4.0, 10.0, confidence=0.3)),
        asked[3].name: answered(low=True),
        asked[4].name: answered(hit("a", 7.0, 13.0, speed=1.1)),
    }
    row = figures.measure(asked, answers, 0.5, TRACKS.__getitem__)
    assert (row.count, row.top, row.unsure, row.ambiguous) == (5, 2 / 5, 3 / 5, 1 / 2)
    assert row.raw == (0.5, 3.0)
    assert row.errors == (0.5, 3.0)
    assert row.overlap == pytest.approx((5.5 / 6 + 3 / 9) / 2)
    assert row.speed == pytest.approx(0.05)


def test_a_moment_that_looks_the_same_is_as_good() -> None:
    greys = TRACKS["a"].greys.copy()
    greys[8] = greys[4]
    seen = {"a": Track(TRACKS["a"].times, greys)}
    asked = Question("screenshot", 0, (Excerpt("a", 4.0),))
    answers = {asked.name: answered(hit("a", 7.5, 9.0, offset=8.2))}
    row = figures.measure([asked], answers, 0.5, seen.__getitem__)
    assert row.errors == pytest.approx((0.2,))
    assert row.raw == (3.5,)


def test_what_begins_late_in_the_query_is_not_an_error() -> None:
    question = clip_question(0, speed=2.0)
    late = hit("a", 6.0, 10.0, query_start=1.0, offset=4.0, speed=2.0)
    assert figures.error(question, late, TRACKS.__getitem__) == 0


def test_another_video_is_right_only_if_it_shows_the_same_there() -> None:
    question = clip_question(0)
    right = figures.is_right
    assert right(question, hit("copy", 9.0, 15.0), TRACKS.__getitem__)
    assert not right(question, hit("copy", 12.0, 18.0), TRACKS.__getitem__)
    assert not right(question, hit("b", 4.0, 10.0), TRACKS.__getitem__)
    assert not right(question, hit("", 4.0, 10.0), TRACKS.__getitem__)
    assert figures.error(question, hit("copy", 9.0, 15.0), TRACKS.__getitem__) == 0


def test_the_same_footage_cut_to_another_shape_is_right() -> None:
    looks = np.stack([tracks.look(picture(900 + n)) for n in range(20)])
    whole = replace(TRACKS["a"], excerpts=(("clip", 0.0, 20.0, 0.0),))
    film = Track(np.arange(20.0), looks, (("clip", 7.0, 15.0, 3.0),))
    seen = {"a": whole, "film": film}
    assert film.showing(whole, 4.5).tolist() == [8.5]
    assert whole.showing(film, 8.5).tolist() == [4.5]
    assert film.showing(whole, 12.0).tolist() == []
    still = Question("screenshot", 0, (Excerpt("a", 4.0),))
    assert figures.is_right(still, hit("film", 8.0, 8.0), seen.__getitem__)
    assert not figures.is_right(still, hit("film", 11.0, 11.0), seen.__getitem__)
    assert figures.error(still, hit("film", 8.3, 8.3), seen.__getitem__) == pytest.approx(0.3)


def test_montages_count_segments_and_strangers_what_was_shown() -> None:
    excerpts = (Excerpt("a", 0, 4), Excerpt("b", 10, 4), Excerpt("a", 12, 4))
    question = Question(queries.MONTAGE, 0, excerpts)
    found = (hit("a", 0.5, 4), hit("b", 3, 8), hit("a", 12, 16, confidence=0.2))
    montage = figures.montage([question], {question.name: answered(*found)}, 0.5)
    assert (montage.recall, montage.precision) == (1 / 3, 1 / 2)
    asked = [Question(queries.UNRELATED_STILL, n, (Excerpt("x"),)) for n in range(3)]
    answers = {
        asked[0].name: answered(hit("a", 0, 0, confidence=0.49)),
        asked[1].name: answered(hit("a", 0, 0, confidence=0.5)),
        asked[2].name: answered(low=True),
    }
    assert figures.unrelated(asked, answers, 0.5) == figures.Unrelated(3, 1, 0.5, 1)


def test_answers_survive_a_run_that_was_stopped(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    one = answered(hit("a", 1.0, 2.0), ambiguous=2)
    found = [list(vars(found).values()) for found in one.found]
    path.write_text(json.dumps(["q", found, False, 2]) + "\n" + '["half')
    assert asking.read(path) == {"q": one}
    assert path.read_text().endswith("\n")
    assert asking.read(tmp_path / "none") == {}


def test_answers_are_judged_as_confidence_is_now() -> None:
    weak = hit("a", 1.0, 2.0, confidence=0.9, evidence=(0.4, 0.1, 0.3, 1, 0.5, 4, 0.0))
    strong = hit("b", 1.0, 2.0, confidence=0.1, evidence=(0.95, 0.9, 1.0, 4, 0.98, 80, 1.0))
    judged = asking.judged(answered(weak, strong, ambiguous=1))
    assert [one.film for one in judged.found] == ["b", "a"]
    for one in judged.found:
        assert one.confidence == confidence(VideoEvidence(*one.evidence), "still")  # type: ignore[arg-type]
    assert judged.ambiguous == 1


def test_synthetic_frames_lie_where_frames_lie_and_resemble_none() -> None:
    random = np.random.default_rng(0)
    real = random.normal(0.05, 0.1, (200, 512)).astype(np.float32)
    real[:, :256] *= 3
    real /= np.linalg.norm(real, axis=1, keepdims=True)
    made = gallery.synthetic(real, 300, random)
    assert np.linalg.norm(made, axis=1) == pytest.approx(1, abs=1e-5)
    assert made.std(axis=0)[:256].mean() > 2 * made.std(axis=0)[256:].mean()
    assert float((made @ real.T).max()) < 0.6


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_product_stores_the_films_and_answers(
    small: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "COUNTS", {costs.STILL: 2, queries.TEN_SECONDS: 1})
    monkeypatch.setattr(costs, "WARM_UP", 1)
    monkeypatch.setattr(costs, "LISTENING", 0.1)
    gallery.fill(small)
    assert gallery.refused(small) == []
    ready = Video.objects.ready()
    assert set(ready.values_list("data_id", flat=True)) == set(small.films)
    gallery.fill(small)
    assert ready.count() == 5
    cost = gallery.cost()
    assert 0 < cost.vectors <= cost.rows and cost.row_bytes > 500 and cost.proxy_bytes > 100
    (question, *_) = queries.of_films(small.of("test"), "screenshot", 3)
    answer = asking.answer(queries.data(question, small))
    assert figures.is_right(question, answer.found[0], tracks.track)
    assert figures.error(question, answer.found[0], tracks.track) < 1
    # Only afterwards: what is mixed from so few frames resembles them.
    real = gallery.frames()
    gallery.pad(real + 450)
    gallery.pad(real + 450)
    assert gallery.frames() == real + 450
    asked = {costs.STILL: [question] * 3}
    films = costs.save(asked, small, "small")
    assert {path.stem for path in films} <= set(small.films) and len(films) == 2
    before = set(Video.objects.values_list("pk", flat=True))
    measured = costs.measure("small", films[:1])
    assert set(Video.objects.values_list("pk", flat=True)) == before
    assert measured.frames == gallery.frames()
    assert measured.length == pytest.approx(small.films[films[0].stem].seconds, abs=0.2)
    assert measured.fold > 0 and 0 <= measured.busy <= 1
    p50, p95 = measured.latencies[costs.STILL]
    assert 0 < p50 <= p95


def test_a_film_that_is_refused_is_told(small: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    film = next(iter(small.films.values()))
    monkeypatch.setattr(gallery, "_stored", lambda: set(small.films) - {film.key})
    assert gallery.refused(small) == [film]
    assert Path(film.path).name in table.corpus(small, [film], 0)


def test_peers_rank_by_the_share_of_frames_that_are_near() -> None:
    random = np.random.default_rng(0)
    own, other = (random.integers(0, 2**63, (3, 4), dtype=np.uint64) for _ in range(2))
    query = np.concatenate([own[:2] ^ np.uint64(0b101), other[:1]])
    stored = {"own": own, "other": other, "empty": own[:0]}
    names, found = zip(*peers.shares(query, stored), strict=True)
    assert names == ("own", "other")
    assert found == pytest.approx((2 / 3, 1 / 3))
    assert peers.shares(own[:0], stored) == []


GOOD = figures.Row(10, 1.0, 1.0, (0.05,), (0.05,), 1.0, 0.0, 0.0)
ROOM = gallery.Cost(0.5, 0.6, 900.0, 900.0, 2000.0)


def found(
    rows: dict[str, figures.Row], unrelated: dict[str, figures.Unrelated], **others: Any
) -> results.Results:
    values: dict[str, Any] = {"room": ROOM, "peer": {}, "why": "No peer.", "films": ("a.mp4",)}
    montage = figures.Montage(3, 0.9, 1.0)
    return results.Results("g", "12 videos.", rows, unrelated, montage, **{**values, **others})


def test_each_target_is_met_or_missed() -> None:
    quiet = costs.Costs({"screenshot": (90.0, 200.0)}, 50_000, 600.0, 25.0, 0.01)
    text = table.section(found({"screenshot": GOOD}, {}), quiet)
    assert "All targets are met." in text and "missed" not in text and "not quiet" not in text
    rows = {
        "screenshot": replace(GOOD, top=0.5),
        queries.GIF: replace(GOOD, errors=(0.05, 3.0)),
        "clip, mirrored": GOOD,
    }
    unrelated = {
        queries.UNRELATED_CLIP: figures.Unrelated(5, 1, 0.8, 0),
        queries.BLACK: figures.Unrelated(5, 0, 0.0, 4),
    }
    slow = costs.Costs({queries.TEN_SECONDS: (1000.0, 2500.0)}, 50_000, 600.0, 10.0, 0.6)
    poor = found(rows, unrelated, room=replace(ROOM, row_bytes=2000.0))
    text = table.targets(poor, slow)
    for line in (
        "| screenshot: first | 50.0 % | ≥ 99 % | **missed** |",
        "| screenshot: start off by, median and p95 | 0.05 s, 0.05 s | ≤ 0.1 s, ≤ 1 s | met |",
        "| GIF, 2 to 5 s: first | 100.0 % | ≥ 98 % | met |",
        "| clip, mirrored: first | 100.0 % | ≥ 95 % | met |",
        "| unrelated clip: answered | 1 of 5 | none | **missed** |",
        "| black: told to show too little | 4 of 5 | all | **missed** |",
        "| indexing, times real time | 10.0 | ≥ 20 | **missed** |",
        "| vectors a second | 0.50 | ≤ 0.7 | met |",
        "| bytes of rows a second | 2000 | ≤ 1024 | **missed** |",
        "| clip, 10 s: p95 | 2500 ms | ≤ 2000 ms | **missed** |",
    ):
        assert line in text
    assert any(
        line.startswith("| GIF, 2 to 5 s: start") and line.endswith("| **missed** |")
        for line in text.splitlines()
    )
    assert "5 of 12 targets are met." in text
    assert "60 % of the processors: the machine was not quiet" in table.section(poor, slow)


def test_results_are_kept_until_costs_are_measured_again() -> None:
    kept = found({"screenshot": GOOD}, {queries.BLACK: figures.Unrelated(5, 0, 0.1, 5)})
    results.write(kept, "small")
    assert results.read("small") == kept
    with pytest.raises(FileNotFoundError):
        results.read("other")


def test_films_of_the_part_that_is_fitted_on_are_never_asked_about() -> None:
    film = Film(key(1), corpus.CUT, "a.mp4", 1.0, "calibration")
    assert Corpus({film.key: film}, {}, {}).of("test") == []
