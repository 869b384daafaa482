"""The same in curl, Python and JavaScript, as docs/api.md prints it, does what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gallery.items.models import Image
from imgsmlr_site.models import ApiKey

ROOT = Path(__file__).parents[2]
RUN = {"sh": ["bash", "-ec"], "python": [sys.executable, "-c"]}
LANGUAGES = ("sh", "python", "js")


def example(language: str) -> str:
    text = (ROOT / "docs" / "api.md").read_text()
    start = text.index("## From a program")
    section = text[start : text.index("\n## ", start)]
    (found,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return str(found)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("language", LANGUAGES)
def test_an_example_of_the_documentation(language: str, live_server: Any) -> None:
    run = RUN.get(language)
    if run is None:
        node = shutil.which("node")
        if node is None:
            pytest.skip("No Node.js: apt-get install nodejs")
        run = [node, "--input-type=module", "-e"]
    _, key = ApiKey.issue(name="app", scopes=["search", "add"])
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "clients" / "python"),
        "API": f"{live_server.url}/api/v1",
        "KEY": key,
    }
    text = example(language).replace("http://127.0.0.1:8140", live_server.url)
    done = subprocess.run(
        [*run, text], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "ready" in done.stdout
    assert done.stdout.count("sunset-1") == (2 if language == "sh" else 1)
    assert Image.objects.get().data_id == "sunset-1"
