"""Where the model of match type copy is: the tests' set-up has made it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.environment import DATA_DIR


@pytest.fixture(scope="session")
def models() -> Path:
    """The directory with the exported model; not to be written to."""
    return DATA_DIR / "models"
