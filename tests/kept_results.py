"""What takes long to make and is always the same, kept on disk for later runs and other workers:
descriptions of pictures, and files that tests encode."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import IO, Any

import numpy as np

from gallery.imaging.cache_keys import PixelsKey


def kept(
    function: Callable[..., Any], directory: Path, version: str, *sources: Path
) -> Callable[..., Any]:
    """``function``, whose last argument is a ``PixelsKey`` and whose result is an array.

    ``version``: of the library that it calls. ``sources``: files that it consists of. Both name the
    directory of the results, so that another program computes everything anew.
    """
    state = hashlib.sha256(version.encode())
    for source in sources:
        state.update(source.read_bytes())
    name = function.__qualname__
    place = directory / f"{name}-{state.hexdigest()[:16]}"
    for outdated in directory.glob(f"{name}-*"):
        if outdated != place:
            shutil.rmtree(outdated, ignore_errors=True)
    place.mkdir(exist_ok=True)

    @wraps(function)
    def reading(*args: Any) -> Any:
        key: PixelsKey = args[-1]
        file = place / hashlib.sha256(repr(key._digest).encode()).hexdigest()
        if file.exists():
            key.take()  # it must not keep the pixels
            return np.load(file)
        result = function(*args)
        with _appearing_whole(file) as part:
            np.save(part, result)
        return result

    return reading


def kept_file(file: Path, make: Callable[[], bytes]) -> bytes:
    """The bytes in ``file``, which are made and kept there unless they are."""
    if file.exists():
        return file.read_bytes()
    data = make()
    file.parent.mkdir(exist_ok=True)
    with _appearing_whole(file) as part:
        part.write(data)
    return data


@contextmanager
def _appearing_whole(file: Path) -> Iterator[IO[bytes]]:
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as part:
        yield part
    Path(part.name).rename(file)
