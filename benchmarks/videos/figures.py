"""What the answers are worth: pure functions of answers and of what the videos show."""

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
"""Temporal intersection over union from which on a segment is found."""
NEAR = 1.0
"""Seconds by which another video's moment may be off to count as showing the same there."""
MOST = 1000.0
"""Seconds that an error counts if another video does not show the very start."""
PROBES = (0.1, 0.5, 0.9)
"""Shares of a clip at which it is compared with another video."""


@dataclass(frozen=True)
class Row:
    """One row's figures; errors in seconds, of those whose video is right.

    ``top``: share whose first result, sure enough to be shown, is the right video; ``unsure``: the
    same however unsure. ``errors``: of the start, against the nearest moment that looks the same;
    ``raw``: against the very moment. ``overlap``: median temporal intersection over union.
    ``speed``: median relative error. ``ambiguous``: share of answers that name other places, too.
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
    """``recall``: segments found, in the right place; ``precision``: results that are segments."""

    count: int
    recall: float
    precision: float


@dataclass(frozen=True)
class Unrelated:
    """Questions without an answer: how many had a result that was sure enough to be shown, and the
    most certain one's confidence; ``flagged``: how many were said to show too little."""

    count: int
    wrong: int
    highest: float
    flagged: int


def measure(questions: Sequence[Question], answers: Answers, least: float, tracks: Tracks) -> Row:
    """One row's figures. ``least``: the confidence from which on results are shown."""
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
    """When in its video the footage is that the result begins with."""
    return question.excerpts[0].start + question.speed * found.query_start


def is_right(question: Question, found: Found, tracks: Tracks) -> bool:
    """Whether the result is the question's video, or another one that shows the same there."""
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
    """Seconds from the start answered to the nearest moment that looks as the true one does.

    Of a still the moment counts, not the span that looks like it.
    """
    true = began(question, found)
    said = found.start if question.excerpts[0].seconds else found.offset
    same = tracks(found.film).showing(tracks(question.excerpts[0].key), true)
    if found.film == question.excerpts[0].key:
        same = np.append(same, true)
    return float(np.abs(same - said).min(initial=MOST))


def overlap(excerpt: Excerpt, found: Found) -> float:
    """Temporal intersection over union; 0 for stills."""
    a, b = excerpt.start, excerpt.start + excerpt.seconds
    shared = max(0.0, min(b, found.end) - max(a, found.start))
    whole = max(b, found.end) - min(a, found.start)
    return shared / whole if whole > 0 else 0.0


def montage(questions: Sequence[Question], answers: Answers, least: float) -> Montage:
    """Which of the segments were found, and which results are segments."""
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
    """Whether a result is this part of a montage."""
    return found.film == excerpt.key and overlap(excerpt, found) > OVERLAPS


def unrelated(questions: Sequence[Question], answers: Answers, least: float) -> Unrelated:
    """What was said to questions that have no answer."""
    said = [answers[question.name] for question in questions]
    highest = [max((one.confidence for one in answer.found), default=0.0) for answer in said]
    return Unrelated(
        len(questions),
        sum(confidence >= least for confidence in highest),
        max(highest, default=0.0),
        sum(answer.low_information for answer in said),
    )


def by_row(questions: Sequence[Question]) -> dict[str, list[Question]]:
    """The questions of each row, in order."""
    rows: dict[str, list[Question]] = {}
    for question in questions:
        rows.setdefault(question.row, []).append(question)
    return rows


def percentile(values: Sequence[float], percent: float) -> float:
    """NaN of nothing."""
    return float(np.percentile(values, percent)) if values else float("nan")
