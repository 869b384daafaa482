"""``python -m gallery.imaging.descriptors.clip_export FOLDER MODEL PRETRAINED IDENTITY``: writes a
CLIP model as ONNX files. The only module that imports open_clip and torch for CLIP.

What ``clip_pixels``, ``clip_words`` and ONNX Runtime make is compared with what open_clip and torch
make, and nothing counts as written if they differ.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gallery.imaging.descriptors import clip_model, clip_weights, model_files
from gallery.imaging.descriptors.clip_pixels import FILTERS, MODES, Preparation
from gallery.imaging.descriptors.clip_weights import Weights
from gallery.imaging.descriptors.model_files import golden_square

TEXTS: Final = (
    clip_model.GOLDEN_WORDS,
    "",
    "It's 3 o'clock -- we'll meet at the café; don't be late!",
    "Ein großer Hund läuft über die Straße",
    "一只猫坐在桌子上 🐈 кошка сидит на столе",
    "word " * 200,
)
SHAPES: Final = ((300, 200), (200, 301), (64, 64), (40, 700))
"""Height and width of the parts of a picture by which its preparation is compared."""

PIXEL_TOLERANCE = 1e-5
OPSET = 17


@dataclass(frozen=True)
class OpenClip:
    """What open_clip makes of weights. ``preprocess``: PIL image → tensor."""

    model: Any
    preprocess: Callable[[Image.Image], Any]
    tokenizer: Callable[[list[str]], Any]


def load(weights: Weights) -> OpenClip:
    import open_clip

    trained = open_clip.get_pretrained_cfg(weights.architecture, weights.tag or "")
    # Without require_pretrained, missing weights would give a random model and no error.
    model, _, preprocess = open_clip.create_model_and_transforms(
        weights.architecture,
        pretrained=str(weights.file) if weights.file else None,
        require_pretrained=True,
        force_quick_gelu=trained.get("quick_gelu", False),
        image_mean=trained.get("mean"),
        image_std=trained.get("std"),
        image_interpolation=trained.get("interpolation"),
        image_resize_mode=trained.get("resize_mode"),
    )
    return OpenClip(model.eval(), preprocess, open_clip.get_tokenizer(weights.architecture))


def export(folder: Path, weights: Weights) -> None:
    """Write the files. Raises ``ValueError`` for a model that would run otherwise than in torch."""
    import torch

    torch.set_num_threads(1)
    # The fast path is one operation of torch's own, which ONNX does not have.
    torch.backends.mha.set_fastpath_enabled(False)
    source = load(weights)
    settings = source.model.visual.preprocess_cfg
    preparation = _preparation(settings, source.preprocess)
    context = _context(source.tokenizer)
    scale = torch.tensor([settings["mean"], settings["std"]]) * 255

    class Pictures(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model: Any = source.model

        def forward(self, squares: Any) -> Any:
            planes = ((squares.float() - scale[0]) / scale[1]).permute(0, 3, 1, 2)
            return self.model.encode_image(planes, normalize=True)

    class Words(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model: Any = source.model

        def forward(self, tokens: Any) -> Any:
            return self.model.encode_text(tokens, normalize=True)

    square = golden_square(preparation.side)[np.newaxis]
    with torch.inference_mode():
        image = torch.stack([source.preprocess(Image.fromarray(square[0]))])
        picture = source.model.encode_image(image, normalize=True).numpy()
        texts = source.model.encode_text(source.tokenizer(list(TEXTS)), normalize=True).numpy()
    _write(folder, clip_model.PICTURES, Pictures(), square, picture)
    _write(folder, clip_model.WORDS, Words(), clip_model.tokens(TEXTS, context), texts)
    names = (*clip_model.PICTURES, *clip_model.WORDS)
    facts = {
        "preparation": asdict(preparation),
        "context": context,
        "sha256": {name: model_files.sha256(folder / name) for name in names},
        "golden": {
            clip_model.PICTURES[0]: picture.tolist(),
            clip_model.WORDS[0]: texts[:1].tolist(),
        },
    }
    (folder / clip_model.FACTS).write_text(json.dumps(facts))


def _preparation(settings: dict[str, Any], preprocess: Callable[[Image.Image], Any]) -> Preparation:
    side = settings["size"]
    if isinstance(side, Sequence):
        side = side[0] if len(set(side)) == 1 else None
    mode, interpolation = settings["resize_mode"], settings["interpolation"]
    if side is None or mode not in MODES or interpolation not in FILTERS:
        raise ValueError(f"pictures of size {settings['size']}, {mode}, {interpolation}")
    preparation = Preparation(side, mode, interpolation)
    mean, std = np.float32(settings["mean"]), np.float32(settings["std"])
    whole = golden_square(max(max(shape) for shape in SHAPES))
    for height, width in SHAPES:
        rgb = np.ascontiguousarray(whole[:height, :width])
        ours = (preparation.square(rgb) / np.float32(255) - mean) / std
        theirs = preprocess(Image.fromarray(rgb)).permute(1, 2, 0).numpy()
        if ours.shape != theirs.shape or np.abs(ours - theirs).max() > PIXEL_TOLERANCE:
            raise ValueError("open_clip prepares its pictures in another way")
    return preparation


def _context(tokenizer: Any) -> int:
    context = int(tokenizer.context_length)
    theirs = tokenizer(list(TEXTS)).numpy()
    if not np.array_equal(clip_model.tokens(TEXTS, context), theirs):
        raise ValueError("it reads words with another vocabulary than open_clip's own")
    return context


def _write(
    folder: Path, names: Sequence[str], network: Any, given: NDArray[Any], expected: NDArray[Any]
) -> None:
    """Write a network and its weights. Raises ``ValueError`` if it does not give ``expected``."""
    import onnx
    import torch

    path = folder / names[0]
    whole = folder / "whole"
    whole.mkdir()
    torch.onnx.export(
        network.eval(),
        (torch.from_numpy(given[:1]),),
        str(whole / names[0]),
        input_names=["given"],
        output_names=["vectors"],
        dynamic_axes={"given": {0: "n"}, "vectors": {0: "n"}},
        opset_version=OPSET,
        dynamo=False,
    )
    # A file of weights is mapped into memory, and not read into it as a whole beside the network.
    onnx.save_model(
        onnx.load(str(whole / names[0])),
        str(path),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=names[1],
    )
    (folder / names[1]).chmod(path.stat().st_mode)
    for file in whole.iterdir():
        file.unlink()
    whole.rmdir()
    vectors = clip_model.run(model_files.session(path, mapped=True), given)
    if not clip_model.is_golden(vectors, expected):
        difference = np.abs(vectors - expected).max()
        raise ValueError(f"{path.stem} differ from torch's by {difference:.2g}")


def main(folder: Path, model: str, pretrained: str, identity: str) -> None:
    try:
        weights = clip_weights.locate(model, pretrained)
        if weights.identity != identity:
            raise ValueError("its files are being changed")
        export(folder, weights)
    except Exception as error:
        # open_clip and torch refuse in many ways: wrong keys or shapes, a missing end or package.
        traceback.print_exc()
        sys.exit(model_files.reason(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:5])
