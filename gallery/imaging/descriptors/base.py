"""What every descriptor is: a picture in, comparable numbers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gallery.shared.errors import UserError

Columns = Mapping[str, Any]
"""Column name of ``vectors.Fingerprint`` or ``ImageDetail`` → value to store."""

ColumnsByVersion = Mapping[str, Columns]
"""Version → the columns of all descriptors of that version: one stored row each."""

Pixels = NDArray[np.uint8]
Vector = NDArray[np.float32]

PIXELS_VERSION = "pixels-1"
"""Version of the descriptors computed from pixels alone, which share one row."""

COPY_VERSION = "copy-1"
"""Version of what finds copies: the model's vector and the local features."""

HASHES_VERSION = "hashes-1"
"""Version of rows that hold a PDQ hash alone: of what else a file shows, for the filter to compare.
No index covers them and no search reads them."""

CNN_DIMENSIONS = 512


class FlatPicture(UserError):
    """The picture has one colour only, so it has no imgsmlr pattern. libimgsmlr's own text."""

    code = "flat_picture"

    def __init__(self) -> None:
        super().__init__("not supported solid color image")


class Picture(Protocol):
    """The two readings of a decoded picture that descriptors use, each uint8, H×W×3, RGB."""

    @property
    def legacy_rgb(self) -> Pixels:
        """As stored: EXIF orientation ignored, transparency over black."""
        ...

    @property
    def rgb(self) -> Pixels:
        """As seen: upright, transparency over white."""
        ...


class Descriptor(Protocol):
    """One way of saying what a picture looks like. ``name`` is the match type of the API."""

    name: str

    @property
    def version(self) -> str:
        """Which code and which model make the numbers; two versions are never compared.

        Raises ``gallery.shared.errors.Unavailable`` where no model is there to name.
        """
        ...

    def unavailable(self) -> str | None:
        """Why it cannot be used here, as a sentence that says what to do; None if it can."""
        ...

    def prepare(self) -> None:
        """Download what it needs, once. This may take minutes: never call it in a request.

        Raises ``gallery.shared.errors.Unavailable``.
        """
        ...

    def describe(self, pictures: Sequence[Picture]) -> list[Columns | None]:
        """Describe a batch, in order. ``None`` where a picture has no such descriptor (flat).

        Raises ``gallery.shared.errors.Unavailable``.
        """
        ...

    def describe_text(self, texts: Sequence[str]) -> list[Vector]:
        """Words as vectors comparable with pictures'. Raises ``UserError`` if it has none."""
        ...

    def distance(self, a: Columns, b: Columns) -> float:
        """Distance of two results of ``describe`` of the same version: ≥ 0, less is more alike.

        The reference that every index is tested against.
        """
        ...

    def explain(self, a: Columns, b: Columns) -> dict[str, Any]:
        """``distance`` and whatever else helps a person to judge it."""
        ...


class PixelsDescriptor:
    """What the descriptors share that need nothing but pixels."""

    name: str
    version = PIXELS_VERSION

    def unavailable(self) -> None:
        """Always available."""

    def prepare(self) -> None:
        """Needs nothing."""

    def describe_text(self, texts: Sequence[str]) -> list[Vector]:
        """Raises ``UserError``: only pictures have pixels."""
        raise UserError(
            f"{self.name} compares pictures only; search by words with clip.", field="match_type"
        )
