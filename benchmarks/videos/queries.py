"""The questions, row by row: the footage, its edit, and the file to send."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.recall import corpus as pictures
from benchmarks.recall.drawing import Pixels, Random
from benchmarks.recall.transforms import encoded, random_of
from benchmarks.videos import cutting, edits, footage
from benchmarks.videos.corpus import Corpus, Film, Part, part_of
from benchmarks.videos.edits import Edit
from benchmarks.videos.tracks import tells, track

STILL_ROWS: dict[str, Callable[[Random], Callable[[Pixels], bytes]]] = {
    "screenshot": lambda random: footage.png,
    "screenshot, jpeg q30, half size": lambda random: lambda rgb: encoded(edits.halved(rgb), 30),
    "screenshot, letterboxed": lambda random: _jpeg(edits.letterboxer(random)),
    "screenshot, mirrored": lambda random: _jpeg(edits.mirrored),
    "screenshot, player and subtitle": lambda random: _jpeg(edits.player(random)),
    "screenshot, cropped 10 % a side": lambda random: _jpeg(edits.cropper(0.1)),
}


def _jpeg(edit: Edit) -> Callable[[Pixels], bytes]:
    return lambda rgb: encoded(edit(rgb))


def _as_it_is(random: Random) -> Edit:
    return lambda rgb: rgb


@dataclass(frozen=True)
class ClipRow:
    """``seconds`` of the sent clip, from … to; ``speed`` likewise: 2 = twice as fast."""

    seconds: tuple[float, float]
    edit: Callable[[Random], Edit] = _as_it_is
    speed: tuple[float, float] = (1.0, 1.0)
    crf: int = 28
    gif: bool = False
    parts: int = 1


GIF, MONTAGE = "GIF, 2 to 5 s", "montage of three"
CLIP_ROWS = {
    GIF: ClipRow((2, 5), gif=True),
    "clip, 5 to 15 s, crf 35": ClipRow((5, 15), crf=35),
    "clip, 1 s": ClipRow((1, 1)),
    "clip, cropped 10 % a side": ClipRow((5, 10), lambda random: edits.cropper(0.1)),
    "clip, letterboxed": ClipRow((5, 10), edits.letterboxer),
    "clip, mirrored": ClipRow((5, 10), lambda random: edits.mirrored),
    "clip, speed 0.8 to 1.25": ClipRow((6, 10), speed=(0.8, 1.25)),
    "clip, speed 0.5": ClipRow((6, 10), speed=(0.5, 0.5)),
    "clip, speed 2": ClipRow((6, 10), speed=(2, 2)),
    MONTAGE: ClipRow((3, 5), parts=3),
}
TEN_SECONDS = "clip, 10 s"
UNRELATED_STILL, UNRELATED_CLIP = "unrelated picture", "unrelated clip"
BLACK, TITLE, PLAIN = "black", "title", "plain colour"
FLAGGED = (BLACK, TITLE, PLAIN)
EVERY_CLIP = {**CLIP_ROWS, TEN_SECONDS: ClipRow((10, 10)), UNRELATED_CLIP: ClipRow((5, 10))}

RATE, GIF_RATE = 25.0, 10.0
HEIGHT, GIF_WIDTH = 360, 320
ATTEMPTS = 40


@dataclass(frozen=True)
class Excerpt:
    """``seconds`` (0: a still) of a film or clip from ``start``; for a picture, a moment of its
    pan."""

    key: str
    start: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Question:
    """``number`` distinguishes the questions of one row."""

    row: str
    number: int
    excerpts: tuple[Excerpt, ...]
    speed: float = 1.0

    @property
    def name(self) -> str:
        shown = "+".join(f"{one.key[:16]}@{one.start:.3f}" for one in self.excerpts)
        return f"{self.row} {self.number} {shown} ×{self.speed:.3f}"

    @property
    def still(self) -> bool:
        return self.row not in EVERY_CLIP and not (self.row in FLAGGED and self.number % 2)

    def random(self) -> Random:
        return random_of("question", self.name)


@dataclass(frozen=True)
class Counts:
    stills: int = 150
    clips: int = 80
    unrelated_stills: int = 350
    unrelated_clips: int = 160
    flagged: int = 20


FULL, QUICK = Counts(), Counts(40, 12, 60, 24, 10)


def run_questions(corpus: Corpus, counts: Counts, part: Part = "test") -> list[Question]:
    """Return all questions of a run about the films of a part."""
    films = corpus.of(part)
    found = [q for row in STILL_ROWS for q in of_films(films, row, counts.stills)]
    found += [q for row in CLIP_ROWS for q in of_films(films, row, counts.clips)]
    found += unrelated(corpus, counts, part)
    return [*found, *flagged(films, counts.flagged)]


def of_films(films: Sequence[Film], row: str, count: int) -> list[Question]:
    """Ask about each film in turn, at moments with content. Skip films that are too short."""
    kind = EVERY_CLIP.get(row, ClipRow((0, 0)))
    random = random_of("questions", row)
    turns = [films[i] for i in random.permutation(len(films))]
    found: list[Question] = []
    for attempt in range(ATTEMPTS * count):
        if len(found) == count:
            break
        speed = float(random.uniform(*kind.speed))
        chosen = [turns[(attempt * kind.parts + n) % len(turns)] for n in range(kind.parts)]
        excerpts = [_moment(film, kind, speed, random) for film in chosen]
        if all(excerpts):
            whole = tuple(one for one in excerpts if one)
            found.append(Question(row, len(found), whole, speed))
    return found


def _moment(film: Film, kind: ClipRow, speed: float, random: Random) -> Excerpt | None:
    seconds = float(random.uniform(*kind.seconds)) * speed
    seen = track(film.key)
    latest = float(seen.times[-1]) - seconds
    if latest < 0:
        return None
    start = float(random.uniform(0, latest))
    if not seconds:  # a still is one of the frames
        start = float(seen.times[np.abs(seen.times - start).argmin()])
    shown = any(a - 0.3 <= start <= b + 0.3 for _, a, b in film.plain)
    if shown or not tells(seen.at(start)) or not tells(seen.at(start + seconds / 2)):
        return None
    return Excerpt(film.key, start, seconds)


def unrelated(corpus: Corpus, counts: Counts, part: Part) -> list[Question]:
    """Ask about outsiders: pictures of all packages in turn, clips, and films of pictures."""
    chosen = [source for key, source in corpus.pictures.items() if part_of(key) == part]
    names = sorted({source.package for source in chosen})
    lanes = [[s for s in chosen if s.package == name] for name in names]
    longest = max(map(len, lanes), default=0)
    dealt = [lane[turn] for turn in range(longest) for lane in lanes if turn < len(lane)]
    stills = [
        Question(UNRELATED_STILL, n, (Excerpt(source.key),))
        for n, source in enumerate(dealt[: counts.unrelated_stills])
    ]
    clips = [clip for key, clip in corpus.clips.items() if part_of(key) == part]
    moments = [(c.key, t) for c in clips for t in np.arange(0, c.seconds - 2, 2.5).tolist()]
    footage_of = [(Excerpt(key, t, min(6.0, corpus.clips[key].seconds - t)),) for key, t in moments]
    pairs = zip(dealt[0::2], dealt[1::2], strict=False)
    footage_of += [(Excerpt(a.key, 0, 4), Excerpt(b.key, 0, 3)) for a, b in pairs]  # type: ignore[misc]
    return stills + [
        Question(UNRELATED_CLIP, n, tuple(one))
        for n, one in enumerate(footage_of[: counts.unrelated_clips])
    ]


def flagged(films: Sequence[Film], count: int) -> list[Question]:
    """Ask about what shows too little: black and title moments of films, plain colours."""
    found = []
    for row in (BLACK, TITLE):
        places = [
            (film, a, b) for film in films for kind, a, b in film.plain if kind == row and b - a > 1
        ]
        for number in range(count if places else 0):
            film, a, b = places[number // 2 % len(places)]
            at = random_of(row, f"{film.key} {number}").uniform(a + 0.1, b - 0.7)
            found.append(Question(row, number, (Excerpt(film.key, float(at), 0.5),)))
    return found + [Question(PLAIN, number, ()) for number in range(count)]


def data(question: Question, corpus: Corpus) -> bytes:
    random, row = question.random(), question.row
    if row in STILL_ROWS:
        (one,) = question.excerpts
        (rgb,) = footage.shown(corpus.path(one.key), [one.start])
        return STILL_ROWS[row](random)(rgb)
    if row == UNRELATED_STILL:
        source = corpus.pictures[question.excerpts[0].key]
        return encoded(pictures.shrunk(pictures.pixels(source), 640))
    if row in FLAGGED:
        return _flagged(question, corpus, random)
    kind = EVERY_CLIP[row]
    edit, frames = kind.edit(random), _frames(question, corpus, random)
    if kind.gif:
        small = [edits.sized(edit(rgb), width=GIF_WIDTH) for rgb in frames]
        return footage.gif(small, GIF_RATE)
    return footage.mp4((edits.sized(edit(rgb), height=HEIGHT) for rgb in frames), RATE, kind.crf)


def _frames(question: Question, corpus: Corpus, random: Random) -> Iterator[Pixels]:
    rate = GIF_RATE if question.row == GIF else RATE
    size: tuple[int, int] | None = None
    for one in question.excerpts:
        count = max(2, round(one.seconds / question.speed * rate))
        if one.key in corpus.pictures:
            rgb = pictures.pixels(corpus.pictures[one.key])
            boxes = [cutting.random_box(random) for _ in range(2)]
            shown = cutting.pan(rgb, (640, 360), boxes[0], boxes[1], count)
        else:
            times = [one.start + n / rate * question.speed for n in range(count)]
            shown = footage.shown(corpus.path(one.key), times)
        for rgb in shown:
            size = size or (rgb.shape[1], rgb.shape[0])
            yield cutting.filled(rgb, size)


def _flagged(question: Question, corpus: Corpus, random: Random) -> bytes:
    if question.row == PLAIN:
        tint = random.integers(0, 256, 3)
        noise = random.normal(0, 1.0, (180, 320, 1))
        rgb = np.clip(tint + noise, 0, 255).astype(np.uint8)
        frames = [rgb] * 12
    else:
        (one,) = question.excerpts
        times = [one.start + n / RATE for n in range(12)]
        frames = list(footage.shown(corpus.path(one.key), times))
    return encoded(frames[0]) if question.still else footage.mp4(frames, RATE, 28)
