"""Ask the service every question. Each answer is stored, so that a stopped run can continue."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from benchmarks.cache import directory
from benchmarks.recall import database
from benchmarks.videos import queries
from benchmarks.videos.corpus import Corpus
from benchmarks.videos.gallery import SEARCHING
from benchmarks.videos.queries import Question
from videos.match.confidence import PARAMETERS

KEPT = 5


@dataclass(frozen=True)
class Found:
    """One result. ``film`` is the video's data_id, empty for a synthetic one; times in seconds.

    ``kind`` is that of the evidence; its numbers are in the order of ``confidence.CopyEvidence``.
    """

    film: str
    confidence: float
    start: float
    end: float
    query_start: float
    query_end: float
    offset: float
    speed: float
    mirrored: bool
    kind: str
    evidence: tuple[float, ...]


@dataclass(frozen=True)
class Answer:
    """``found``: at most ``KEPT`` results of any confidence, highest first. ``ambiguous``: the
    number of other places that match as well."""

    found: tuple[Found, ...]
    low_information: bool
    ambiguous: int


Answers = Mapping[str, Answer]


def ask(questions: Sequence[Question], corpus: Corpus, gallery: str, workers: int) -> Answers:
    """Map each question's name to its answer. Only new questions are asked.

    The evidence is stored, so that newly fitted confidence parameters apply to old answers.
    """
    path = _file(gallery)
    known = read(path)
    todo = [question for question in questions if question.name not in known]
    started = time.monotonic()
    with path.open("a") as stream:
        for done, (name, answer) in enumerate(_asked(todo, corpus, workers), 1):
            known[name] = answer
            found = [astuple(one) for one in answer.found]
            line = [name, found, answer.low_information, answer.ambiguous]
            print(json.dumps(line), file=stream, flush=True)
            if done % 100 == 0:
                rate = done / (time.monotonic() - started)
                print(f"{done} of {len(todo)} questions, {rate:.1f} a second", flush=True)
    return {name: judged(answer) for name, answer in known.items()}


def judged(answer: Answer) -> Answer:
    from videos.match.confidence import VideoEvidence, confidence, logit

    weighed = [(one, VideoEvidence(*one.evidence)) for one in answer.found]  # type: ignore[arg-type]
    found = [
        (logit(evidence, one.kind), replace(one, confidence=confidence(evidence, one.kind)))  # type: ignore[arg-type]
        for one, evidence in weighed
    ]
    found.sort(key=lambda pair: -pair[0])
    return replace(answer, found=tuple(one for _, one in found))


def _asked(todo: Sequence[Question], corpus: Corpus, workers: int) -> Iterator[tuple[str, Answer]]:
    if not todo:
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (corpus,)) as pool:
        yield from pool.map(_ask_one, todo, chunksize=4)


_corpus: Corpus


def _start(corpus: Corpus) -> None:
    import cv2
    import django

    global _corpus
    _corpus = corpus
    cv2.setNumThreads(1)
    django.setup()


def _ask_one(question: Question) -> tuple[str, Answer]:
    return question.name, answer(queries.data(question, _corpus))


def answer(data: bytes) -> Answer:
    from videos.match import video_search

    said = video_search.search_videos(data=data, limit=KEPT, min_confidence=0.0)
    found = tuple(
        Found(
            hit.video.data_id or "",
            hit.confidence,
            hit.start / 1000,
            hit.end / 1000,
            hit.query_start / 1000,
            hit.query_end / 1000,
            hit.offset / 1000,
            hit.speed,
            hit.mirrored,
            hit.kind,
            astuple(hit.evidence),
        )
        for hit in said.results
    )
    return Answer(found, said.low_information, len(said.ambiguous))


def _file(gallery: str) -> Path:
    inside = directory() / "answers"
    inside.mkdir(exist_ok=True)
    # Only this model decides which claims are verified.
    chosen = json.dumps(json.loads(PARAMETERS.read_text())["stored"])
    return inside / f"videos-{gallery}-{database.digest(SEARCHING, chosen)}.jsonl"


def read(path: Path) -> dict[str, Answer]:
    """Read the answers of a file. Drop a last line that a stopped run left incomplete."""
    if not path.exists():
        return {}
    lines = path.read_bytes().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        path.write_bytes(b"".join(lines[:-1]))
        del lines[-1]
    known = {}
    for line in lines:
        name, found, low, ambiguous = json.loads(line)
        results = ([*one[:-1], tuple(one[-1])] for one in found)
        known[name] = Answer(tuple(Found(*one) for one in results), low, ambiguous)
    return known
