"""Files that show a banned picture although a careless reader of them sees another one.

Each is made of two photographs: ``banned`` is what a viewer shows, ``decoy`` is what would be
described by a reader that takes the easy way.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import av
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image as Pillow

from gallery.imaging.decoding.containers import boxes
from tests import factories
from tests.environment import DATA_DIR
from tests.factories import encoded, wheel_photo
from tests.kept_results import kept_file

Pixels = NDArray[Any]
SIZE: Final = (320, 240)


@functools.cache
def banned() -> Pillow.Image:
    """The photograph that is on the list."""
    return wheel_photo("astronaut.png").resize(SIZE)


@functools.cache
def decoy() -> Pillow.Image:
    """A harmless one."""
    return wheel_photo("coffee.png").resize(SIZE)


@functools.cache
def others(count: int) -> list[Pillow.Image]:
    """Harmless pictures that all differ: the decoy, cut and turned a little each time."""
    whole = decoy().resize((SIZE[0] * 2, SIZE[1] * 2))
    rng = np.random.default_rng(5)
    found = []
    for _ in range(count):
        left, top = int(rng.integers(0, SIZE[0])), int(rng.integers(0, SIZE[1]))
        found.append(whole.crop((left, top, left + SIZE[0], top + SIZE[1])))
    return found


# Colour


def icc_profile(curve: Sequence[int]) -> bytes:
    """An RGB profile with sRGB's primaries and a tone curve of 16-bit samples."""

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    tone = b"curv\0\0\0\0" + struct.pack(f">I{len(curve)}H", len(curve), *curve)
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags: dict[bytes, bytes] = {
        b"desc": text,
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.4360, 0.2225, 0.0139),
        b"gXYZ": xyz(0.3851, 0.7169, 0.0971),
        b"bXYZ": xyz(0.1431, 0.0606, 0.7141),
        b"rTRC": tone,
        b"gTRC": tone,
        b"bTRC": tone,
    }
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content
    size = start + len(body)
    header = struct.pack(">I4xI4s4s4s", size, 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def falling_curve() -> bytes:
    """A JPEG of the negative, with a profile that turns it into the picture."""
    linear = np.linspace(1, 0, 256) ** 2.2
    profile = icc_profile([round(value * 65535) for value in linear])
    negative = Pillow.fromarray(255 - np.asarray(banned()))
    return encoded(negative, "JPEG", quality=92, icc_profile=profile)


def saw_tooth_curve() -> bytes:
    """A PNG whose values a curve of eight teeth scatters; its profile puts them in order."""
    teeth = 8
    place = np.linspace(0, 1, 256) * teeth % 1
    profile = icc_profile([round(value**2.2 * 65535) for value in place])
    values = np.asarray(banned()).astype(int)
    # Of the eight values that are shown alike each pixel takes the one nearest to the decoy.
    harmless = np.asarray(decoy()).astype(int)
    candidates = (values / 255 + np.arange(teeth)[:, None, None, None]) / teeth * 255
    candidates = np.clip(candidates.round(), 0, 255)
    nearest = np.abs(candidates - harmless).argmin(axis=0)
    chosen = np.take_along_axis(candidates, nearest[None], axis=0)[0].astype(np.uint8)
    return encoded(Pillow.fromarray(chosen), "PNG", icc_profile=profile)


def chunk(kind: bytes, body: bytes, *, crc: int | None = None) -> bytes:
    """One chunk of a PNG, with a wrong checksum if one is given."""
    checksum = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def png16(pixels: Pixels, *chunks: bytes) -> bytes:
    """A 16-bit RGB PNG with further chunks before its pixels."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(chunks)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def extreme_gamma() -> bytes:
    """A PNG whose gamma of 0.02 makes every second pixel black and stretches what is nearly white.

    The pixels that turn black are the decoy, those nearly white the banned picture.
    """
    shown = (np.asarray(banned()) / 255) ** (2.2 * 0.02)
    harmless = np.asarray(decoy()) / 255 * 0.7
    odd = np.indices(shown.shape[:2]).sum(0)[..., None] % 2 == 1
    pixels = np.where(odd, shown, harmless)
    return png16((pixels * 65535).round(), chunk(b"gAMA", struct.pack(">I", 2000)))


# Transparency


def mirage(*, over_white: bool = False) -> Pillow.Image:
    """The decoy over white, the banned picture over black; or the other way."""
    pictures = (banned(), decoy()) if over_white else (decoy(), banned())
    on_white, on_black = (np.asarray(picture.convert("L")) / 255 for picture in pictures)
    light, dark = on_white * 0.45 + 0.55, on_black * 0.55
    alpha = 1 - (light - dark)
    colour = dark / np.maximum(alpha, 1e-6)
    grey = (np.clip(colour, 0, 1) * 255).round().astype(np.uint8)
    return Pillow.fromarray(
        np.dstack([grey, grey, grey, (alpha * 255).round().astype(np.uint8)]), "RGBA"
    )


def colour_alone() -> Pillow.Image:
    """The banned picture, hardly visible over any background, until alpha is ignored."""
    pixels = np.asarray(banned())
    alpha = (np.asarray(decoy().convert("L")) // 32).astype(np.uint8)
    return Pillow.fromarray(np.dstack([pixels, alpha]), "RGBA")


def palette_mirage() -> bytes:
    """The same in a PNG of a palette whose colours have alpha."""
    pixels = np.asarray(mirage())[..., 2:]
    levels = (pixels // 16).astype(int)
    index = (levels[..., 0] * 16 + levels[..., 1]).astype(np.uint8)
    height, width = index.shape
    steps = np.arange(16) * 17
    palette = np.repeat(np.repeat(steps, 16)[:, None], 3, axis=1).astype(np.uint8).tobytes()
    rows = b"".join(b"\0" + row.tobytes() for row in index)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
        + chunk(b"PLTE", palette)
        + chunk(b"tRNS", np.tile(steps, 16).astype(np.uint8).tobytes())
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


# Time


def animation(
    frames: Sequence[Pillow.Image], format: str, shown_ms: Sequence[int], **options: Any
) -> bytes:
    """A GIF, WebP or PNG that moves."""
    return encoded(
        frames[0],
        format,
        save_all=True,
        append_images=list(frames[1:]),
        duration=list(shown_ms),
        loop=0,
        **options,
    )


def _hidden_among(count: int) -> list[Pillow.Image]:
    """Small pictures, the banned one where a choice of 64 by their number leaves it out."""
    chosen = set(np.linspace(0, count - 1, 64).round().astype(int).tolist())
    at = next(n for n in range(count // 3, count) if n not in chosen)
    frames = others(count - 1)
    return [frame.resize((160, 120)) for frame in (*frames[:at], banned(), *frames[at:])]


def long_animation(format: str, count: int = 65) -> bytes:
    """Many frames of 20 ms, and the banned one for five seconds among them."""
    frames = _hidden_among(count)
    longest = frames.index(banned().resize((160, 120)))
    return animation(frames, format, [5000 if n == longest else 20 for n in range(count)])


def hidden_page() -> bytes:
    """A TIFF of 70 pages, the banned picture where a choice of 64 leaves it out."""
    pages = _hidden_among(70)
    return encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:], compression="jpeg")


# Several pictures in one file


def jpeg_of(picture: Pillow.Image, **options: Any) -> bytes:
    return encoded(picture, "JPEG", quality=90, **options)


def mpo() -> bytes:
    """A file of two pictures, as cameras with two eyes write it."""
    return encoded(decoy(), "MPO", save_all=True, append_images=[banned()])


def heic(primary_second: bool) -> bytes:
    """Two pictures, the banned one shown first or second."""
    pictures = [decoy(), banned()]
    file = pillow_heif.HeifFile()
    for picture in pictures:
        file.add_from_pillow(picture)
    out = io.BytesIO()
    file.save(out, quality=80, primary_index=int(primary_second), save_all=True)
    return out.getvalue()


def heic_thumbnail() -> bytes:
    """The decoy, its thumbnail the banned picture."""
    heif = pillow_heif.from_pillow(decoy())
    heif.add_from_pillow(banned())
    heif[0].info["thumbnails"] = [160]
    out = io.BytesIO()
    heif.save(out, quality=80, primary_index=0)
    # Item 2 is the thumbnail of 1. Item 3, the other picture, takes its place.
    own, other = (b"thmb" + struct.pack(">HHH", one, 1, 1) for one in (2, 3))
    assert own in out.getvalue()
    return out.getvalue().replace(own, other)


def avif_second_picture() -> bytes:
    """An AVIF of two pictures, the decoy the primary one."""
    first, second = (encoded(one, "AVIF", quality=80) for one in (decoy(), banned()))
    (_, _, head), (_, meta, meta_end), (_, media, media_end) = boxes.top_level(first)
    inner = first[meta + 4 : meta_end]
    parts = {kind: inner[start:end] for kind, start, end in boxes.top_level(inner)}
    pictures = [
        first[media:media_end],
        *(second[at:end] for kind, at, end in boxes.top_level(second) if kind == b"mdat"),
    ]

    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body) + 8) + kind + body

    def made(at: int) -> bytes:
        """``at``: where the first picture's bytes are."""
        starts = at, at + len(pictures[0])
        entries = [
            struct.pack(">HHHII", number, 0, 1, start, len(picture))
            for number, start, picture in zip((1, 2), starts, pictures, strict=True)
        ]
        located = bytes.fromhex("00000000 4400 0002") + b"".join(entries)
        named = parts[b"iinf"][6:]
        listed = bytes.fromhex("00000000 0002") + named + named.replace(b"\0\1", b"\0\2", 1)
        # Both have the same size and the same properties.
        properties = parts[b"iprp"]
        split = properties.index(b"ipma") - 4
        of_first = properties[split + 16 :]
        both = of_first + struct.pack(">H", 2) + of_first[2:]
        shared = properties[:split] + box(b"ipma", bytes(4) + struct.pack(">I", 2) + both)
        body = [
            *(box(b"hdlr", parts[b"hdlr"]), box(b"pitm", parts[b"pitm"]), box(b"iloc", located)),
            *(box(b"iinf", listed), box(b"iprp", shared)),
        ]
        return first[:head] + box(b"meta", bytes(4) + b"".join(body))

    return made(len(made(0)) + 8) + box(b"mdat", b"".join(pictures))


def exif_thumbnail() -> bytes:
    """A JPEG whose embedded thumbnail, which file managers show, is another picture."""
    small = jpeg_of(banned().resize((160, 120)))
    # TIFF: an empty first directory, and a second one that names the thumbnail.
    entries = [(0x0103, 3, 6), (0x0201, 4, 56), (0x0202, 4, len(small))]
    second = struct.pack("<H", 3)
    for tag, kind, value in entries:
        second += struct.pack("<HHII", tag, kind, 1, value)
    second += struct.pack("<I", 0)
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<HI", 0, 14) + second
    tiff += bytes(56 - len(tiff)) + small
    return jpeg_of(decoy(), exif=b"Exif\0\0" + tiff)


def small_jpeg() -> bytes:
    return jpeg_of(banned().resize((160, 120)))


def with_segment(marker: int, body: bytes, data: bytes = b"") -> bytes:
    """A JPEG, the decoy unless one is given, with one more segment behind its first one."""
    data = data or jpeg_of(decoy())
    at = 4 + int.from_bytes(data[4:6], "big")
    return data[:at] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + data[at:]


def jfif_thumbnail() -> bytes:
    """A JPEG with a preview in an extension of JFIF."""
    return with_segment(0xE0, b"JFXX\0\x10" + small_jpeg())


def xmp_thumbnail() -> bytes:
    """A JPEG with a preview in XMP, its Base64 broken into lines."""
    text = base64.encodebytes(small_jpeg()).replace(b"\n", b"&#xA;")
    body = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><i>" + text + b"</i></x:xmpmeta>"
    return with_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + body)


def long_picture() -> bytes:
    """Twelve pictures, one below the other, as a stitched screenshot shows them."""
    pictures = [*others(7), banned(), *others(11)[7:]]
    long = Pillow.new("RGB", (SIZE[0], SIZE[1] * len(pictures)))
    for number, picture in enumerate(pictures):
        long.paste(picture, (0, SIZE[1] * number))
    return jpeg_of(long)


def motion_photo() -> bytes:
    """A JPEG with a film behind it, as phones write it."""
    return jpeg_of(decoy()) + film([(n / 10, banned()) for n in range(20)])


# Readers that refuse or misread


def scans_behind_the_end() -> bytes:
    """64 markers of a scan behind the end of the picture."""
    return jpeg_of(banned()) + b"\xff\xda" * 64


def with_chunk(*added: bytes) -> bytes:
    """A PNG with chunks behind its header."""
    data = encoded(banned(), "PNG")
    return data[:33] + b"".join(added) + data[33:]


def white_is_zero() -> bytes:
    """A 16-bit TIFF of grey in which 0 is white."""
    grey = 65535 - np.asarray(banned().convert("L")).astype("<u2") * 257
    height, width = grey.shape
    body = grey.astype("<u2").tobytes()
    tags = [
        (256, 4, width), (257, 4, height), (258, 3, 16), (259, 3, 1), (262, 3, 0),
        (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, len(body)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(tags))
    for tag, kind, value in tags:
        directory += struct.pack("<HHII", tag, kind, 1, value)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory + bytes(4)


def grey16_with_transparency() -> bytes:
    """A 16-bit PNG of grey, one value of which is transparent."""
    grey = np.asarray(banned().convert("L")).astype(int) * 257
    height, width = grey.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in grey)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(">H", 1))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def default_image_outside() -> bytes:
    """An animated PNG whose plain image is the decoy; what moves is the banned picture."""
    return encoded(
        decoy(),
        "PNG",
        save_all=True,
        default_image=True,
        append_images=[banned(), others(1)[0]],
        duration=[3000, 100],
    )


# Videos


def film(
    shown: Sequence[tuple[float, Pillow.Image]],
    container: str = "mp4",
    codec: str = "libx264",
    *,
    pix_fmt: str = "yuv420p",
) -> bytes:
    """A video with each picture on the screen from its own second on."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        fixed = codec in ("wmv2", "flv1", "mpeg2video", "cinepak", "mpeg1video")
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height = SIZE
        stream.pix_fmt = pix_fmt
        clock = Fraction(1, 25) if fixed else Fraction(1, 1000)
        if not fixed:
            stream.codec_context.time_base = clock
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "threads": "1"}
        elif codec == "libvpx-vp9":
            stream.options = {"deadline": "realtime", "cpu-used": "8", "b": "1M", "threads": "1"}
        else:
            stream.options = {"b": "2M"}
        for seconds, picture in shown:
            format = "rgba" if picture.mode == "RGBA" else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format=format)
            frame.time_base, frame.pts = clock, round(seconds / clock)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def steady(picture: Pillow.Image, seconds: float, start: float = 0.0, rate: int = 25) -> list[Any]:
    """A still picture at a constant rate."""
    return [(start + n / rate, picture) for n in range(round(seconds * rate))]


def flash(held_ms: int = 100) -> bytes:
    """Four seconds of something else with the banned picture for a moment."""
    first, second = others(2)
    at = 2.04  # between two points of a grid of quarters of a second
    held = held_ms / 1000
    return film(
        [*steady(first, at), *steady(banned(), held, at, 50), *steady(second, 2, at + held)]
    )


def variable_rate() -> bytes:
    """One frame that stays for three seconds, and little of something else around it."""
    return film([(0.0, decoy()), (0.2, banned()), (3.2, decoy()), (3.3, decoy())])


def second_stream() -> bytes:
    """Two pictures side by side in one MP4; players let people choose."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        streams = []
        for size in ((640, 480), SIZE):
            stream = file.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.options = {"preset": "ultrafast", "threads": "1"}
            streams.append(stream)
        for n in range(50):
            pictures = decoy().resize((640, 480)), banned()
            for stream, picture in zip(streams, pictures, strict=True):
                frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
                frame.time_base, frame.pts = Fraction(1, 25), n
                file.mux(stream.encode(frame))
        for stream in streams:
            file.mux(stream.encode(None))
    return out.getvalue()


def cover_art() -> bytes:
    """A film with the banned picture as its cover, which players show in lists."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.options = {"preset": "ultrafast", "threads": "1"}
        file.add_attachment("cover.jpg", "image/jpeg", jpeg_of(banned()))
        for seconds, picture in steady(decoy(), 2):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame.time_base, frame.pts = Fraction(1, 25), round(seconds * 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def cut_transport_stream() -> bytes:
    """A recording that begins in the midst of a packet."""
    return film(steady(banned(), 4), "mpegts", "mpeg2video")[100:]


@dataclass(frozen=True)
class Bypass:
    """``least``: the mildest verdict that is right, for a list that blocks."""

    name: str
    make: Callable[[], bytes]
    media: Literal["image", "video"] = "image"
    least: Literal["review", "block"] = "block"

    def data(self) -> bytes:
        """The file, which is kept for later runs: some take seconds to encode."""
        key = hashlib.sha256(f"{self.name} {Pillow.__version__} {av.__version__}".encode())
        for source in (__file__, factories.__file__):
            key.update(Path(source).read_bytes())
        return kept_file(DATA_DIR / "clips" / key.hexdigest(), self.make)

    def __str__(self) -> str:
        return self.name


def _png(make: Callable[[], Pillow.Image], format: str = "PNG", **options: Any) -> Any:
    return lambda: encoded(make(), format, **options)


BYPASSES: Final = (
    Bypass("ICC profile with a falling curve", falling_curve),
    Bypass("ICC profile with a saw-tooth curve", saw_tooth_curve, least="review"),
    Bypass("PNG gamma 0.02", extreme_gamma),
    Bypass("alpha: banned over black, PNG", _png(mirage)),
    Bypass("alpha: banned over black, WebP", _png(mirage, "WEBP", lossless=True)),
    Bypass("alpha: banned over black, AVIF", _png(mirage, "AVIF", quality=90)),
    Bypass("alpha: banned over black, palette", palette_mirage),
    Bypass("alpha: banned where alpha is ignored", _png(colour_alone)),
    Bypass(
        "alpha: banned over black, animated PNG",
        lambda: animation([mirage(), decoy().convert("RGBA")], "PNG", [500, 500]),
    ),
    Bypass("GIF of 65 frames", lambda: long_animation("GIF")),
    Bypass("WebP of 65 frames", lambda: long_animation("WEBP")),
    Bypass("animated PNG of 65 frames", lambda: long_animation("PNG")),
    Bypass("one of 70 pages of a TIFF", hidden_page),
    Bypass("second picture of an MPO", mpo),
    Bypass("JPEG behind a JPEG", lambda: jpeg_of(decoy()) + jpeg_of(banned())),
    Bypass("HEIC, second picture", lambda: heic(False)),
    Bypass("HEIC, second picture is the primary one", lambda: heic(True)),
    Bypass("HEIC thumbnail", heic_thumbnail),
    Bypass("AVIF, second picture", avif_second_picture),
    Bypass("EXIF thumbnail", exif_thumbnail),
    Bypass("JFIF thumbnail", jfif_thumbnail),
    Bypass("XMP thumbnail", xmp_thumbnail),
    Bypass("one of twelve pictures in a long one", long_picture),
    Bypass("film behind a JPEG (motion photo)", motion_photo),
    Bypass("JPEG without its end", lambda: jpeg_of(banned())[:-2]),
    Bypass("64 scan markers behind a JPEG", scans_behind_the_end),
    Bypass("PNG: wrong checksum of a text", lambda: with_chunk(chunk(b"tEXt", b"a\0b", crc=1))),
    Bypass(
        "PNG: compressed text of 2 MB",
        lambda: with_chunk(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2_000_000)))),
    ),
    Bypass("PNG: sRGB chunk without its byte", lambda: with_chunk(chunk(b"sRGB", b""))),
    Bypass("TIFF, 16 bits, white is zero", white_is_zero),
    Bypass("PNG, 16-bit grey, a transparent value", grey16_with_transparency),
    Bypass("animated PNG, plain image outside", default_image_outside),
    Bypass("JPEG 2000", lambda: encoded(banned(), "JPEG2000", quality_layers=[20])),
    Bypass("GIF of two frames, 50 ms and 10 s",
           lambda: animation([decoy(), banned()], "GIF", [50, 10_000]), "video"),
    Bypass("video: one frame that stays for 3 s", variable_rate, "video"),
    Bypass("video: banned for 100 ms", flash, "video"),
    Bypass("video: second stream", second_stream, "video"),
    Bypass("video: cover art", cover_art, "video"),
    Bypass(
        "video: alpha, banned over white, WebM",
        lambda: film(steady(mirage(over_white=True), 2), "webm", "libvpx-vp9", pix_fmt="yuva420p"),
        "video",
    ),
    Bypass("WMV", lambda: film(steady(banned(), 2), "asf", "wmv2"), "video"),
    Bypass("FLV", lambda: film(steady(banned(), 2), "flv", "flv1"), "video"),
    Bypass("MPEG program stream", lambda: film(steady(banned(), 2), "mpeg", "mpeg2video"), "video"),
    Bypass("transport stream, cut anywhere", cut_transport_stream, "video"),
    Bypass("Cinepak in AVI", lambda: film(steady(banned(), 0.2), "avi", "cinepak", pix_fmt="rgb24"),
           "video"),
)  # fmt: skip
