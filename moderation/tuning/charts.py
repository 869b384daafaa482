"""Positions of a chart's bars and curves, in per cent of the plot, y from the top. So one drawing
fits every width, and text is not stretched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gallery.shared.readable import distance
from moderation.cases.intervals import Interval
from moderation.tuning.curves import Bin, Point

TICKS: Final = 4


@dataclass(frozen=True)
class Bar:
    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Curve:
    """SVG paths: the line, and the band of its intervals. Empty where there are no estimates."""

    name: str
    line: str
    band: str


@dataclass(frozen=True)
class Tick:
    place: float
    label: str


def stacked(found: Sequence[Bin], end: float) -> list[Bar]:
    """Stack confirmed (at the bottom), dismissed and undecided matches."""
    top = highest(found)
    bars = []
    for one in found:
        floor = 100.0
        for kind in ("confirmed", "dismissed", "undecided"):
            count = getattr(one, kind)
            height = 100 * count / top
            floor -= height
            if count:
                x, width = 100 * one.low / end, 100 * (one.high - one.low) / end
                bars.append(Bar(kind, _r(x), _r(floor), _r(width), _r(height)))
    return bars


def highest(found: Sequence[Bin]) -> int:
    return max([one.confirmed + one.dismissed + one.undecided for one in found], default=0) or 1


def curve(
    name: str, points: Sequence[Point], of: Callable[[Point], Interval | None], end: float
) -> Curve:
    """Draw a line through the points that have an estimate. Points without one split it."""
    line, band = [], []
    run: list[tuple[float, Interval]] = []
    for point in [*points, None]:
        interval = of(point) if point else None
        if point and interval:
            run.append((100 * point.threshold / end, interval))
        elif run:
            line.append(_path([(x, i.value) for x, i in run]))
            edge = [(x, i.high) for x, i in run] + [(x, i.low) for x, i in reversed(run)]
            band.append(_path(edge) + "Z")
            run = []
    return Curve(name, "".join(line), "".join(band))


def _path(corners: Sequence[tuple[float, float]]) -> str:
    steps = [f"{_r(x)} {_r(100 * (1 - share))}" for x, share in corners]
    return "M" + "L".join(steps)


def ticks(end: float, whole: bool) -> list[Tick]:
    values = [end * n / TICKS for n in range(TICKS + 1)]
    if whole:
        values = [float(round(value)) for value in values]
    return [
        Tick(_r(100 * value / end), f"{value:g}" if whole else distance(value)) for value in values
    ]


def _r(value: float) -> float:
    return round(value, 3)
