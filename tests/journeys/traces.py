"""Search everything that a service wrote for the pixels of a picture."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from imgsmlr_site.postgres.programs import find_binaries
from imgsmlr_site.postgres.server import connection_settings
from tests.factories import encoded

PIXELS = 40


class Planted:
    """An uncompressed grey picture, and a piece of its middle row as it would stand in a file, an
    array or a column: with three bytes a pixel and with one; as bytes, hex and base64."""

    def __init__(self, picture: Pillow.Image) -> None:
        grey = picture.convert("L")
        self.file = encoded(grey.convert("RGB"), "BMP")
        row = np.asarray(grey)[grey.height // 2, :PIXELS]
        plain = [row.tobytes(), np.repeat(row, 3).tobytes()]
        coded = [
            form
            for piece in plain
            for form in (
                piece.hex().encode(),
                # Base64 depends on the position: without its edges it is one of three.
                *(base64.b64encode(b"\0" * shift + piece)[4:-4] for shift in range(3)),
            )
        ]
        self.needles = [*plain, *coded]
        assert self.needles[1] in self.file

    def traces(self, data_dir: Path) -> list[str]:
        """Return the files below ``data_dir`` (database, media, log and TMPDIR) and the tables
        with a piece of it."""
        found = [str(path) for path in files_below(data_dir) if self.is_in(path.read_bytes())]
        return found + [line for line in dump(data_dir).splitlines() if self.is_in(line)]

    def is_in(self, content: bytes) -> bool:
        return any(needle in content for needle in self.needles)


def files_below(data_dir: Path) -> Iterator[Path]:
    for top in {data_dir, (data_dir / "pg").resolve()}:
        for directory, _, names in os.walk(top):
            if "models" not in Path(directory).parts:
                for name in names:
                    path = Path(directory, name)
                    if path.is_file():
                        yield path


def dump(data_dir: Path) -> bytes:
    """The database as text, in which PostgreSQL's compression hides nothing."""
    here = connection_settings(data_dir)
    command = [find_binaries() / "pg_dump", "--data-only", "-U", here["USER"], "-d", here["NAME"]]
    command += ["-h", here["HOST"], "-p", here["PORT"]]
    return subprocess.run(command, check=True, capture_output=True).stdout
