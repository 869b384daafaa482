"""The ``clip`` match type: the meaning of a picture or of words as an open_clip vector.

The model runs on ONNX Runtime. Only the program that exports it, ``clip_export``, imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gallery.imaging.descriptors import clip_model
from gallery.imaging.descriptors.base import (
    Columns,
    DescribablePicture,
    LazyModel,
    Vector,
    cosine_distance,
)
from gallery.imaging.descriptors.clip_model import Exported
from gallery.imaging.descriptors.clip_weights import Weights, download, locate
from gallery.shared.errors import Unavailable

PRECISION = "fp32"
"""Of the vectors, by the name that versions have for it. What torch made in it is the same."""


class Clip:
    """Stores ``clip``: float32 of unit length, as long as the model makes it (ViT-B-32: 512).

    ``directory``: of exported models. ``model`` and ``pretrained``: see ``clip_weights.locate``.
    ``threads``: of one call. Cosine distances, 0 to 2.
    """

    name = "clip"

    def __init__(self, directory: Path, model: str, pretrained: str, threads: int = 1) -> None:
        self._directory, self._threads = directory, threads
        self._model, self._pretrained = model, pretrained
        self._lazy = LazyModel(self._open, self._why_missing)

    @property
    def version(self) -> str:
        """Model, weights and precision: ``clip/ViT-B-32/datacomp_xl_s13b_b90k/fp32``.

        Raises ``Unavailable`` if the weights are not on this machine.
        """
        opened = self._lazy.loaded
        return opened.version if opened else _version_of(self._locate())

    def unavailable(self) -> str | None:
        opened = self._lazy.loaded
        return opened.unavailable() if opened else self._lazy.unavailable()

    def prepare(self) -> None:
        """Download the weights if they are a tag that is not on this machine yet, and export them.

        Raises ``Unavailable``.
        """
        download(self._model, self._pretrained)
        clip_model.prepare(self._directory, self._locate(), self._model, self._pretrained)
        self._lazy.try_again()
        if self._lazy.loaded:
            self._lazy.loaded.try_again()

    def describe(self, pictures: Sequence[DescribablePicture]) -> list[Columns | None]:
        if not pictures:
            return []
        vectors = self._lazy.get().of_pictures([picture.rgb for picture in pictures])
        return [{"clip": vector} for vector in vectors]

    def describe_text(self, texts: Sequence[str]) -> list[Vector]:
        """Return vectors in the same space; words beyond the model's context are cut off."""
        return self._lazy.get().of_texts(texts) if texts else []

    def distance(self, a: Columns, b: Columns) -> float:
        return cosine_distance(a["clip"], b["clip"])

    def explain(self, a: Columns, b: Columns) -> dict[str, Any]:
        return {"distance": self.distance(a, b)}

    def _locate(self) -> Weights:
        return locate(self._model, self._pretrained)

    def _why_missing(self) -> str | None:
        try:
            return clip_model.why_missing(clip_model.folder_of(self._directory, self._locate()))
        except Unavailable as error:
            return error.message

    def _open(self) -> Exported:
        weights = self._locate()
        folder = clip_model.folder_of(self._directory, weights)
        return Exported(folder, _version_of(weights), self._threads)


def _version_of(weights: Weights) -> str:
    return f"clip/{weights.identity}/{PRECISION}"
