"""The figures of the recall benchmark, on answers made by hand."""

from __future__ import annotations

import random

import pytest

from benchmarks.recall import duplicates, figures, table
from benchmarks.recall.asking import AS_IT_IS, Answer, copies, negatives, run_questions
from benchmarks.recall.corpus import Source
from benchmarks.recall.figures import NEVER
from benchmarks.recall.split import Sizes, calibrates, split


def source(number: int, package: str = "a") -> Source:
    """A picture whose key ends with the number's last hexadecimal digit."""
    chance = random.Random(number).getrandbits(120)
    return Source(f"{chance:030x}{number:034x}", package, f"{number}.png", f"{number}.png")


def answer(*found: tuple[Source, float]) -> Answer:
    return Answer(tuple((figures.digits(one), distance) for one, distance in found))


def test_figures_of_one_row() -> None:
    first, second, third, fourth, other = originals = [source(n) for n in range(5)]
    strangers = [source(n) for n in (10, 11)]
    calm = [source(n) for n in (20, 21)]
    alike = source(30)
    answers = {
        ("mirror", figures.digits(first)): answer((first, 0.1), (other, 0.5)),
        ("mirror", figures.digits(second)): answer((other, 0.2), (second, 0.25)),
        ("mirror", figures.digits(third)): answer((other, 0.2)),
        ("mirror", figures.digits(fourth)): answer((fourth, 0.4)),
        ("mirror", figures.digits(other)): answer(),
        (AS_IT_IS, figures.digits(strangers[0])): answer((first, 0.25)),
        (AS_IT_IS, figures.digits(strangers[1])): answer((first, 0.6), (other, 0.7)),
        (AS_IT_IS, figures.digits(calm[0])): answer(),
        (AS_IT_IS, figures.digits(calm[1])): answer((third, 0.3)),
        (AS_IT_IS, figures.digits(alike)): answer((third, 0.01)),
    }
    found = figures.measure(answers, originals, ["mirror"], strangers, calm, [alike])
    row = found.rows["mirror"]
    assert (row.first, row.frozen, row.own) == pytest.approx((2 / 5, 2 / 5, 1 / 5))
    assert (found.threshold, found.own_threshold, found.false_positives) == (0.3, 0.25, 1)
    assert found.siblings == 1
    assert found.mean == row


def test_no_negative_is_nearer_than_the_threshold() -> None:
    assert figures.zero_false_positives([0.5, 0.2, NEVER]) == 0.2
    assert figures.zero_false_positives([NEVER, NEVER]) == NEVER
    assert figures.share_below([0.1, 0.2, NEVER], 0.2) == pytest.approx(1 / 3)
    assert figures.share_below([0.1, 0.2, NEVER], NEVER) == pytest.approx(2 / 3)


def test_calibration_error() -> None:
    error, bins = figures.reliability([(0.95, True), (0.95, False), (1.0, True), (0.0, False)])
    assert error == pytest.approx(3 / 4 * (2.9 / 3 - 2 / 3))
    assert [one.count for one in bins] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 3]
    assert bins[9].confidence == pytest.approx(2.9 / 3)
    assert bins[9].correct == pytest.approx(2 / 3)
    perfect = [(0.7, n < 7) for n in range(10)] + [(0.2, n < 2) for n in range(10)]
    assert figures.reliability(perfect)[0] == pytest.approx(0)


def test_claims_are_first_answers_of_copies_and_negatives() -> None:
    original, stranger, lost = source(1), source(2), source(3)
    answers = {
        ("grey", figures.digits(original)): answer((original, 0.1)),
        ("grey", figures.digits(lost)): answer(),
        (AS_IT_IS, figures.digits(stranger)): answer((original, 0.7)),
    }
    claims = figures.claims(answers, [original, lost], ["grey"], [stranger])
    assert claims == [(0.9, True), (pytest.approx(0.3), False)]


SIZES = Sizes(20, 30, 10, 40, None)
PICTURES = [source(n, "flags" if n % 10 else "photos") for n in range(400)]


def test_nobody_plays_two_parts_and_nobody_is_left_out() -> None:
    parts = split(PICTURES, SIZES)
    every = [
        *parts.gallery,
        *parts.test_negatives,
        *parts.calibration_negatives,
    ]
    assert sorted(one.key for one in every) == sorted(one.key for one in PICTURES)
    counts = [len(parts.test_originals), len(parts.test_negatives)]
    counts += [len(parts.calibration_originals), len(parts.calibration_negatives)]
    assert counts == [20, 30, 10, 40]
    assert len(split(PICTURES, Sizes(20, 30, 10, 40, 50)).distractors) == 50


def test_even_keys_calibrate_and_odd_ones_test() -> None:
    parts = split(PICTURES, SIZES)
    assert not any(map(calibrates, [*parts.test_originals, *parts.test_negatives]))
    assert all(map(calibrates, [*parts.calibration_originals, *parts.calibration_negatives]))
    assert {calibrates(one) for one in parts.distractors} == {True, False}


def test_originals_come_from_every_package_whatever_the_order() -> None:
    parts = split(PICTURES, SIZES)
    assert sum(one.package == "photos" for one in parts.calibration_originals) == 5
    assert split(PICTURES[::-1], SIZES) == parts


def test_everything_is_asked_with_outsiders_around_it() -> None:
    parts = split(PICTURES, SIZES)
    questions = run_questions(parts, ["grey", "collage 2×2"], [source(1000)])
    assert len({question.name for question in questions}) == len(questions) == 2 * 20 + 30 + 41
    collages = [question for question in questions if question.row == "collage 2×2"]
    for question in collages:
        assert len(set(question.others)) == 3
        assert set(question.others) <= set(parts.test_negatives)
    assert len({question.others for question in collages}) > 10
    again = copies(parts.test_originals, ["collage 2×2"], parts.test_negatives)
    assert again == collages
    assert [q.row for q in negatives(parts.test_negatives)] == [AS_IT_IS] * 30


def test_the_larger_of_two_stays_and_chains_do_not_remove_more() -> None:
    pictures = [source(n) for n in range(4)]
    pairs = [(0, 1, "pdq", 3), (1, 2, "geometry", 40)]
    removed = duplicates._greedy(pictures, [100, 200, 50, 10], pairs)
    assert {(pair.kept, pair.removed) for pair in removed} == {
        (pictures[1], pictures[0]),
        (pictures[1], pictures[2]),
    }
    removed = duplicates._greedy(pictures, [200, 100, 50, 10], pairs)
    assert [(pair.kept, pair.removed) for pair in removed] == [(pictures[0], pictures[1])]


def test_the_tables_name_every_method_edit_and_figure() -> None:
    row = figures.Row(0.995, 0.5, 0.25)
    one = figures.Figures({"grey": row, "blur σ4": row}, 0.125, 0.5, 3, 7)
    text = table.recall({"auto": one}, ["grey", "blur σ4"], {"clip": "Set CLIP_PRETRAINED."})
    for part in ("| grey | 99.5 |", "| grey | 50.0 |", "| grey | 25.0 |", "| threshold | 0.125 |"):
        assert part in text
    assert "| false positives | 3 |" in text
    assert "| of a common template | 7 |" in text
    assert "clip: no weights here. Set CLIP_PRETRAINED." in text
    aims = table.targets(one, 130.0, 0.01)
    assert "| mean R@1 | 0.995 | ≥ 0.97 | met |" in aims
    assert "| false positives there | 3 | ≤ 0 | missed |" in aims
    assert "| search p95, ms | 130 | ≤ 120 | missed |" in aims
    bins = figures.reliability([(0.95, True)])
    assert "| 0.9 – 1.0 | 1 | 0.950 | 1.000 |" in table.calibration({"auto": bins})
