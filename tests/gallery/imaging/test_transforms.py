"""Which transform do pairs of points agree on? Exact where it can be, none where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery.imaging.transforms import (
    MIN_PLACES,
    Floats,
    PointPairs,
    count_places,
    fit_affine,
    transform_points,
)
from tests.examples import fuzz


def linear(degrees: float, scale: float, stretch: float = 1.0) -> Floats:
    turn = np.deg2rad(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return scale * rotation @ np.diag([stretch, 1.0])


def pairs_of(q: Floats, matrix: Floats, scale: float = 0.0, turn: float = 0.0) -> PointPairs:
    count = len(q)
    return PointPairs(q, transform_points(matrix, q), np.full(count, scale), np.full(count, turn))


def transformed(q: Floats, degrees: float, scale: float, shift: tuple[float, float]) -> Any:
    matrix = np.c_[linear(degrees, scale), shift]
    return matrix, pairs_of(q, matrix, np.log(scale), np.deg2rad(degrees))


def scattered(count: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(0.05, 0.95, (count, 2))


def joined(a: PointPairs, b: PointPairs) -> PointPairs:
    return PointPairs(
        *(np.concatenate([getattr(a, n), getattr(b, n)]) for n in ("q", "c", "scale", "turn"))
    )


def noise(count: int, seed: int) -> PointPairs:
    random = np.random.default_rng(seed)
    return PointPairs(
        random.uniform(0, 1, (count, 2)),
        random.uniform(0, 1, (count, 2)),
        random.normal(0, 1, count),
        random.uniform(-np.pi, np.pi, count),
    )


@fuzz(30)
@given(
    degrees=st.floats(-180, 180),
    scale=st.floats(0.1, 10),
    shift=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
    count=st.integers(8, 100),
    seed=st.integers(0, 999),
)
def test_a_turn_scale_and_shift_is_found_exactly(
    degrees: float, scale: float, shift: tuple[float, float], count: int, seed: int
) -> None:
    q = scattered(count, seed)
    matrix, pairs = transformed(q, degrees, scale, shift)
    model = fit_affine(pairs)
    assert model is not None
    assert np.allclose(model.matrix, matrix, atol=1e-6)
    assert model.places == min(count_places(pairs.q), count_places(pairs.c))
    assert model.residual < 1e-6


@pytest.mark.parametrize("stretch", [0.6, 0.8, 1.3, 1.6])
def test_a_stretched_picture(stretch: float) -> None:
    q = scattered(80)
    matrix = np.c_[linear(20, 1.0, stretch), (0.1, 0.2)]
    model = fit_affine(pairs_of(q, matrix, np.log(stretch) / 2, np.deg2rad(20)))
    assert model is not None
    assert np.allclose(model.matrix, matrix, atol=1e-6)
    assert model.places == pytest.approx(80, abs=5)


@pytest.mark.parametrize("seed", range(5))
def test_most_pairs_may_be_wrong(seed: int) -> None:
    matrix, right = transformed(scattered(25, seed), 30, 0.5, (0.2, 0.1))
    model = fit_affine(joined(noise(100, seed), right))
    assert model is not None
    assert np.allclose(model.matrix, matrix, atol=0.02)
    assert 20 <= model.places <= 27


def test_wrong_pairs_alone_agree_on_nothing() -> None:
    found = [fit_affine(noise(40, seed)) for seed in range(300)]
    assert sum(model is not None for model in found) <= 1


def test_places_not_pairs_are_counted() -> None:
    q = np.repeat(scattered(12), 10, axis=0)
    _, pairs = transformed(q, 10, 1.0, (0.0, 0.0))
    model = fit_affine(pairs)
    assert model is not None
    assert model.places == count_places(q) <= 12
    few = np.repeat(scattered(MIN_PLACES - 1), 50, axis=0)
    assert fit_affine(transformed(few, 10, 1.0, (0.0, 0.0))[1]) is None


@pytest.mark.parametrize("count", range(MIN_PLACES))
def test_too_few_pairs(count: int) -> None:
    assert fit_affine(transformed(scattered(count), 0, 1.0, (0.0, 0.0))[1]) is None


@pytest.mark.parametrize("degrees", [0, 30, 90, 135])
def test_all_points_on_a_line(degrees: float) -> None:
    along = np.linspace(-0.4, 0.4, 60)
    q = 0.5 + np.c_[along * np.cos(np.deg2rad(degrees)), along * np.sin(np.deg2rad(degrees))]
    assert fit_affine(transformed(q, 0, 1.0, (0.1, 0.0))[1]) is None
    nearly = q + np.random.default_rng(0).normal(0, 0.002, q.shape)
    assert fit_affine(transformed(nearly, 0, 1.0, (0.1, 0.0))[1]) is None


def test_all_points_in_one_place() -> None:
    q = 0.5 + np.random.default_rng(0).uniform(0, 0.005, (200, 2))
    assert fit_affine(transformed(q, 0, 1.0, (0.0, 0.0))[1]) is None
    assert fit_affine(transformed(np.full((50, 2), 0.5), 0, 1.0, (0.0, 0.0))[1]) is None


def test_many_places_that_are_one_place_in_the_other_picture() -> None:
    q = scattered(60)
    onto_one = PointPairs(q, np.full_like(q, 0.5), np.zeros(60), np.zeros(60))
    assert fit_affine(onto_one) is None
    assert fit_affine(PointPairs(onto_one.c, onto_one.q, onto_one.scale, onto_one.turn)) is None


def test_a_reflection_is_refused() -> None:
    """Mirrored pictures are compared mirrored: a transform never turns a picture over."""
    q = scattered(80)
    reflected = np.array([[-1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    model = fit_affine(pairs_of(q, reflected))
    assert model is None or model.places < 15


@pytest.mark.parametrize("stretch", [3.0, 5.0])
def test_a_stretch_that_no_edit_makes_is_refused(stretch: float) -> None:
    q = scattered(80)
    matrix = np.c_[linear(0, 1.0, stretch), (0.0, 0.0)]
    model = fit_affine(pairs_of(q, matrix, np.log(stretch) / 2))
    assert model is None or model.places < 40


@pytest.mark.parametrize("scale", [25.0, 1 / 25])
def test_a_scale_beyond_twenty_is_refused(scale: float) -> None:
    assert fit_affine(transformed(scattered(80), 0, scale, (0.0, 0.0))[1]) is None


def test_features_must_be_turned_and_scaled_as_their_places_are() -> None:
    q = scattered(60)
    identity = np.c_[np.eye(2), (0.0, 0.0)]
    assert fit_affine(pairs_of(q, identity)) is not None
    assert fit_affine(pairs_of(q, identity, turn=np.pi / 2)) is None
    assert fit_affine(pairs_of(q, identity, scale=np.log(4.0))) is None


def test_residual_and_spread_are_in_shares_of_the_long_side() -> None:
    random = np.random.default_rng(0)
    q = np.c_[random.uniform(0, 1, 400), random.uniform(0.4, 0.6, 400)]
    matrix, exact = transformed(q, 0, 1.0, (0.0, 0.0))
    noisy = PointPairs(q, exact.c + random.normal(0, 0.003, q.shape), exact.scale, exact.turn)
    model = fit_affine(noisy)
    assert model is not None
    assert model.residual == pytest.approx(0.003 * np.sqrt(2 * np.log(2)), rel=0.15)
    assert model.spread == pytest.approx(0.2 / np.sqrt(12), rel=0.1)
    assert np.allclose(model.matrix, matrix, atol=0.003)


def test_the_same_pairs_give_the_same_model() -> None:
    pairs = joined(noise(60, 1), transformed(scattered(15, 2), 5, 1.2, (0.0, 0.1))[1])
    first, second = fit_affine(pairs), fit_affine(pairs)
    assert first is not None
    assert second is not None
    assert np.array_equal(first.matrix, second.matrix)
    assert (first.places, first.residual) == (second.places, second.residual)
