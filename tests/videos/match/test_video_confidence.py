"""Confidence: more of any evidence never makes it less, and certain matches pass the threshold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from videos.match.confidence import KINDS, QueryKind, VideoEvidence, calibrations, confidence, logit

NOTHING = VideoEvidence(similarity=0.3, score=0.0, coverage=0.0, distinct=0)
SOME = VideoEvidence(0.55, 0.4, 0.8, 2, correlation=0.7, inliers=12, proven=0.5, shown=0.5)
CERTAIN = VideoEvidence(0.95, 0.9, 1.0, 6, correlation=0.98, inliers=120, proven=1.0, shown=1.0)
MORE = {
    "similarity": 0.9,
    "score": 0.9,
    "coverage": 1.0,
    "distinct": 8,
    "correlation": 0.95,
    "inliers": 80,
    "proven": 1.0,
    "shown": 1.0,
}


@pytest.mark.parametrize("kind", KINDS)
def test_more_evidence_never_counts_against(kind: QueryKind) -> None:
    for name, value in MORE.items():
        assert logit(replace(SOME, **{name: value}), kind) >= logit(SOME, kind), name  # type: ignore[arg-type]
    assert logit(replace(SOME, **MORE), kind) > logit(SOME, kind)  # type: ignore[arg-type]
    if kind != "still":  # which is told by its picture alone
        assert logit(replace(SOME, similarity=0.9, score=0.9), kind) > logit(SOME, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_certain_passes(kind: QueryKind) -> None:
    precise = calibrations()[kind].precise
    assert 0.5 <= precise < 1
    assert confidence(NOTHING, kind) < 0.1 < precise < confidence(CERTAIN, kind)
    assert 0 <= confidence(SOME, kind) <= 1


def test_the_odds_order_what_confidence_cannot_tell_apart() -> None:
    stronger = replace(CERTAIN, inliers=200)
    assert logit(stronger, "still") > logit(CERTAIN, "still")
