"""Models that are made on this machine: exported to ONNX once, then run without torch.

A separate program exports a model, so that torch (700 MB) leaves the memory when it ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.shared.errors import Unavailable

ADVICE = "run manage.py prepare_models"


@dataclass(frozen=True)
class Export:
    """How a model is made: ``module`` is run as a program with a folder and ``arguments``.

    ``names``: the files that it writes there. The last one counts as the proof that the others are
    complete. ``what`` and ``advice`` are the subject and the end of sentences about failures.
    """

    what: str
    module: str
    names: Sequence[str]
    seconds: float
    advice: str
    arguments: Sequence[str] = ()


def make_once(directory: Path, export: Export, is_intact: Callable[[], bool]) -> None:
    """Make a model's files in ``directory`` unless they are intact.

    Several processes may call it at once: one makes them, the others wait. Raises ``Unavailable``
    with the reason if they cannot be made.
    """
    if is_intact():
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / f"{export.names[0]}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_intact():
                _make(directory, export)
    except OSError as error:
        raise Unavailable(
            f"{export.what} cannot be written to {directory} ({error.strerror}): "
            f"make it writable and {ADVICE}."
        ) from error


def session(path: Path, threads: int = 1, *, mapped: bool = False) -> Any:
    """Return an ``onnxruntime.InferenceSession`` that computes on so many threads.

    ``mapped``: its weights are in a file of their own, which stays mapped into memory, so that all
    processes share one copy of it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that wait would take the time of other requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if mapped:
        # Else each process would copy the weights into another order.
        options.add_session_config_entry("session.disable_prepacking", "1")
    # The arena of a large network is one for all threads, which else would keep memory for it each.
    # That of a small one is not worth it: it would not free the memory of the largest batch.
    options.enable_cpu_mem_arena = mapped
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def reason(error: Exception) -> str:
    """Return what a library says in its first line; its exceptions share no base class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def golden_square(side: int) -> NDArray[np.uint8]:
    """Return a picture computed with integers, the same on every machine."""
    y, x = np.mgrid[:side, :side]
    rings = ((x - 90) ** 2 + (y - 120) ** 2) // 64 % 256
    stripes = (3 * x + y) // 8 % 2 * 200
    return np.dstack([rings, stripes, (x * y) // 256]).astype(np.uint8)


def _make(directory: Path, export: Export) -> None:
    """Run the export; its files appear complete or not at all."""
    for killed in directory.glob(".export-*"):
        shutil.rmtree(killed, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".export-") as workplace:
        made = Path(workplace).resolve()
        try:
            subprocess.run(  # noqa: S603 - our own module, by our own interpreter
                [sys.executable, "-m", export.module, str(made), *export.arguments],
                cwd=Path(__file__).parents[3],
                check=True,
                capture_output=True,
                text=True,
                timeout=export.seconds,
            )
        except subprocess.CalledProcessError as error:
            lines = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
            raise Unavailable(
                f"{export.what} cannot be made ({lines[-1][:200]}): {export.advice}."
            ) from error
        except subprocess.TimeoutExpired as error:
            raise Unavailable(
                f"{export.what} was not made within {export.seconds:.0f} s: {ADVICE}."
            ) from error
        # While files are replaced the model counts as absent.
        (directory / export.names[-1]).unlink(missing_ok=True)
        for name in export.names:
            (made / name).replace(directory / name)
