"""Confidence: calibrated parameters, and what more evidence may and may not do."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery.imaging.geometry import GeometricMatch
from gallery.imaging.image_registration import RegistrationSimilarity
from gallery.search import confidence
from gallery.search.confidence import FEATURES, MATCH_TYPES, CopyEvidence, calibrations, features
from gallery.search.match_types import MATCH_TYPES as ENDS
from tests.examples import fuzz

STRONG = GeometricMatch(
    inliers=120,
    tentative=150,
    support=0.8,
    residual=0.001,
    spread=0.2,
    query_size=(800, 600),
    candidate_size=(800, 600),
    matrix=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    mirrored=False,
    rotation=0.0,
    scale=1.0,
    query_region=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),
    candidate_region=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),
    query_area=1.0,
    candidate_area=1.0,
)
ALIKE = RegistrationSimilarity(
    correlation=0.999, local=0.99, worst=0.97, texture=0.4, difference=4.0, colour=0.5
)
matches = st.builds(
    lambda inliers, support, query, candidate: replace(
        STRONG, inliers=inliers, support=support, query_area=query, candidate_area=candidate
    ),
    st.integers(5, 320),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
)
similarities = st.builds(
    RegistrationSimilarity,
    correlation=st.floats(-1, 1),
    local=st.floats(-1, 1),
    worst=st.floats(-1, 1),
    texture=st.floats(0, 1),
    difference=st.floats(0, 255),
    colour=st.floats(0, 200),
)
evidences = st.builds(
    CopyEvidence,
    cnn=st.none() | st.floats(0, 2),
    part=st.none() | st.floats(0, 2),
    pdq=st.none() | st.integers(0, 256).map(float),
    imgsmlr=st.none() | st.floats(0, 20),
    clip=st.none() | st.floats(0, 2),
    match=st.none() | matches,
    similarity=st.none() | similarities,
)
kinds = st.sampled_from(MATCH_TYPES)


@fuzz(25)
@given(evidences, kinds)
def test_it_is_a_probability_and_its_features_are_finite(evidence: CopyEvidence, kind: str) -> None:
    values = features(evidence, kind)
    assert values.shape == (len(FEATURES[kind]),)
    assert np.isfinite(values).all() and (values >= 0).all()
    assert 0 <= confidence.confidence(evidence, kind) <= 1


@fuzz(25)
@given(evidences, matches, kinds)
def test_a_match_never_makes_it_less_sure(
    evidence: CopyEvidence, match: GeometricMatch, kind: str
) -> None:
    without = confidence.logit(replace(evidence, match=None), kind)
    found = replace(evidence, match=match)
    assert confidence.logit(found, kind) >= without
    more = replace(found, match=replace(match, inliers=match.inliers * 2))
    assert confidence.logit(more, kind) >= confidence.logit(found, kind)


@fuzz(25)
@given(evidences, similarities, kinds)
def test_a_look_never_makes_it_less_sure(
    evidence: CopyEvidence, similarity: RegistrationSimilarity, kind: str
) -> None:
    without = confidence.logit(replace(evidence, similarity=None), kind)
    assert confidence.logit(replace(evidence, similarity=similarity), kind) >= without


@fuzz(25)
@given(evidences, kinds, st.floats(0, 1))
def test_nearer_is_never_less_sure(evidence: CopyEvidence, kind: str, share: float) -> None:
    for name in ("cnn", "part", "pdq", "imgsmlr"):
        distance = getattr(evidence, name)
        if distance is None:
            continue
        nearer = replace(evidence, **{name: distance * share})
        assert confidence.logit(nearer, kind) >= confidence.logit(evidence, kind)
        unknown = replace(evidence, **{name: None})
        assert confidence.logit(evidence, kind) >= confidence.logit(unknown, kind)


@pytest.mark.parametrize("kind", MATCH_TYPES)
def test_the_ends(kind: str) -> None:
    same = CopyEvidence(cnn=0.0, pdq=0.0, imgsmlr=0.0, match=STRONG, similarity=ALIKE)
    stranger = CopyEvidence(cnn=0.95, pdq=124.0, imgsmlr=5.0)
    assert confidence.confidence(same, kind) > 0.999
    assert confidence.confidence(CopyEvidence(), kind) < 0.05
    assert confidence.confidence(stranger, kind) < 0.05
    assert 1 - confidence.confidence(same, kind) <= ENDS[kind].precise


@pytest.mark.parametrize("kind", MATCH_TYPES)
def test_strong_evidence_of_one_kind_is_enough(kind: str) -> None:
    """A blurred copy has no local features, a crop no near global vector."""
    blurred = CopyEvidence(
        cnn=0.02, pdq=16.0, imgsmlr=0.3, similarity=replace(ALIKE, difference=9.0)
    )
    for evidence in (blurred, CopyEvidence(cnn=0.9, match=STRONG)):
        assert 1 - confidence.confidence(evidence, kind) <= ENDS[kind].recall


def test_the_same_hash_is_enough_for_auto() -> None:
    same = CopyEvidence(pdq=0.0, imgsmlr=0.0, similarity=ALIKE)
    assert 1 - confidence.confidence(same, "auto") <= ENDS["auto"].recall


@pytest.mark.parametrize("kind", MATCH_TYPES)
def test_the_parameters_say_where_they_come_from(kind: str) -> None:
    data: dict[str, Any] = json.loads(confidence.PARAMETERS.read_text())
    assert date.fromisoformat(data["date"]) <= date.today()
    assert data["data"]
    assert data[kind]["weights"].keys() == set(FEATURES[kind])
    assert all(weight >= 0 for weight in data[kind]["weights"].values())
    calibration = calibrations()[kind]
    assert 0 < calibration.precise < calibration.recall < 1
    assert math.isfinite(calibration.bias)


@fuzz(25)
@given(evidences, kinds)
def test_the_same_file_leaves_no_doubt(evidence: CopyEvidence, kind: str) -> None:
    same = replace(evidence, same_file=True)
    assert confidence.confidence(same, kind) == 1
    assert confidence.logit(same, kind) >= confidence.logit(evidence, kind)


def test_methods_names_what_is_known() -> None:
    assert CopyEvidence(cnn=0.12345678, pdq=3.0).methods() == {"cnn": 0.123457, "pdq": 3.0}
    assert CopyEvidence().methods() == {}


@pytest.mark.parametrize("match_type", MATCH_TYPES)
def test_many_vectors_at_once_say_what_each_says_alone(match_type: str) -> None:
    random = np.random.default_rng(2)
    whole, part = random.uniform(0, 2, (2, 200))
    expected = [
        confidence.logit(CopyEvidence(cnn=a, part=b), match_type)
        for a, b in zip(whole.tolist(), part.tolist(), strict=True)
    ]
    assert np.allclose(confidence.logits_of_vectors(whole, part, match_type), expected)
    nothing = confidence.logits_of_vectors(np.array([2.0]), np.array([2.0]), match_type)
    assert nothing == pytest.approx(confidence.logit(CopyEvidence(), match_type))
