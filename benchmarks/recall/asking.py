"""Ask every question with every method. Answers are stored, so a stopped run can continue."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recall import corpus, methods, transforms
from benchmarks.recall.corpus import Source
from benchmarks.recall.split import Split

AS_IT_IS = "as it is"
KEPT_DIGITS = 16


@dataclass(frozen=True)
class Question:
    """A picture, edited as ``row`` says or ``AS_IT_IS``, with ``others`` around it."""

    row: str
    source: Source
    others: tuple[Source, ...] = ()

    @property
    def name(self) -> tuple[str, str]:
        return self.row, self.source.key[:KEPT_DIGITS]

    def data(self) -> bytes:
        rgb = corpus.pixels(self.source)
        if self.row == AS_IT_IS:
            return transforms.encoded(rgb)
        others = [corpus.pixels(other) for other in self.others]
        return transforms.edited(self.row, self.source.key, rgb, others)


@dataclass(frozen=True)
class Answer:
    """``found``: the answer of a method, with keys cut to ``KEPT_DIGITS``."""

    found: tuple[tuple[str, Any], ...]


Answers = Mapping[tuple[str, str], Answer]


def copies(
    originals: Sequence[Source], rows: Iterable[str], outsiders: Sequence[Source]
) -> list[Question]:
    """Return each original after each edit. ``outsiders`` surround them; no gallery has them."""
    return [
        Question(row, source, _others(row, source, outsiders))
        for row in rows
        for source in originals
    ]


def _others(row: str, source: Source, outsiders: Sequence[Source]) -> tuple[Source, ...]:
    count = transforms.ROWS[row].others
    chosen = transforms.random_of(f"others {row}", source.key)
    return tuple(outsiders[i] for i in chosen.choice(len(outsiders), count, replace=False))


def negatives(sources: Iterable[Source]) -> list[Question]:
    return [Question(AS_IT_IS, source) for source in sources]


def run_questions(parts: Split, rows: Iterable[str], siblings: Sequence[Source]) -> list[Question]:
    """Return all questions of a run: test copies, test and calibration negatives, and siblings."""
    return [
        *copies(parts.test_originals, rows, parts.test_negatives),
        *negatives(parts.test_negatives),
        *negatives(parts.calibration_negatives),
        *negatives(siblings),
    ]


def ask(
    questions: Sequence[Question], names: Sequence[str], gallery: str, hashes: Path, workers: int
) -> dict[str, Answers]:
    """Return method → question's name → answer. Only new questions are asked."""
    files = {name: _file(name, gallery) for name in names}
    known = {name: _read(path) for name, path in files.items()}
    todo = []
    for question in questions:
        lacking = tuple(name for name in names if question.name not in known[name])
        if lacking:
            todo.append((question, lacking))
    started = time.monotonic()
    streams = {name: path.open("a") for name, path in files.items()}
    try:
        for done, (name, answers) in enumerate(_asked(todo, hashes, workers), 1):
            for method, answer in answers.items():
                known[method][name] = answer
                print(json.dumps([*name, answer.found]), file=streams[method], flush=True)
            if done % 500 == 0:
                rate = done / (time.monotonic() - started)
                print(f"{done} of {len(todo)} questions, {rate:.1f} a second", flush=True)
    finally:
        for stream in streams.values():
            stream.close()
    return {name: dict(answers) for name, answers in known.items()}


def _asked(
    todo: Sequence[tuple[Question, Sequence[str]]], hashes: Path, workers: int
) -> Iterator[tuple[tuple[str, str], dict[str, Answer]]]:
    if not todo:
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (hashes,)) as pool:
        yield from pool.map(_ask_one, *zip(*todo, strict=True), chunksize=8)


_hashes: Path
_methods: dict[str, methods.Method] = {}


def _start(hashes: Path) -> None:
    import cv2
    import django

    global _hashes
    _hashes = hashes
    cv2.setNumThreads(1)
    django.setup()


def _ask_one(question: Question, names: Sequence[str]) -> tuple[tuple[str, str], dict[str, Answer]]:
    data = question.data()
    return question.name, {name: _answer(name, data) for name in names}


def _answer(name: str, data: bytes) -> Answer:
    if name not in _methods:
        _methods[name] = methods.get(name, _hashes)
    return Answer(tuple((key[:KEPT_DIGITS], value) for key, value in _methods[name](data)))


def latency(
    questions: Sequence[Question], names: Sequence[str], hashes: Path, count: int = 200
) -> dict[str, tuple[float, float]]:
    """Return method → milliseconds of a search, p50 and p95: one at a time, in one process.

    The questions are a regular sample of all. Nothing else should run.
    """
    _start(hashes)
    steps = np.linspace(0, len(questions) - 1, min(count, len(questions))).astype(int)
    encoded = [questions[i].data() for i in steps]
    found = {}
    for name in names:
        for data in encoded[:10]:
            _answer(name, data)
        taken = []
        for data in encoded:
            started = time.perf_counter()
            _answer(name, data)
            taken.append((time.perf_counter() - started) * 1000)
        p50, p95 = np.percentile(taken, [50, 95])
        found[name] = float(p50), float(p95)
    return found


def _file(method: str, gallery: str) -> Path:
    inside = corpus.directory() / "answers"
    inside.mkdir(exist_ok=True)
    return inside / f"{method.replace(' ', '-')}-{methods.version(method, gallery)}.jsonl"


def _read(path: Path) -> dict[tuple[str, str], Answer]:
    if not path.exists():
        return {}
    known = {}
    lines = path.read_bytes().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):  # the run was stopped during a write
        path.write_bytes(b"".join(lines[:-1]))
        del lines[-1]
    for line in lines:
        row, key, found = json.loads(line)
        known[row, key] = Answer(tuple((near, value) for near, value in found))
    return known
