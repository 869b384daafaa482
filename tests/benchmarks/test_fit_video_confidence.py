"""Fitting the confidence of videos: what counts as right, and that strangers stay below."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from benchmarks import fit_video_confidence as fitting
from benchmarks.videos import queries, tracks
from benchmarks.videos.asking import Answer, Found
from benchmarks.videos.queries import Excerpt, Question
from benchmarks.videos.tracks import Track
from tests.benchmarks.test_recall_transforms import picture
from videos.match.confidence import FEATURES

LOOKS = np.stack([tracks.look(picture(n)) for n in range(40)])
TRACKS = {
    "a": Track(np.arange(20.0), LOOKS[:20]),
    "b": Track(np.arange(20.0), LOOKS[20:]),
    "copy": Track(np.arange(20.0) + 5, LOOKS[:20]),
}
STRONG = (0.9, 0.9, 1.0, 4, 0.97, 60, 1.0)
WEAK = (0.5, 0.2, 0.6, 1, 0.4, 5, 0.3)


def result(film: str, start: float, seconds: float = 0.0, **others: Any) -> Found:
    values: dict[str, Any] = {
        "confidence": 0.5,
        "start": start,
        "end": start + seconds,
        "query_start": 0.0,
        "query_end": seconds,
        "offset": start,
        "speed": 1.0,
        "mirrored": False,
        "kind": "clip" if seconds else "still",
        "evidence": STRONG,
    }
    return Found(film, **{**values, **others})


STILL = Question("screenshot", 0, (Excerpt("a", 4.0),))
CLIP = Question("clip, mirrored", 0, (Excerpt("a", 4.0, 6.0),))
MONTAGE = Question(queries.MONTAGE, 0, (Excerpt("a", 0, 4), Excerpt("b", 8, 4)))
STRANGER = Question(queries.UNRELATED_STILL, 0, (Excerpt("x"),))


@pytest.mark.parametrize(
    ("question", "found", "right"),
    [
        (STILL, result("a", 4.4), True),
        (STILL, result("a", 12.0), None),
        (STILL, result("b", 4.0), False),
        (STILL, result("copy", 9.0), True),
        (CLIP, result("a", 4.2, 6), True),
        (CLIP, result("a", 9.0, 6), None),
        (CLIP, result("b", 4.0, 6), False),
        (MONTAGE, result("b", 8.5, 4), True),
        (MONTAGE, result("b", 14.0, 4), None),
        (MONTAGE, result("copy", 5.0, 4), False),
        (STRANGER, result("a", 4.0), False),
    ],
)
def test_the_right_video_at_the_right_moment_is_right(
    question: Question, found: Found, right: bool | None
) -> None:
    assert fitting.is_right(question, found, TRACKS.__getitem__) is right


def test_stored_reads_clips_without_their_pictures() -> None:
    answers = {
        STILL.name: Answer((result("a", 4.0),), False, 0),
        CLIP.name: Answer((result("a", 4.0, 6), result("a", 12.0, 6)), False, 0),
    }
    read = {
        kind: fitting.candidates([STILL, CLIP], answers, kind, TRACKS.__getitem__)
        for kind in ("still", "clip", "stored")
    }
    assert [read[kind].question.tolist() for kind in read] == [[0], [1], [1]]
    pictures = [FEATURES.index(name) for name in ("likeness", "inliers", "proven")]
    assert (read["clip"].features[0, pictures] > 0).all()
    assert (read["stored"].features[0, pictures] == 0).all()
    vectors = [FEATURES.index(name) for name in ("similarity", "score", "distinct")]
    assert np.array_equal(read["stored"].features[0, vectors], read["clip"].features[0, vectors])


def test_no_stranger_passes_the_threshold_that_is_fitted() -> None:
    random = np.random.default_rng(1)
    questions, answers = [], {}
    for number in range(300):
        stranger = number % 3 == 0
        row = queries.UNRELATED_STILL if stranger else "screenshot"
        question = Question(row, number, (Excerpt("a", 4.0),))
        mean = WEAK if stranger else STRONG
        noise = 1 + random.normal(0, 0.08, len(mean))
        evidence = tuple(
            float(v) for v in np.clip(np.array(mean) * noise, 0, (1, 1, 1, 9, 1, 99, 1))
        )
        questions.append(question)
        answers[question.name] = Answer((result("a", 4.0, evidence=evidence),), False, 0)
    entry = fitting.calibration(questions, answers, "still", TRACKS.__getitem__)
    assert set(entry["weights"]) == set(FEATURES)
    assert min(entry["weights"].values()) >= 0 and entry["weights"]["likeness"] > 0
    read = fitting.candidates(questions, answers, "still", TRACKS.__getitem__)
    weights = np.array([entry["weights"][name] for name in FEATURES])
    sure = 1 / (1 + np.exp(-(read.features @ weights + entry["bias"])))
    assert sure[~read.copy].max() < entry["precise"] < 1
    assert math.isclose((sure[read.copy] >= entry["precise"]).mean(), 1.0, abs_tol=0.02)
