"""``python -m benchmarks.fit_confidence``: write ``confidence.json`` from calibration pictures.

It gets the product's evidence for every edit of the calibration originals and for calibration
negatives (``benchmarks.recall.split``: pictures that no test uses). It fits a logistic model with
non-negative weights per match type, and calibrates its confidence to how often the first answer is
right. The thresholds come from the calibration negatives.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from benchmarks.recall import asking, corpus, database, duplicates, peers, transforms
from benchmarks.recall.asking import AS_IT_IS, Answers, Question
from benchmarks.recall.methods import EVIDENCE
from benchmarks.recall.split import FULL, Split, split

DECAY = 1e-3
"""Ridge penalty on the weights, per question."""
EVEN = 0.5
SAFETY = 1.0
"""Log-odds between the strongest calibration negative and the ``precise`` threshold, because other
negatives will be slightly stronger."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Candidates:
    """All candidates of all questions. ``features``: n × k; ``copy``: whether it is the original;
    ``question``: the number of its question."""

    features: Floats
    copy: NDArray[np.bool_]
    question: NDArray[np.int64]


@dataclass(frozen=True)
class Fitted:
    bias: float
    weights: Floats

    def logits(self, features: Floats) -> Floats:
        return np.asarray(features @ self.weights + self.bias)


def candidates(questions: Sequence[Question], answers: Answers, match_type: str) -> Candidates:
    """Return the model's input for each candidate of a match type."""
    from gallery.search.confidence import features

    rows, copies, numbers = [], [], []
    for number, question in enumerate(questions):
        for key, values in answers[question.name].found:
            rows.append(features(_evidence(values), match_type))
            copies.append(question.row != AS_IT_IS and question.name[1] == key)
            numbers.append(number)
    return Candidates(np.array(rows), np.array(copies), np.array(numbers))


def _evidence(values: dict[str, Any]) -> Any:
    from gallery.imaging.geometry import GeometricMatch
    from gallery.imaging.image_registration import RegistrationSimilarity
    from gallery.search.confidence import CopyEvidence

    match = GeometricMatch(**values["match"]) if values["match"] else None
    similarity = RegistrationSimilarity(**values["similarity"]) if values["similarity"] else None
    return CopyEvidence(**{**values, "match": match, "similarity": similarity})


def fit(found: Candidates) -> Fitted:
    """Fit the weights on all candidates, then scale and bias on the first answers only."""
    everything = _logistic(found.features, found.copy)
    first = first_answers(everything.logits(found.features), found.question)
    logits = everything.logits(found.features[first])[:, np.newaxis]
    line = _logistic(logits, found.copy[first])
    scale = float(line.weights[0])
    return Fitted(scale * everything.bias + line.bias, scale * everything.weights)


def first_answers(logits: Floats, question: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the index of each question's strongest candidate."""
    order = np.lexsort((-logits, question))
    return order[np.flatnonzero(np.diff(question[order], prepend=-1))]


def _logistic(features: Floats, copy: NDArray[np.bool_]) -> Fitted:
    """Minimize log loss with non-negative weights. Features are scaled while it runs."""
    scale = features.std(axis=0) + 1e-9
    scaled, sign = features / scale, np.where(copy, 1.0, -1.0)
    per_question = 1.0 / max(1, int(copy.sum()))

    def loss(parameters: Floats) -> tuple[float, Floats]:
        weights = parameters[1:]
        margin = sign * (scaled @ weights + parameters[0])
        slope = -sign / (1.0 + np.exp(np.clip(margin, -500, 500)))
        value = per_question * np.logaddexp(0, -margin).sum() + DECAY / 2 * (weights @ weights)
        gradient = per_question * (scaled.T @ slope) + DECAY * weights
        return float(value), np.concatenate([[per_question * slope.sum()], gradient])

    bounds = [(None, None), *[(0.0, None)] * features.shape[1]]
    start = np.zeros(features.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return Fitted(float(found.x[0]), np.asarray(found.x[1:] / scale))


def thresholds(negatives: Floats) -> tuple[float, float]:
    """Return ``precise`` and ``recall`` as 1 − confidence, from the log-odds of the negatives'
    first answers: above all of them, and an even chance."""
    precise = max(0.0, float(negatives.max())) + SAFETY
    return float(1.0 / (1.0 + np.exp(precise))), EVEN


def calibration(questions: Sequence[Question], answers: Answers, match_type: str) -> dict[str, Any]:
    """Return the entry of a match type in confidence.json, and print its results."""
    from gallery.search.confidence import FEATURES

    found = candidates(questions, answers, match_type)
    fitted = fit(found)
    logits = fitted.logits(found.features)
    first = first_answers(logits, found.question)
    negative = np.array([question.row == AS_IT_IS for question in questions])
    precise, recall = thresholds(logits[first][negative[found.question[first]]])
    copies = int((~negative).sum())
    right = found.copy[first]
    passed = right & (logits[first] >= np.log(1 / precise - 1))
    print(
        f"{match_type}: of {copies} copies the original is a candidate of "
        f"{found.copy.sum() / copies:.4f}, the first of {right.sum() / copies:.4f}, and passes the "
        f"precise threshold {precise:.4g} with {passed.sum() / copies:.4f}"
    )
    weights = dict(zip(FEATURES[match_type], fitted.weights.round(4).tolist(), strict=True))
    return {
        "bias": round(fitted.bias, 4),
        "precise": round(precise, 6),
        "recall": round(recall, 6),
        "weights": weights,
    }


def questions_of(parts: Split) -> list[Question]:
    outsiders = parts.calibration_negatives
    return [
        *asking.copies(parts.calibration_originals, transforms.ROWS, outsiders),
        *asking.negatives(outsiders),
    ]


def main() -> None:
    """Collect the missing evidence and write the file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fit_confidence")
    parser.add_argument("--workers", type=int, default=2, help="processes that search")
    options = parser.parse_args()
    parts = split(duplicates.unique(corpus.sources(options.workers)), FULL)
    gallery = database.gallery_digest(parts.gallery)
    with database.running(f"full-{gallery}"):
        database.fill(parts.gallery, options.workers)
        hashes = corpus.directory() / f"peers-{gallery}.npz"
        peers.prepare(parts.gallery, hashes, options.workers)
        questions = questions_of(parts)
        answers = asking.ask(questions, [EVIDENCE], gallery, hashes, options.workers)[EVIDENCE]
        data = {
            "date": datetime.now(UTC).date().isoformat(),
            "data": f"{len(transforms.ROWS)} edits of {len(parts.calibration_originals)} pictures "
            f"and {len(parts.calibration_negatives)} others, of Debian packages and scikit-image, "
            "those whose SHA-256 is even; written by benchmarks/fit_confidence.py",
            **{name: calibration(questions, answers, name) for name in ("copy", "auto")},
        }
    from gallery.search.confidence import PARAMETERS

    write(data, PARAMETERS)


def write(data: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
