"""Workers give way to the web server."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

SHOWN = """
import os
from pathlib import Path
from gallery.shared.low_priority import give_way
def priorities():
    # No file without autogroups, and an empty one for a process outside of all of them.
    file = Path("/proc/self/autogroup")
    words = file.read_text().split() if file.exists() else []
    return os.nice(0), int(words[-1]) if words else None
print([*priorities(), *(give_way(7) or priorities())])
"""


@pytest.mark.parametrize("own_session", [True, False])
def test_a_process_gives_way(own_session: bool) -> None:
    """With its session if that is its own; else a terminal's other programs would give way too."""
    done = subprocess.run(
        [sys.executable, "-c", SHOWN],
        start_new_session=own_session,
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stderr
    before, session_before, after, session_after = ast.literal_eval(done.stdout)
    assert after == before + 7
    if session_before is not None:
        assert session_after == (7 if own_session else session_before)
