"""``python -m tests.chaos``: kill processes of a working service, and check what is left.

Prints a Markdown table, and ends with code 1 if anything was lost, doubled or left over.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import django


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    data_dir = Path(tempfile.mkdtemp(prefix="imgsmlr-chaos-", dir="/tmp"))
    # PostgreSQL runs as another user if this is root; it must be able to enter.
    data_dir.chmod(0o755)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "imgsmlr_site.settings",
        "DATA_DIR": str(data_dir),
        "DATABASE_URL": "",
        "SECRET_KEY": "chaos",
        "CLIP_PRETRAINED": "none",
    }
    django.setup()
    from tests.chaos import course

    wrong = course.run(data_dir, kills=options.kills, seed=options.seed)
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    if wrong:
        print(f"The data and the log are in {data_dir}.")
        sys.exit(1)
    shutil.rmtree(data_dir)


main()
