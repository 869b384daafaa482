"""Numbers, sizes and times are written in one style, and never with an exponent."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.template import Context, Template
from django.utils import timezone

from gallery.shared import readable, times


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((0, "0"), (0.0, "0"), (31, "31"), (31.0, "31"), (0.25, "0.25"), (1 / 3, "0.3333")),
        *((5e-6, "< 0.0001"), (1e-4, "0.0001"), (999.99999, "1000"), (256, "256"), (None, "–")),
    ],
)
def test_distances(value: float | None, expected: str) -> None:
    assert readable.distance(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((0, "0 B"), (999, "999 B"), (1000, "1 kB"), (214_300, "214 kB"), (999_499, "999 kB")),
        *((999_500, "1.0 MB"), (30 * 2**20, "31.5 MB"), (5 * 10**9, "5.0 GB"), (None, "–")),
        (10**15, "1000.0 TB"),
    ],
)
def test_sizes(value: int | None, expected: str) -> None:
    assert readable.size(value) == expected


@pytest.mark.parametrize(
    ("passed", "expected"),
    [
        *((5, "just now"), (-5, "in a moment"), (60, "1 min ago"), (3599, "59 min ago")),
        *((7200, "2 h ago"), (-7300, "in 2 h"), (3 * 86400, "3 days ago"), (61 * 86400, "")),
    ],
)
def test_times_are_relative(passed: float, expected: str) -> None:
    assert times.relative(passed) == expected


def test_the_exact_time_is_the_title() -> None:
    at = timezone.now() - timedelta(minutes=5, seconds=1)
    template = Template("{% load readable %}{{ at|when }} {{ none|when }} {{ 90061|duration }}")
    shown = template.render(Context({"at": at, "none": None}))
    assert f'title="{at:%Y-%m-%d %H:%M:%S} UTC">5 min ago</time> – 25.0 h' in shown
    old = at - timedelta(days=100)
    assert f">{old:%Y-%m-%d}</time>" in times.when(old)
