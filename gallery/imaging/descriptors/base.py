"""The interface of descriptors, which turn a picture into comparable numbers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from gallery.shared.errors import Unavailable, UserError

if TYPE_CHECKING:  # it imports cv2, which a process that describes nothing never needs
    from gallery.imaging.pixels import Pixels

Columns = Mapping[str, Any]
"""Column name of ``vectors.Fingerprint`` or ``ImageDetail`` → value to store."""

ColumnsByVersion = Mapping[str, Columns]
"""Version → the columns of all descriptors of that version: one stored row each."""

Vector = NDArray[np.float32]

PIXELS_VERSION = "pixels-1"
"""Version of the descriptors computed from pixels alone, which share one row."""

COPY_VERSION = "copy-1"
"""Version of the descriptors for copies: the model's vector and the local features."""

HASHES_VERSION = "hashes-1"
"""Version of rows with a PDQ hash only: of further pictures of a file, for screening.
No index covers them and no search reads them."""

CNN_DIMENSIONS = 512

RETRY_SECONDS = 60.0
"""Seconds before a model that failed to load is tried again."""

Model = TypeVar("Model")


class FlatPicture(UserError):
    """The picture has one colour only, so it has no imgsmlr pattern. The message is
    libimgsmlr's."""

    code = "flat_picture"

    def __init__(self) -> None:
        super().__init__("not supported solid color image")


class DescribablePicture(Protocol):
    """The two arrays of a decoded picture that descriptors use; each uint8, H×W×3, RGB."""

    @property
    def legacy_rgb(self) -> Pixels:
        """As stored: not turned upright, transparency over black."""
        ...

    @property
    def rgb(self) -> Pixels:
        """As shown: upright, transparency over white."""
        ...


class Descriptor(Protocol):
    """One way to describe what a picture looks like. ``name`` is the match type of the API."""

    name: str

    @property
    def version(self) -> str:
        """The code and model that make the numbers; different versions are never compared.
        Raises ``Unavailable`` if there is no model."""
        ...

    def unavailable(self) -> str | None:
        """Return a sentence that says why it cannot be used here and what to do; None if it can."""
        ...

    def prepare(self) -> None:
        """Download or make its model, once. This may take minutes: never call it in a request.
        Raises ``Unavailable``."""
        ...

    def describe(self, pictures: Sequence[DescribablePicture]) -> list[Columns | None]:
        """Describe pictures, in order; None for a picture without such a descriptor (flat).
        Raises ``Unavailable``."""
        ...

    def describe_text(self, texts: Sequence[str]) -> list[Vector]:
        """Return vectors of words, comparable with those of pictures. Raises ``UserError`` if the
        descriptor has none."""
        ...

    def distance(self, a: Columns, b: Columns) -> float:
        """Return the distance ≥ 0 of two results of ``describe`` of one version."""
        ...

    def explain(self, a: Columns, b: Columns) -> dict[str, Any]:
        """Return ``distance``, and details that help a person to judge it."""
        ...


class PicturesOnly:
    """A descriptor that cannot describe words."""

    name: str

    def describe_text(self, texts: Sequence[str]) -> list[Vector]:
        raise UserError(
            f"{self.name} compares pictures only; search by words with clip.", field="match_type"
        )


class PixelsDescriptor(PicturesOnly):
    """A descriptor without a model, so it is always available."""

    version = PIXELS_VERSION

    def unavailable(self) -> None: ...

    def prepare(self) -> None: ...


class LazyModel(Generic[Model]):
    """A model that is loaded once, at its first use. Thread-safe.

    ``load`` may raise ``Unavailable``; the model is then not tried again for ``RETRY_SECONDS``.
    ``why_missing`` says cheaply why there is nothing to load.
    """

    def __init__(self, load: Callable[[], Model], why_missing: Callable[[], str | None]) -> None:
        self.loaded: Model | None = None
        self._load, self._why_missing = load, why_missing
        self._lock = threading.Lock()
        self._failure: tuple[float, str] | None = None

    def unavailable(self) -> str | None:
        """Return a sentence that says why it cannot be used; None if it can. Loads nothing."""
        if self.loaded is not None:
            return None
        if self._failure and time.monotonic() < self._failure[0]:
            return self._failure[1]
        return self._why_missing()

    def get(self) -> Model:
        if self.loaded is None:
            with self._lock:
                if self.loaded is None:
                    self.loaded = self._tried()
        return self.loaded

    def try_again(self) -> None:
        self._failure = None

    def _tried(self) -> Model:
        if why := self.unavailable():
            raise Unavailable(why)
        try:
            return self._load()
        except Unavailable as error:
            self._failure = time.monotonic() + RETRY_SECONDS, error.message
            raise


def cosine_distance(a: Vector, b: Vector) -> float:
    """For vectors of unit length: 0 same direction, 1 unrelated, at most 2."""
    return max(0.0, 1.0 - float(np.dot(a.astype(np.float64), b.astype(np.float64))))
