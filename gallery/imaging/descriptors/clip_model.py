"""A CLIP model as ONNX files: exported once by ``clip_export``, then run without torch.

Pictures and words have a network each, which is loaded with the first picture or the first words.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gallery.imaging.cache_keys import PixelsKey
from gallery.imaging.descriptors import clip_weights, model_files
from gallery.imaging.descriptors.base import LazyModel, Vector
from gallery.imaging.descriptors.clip_pixels import Preparation
from gallery.imaging.descriptors.clip_weights import Weights
from gallery.imaging.descriptors.clip_words import Tokens, vocabulary
from gallery.imaging.descriptors.model_files import ADVICE, golden_square
from gallery.imaging.pixels import Pixels
from gallery.shared.errors import Unavailable

FORMAT: Final = "onnx-1"
"""Rename it when the files change, so that every machine exports them again."""

FACTS = "model.json"
PICTURES: Final = ("pictures.onnx", "pictures.weights")
WORDS: Final = ("words.onnx", "words.weights")

EXPORT_SECONDS = 1800.0
BATCH = 8
"""Pictures; larger batches are no faster and keep more memory."""
REMEMBERED = 64
"""Vectors of the last queries that are kept; a picture is described, then screened and searched."""

GOLDEN_WORDS = "a photo of two dogs, by the sea"
GOLDEN_TOLERANCE = 1e-4
"""Largest difference of a number of a unit vector from torch's; less than 1 - 1e-5 of cosine."""

logger = logging.getLogger(__name__)


def folder_of(directory: Path, weights: Weights) -> Path:
    return directory / "clip" / weights.identity / FORMAT


def why_missing(folder: Path) -> str | None:
    if (folder / FACTS).is_file():
        return None
    return f"The CLIP model is not in {folder}: {ADVICE}, which makes it."


def prepare(directory: Path, weights: Weights, model: str, pretrained: str) -> None:
    """Export the weights unless they are: a minute for ViT-B-32. Raises ``Unavailable``."""
    folder = folder_of(directory, weights)
    export = model_files.Export(
        what=f"CLIP model {model} with CLIP_PRETRAINED={pretrained}",
        module="gallery.imaging.descriptors.clip_export",
        names=(*PICTURES, *WORDS, FACTS),
        seconds=EXPORT_SECONDS,
        advice="set CLIP_MODEL and CLIP_PRETRAINED to a pair that fits",
        arguments=(model, pretrained, weights.identity),
    )
    model_files.make_once(folder, export, lambda: is_intact(folder))


def is_intact(folder: Path) -> bool:
    """Return whether the files are unchanged since they were written: ViT-B-32 takes 0.5 s."""
    if why_missing(folder):
        return False
    facts = json.loads((folder / FACTS).read_text())
    return _unchanged(folder, facts, (*PICTURES, *WORDS))


class Exported:
    """The model in ``folder``. Raises ``Unavailable`` if it was not made."""

    def __init__(self, folder: Path, version: str, threads: int) -> None:
        if why := why_missing(folder):
            raise Unavailable(why)
        self.version = version
        self._folder, self._threads = folder, threads
        self._facts = json.loads((folder / FACTS).read_text())
        self._preparation = Preparation(**self._facts["preparation"])
        self._pictures = LazyModel(self._load_pictures, lambda: why_missing(folder))
        self._words = LazyModel(self._load_words, lambda: why_missing(folder))
        self._remembered_picture = lru_cache(maxsize=REMEMBERED)(self._of_square)
        self._remembered_text = lru_cache(maxsize=REMEMBERED)(self._of_text)

    def unavailable(self) -> str | None:
        return self._pictures.unavailable() or self._words.unavailable()

    def try_again(self) -> None:
        self._pictures.try_again()
        self._words.try_again()

    def of_pictures(self, pictures: Sequence[Pixels]) -> list[Vector]:
        """Return vectors of unit length of uint8 H×W×3, the last single ones from memory."""
        if len(pictures) == 1:
            return [self._remembered_picture(PixelsKey(self._preparation.square(pictures[0])))]
        found: list[Vector] = []
        for start in range(0, len(pictures), BATCH):
            some = pictures[start : start + BATCH]
            squares = np.stack([self._preparation.square(picture) for picture in some])
            found.extend(run(self._pictures.get(), squares))
        return found

    def of_texts(self, texts: Sequence[str]) -> list[Vector]:
        return [self._remembered_text(text) for text in texts]

    def _of_square(self, square: PixelsKey) -> Vector:
        vector: Vector = run(self._pictures.get(), square.take()[np.newaxis])[0]
        return vector

    def _of_text(self, text: str) -> Vector:
        vector: Vector = run(self._words.get(), tokens([text], self._facts["context"]))[0]
        return vector

    def _load_pictures(self) -> Any:
        return self._load(PICTURES, golden_square(self._preparation.side)[np.newaxis])

    def _load_words(self) -> Any:
        return self._load(WORDS, tokens([GOLDEN_WORDS], self._facts["context"]))

    def _load(self, names: Sequence[str], given: NDArray[Any]) -> Any:
        path = self._folder / names[0]
        try:
            if not _unchanged(self._folder, self._facts, names):
                raise Unavailable(f"The model {path} is damaged: {ADVICE}, which writes it again.")
            session = model_files.session(path, self._threads, mapped=True)
            if not is_golden(run(session, given), self._facts["golden"][names[0]]):
                raise Unavailable(
                    f"The model {path} does not give the vectors it should on this machine: "
                    f"delete {self._folder} and {ADVICE}."
                )
        except Exception as error:
            logger.exception("CLIP model %s cannot be loaded", path)
            if isinstance(error, Unavailable):
                raise
            reason = model_files.reason(error)
            raise Unavailable(f"The model {path} cannot be loaded ({reason}): {ADVICE}.") from error
        return session


def run(session: Any, numbers: NDArray[Any]) -> NDArray[np.float32]:
    """Return float32 N×D of unit length. ``numbers``: squares (uint8 N×S×S×3) or tokens."""
    (vectors,) = session.run(None, {session.get_inputs()[0].name: numbers})
    vectors.setflags(write=False)
    return np.asarray(vectors, np.float32)


def tokens(texts: Sequence[str], context: int) -> Tokens:
    return vocabulary(clip_weights.merges()).tokens(texts, context)


def is_golden(given: Any, expected: Any) -> bool:
    return bool(np.allclose(given, expected, rtol=0, atol=GOLDEN_TOLERANCE))


def _unchanged(folder: Path, facts: dict[str, Any], names: Sequence[str]) -> bool:
    digests = facts["sha256"]
    return all(
        (folder / name).is_file() and model_files.sha256(folder / name) == digests[name]
        for name in names
    )
