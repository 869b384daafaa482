"""The figures of the answers: pure functions of answers and of the videos' content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.videos.asking import Answers, Found
from benchmarks.videos.queries import Excerpt, Question
from benchmarks.videos.tracks import Track

Tracks = Callable[[str], Track]
"""A film's key → its track."""

OVERLAPS = 0.5
"""Minimum temporal intersection over union of a found segment."""
NEAR = 1.0
"""Maximum seconds between the moments at which two videos count as showing the same."""
MOST = 1000.0
"""Error in seconds if another video does not show the start."""
PROBES = (0.1, 0.5, 0.9)
"""Relative times in a clip at which it is compared with another video."""


@dataclass(frozen=True)
class Row:
    """One row's figures; errors in seconds, for questions with the right video.

    ``top``: share whose first result is the right video with enough confidence to be shown;
    ``unsure``: the same for any confidence. ``errors``: of the start, to the nearest moment that
    looks the same; ``raw``: to the exact moment. ``overlap``: median temporal intersection over
    union. ``speed``: median relative error. ``ambiguous``: share of answers that name other places
    too.
    """

    count: int
    top: float
    unsure: float
    errors: tuple[float, ...]
    raw: tuple[float, ...]
    overlap: float
    speed: float
    ambiguous: float


@dataclass(frozen=True)
class Montage:
    """``recall``: share of segments found in place; ``precision``: share of results that are
    segments."""

    count: int
    recall: float
    precision: float


@dataclass(frozen=True)
class Unrelated:
    """Questions without an answer: how many had a shown result, and the highest confidence;
    ``flagged``: how many were flagged as showing too little."""

    count: int
    wrong: int
    highest: float
    flagged: int


def measure(questions: Sequence[Question], answers: Answers, least: float, tracks: Tracks) -> Row:
    """Return one row's figures. ``least``: minimum confidence of shown results."""
    right_shown = right_any = other_places = 0
    errors, raw, overlaps, speeds = [], [], [], []
    for question in questions:
        answer = answers[question.name]
        first = answer.found[0] if answer.found else None
        if first is None or not is_right(question, first, tracks):
            continue
        right_any += 1
        if first.confidence < least:
            continue
        right_shown += 1
        other_places += answer.ambiguous > 0
        errors.append(error(question, first, tracks))
        if first.film == question.excerpts[0].key:
            raw.append(abs(first.start - began(question, first)))
            overlaps.append(overlap(question.excerpts[0], first))
        speeds.append(abs(first.speed / question.speed - 1))
    count = len(questions)
    return Row(
        count,
        right_shown / count,
        right_any / count,
        tuple(errors),
        tuple(raw),
        float(np.median(overlaps)) if overlaps else 0.0,
        float(np.median(speeds)) if speeds else 0.0,
        other_places / max(1, right_shown),
    )


def began(question: Question, found: Found) -> float:
    """Return the time in the question's video at which the result's footage begins."""
    return question.excerpts[0].start + question.speed * found.query_start


def is_right(question: Question, found: Found, tracks: Tracks) -> bool:
    """Whether the result is the question's video, or another that shows the same at that time."""
    excerpt = question.excerpts[0]
    if found.film == excerpt.key:
        return True
    if not found.film:
        return False
    own, other = tracks(excerpt.key), tracks(found.film)
    length = excerpt.seconds / question.speed
    for share in PROBES if length else (0.0,):
        t = share * length
        same = other.showing(own, excerpt.start + question.speed * t)
        if not len(same) or np.abs(same - (found.offset + found.speed * t)).min() > NEAR:
            return False
    return True


def error(question: Question, found: Found, tracks: Tracks) -> float:
    """Return the seconds from the answered start to the nearest moment that looks like the true
    one.

    For a still, the answered moment counts, not the span that looks like it.
    """
    true = began(question, found)
    said = found.start if question.excerpts[0].seconds else found.offset
    same = tracks(found.film).showing(tracks(question.excerpts[0].key), true)
    if found.film == question.excerpts[0].key:
        same = np.append(same, true)
    return float(np.abs(same - said).min(initial=MOST))


def overlap(excerpt: Excerpt, found: Found) -> float:
    """Return the temporal intersection over union; 0 for stills."""
    a, b = excerpt.start, excerpt.start + excerpt.seconds
    shared = max(0.0, min(b, found.end) - max(a, found.start))
    whole = max(b, found.end) - min(a, found.start)
    return shared / whole if whole > 0 else 0.0


def montage(questions: Sequence[Question], answers: Answers, least: float) -> Montage:
    segments = named = shown = right = 0
    for question in questions:
        results = [one for one in answers[question.name].found if one.confidence >= least]
        segments += len(question.excerpts)
        shown += len(results)
        for excerpt in question.excerpts:
            named += any(is_segment(excerpt, one) for one in results)
        right += sum(any(is_segment(e, one) for e in question.excerpts) for one in results)
    return Montage(len(questions), named / max(1, segments), right / max(1, shown))


def is_segment(excerpt: Excerpt, found: Found) -> bool:
    return found.film == excerpt.key and overlap(excerpt, found) > OVERLAPS


def unrelated(questions: Sequence[Question], answers: Answers, least: float) -> Unrelated:
    said = [answers[question.name] for question in questions]
    highest = [max((one.confidence for one in answer.found), default=0.0) for answer in said]
    return Unrelated(
        len(questions),
        sum(confidence >= least for confidence in highest),
        max(highest, default=0.0),
        sum(answer.low_information for answer in said),
    )


def by_row(questions: Sequence[Question]) -> dict[str, list[Question]]:
    rows: dict[str, list[Question]] = {}
    for question in questions:
        rows.setdefault(question.row, []).append(question)
    return rows


def percentile(values: Sequence[float], percent: float) -> float:
    """NaN for an empty sequence."""
    return float(np.percentile(values, percent)) if values else float("nan")
