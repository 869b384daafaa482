"""Fitting the confidence: no weight is negative, probabilities come true, thresholds hold."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fit_confidence
from benchmarks.fit_confidence import Candidates, Fitted
from benchmarks.recall.asking import AS_IT_IS, Answer, Question
from benchmarks.recall.corpus import Source
from gallery.search.confidence import FEATURES, CopyEvidence


def world(questions: int, seed: int) -> Candidates:
    """Five candidates a question, of which the first is often a copy: feature 0 says how likely,
    feature 1 says the contrary, feature 2 nothing."""
    random = np.random.default_rng(seed)
    strength = random.uniform(0, 6, questions)
    copy = random.random(questions) < 1 / (1 + np.exp(3 - 2 * strength))
    features = np.abs(random.normal(0, 0.2, (questions, 5, 3)))
    features[:, 0, 0] = strength
    features[:, :, 1] = 6
    features[:, 0, 1] -= strength
    flags = np.zeros((questions, 5), bool)
    flags[:, 0] = copy
    number = np.repeat(np.arange(questions), 5)
    return Candidates(features.reshape(-1, 3), flags.ravel(), number)


def test_weights_speak_only_for_a_copy_and_come_true_elsewhere() -> None:
    fitted = fit_confidence.fit(world(4000, 1))
    assert (fitted.weights >= 0).all()
    assert fitted.weights[0] > 1
    assert fitted.weights[1] == 0
    other = world(4000, 2)
    logits = fitted.logits(other.features)
    first = fit_confidence.first_answers(logits, other.question)
    assert len(first) == 4000
    sure = 1 / (1 + np.exp(-logits[first]))
    for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 1.0)):
        inside = (sure >= low) & (sure <= high)
        assert other.copy[first][inside].mean() == pytest.approx(sure[inside].mean(), abs=0.05)


def test_the_first_answer_is_the_strongest_of_its_question() -> None:
    logits = np.array([0.0, 2.0, 1.0, -1.0, -3.0])
    question = np.array([4, 4, 4, 7, 7])
    assert fit_confidence.first_answers(logits, question).tolist() == [1, 3]


@pytest.mark.parametrize("strongest", [-2.0, 1.0, 4.0])
def test_no_negative_passes_the_precise_threshold(strongest: float) -> None:
    logits = np.linspace(-8, strongest, 1000)
    precise, recall = fit_confidence.thresholds(logits)
    distances = 1 / (1 + np.exp(logits))
    assert (distances <= precise).sum() == 0
    assert precise < recall == 0.5


def test_candidates_of_answers() -> None:
    source = Source("ab" * 32, "toys", "a.png", "a.png")
    near, far = asdict(CopyEvidence(cnn=0.1, pdq=4)), asdict(CopyEvidence(cnn=0.9))
    questions = [Question("grey", source), Question(AS_IT_IS, source)]
    answers = {
        question.name: Answer(((source.key[:16], near), ("other", far))) for question in questions
    }
    for match_type, names in FEATURES.items():
        found = fit_confidence.candidates(questions, answers, match_type)
        assert found.copy.tolist() == [True, False, False, False]
        assert found.question.tolist() == [0, 0, 1, 1]
        assert found.features.shape == (4, len(names))
        assert (found.features[0] >= found.features[1]).all()


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    fit_confidence.write({"auto": {"bias": -1.5}}, tmp_path / "confidence.json")
    assert json.loads((tmp_path / "confidence.json").read_text()) == {"auto": {"bias": -1.5}}
    assert Fitted(-1.0, np.array([2.0])).logits(np.array([[3.0]])).tolist() == [5.0]
