"""``python -m tests.guided_fuzzing TARGET [--runs N]``: fuzzing that is led by coverage.

``pictures`` reads the headers of picture files, ``lists`` hash lists. Each input is an answer or an
error of the service's own; anything else ends the run, and the input is kept in a file. It needs
atheris, which is not among the locked packages: ``.venv/bin/pip install atheris``.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import atheris  # type: ignore[import-not-found]
import django

LONGEST = 65_536
SEED = 1

with atheris.instrument_imports(include=["gallery.imaging.decoding", "moderation.lists.formats"]):
    from gallery.imaging import decoding
    from gallery.imaging.decoding import reading
    from gallery.imaging.decoding.limits import PictureLimits
    from gallery.shared.errors import UserError
    from moderation.lists.formats.reading import read_rows
    from moderation.lists.formats.source import BrokenFile

LIMITS = PictureLimits()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DATA = Path(__file__).parent / "data"


def read_headers(data: bytes) -> None:
    try:
        file = reading.open_data(data, LIMITS)
        decoding.appended_video(data)
        list(reading.embedded_pictures(file, 1, LIMITS))
    except UserError:
        pass


def read_list(data: bytes) -> None:
    try:
        for _ in read_rows(io.BytesIO(data), now=NOW):
            pass
    except (BrokenFile, UserError):
        pass


def example_pictures() -> Iterable[bytes]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "imgsmlr_site.settings")
    django.setup()
    from tests.media_mutations import pictures

    return pictures().values()


def example_lists() -> Iterable[bytes]:
    return [path.read_bytes() for path in (DATA / "hashlists").rglob("*") if path.is_file()]


TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], Iterable[bytes]]]] = {
    "pictures": (read_headers, example_pictures),
    "lists": (read_list, example_lists),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.guided_fuzzing", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--runs", type=int, default=50_000)
    options = parser.parse_args()
    target, examples = TARGETS[options.target]
    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(examples()):
            if len(data) <= LONGEST:
                Path(corpus, str(number)).write_bytes(data)
        limits = [f"-runs={options.runs}", f"-seed={SEED}", f"-max_len={LONGEST}", "-timeout=20"]
        atheris.Setup([sys.argv[0], *limits, corpus], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
