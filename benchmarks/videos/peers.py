"""Another tool: vPDQ, one PDQ hash per second of video, compared with every other (linear search).

Building its package needs a C++ compiler, CMake and FFmpeg's development files. It returns no
times: a video is found if it shares the most frames with the query.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cache import directory
from benchmarks.videos import queries
from benchmarks.videos.corpus import Corpus
from benchmarks.videos.queries import Question

NAME = "vpdq"
NEAR, LEAST_QUALITY = 31, 50
"""Bits and quality that its authors recommend."""

Words = NDArray[np.uint64]


def missing() -> str:
    """Return why it cannot be measured here, or ""."""
    try:
        import vpdq  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        return (
            f"vpdq is not installed here ({error}). Its package has no wheels: it is built against "
            "FFmpeg's development files (Debian: libavdevice-dev, libavfilter-dev, "
            "libavformat-dev, libswscale-dev), then `pip install vpdq`."
        )
    return ""


def hashes(path: Path, seconds: float) -> Words:
    """Return n × 4 words: one hash of a file per ``seconds``, without hashes of low quality."""
    import vpdq

    found: list[Any] = vpdq.computeHash(str(path), seconds_per_hash=seconds)
    good = [bytes.fromhex(one.hex) for one in found if one.quality >= LEAST_QUALITY]
    return np.frombuffer(b"".join(good), np.uint64).reshape(-1, 4)


def prepare(corpus: Corpus) -> Mapping[str, Words]:
    inside = directory() / NAME
    inside.mkdir(exist_ok=True)
    found = {}
    for film in corpus.films.values():
        file = inside / f"{film.key}.npy"
        if not file.exists():
            np.save(file, hashes(directory() / film.path, 1.0))
        found[film.key] = np.load(file)
    return found


def shares(query: Words, stored: Mapping[str, Words]) -> list[tuple[str, float]]:
    """Return the films with the share of the query's hashes that match in them, highest first."""
    if not len(query):
        return []
    found = []
    for key, words in stored.items():
        if len(words):
            differing = np.bitwise_count(query[:, None] ^ words[None]).sum(axis=2, dtype=np.int64)
            share = float((differing.min(axis=1) <= NEAR).mean())
            if share:
                found.append((key, share))
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def ask(questions: Sequence[Question], corpus: Corpus, gallery: str) -> dict[str, str]:
    """Map each question's name to the key of the film that vPDQ finds, or "". Results are
    stored."""
    path = directory() / "answers" / f"{NAME}-{gallery}.jsonl"
    known: dict[str, str] = {}
    if path.exists():
        known = dict(json.loads(line) for line in path.read_text().splitlines() if line[-1:] == "]")
    stored = prepare(corpus)
    with path.open("a") as stream, tempfile.TemporaryDirectory() as place:
        for question in questions:
            if question.name in known or question.still:
                continue
            file = Path(place, "query.gif" if question.row == queries.GIF else "query.mp4")
            file.write_bytes(queries.data(question, corpus))
            # A clip may last only a second, so it gets more hashes per second than the films.
            best = shares(hashes(file, 0.25), stored)
            known[question.name] = best[0][0] if best else ""
            print(json.dumps([question.name, known[question.name]]), file=stream, flush=True)
    return known


def top(questions: Sequence[Question], found: Mapping[str, str]) -> float:
    return float(np.mean([found[q.name] == q.excerpts[0].key for q in questions]))
