"""Messages between the service and a decoder.

A malicious file may take over a decoder. So a decoder sends JSON and pixels, which the service
checks; never pickles. All go through a socket that keeps the borders of messages:

- The service sends a ``Job``, and a file in memory with the bytes of the picture file.
- The decoder answers ``opened`` with what the headers say. If that needs memory of the budget, it
  waits for ``GO``.
- Then ``picture``, with a file in memory that holds its arrays one after the other. Before it
  writes the next ones there it waits for ``GO``.
- ``end``, or ``error``. ``stays``: whether the decoder takes another job.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final, Literal

from gallery.imaging.decoding.limits import PictureLimits

GO: Final = b"g"
MAX_MESSAGE: Final = 64 * 1024
"""Bytes; the socket's buffer is larger."""

Wanted = Literal["info", "first", "all", "others"]
"""Only the headers; the first picture as usually shown; all pictures; those besides the frames."""


@dataclass(frozen=True, slots=True)
class Job:
    """``glimpse``: for ``others``, the ``cells`` of the primary picture in hex. ``orientation``:
    EXIF's, of the primary picture."""

    wanted: Wanted
    limits: PictureLimits
    glimpse: str = ""
    orientation: int = 1

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Job:
        values = json.loads(text)
        return cls(**{**values, "limits": PictureLimits(**values["limits"])})
