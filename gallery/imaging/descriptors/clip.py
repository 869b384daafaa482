"""The ``clip`` match type: the meaning of a picture or of words as an open_clip vector.

torch is imported with the first model and never before: the children of a process that used torch
before forking hang.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gallery.imaging.descriptors.base import (
    Columns,
    DescribablePicture,
    LazyModel,
    Vector,
    cosine_distance,
)
from gallery.imaging.descriptors.clip_weights import Weights, download, locate
from gallery.shared.errors import Unavailable

PICTURES_PER_BATCH = 16

PRECISIONS = {"fp32": "fp32", "pure_bf16": "bf16"}
"""open_clip's precision → its name in versions."""

logger = logging.getLogger(__name__)


class Clip:
    """Stores ``clip``: float32 of unit length, as long as the model makes it (ViT-B-32: 512).

    ``model`` and ``pretrained``: see ``clip_weights.locate``. ``precision``: ``fp32``,
    ``pure_bf16``, or ``auto`` = bfloat16 where the CPU has instructions for it. ``threads``:
    torch's threads per process; None leaves its default. Cosine distances, 0 to 2.
    """

    name = "clip"

    def __init__(
        self, model: str, pretrained: str, precision: str = "auto", threads: int | None = None
    ) -> None:
        self._model, self._pretrained, self._threads = model, pretrained, threads
        if precision == "auto":
            precision = "pure_bf16" if has_avx512_bf16() else "fp32"
        if precision not in PRECISIONS:
            raise ValueError(f"CLIP precision {precision!r} is not auto, fp32 or pure_bf16.")
        self._precision = precision
        self._lazy = LazyModel(self._load, self._why_missing)

    @property
    def version(self) -> str:
        """Model, weights and precision: ``clip/ViT-B-32/datacomp_xl_s13b_b90k/fp32``.

        Raises ``Unavailable`` if the weights are not on this machine.
        """
        loaded = self._lazy.loaded
        return loaded.version if loaded else self._version_of(self._locate())

    def unavailable(self) -> str | None:
        return self._lazy.unavailable()

    def prepare(self) -> None:
        """Download the weights if they are a tag that is not on this machine yet."""
        download(self._model, self._pretrained)

    def describe(self, pictures: Sequence[DescribablePicture]) -> list[Columns | None]:
        if not pictures:
            return []
        return [{"clip": vector} for vector in self._lazy.get().of_pictures(pictures)]

    def describe_text(self, texts: Sequence[str]) -> list[Vector]:
        """Return vectors in the same space; words beyond the model's context are cut off."""
        return list(self._lazy.get().of_texts(texts)) if texts else []

    def distance(self, a: Columns, b: Columns) -> float:
        return cosine_distance(a["clip"], b["clip"])

    def explain(self, a: Columns, b: Columns) -> dict[str, Any]:
        return {"distance": self.distance(a, b)}

    def _locate(self) -> Weights:
        return locate(self._model, self._pretrained)

    def _version_of(self, weights: Weights) -> str:
        return f"clip/{weights.identity}/{PRECISIONS[self._precision]}"

    def _why_missing(self) -> str | None:
        try:
            self._locate()
        except Unavailable as error:
            return error.message
        return None

    def _load(self) -> _Loaded:
        weights = self._locate()
        try:
            version = self._version_of(weights)
            return _load(weights, version, self._precision, self._threads)
        except Exception as error:
            # A file of weights fails in many ways: wrong keys or shapes, a missing end.
            logger.exception("CLIP model %s cannot be loaded", weights.architecture)
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise Unavailable(
                f"CLIP model {self._model} with CLIP_PRETRAINED={self._pretrained} cannot be "
                f"loaded ({reason}): set CLIP_MODEL and CLIP_PRETRAINED to a pair that fits."
            ) from error


@dataclass(frozen=True)
class _Loaded:
    version: str
    model: Any
    preprocess: Callable[[Image.Image], Any]
    tokenizer: Callable[[list[str]], Any]
    dtype: Any

    def of_pictures(self, pictures: Sequence[DescribablePicture]) -> Iterator[Vector]:
        import torch

        for start in range(0, len(pictures), PICTURES_PER_BATCH):
            images = [
                Image.fromarray(picture.rgb)
                for picture in pictures[start : start + PICTURES_PER_BATCH]
            ]
            with torch.inference_mode():
                pixels = torch.stack([self.preprocess(image) for image in images])
                yield from _unit(self.model.encode_image(pixels.to(self.dtype)))

    def of_texts(self, texts: Sequence[str]) -> Iterator[Vector]:
        import torch

        for start in range(0, len(texts), PICTURES_PER_BATCH):
            with torch.inference_mode():
                tokens = self.tokenizer(list(texts[start : start + PICTURES_PER_BATCH]))
                yield from _unit(self.model.encode_text(tokens))


def _unit(vectors: Any) -> NDArray[np.float32]:
    """Scale rows to length 1 in float32; bfloat16 is too coarse for lengths."""
    import torch

    normalised: NDArray[np.float32] = torch.nn.functional.normalize(vectors.float(), dim=-1).numpy()
    return normalised


def _load(weights: Weights, version: str, precision: str, threads: int | None) -> _Loaded:
    import open_clip
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    trained = open_clip.get_pretrained_cfg(weights.architecture, weights.tag or "")
    # Without require_pretrained, missing weights would give a random model and no error.
    model, _, preprocess = open_clip.create_model_and_transforms(
        weights.architecture,
        pretrained=str(weights.file) if weights.file else None,
        precision=precision,
        require_pretrained=True,
        force_quick_gelu=trained.get("quick_gelu", False),
        image_mean=trained.get("mean"),
        image_std=trained.get("std"),
        image_interpolation=trained.get("interpolation"),
        image_resize_mode=trained.get("resize_mode"),
    )
    dtype = torch.bfloat16 if precision == "pure_bf16" else torch.float32
    tokenizer = open_clip.get_tokenizer(weights.architecture)
    return _Loaded(version, model.eval(), preprocess, tokenizer, dtype)


@cache
def has_avx512_bf16() -> bool:
    """Return whether the CPU computes bfloat16; otherwise fp32 is faster. Linux only."""
    cpu = Path("/proc/cpuinfo")
    return cpu.is_file() and "avx512_bf16" in cpu.read_text()
