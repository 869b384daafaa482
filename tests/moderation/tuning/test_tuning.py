"""Precision and recall from weighted decisions: against scipy, against plain counts, and against a
known truth that is only seen through the sampling of the observe band."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.cases import intervals, quality
from moderation.cases.intervals import Interval, Tally, share
from moderation.tuning import curves
from moderation.tuning.curves import MatchOutcome, RecordedMatches, standing_for
from tests.examples import fuzz

OBSERVE, THRESHOLD = 52, 31
GRID = curves.grid(OBSERVE, whole=True)

matches = st.lists(
    st.tuples(
        st.integers(0, OBSERVE).map(float),
        st.sampled_from([int(outcome) for outcome in MatchOutcome]),
        st.sampled_from([1.0, 5.0, 10.0, 50.0]),
        st.booleans(),
    ),
    max_size=120,
)


def everything_decided(distance: float, confirmed: int, dismissed: int) -> list[tuple]:
    return [(distance, int(n < confirmed), 1.0, True) for n in range(confirmed + dismissed)]


# --- intervals ------------------------------------------------------------------------------


def tally(count: float, weight: float = 1.0) -> Tally:
    return Tally(*(np.array([v]) for v in (count * weight, count * weight**2, weight)))


@fuzz(25)
@given(st.integers(0, 500), st.integers(0, 500))
def test_without_weights_it_is_the_jeffreys_interval(yes: int, no: int) -> None:
    if yes + no == 0:
        return
    value, low, high = (part[0] for part in share(tally(yes), tally(no)))
    from scipy import stats  # a second of imports in each worker

    expected = stats.beta.ppf([0.025, 0.975], yes + 0.5, no + 0.5)
    assert value == yes / (yes + no)
    assert low == pytest.approx(min(expected[0], value) if yes else 0, abs=1e-6)
    assert high == pytest.approx(max(expected[1], value) if no else 1, abs=1e-6)


@fuzz(25)
@given(st.integers(1, 200), st.integers(1, 200), st.floats(0.1, 100))
def test_a_weight_that_all_share_changes_nothing(yes: int, no: int, weight: float) -> None:
    plain = share(tally(yes), tally(no))
    weighted = share(tally(yes, weight), tally(no, weight))
    for one, other in zip(plain, weighted, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_nothing_seen_is_no_share() -> None:
    assert all(np.isnan(part[0]) for part in share(tally(0), tally(0)))


def test_few_heavy_observations_say_less_than_many_light_ones() -> None:
    _, low_many, high_many = share(tally(100), tally(100))
    _, low_few, high_few = share(tally(10, 10.0), tally(10, 10.0))
    assert high_few[0] - low_few[0] > 2.5 * (high_many[0] - low_many[0])


# --- curves ---------------------------------------------------------------------------------


@fuzz(25)
@given(matches)
def test_points_are_in_order_and_intervals_hold_their_estimate(rows: list[tuple]) -> None:
    found = curves.curves(RecordedMatches.of(rows), GRID)
    assert [point.threshold for point in found.points] == GRID
    recalls = [point.recall.value for point in found.points if point.recall]
    assert recalls == sorted(recalls) or recalls == pytest.approx(sorted(recalls))
    for point in found.points:
        assert point.matched == sum(row[0] <= point.threshold for row in rows)
        assert point.decided == sum(
            row[0] <= point.threshold and row[1] != MatchOutcome.UNDECIDED for row in rows
        )
        for interval in filter(None, (point.precision, point.recall)):
            assert 0 <= interval.low <= interval.value <= interval.high <= 1
        assert point.precision is None or point.decided >= intervals.MIN_DECIDED


@fuzz(25)
@given(matches, st.randoms())
def test_the_order_of_the_rows_does_not_matter(rows: list[tuple], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (curves.curves(RecordedMatches.of(these), GRID) for these in (rows, shuffled))
    for a, b in zip(one.points, other.points, strict=True):
        assert (a.matched, a.decided) == (b.matched, b.decided)
        assert (a.precision is None) == (b.precision is None)
        if a.precision and b.precision:
            assert a.precision.value == pytest.approx(b.precision.value)
            assert a.precision.low == pytest.approx(b.precision.low, abs=1e-6)


@fuzz(25)
@given(matches)
def test_decided_matches_stand_for_all_that_were_recorded(rows: list[tuple]) -> None:
    evidence = RecordedMatches.of(rows)
    weights = standing_for(evidence)
    assert np.all(weights[evidence.outcomes == MatchOutcome.UNDECIDED] == 0)
    for group in (evidence.queued, ~evidence.queued):
        if np.any(evidence.outcomes[group] != MatchOutcome.UNDECIDED):
            assert weights[group].sum() == pytest.approx(np.count_nonzero(group))


def test_with_all_decided_and_no_sampling_they_are_plain_shares() -> None:
    rows = everything_decided(10, 40, 10) + everything_decided(40, 10, 60)
    found = curves.curves(RecordedMatches.of(rows), GRID)
    near, far = found.at(10), found.at(52)
    assert near is not None and near.precision is not None and near.recall is not None
    assert far is not None and far.precision is not None
    assert near.precision.value == pytest.approx(40 / 50)
    assert near.recall.value == pytest.approx(40 / 50)
    assert far.precision.value == pytest.approx(50 / 120)
    assert far.recall == Interval(1.0, 1.0, 1.0)


@pytest.mark.parametrize("decided", [0, 1, 29, 30])
def test_under_thirty_decisions_nothing_is_told(decided: int) -> None:
    rows = everything_decided(10, decided, 0) + [(12.0, -1, 1.0, True)] * 50
    point = curves.curves(RecordedMatches.of(rows), GRID).at(10)
    assert point is not None
    assert (point.precision is not None) == (decided >= 30)
    assert point.decided == decided


def test_recall_is_unknown_while_nothing_beyond_is_decided() -> None:
    rows = everything_decided(10, 100, 0) + [(40.0, -1, 10.0, False)] * 300
    found = curves.curves(RecordedMatches.of(rows), GRID)
    beyond = found.at(31)
    assert beyond is not None and beyond.precision is not None
    assert beyond.recall is None


def test_dismissed_samples_may_hide_confirmations_as_heavy_as_they_are() -> None:
    """All 20 sampled beyond the threshold were dismissed: recall is not known to be 100 %."""
    rows = everything_decided(10, 100, 0)
    rows += [(40.0, 0, 20.0, False)] * 20 + [(40.0, -1, 20.0, False)] * 380
    point = curves.curves(RecordedMatches.of(rows), GRID).at(31)
    assert point is not None and point.recall is not None
    assert point.recall.value == 1
    assert point.recall.low < 0.9


def test_what_is_decided_first_does_not_speak_for_the_rest() -> None:
    """Of 100 near matches all are decided, of 100 far ones one in five: as if all had been."""
    rows = everything_decided(5, 100, 0)
    rows += [(25.0, int(n < 10), 1.0, True) for n in range(20)]
    rows += [(25.0, -1, 1.0, True)] * 80
    point = curves.curves(RecordedMatches.of(rows), GRID).at(31)
    assert point is not None and point.precision is not None
    assert point.precision.value == pytest.approx(150 / 200)


def test_the_suggestion_goes_by_the_lower_end() -> None:
    rows = everything_decided(10, 60, 0) + everything_decided(30, 52, 8)
    rows += everything_decided(45, 10, 60)
    found = curves.curves(RecordedMatches.of(rows), GRID)
    at_thirty = found.at(30)
    assert at_thirty is not None and at_thirty.precision is not None
    assert at_thirty.precision.value > 0.92 > at_thirty.precision.low
    # By the estimate it would be 44, by the lower end it stops before those at 30.
    suggested = curves.suggest(found, 0.92)
    assert suggested is not None and suggested.threshold == 29
    assert curves.suggest(found, 0.999) is None
    lower = curves.suggest(found, 0.85)
    assert lower is not None and lower.threshold == 44


@fuzz(25)
@given(matches, st.integers(1, 60))
def test_bars_count_every_match_once(rows: list[tuple], count: int) -> None:
    found = curves.bins(RecordedMatches.of(rows), OBSERVE, count)
    assert len(found) == count
    for outcome, name in ((1, "confirmed"), (0, "dismissed"), (-1, "undecided")):
        assert sum(getattr(one, name) for one in found) == sum(row[1] == outcome for row in rows)


def test_a_whole_distance_lies_in_the_bar_that_ends_with_it() -> None:
    found = curves.bins(RecordedMatches.of(everything_decided(31, 3, 0)), 52, 52)
    assert [(one.low, one.high) for one in found if one.confirmed] == [(30.0, 31.0)]


@fuzz(25)
@given(matches, st.integers(0, 52), st.integers(0, 52))
def test_a_move_changes_what_lies_between(rows: list[tuple], before: int, after: int) -> None:
    found = curves.threshold_change(RecordedMatches.of(rows), before, after)
    within = [sum(row[0] <= threshold for row in rows) for threshold in (before, after)]
    assert found.added - found.dropped == within[1] - within[0]
    assert not (found.added and found.dropped)
    assert found.confirmed + found.dismissed <= found.added + found.dropped


def test_thresholds_that_are_looked_at() -> None:
    assert curves.grid(3, whole=True) == [0, 1, 2, 3]
    fine = curves.grid(0.2, whole=False)
    assert fine[0] == 0 and fine[-1] == 0.2 and len(fine) == 61


# --- against a known truth ------------------------------------------------------------------

D = np.arange(OBSERVE + 1)
HOW_OFTEN = np.exp(-(((D - 8) / 7) ** 2)) + 0.3 * np.exp((D - 52) / 18) + 0.05
HOW_OFTEN = HOW_OFTEN / HOW_OFTEN.sum()
CONFIRMED = 1 / (1 + np.exp((D - 28) / 5))
RUNS = 300


def simulated(
    rng: np.random.Generator, count: int, observe_share: float, answered: Callable[..., object]
) -> RecordedMatches:
    """Matches as moderation records them: all within the threshold are queued, a share beyond."""
    d = rng.choice(D, size=rng.poisson(count), p=HOW_OFTEN)
    within = d <= THRESHOLD
    queued = within | (rng.random(len(d)) < observe_share)
    decided = queued & (rng.random(len(d)) < answered(d))
    truth = (rng.random(len(d)) < CONFIRMED[d]).astype(int)
    outcomes = np.where(decided, truth, -1)
    weights = np.where(within, 1.0, 1 / observe_share)
    return RecordedMatches.of(list(zip(d, outcomes, weights, within, strict=True)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "observe_share", "answered"),
    [
        (500, 0.1, lambda d: 1.0),
        (2000, 0.1, lambda d: 1.0),
        (2000, 0.05, lambda d: np.clip(0.9 - d / 80, 0.1, 1)),
    ],
    ids=["few", "many", "near ones decided first"],
)
def test_intervals_cover_the_truth_at_their_rate(
    count: int, observe_share: float, answered: Callable[..., object]
) -> None:
    """95 % intervals: of 300 each, at least 91 % hold the truth (three standard deviations below
    95 %), of all together 95 %; those of rare heavy samples hold it more often than they say."""
    rng = np.random.default_rng(1)
    thresholds = (12, 20, 31, 40, 46)
    held: dict[tuple[str, int], list[bool]] = {}
    for _ in range(RUNS):
        found = curves.curves(simulated(rng, count, observe_share, answered), (*thresholds, 52))
        for t in thresholds:
            near = t >= D
            right = (HOW_OFTEN * CONFIRMED)[near].sum()
            truths = right / HOW_OFTEN[near].sum(), right / (HOW_OFTEN * CONFIRMED).sum()
            point = found.at(t)
            assert point is not None
            for name, truth in zip(("precision", "recall"), truths, strict=True):
                if interval := getattr(point, name):
                    held.setdefault((name, t), []).append(interval.low <= truth <= interval.high)
    rates = {key: np.mean(values) for key, values in held.items()}
    assert len(rates) == 2 * len(thresholds)
    assert min(len(values) for values in held.values()) > RUNS * 0.8
    assert min(rates.values()) >= 0.91, rates
    assert np.mean(list(rates.values())) >= 0.95


def test_ignoring_the_weights_would_mislead() -> None:
    """The test above can fail: with every weight 1, recall at 20 looks better than it is."""
    rng = np.random.default_rng(3)
    near = D <= 31
    truth = (HOW_OFTEN * CONFIRMED)[near].sum() / (HOW_OFTEN * CONFIRMED).sum()
    missed = 0
    for _ in range(40):
        seen = simulated(rng, 8000, 0.02, lambda d: 1.0)
        seen = seen.__class__(*(part[seen.outcomes >= 0] for part in (
            seen.distances, seen.outcomes, np.ones_like(seen.weights), seen.queued
        )))  # fmt: skip
        point = curves.curves(seen, GRID).at(31)
        assert point is not None and point.recall is not None
        missed += not point.recall.low <= truth <= point.recall.high
    assert missed >= 36


# --- agreement ------------------------------------------------------------------------------


def pairs(both: int, only_first: int, only_second: int, neither: int) -> list[tuple[str, str]]:
    return (
        [("confirm", "confirm")] * both
        + [("confirm", "dismiss")] * only_first
        + [("dismiss", "confirm")] * only_second
        + [("dismiss", "dismiss")] * neither
    )


def test_cohens_example() -> None:
    """20 yes/yes, 5, 10, 15: the textbook's kappa of 0.4 at an agreement of 0.7."""
    found = quality.agreement(pairs(20, 5, 10, 15))
    assert (found.cases, found.alike) == (50, 35)
    assert found.raw == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)


@fuzz(25)
@given(*[st.integers(0, 60)] * 4)
def test_kappa_never_exceeds_the_raw_agreement(a: int, b: int, c: int, d: int) -> None:
    found = quality.agreement(pairs(a, b, c, d))
    if found.cases < intervals.MIN_DECIDED:
        assert found.raw is None and found.kappa is None
    else:
        assert found.raw is not None and 0 <= found.raw <= 1
        assert found.kappa is None or -1 <= found.kappa <= found.raw + 1e-12


def test_no_kappa_where_chance_alone_makes_them_agree() -> None:
    found = quality.agreement(pairs(40, 0, 0, 0))
    assert found.raw == 1
    assert found.kappa is None
