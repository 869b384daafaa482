"""Pictures that one picture shows, and that are looked at alone: by name, such as ``strips-1``."""

from __future__ import annotations

from gallery.imaging import interleaved, sections
from gallery.imaging.interleaved import Pixels


def inner_pictures(rgb: Pixels) -> dict[str, Pixels]:
    """Of height × width × 3: what lies between strips, and the sections of a long picture."""
    return {**interleaved.named(rgb), **sections.named(rgb)}


def is_inner(name: str) -> bool:
    """Whether a rendering's name is one of these."""
    return name.startswith((interleaved.STRIPS, sections.SECTION))
