"""What decisions say of a threshold: precision, recall, their intervals, what a move changes. Pure.

``intervals``: how sure one can be of a share that was counted with weights. ``curves``: precision
and recall at every threshold of a list and match type. ``agreement``: of two people about the same
cases. ``docs/tuning.md`` says in words what the numbers mean and what they do not.
"""

from moderation.tuning.agreement import Agreement, agreement
from moderation.tuning.curves import (
    MIN_DECIDED,
    NEAR,
    STEPS,
    Bin,
    Curves,
    Evidence,
    Move,
    Outcome,
    Point,
    bins,
    curves,
    grid,
    move,
    suggest,
)
from moderation.tuning.intervals import Interval, share

__all__ = [
    "MIN_DECIDED",
    "NEAR",
    "STEPS",
    "Agreement",
    "Bin",
    "Curves",
    "Evidence",
    "Interval",
    "Move",
    "Outcome",
    "Point",
    "agreement",
    "bins",
    "curves",
    "grid",
    "move",
    "share",
    "suggest",
]
