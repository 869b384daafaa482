"""How many random examples a test tries: a few fixed ones in the suite, many new ones in a fuzz."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest

FACTOR = int(os.environ.get("FUZZ", "0"))
"""0 in the suite; ``make fuzz`` sets how many times as many examples it tries."""


def examples(count: int) -> hypothesis.settings:
    """Settings for a property that is a function inside a test."""
    return hypothesis.settings(
        max_examples=count * max(FACTOR, 1),
        derandomize=not FACTOR,
        print_blob=bool(FACTOR),
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def fuzz(count: int) -> Callable[[Any], Any]:
    """Decorate a test with ``given``: ``count`` examples in the suite, and a part of the fuzz."""
    return lambda test: pytest.mark.fuzz(examples(count)(test))
