"""Decodes untrusted files into pictures, in processes of their own with limits.

The service's side:

- ``inspect``, ``decode`` and ``rendered_pictures`` are all that other modules call.
- ``decoders`` hands files to decoders. ``budget`` limits the memory that all of them use at once.

In a decoder (``decoder_process``):

1. ``limits`` checks the size of the file.
2. ``sniffing`` chooses one format by the magic bytes; no other reader is tried.
3. ``opening`` opens the file with Pillow; ``containers`` reads what Pillow does not tell or gets
   wrong. Size, frames and scans are checked before a pixel is decoded; ``memory`` says what
   decoding needs.
4. ``frames`` decodes a frame. ``layers`` separates colours and transparency, ``colour`` converts
   to sRGB (``icc_profiles``, ``matrix_profiles``).
5. ``embedded_pictures`` decodes second pictures and previews in the file.
6. ``reading`` yields all of a file, and the decoder sends each in every way that a viewer may show
   it.

Whatever happens to a decoder, the caller gets pictures or an error of ``limits``. If none can be
started, it gets ``fork_server.CannotStart``, which says nothing about the file.
"""

from __future__ import annotations

from gallery.imaging.decoding import decoders
from gallery.imaging.decoding.containers import boxes, jpeg
from gallery.imaging.decoding.decoder_protocol import Job
from gallery.imaging.decoding.decoders import configure
from gallery.imaging.decoding.limits import PictureLimits
from gallery.imaging.decoding.pictures import ImageInfo, Picture
from gallery.imaging.decoding.sniffing import sniff

__all__ = ["appended_video", "configure", "decode", "inspect"]


def inspect(data: bytes, limits: PictureLimits) -> ImageInfo:
    """Read format, size and frame count from the headers.

    Raises NotAnImage, TooLarge, TooSlow.
    """
    return decoders.inspect(data, limits)


def decode(data: bytes, limits: PictureLimits) -> Picture:
    """Decode the first picture.

    Raises NotAnImage (also if the file ends early), TooLarge, TooSlow, and ``Busy`` if others take
    the memory.
    """
    (picture,) = decoders.pictures(Job("first", limits), data)
    return picture


def appended_video(data: bytes) -> bytes | None:
    """Return the MP4 clip of a motion photo, None if there is none."""
    format = sniff(data)
    if format == "heic":
        return boxes.motion_clip(data)
    if format != "jpeg" or (end := jpeg.read(data).end) is None:
        return None
    start = boxes.find_file(data, end)
    return None if start is None else data[start:]
