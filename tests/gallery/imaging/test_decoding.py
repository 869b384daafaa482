"""Bytes → pictures: every format and mode, damaged files, decompression bombs."""

from __future__ import annotations

import functools
import io
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagecodecs import jpegxl_encode
from PIL import Image, ImageCms

from gallery.imaging import decoding
from gallery.imaging.decoding.frames import Frame
from gallery.imaging.decoding.icc_profiles import profile_of_gamma
from gallery.imaging.decoding.limits import NotAnImage, PictureLimits, TooLarge
from gallery.imaging.decoding.opening import FORMATS
from gallery.imaging.decoding.pictures import ImageInfo
from gallery.imaging.decoding.reading import decode, file_frames, inspect, open_data
from gallery.imaging.decoding.sniffing import sniff
from gallery.shared.errors import UserError
from tests.examples import fuzz
from tests.factories import png_of_zeros

# pytest puts back the filter that the module sets.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

LIMITS = PictureLimits()
LOSSY = 4.0  # mean difference per value that re-encoding may cause


def frames(data: bytes, limits: PictureLimits) -> Iterator[Frame]:
    yield from (one.frame for one in file_frames(open_data(data, limits), limits))


def photo(width: int = 48, height: int = 32) -> Image.Image:
    """Smooth colours with no symmetry, so that every orientation looks different."""
    y, x = np.mgrid[0:height, 0:width]
    red = 255 * x / (width - 1)
    green = 255 * y / (height - 1)
    blue = 255 * (x + y) ** 2 / (width + height - 2) ** 2
    return Image.fromarray(np.dstack([red, green, blue]).round().astype(np.uint8))


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def difference(a: np.ndarray, b: np.ndarray | Image.Image) -> float:
    other = np.asarray(b)
    assert a.shape == other.shape
    return float(np.abs(a.astype(int) - other.astype(int)).mean())


def encode_as(format: str, image: Image.Image) -> bytes:
    """In one of our formats, as its encoder does it."""
    if format == "jxl":  # Pillow has no encoder
        return bytes(jpegxl_encode(np.asarray(image), distance=0.5))
    return encode(image, FORMATS[format])


PLAIN: dict[str, bytes] = {
    "jpeg": encode(photo(), "JPEG", quality=95, subsampling=0),
    "png": encode(photo(), "PNG"),
    "gif": encode(photo().quantize(256), "GIF"),
    "webp": encode(photo(), "WEBP", quality=95),
    "bmp": encode(photo(), "BMP"),
    "tiff": encode(photo(), "TIFF", compression="tiff_lzw"),
    "avif": encode(photo(), "AVIF", quality=95),
    "heic": encode(photo(), "HEIF", quality=95),
    "jxl": encode_as("jxl", photo()),
    "jp2": encode(photo(), "JPEG2000"),
}


# --- formats


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_is_recognised_and_decoded(format: str) -> None:
    data = PLAIN[format]
    assert sniff(data) == format
    assert inspect(data, LIMITS) == ImageInfo(format, 48, 32, 1)
    picture = decode(data, LIMITS)
    for pixels in (picture.rgb, picture.legacy_rgb):
        assert pixels.dtype == np.uint8
        assert pixels.shape == (32, 48, 3)
        assert difference(pixels, photo()) < LOSSY
        assert not pixels.flags.writeable
        assert pixels.flags.c_contiguous


@pytest.mark.parametrize("format", ["EPS", "PPM", "PSD", "ICO", "TGA", "PCX", "SGI"])
def test_other_formats_that_pillow_reads_are_not_opened(format: str) -> None:
    if format == "PSD":
        data = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 8, 8, 8, 3) + bytes(12)
    else:
        data = encode(photo(), format)
    assert sniff(data) is None
    with pytest.raises(NotAnImage) as caught:
        decode(data, LIMITS)
    assert caught.value.format is None


def test_heic_file_with_avif_brand_is_avif_and_the_reverse() -> None:
    assert sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf") == "avif"
    assert sniff(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic") == "heic"
    assert sniff(b"\0\0\0\x18ftypisom\0\0\0\0isommp42") is None


# --- modes


def sixteen_bit() -> np.ndarray:
    return np.asarray(photo().convert("L")).astype(np.uint16) * 257


def grey(values: np.ndarray) -> np.ndarray:
    return np.dstack([values] * 3)


OPAQUE: dict[str, tuple[Callable[[], bytes], Callable[[], np.ndarray]]] = {
    "L PNG": (
        lambda: encode(photo().convert("L"), "PNG"),
        lambda: grey(np.asarray(photo().convert("L"))),
    ),
    "L JPEG": (
        lambda: encode(photo().convert("L"), "JPEG", quality=95),
        lambda: grey(np.asarray(photo().convert("L"))),
    ),
    "1 PNG": (
        lambda: encode(photo().convert("1"), "PNG"),
        lambda: np.asarray(photo().convert("1").convert("RGB")),
    ),
    "1 TIFF": (
        lambda: encode(photo().convert("1"), "TIFF", compression="group4"),
        lambda: np.asarray(photo().convert("1").convert("RGB")),
    ),
    "P PNG": (
        lambda: encode(photo().quantize(64), "PNG"),
        lambda: np.asarray(photo().quantize(64).convert("RGB")),
    ),
    "P BMP": (
        lambda: encode(photo().quantize(64), "BMP"),
        lambda: np.asarray(photo().quantize(64).convert("RGB")),
    ),
    "CMYK JPEG": (
        lambda: encode(photo().convert("CMYK"), "JPEG", quality=95, subsampling=0),
        lambda: np.asarray(photo()),
    ),
    "CMYK TIFF": (lambda: encode(photo().convert("CMYK"), "TIFF"), lambda: np.asarray(photo())),
    "YCbCr TIFF": (lambda: encode(photo().convert("YCbCr"), "TIFF"), lambda: np.asarray(photo())),
    "16-bit PNG": (
        lambda: encode(Image.fromarray(sixteen_bit()), "PNG"),
        lambda: grey((sixteen_bit() >> 8).astype(np.uint8)),
    ),
    "16-bit TIFF": (
        lambda: encode(Image.fromarray(sixteen_bit()), "TIFF"),
        lambda: grey((sixteen_bit() >> 8).astype(np.uint8)),
    ),
    "16-bit big-endian TIFF": (
        lambda: encode(
            Image.frombytes("I;16B", (48, 32), sixteen_bit().astype(">u2").tobytes()), "TIFF"
        ),
        lambda: grey((sixteen_bit() >> 8).astype(np.uint8)),
    ),
    "32-bit TIFF": (
        lambda: encode(Image.fromarray((np.arange(256) * 1000).astype(np.int32)[None]), "TIFF"),
        lambda: grey(np.arange(256, dtype=np.uint8)[None]),
    ),
    "float TIFF": (
        lambda: encode(
            Image.fromarray((np.arange(256) / 300 - 0.2).astype(np.float32)[None]), "TIFF"
        ),
        lambda: grey(np.arange(256, dtype=np.uint8)[None]),
    ),
}


@pytest.mark.parametrize("name", OPAQUE)
def test_opaque_modes_become_rgb(name: str) -> None:
    make, expected = OPAQUE[name]
    picture = decode(make(), LIMITS)
    assert difference(picture.legacy_rgb, expected()) < LOSSY
    assert picture.rgb is picture.legacy_rgb


def test_float_tiff_with_nothing_finite_is_black() -> None:
    data = encode(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF")
    assert decode(data, LIMITS).rgb.max() == 0


def test_lab_is_shown_in_srgb() -> None:
    lab = ImageCms.profileToProfile(
        photo(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    picture = decode(encode(lab, "TIFF"), LIMITS)
    assert difference(picture.rgb, photo()) < LOSSY
    assert difference(picture.legacy_rgb, photo()) < LOSSY


def half_transparent() -> Image.Image:
    image = photo().convert("RGBA")
    alpha = np.zeros((32, 48), np.uint8)
    alpha[:, 16:32] = 128
    alpha[:, 32:] = 255
    image.putalpha(Image.fromarray(alpha))
    return image


TRANSPARENT: dict[str, Callable[[], bytes]] = {
    "RGBA PNG": lambda: encode(half_transparent(), "PNG"),
    "RGBA TIFF": lambda: encode(half_transparent(), "TIFF"),
    "RGBA WebP": lambda: encode(half_transparent(), "WEBP", lossless=True, exact=True),
    "RGBA AVIF": lambda: encode(half_transparent(), "AVIF", quality=95),
    "RGBA HEIC": lambda: encode(half_transparent(), "HEIF", quality=95),
    "LA PNG": lambda: encode(half_transparent().convert("LA"), "PNG"),
    "P with alpha palette": lambda: encode(half_transparent().quantize(256), "PNG"),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_transparency_lies_over_black_for_imgsmlr_and_over_white_otherwise(name: str) -> None:
    picture = decode(TRANSPARENT[name](), LIMITS)
    assert picture.legacy_rgb[:, :12].max() <= 6
    assert picture.rgb[:, :12].min() >= 249
    solid = photo().convert("LA").convert("RGB") if name == "LA PNG" else photo()
    color = np.asarray(solid).astype(int)
    middle = np.s_[:, 18:30]
    assert np.abs(picture.legacy_rgb[middle] - color[middle] * 128 / 255).mean() < 6
    assert np.abs(picture.rgb[middle] - (color[middle] * 128 + 255 * 127) / 255).mean() < 6
    opaque = np.s_[:, 34:]
    assert np.abs(picture.rgb[opaque].astype(int) - color[opaque]).mean() < 6
    assert np.abs(picture.legacy_rgb[opaque].astype(int) - color[opaque]).mean() < 6


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_one_transparent_colour(mode: str) -> None:
    image = Image.new("RGB", (8, 4), (10, 20, 30))
    image.paste((200, 0, 0), (0, 0, 4, 4))
    image = image.quantize(4) if mode == "P" else image.convert(mode)
    data = encode(image, "PNG", transparency=image.getpixel((0, 0)))
    picture = decode(data, LIMITS)
    assert picture.legacy_rgb[:, :4].max() == 0
    assert picture.rgb[:, :4].min() == 255
    assert picture.rgb[0, 7].tolist() == picture.legacy_rgb[0, 7].tolist() != [0, 0, 0]


# --- orientation

STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_all_orientations_are_shown_upright(format: str, orientation: int) -> None:
    method = STORED_AS[orientation]
    stored = photo() if method is None else photo().transpose(method)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decoding.decode(encode(stored, format, exif=exif, quality=95), LIMITS)
    assert difference(picture.rgb, photo()) < LOSSY
    if format != "TIFF":  # its reader turns the pixels itself
        assert difference(picture.legacy_rgb, stored) < LOSSY
    thumbnail = Image.open(io.BytesIO(picture.thumbnail(48)))
    assert difference(np.asarray(thumbnail), photo()) < 8
    assert not thumbnail.getexif()


def test_damaged_exif_does_not_cost_the_picture() -> None:
    exif = b"\xff\xe1\x00\x10Exif\0\0MM\0*\xff\xff\xff\xff"
    data = PLAIN["jpeg"][:2] + exif + PLAIN["jpeg"][2:]
    assert difference(decode(data, LIMITS).rgb, photo()) < LOSSY


# --- thumbnails


@pytest.mark.parametrize(
    ("size", "expected"), [((640, 480), (200, 150)), ((3, 900), (1, 200)), ((40, 30), (40, 30))]
)
def test_thumbnail_keeps_the_shape_and_never_enlarges(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    info = {"comment": b"secret", "icc_profile": b"x" * 200}
    data = encode(photo(*size), "JPEG", **info)
    assert b"secret" in data
    thumbnail = decoding.decode(data, LIMITS).thumbnail(200)
    assert Image.open(io.BytesIO(thumbnail)).size == expected
    assert b"secret" not in thumbnail


# --- animations and pages


def plates(count: int) -> list[Image.Image]:
    """Frames that differ clearly from each other."""
    return [
        Image.new("RGB", (12, 10), ((i * 37) % 256, (i * 91) % 256, (i * 53) % 256))
        for i in range(count)
    ]


def animate(images: list[Image.Image], format: str, **options: Any) -> bytes:
    return encode(images[0], format, save_all=True, append_images=images[1:], **options)


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("GIF", {}),
        ("WEBP", {"lossless": True}),
        ("PNG", {}),
        ("TIFF", {}),
        ("AVIF", {"quality": 100}),
        ("HEIF", {"quality": 100}),
    ],
)
def test_every_frame_or_page_is_seen(format: str, options: dict[str, Any]) -> None:
    images = plates(5)
    data = animate(images, format, **options)
    assert inspect(data, LIMITS).frames == 5
    seen = list(frames(data, LIMITS))
    assert len(seen) == 5
    for picture, image in zip(seen, images, strict=True):
        assert difference(picture.rgb, image) < LOSSY
        assert difference(picture.legacy_rgb, image) < LOSSY
    assert difference(decode(data, LIMITS).rgb, images[0]) < LOSSY


def test_a_still_picture_is_one_frame() -> None:
    assert len(list(frames(PLAIN["jpeg"], LIMITS))) == 1


def test_equal_neighbours_are_skipped_but_a_return_is_not() -> None:
    a, b = plates(2)
    data = animate([a, a, b, b, b, a], "TIFF")
    seen = [tuple(picture.rgb[0, 0]) for picture in frames(data, LIMITS)]
    assert seen == [a.getpixel((0, 0)), b.getpixel((0, 0)), a.getpixel((0, 0))]


def test_no_frame_of_a_long_animation_is_left_out() -> None:
    images = plates(200)
    seen = [tuple(int(v) for v in p.rgb[0, 0]) for p in frames(animate(images, "TIFF"), LIMITS)]
    assert seen == [image.getpixel((0, 0)) for image in images]


def test_one_frame_flashed_in_a_long_still_animation_is_found() -> None:
    still, flash = plates(2)
    data = animate([still] * 150 + [flash] + [still] * 150, "TIFF")
    seen = [tuple(picture.rgb[0, 0]) for picture in frames(data, LIMITS)]
    assert seen == [image.getpixel((0, 0)) for image in (still, flash, still)]


def test_gif_frames_with_partial_updates_are_composed() -> None:
    first = photo()
    second = first.copy()
    second.paste((255, 0, 0), (4, 4, 20, 20))
    data = animate([first.quantize(64), second.quantize(64)], "GIF")
    last = list(frames(data, LIMITS))[-1]
    assert last.rgb[10, 10, 0] > 200
    assert difference(last.rgb, second) < 16


def test_broken_later_page_is_an_error_when_it_is_reached() -> None:
    data = animate([photo(), photo().rotate(180)], "TIFF", compression="tiff_lzw")
    with Image.open(io.BytesIO(data)) as image:
        image.seek(1)
        offset = image.tag_v2[273][0]  # StripOffsets
    broken = data[:offset] + b"\xff" * 40 + data[offset + 40 :]
    assert difference(decode(broken, LIMITS).rgb, photo()) < LOSSY
    with pytest.raises(NotAnImage) as caught:
        list(frames(broken, LIMITS))
    assert caught.value.format == "tiff"


# --- not a picture, damaged

NOT_PICTURES = {
    b"": "empty",
    b"just some words in a file named .jpg": "text",
    b"  <!DOCTYPE html><title>404</title>": "HTML",
    b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>": "SVG",
    b"\0\0\0\x18ftypisom\0\0\0\0isommp42": "video",
    b"\x1a\x45\xdf\xa3 webm": "video",
    b"\x7fELF\2\1\1\0\0\0\0\0": "JPEG, PNG",
    b"BM is how this note begins": "text",
}


@pytest.mark.parametrize("data", NOT_PICTURES)
def test_what_is_no_picture_is_named(data: bytes) -> None:
    for read in (inspect, decode, lambda d, limits: list(frames(d, limits))):
        with pytest.raises(NotAnImage, match=NOT_PICTURES[data]) as caught:
            read(data, LIMITS)
        assert caught.value.format is None
        assert caught.value.code == "not_an_image"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9])
def test_a_file_that_ends_early_is_an_error(format: str, part: float) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode_as(format, Image.fromarray(noise))
    cut = data[: max(20, int(len(data) * part))]
    with pytest.raises(NotAnImage) as caught:
        decode(cut, LIMITS)
    assert caught.value.format == format


def test_the_sentence_says_that_the_file_ends_early() -> None:
    data = encode(photo(200, 200), "JPEG")
    with pytest.raises(NotAnImage, match="JPEG that ends early; upload it again"):
        decode(data[: len(data) // 2], LIMITS)


@pytest.mark.slow
@fuzz(120)
@given(
    format=st.sampled_from([*FORMATS, "animated gif", "animated png", "pages", "profiled"]),
    edits=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), max_size=6),
    keep=st.floats(0.2, 1.0),
)
def test_damaged_files_raise_only_user_errors(
    format: str, edits: list[tuple[float, bytes]], keep: float
) -> None:
    data = bytearray(MUTATED[format])
    for where, value in edits:
        at = int(where * len(data))
        data[at : at + len(value)] = value
    damaged = bytes(data[: int(len(data) * keep)])
    limits = PictureLimits(max_pixels=1_000_000, max_total_pixels=4_000_000)
    try:
        picture = decode(damaged, limits)
        assert picture.rgb.shape[2] == picture.legacy_rgb.shape[2] == 3
    except UserError as error:
        assert isinstance(error, NotAnImage | TooLarge)
    try:
        for picture in frames(damaged, limits):
            assert all(rendering.rgb.ndim == 3 for rendering in picture.renderings())
    except UserError as error:
        assert isinstance(error, NotAnImage | TooLarge)


MUTATED = {
    **PLAIN,
    "animated gif": animate(plates(4), "GIF"),
    "animated png": animate(plates(4), "PNG"),
    "pages": animate(plates(4), "TIFF", compression="tiff_deflate"),
    "profiled": encode(photo(), "JPEG", icc_profile=profile_of_gamma(0.8, None)),
}


# --- limits and bombs


def gif(size: tuple[int, int], frame: tuple[int, int], count: int) -> bytes:
    """Frames whose LZW data hold one pixel and then end: what a header costs, and no more."""
    head = b"GIF89a" + struct.pack("<HHBBB", *size, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    one = b"\x2c" + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x44\x01\x00"
    return head + one * count + b";"


def bmp_rle(width: int, height: int) -> bytes:
    body = b"\0\2\xff\xff" * 3 + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 0, 0)
    palette = bytes(4 * 256)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + palette + body


def tiff_of_pages(count: int) -> bytes:
    """8 × 8 pages that share no pixels: directories alone."""
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: 64}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    size = 2 + len(entries) + 4
    pages = [
        struct.pack("<H", len(tags)) + entries + struct.pack("<I", 8 + size * (i + 1))
        for i in range(count)
    ]
    return b"II*\0" + struct.pack("<I", 8) + b"".join(pages)


def webp_canvas(side: int) -> bytes:
    """An animation that only declares its canvas."""
    extent = (side - 1).to_bytes(3, "little")
    body = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + extent + extent
    body += b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def many_scans() -> bytes:
    data = encode(Image.new("L", (2000, 2000)), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * 200 + b"\xff\xd9"


BOMBS: dict[str, Callable[[], bytes]] = {
    "169 MP PNG, 8 bit": lambda: png_of_zeros(13_000, 13_000, 8),
    "169 MP PNG, 1 bit": lambda: png_of_zeros(13_000, 13_000, 1),
    "61 GIF frames of 16 MP": lambda: gif((4000, 4000), (4000, 4000), 61),
    "a million GIF frames": lambda: gif((10, 10), (1, 1), 1_000_000),
    "GIF whose second frame is 4 GP": lambda: (
        gif((1, 1), (1, 1), 1)[:-1] + gif((1, 1), (65_535, 65_535), 1)[19:]
    ),
    "RLE BMP 64 million wide": lambda: bmp_rle(64_000_000, 1),
    "20,000 TIFF pages": lambda: tiff_of_pages(20_000),
    "WebP canvas of 268 MP": lambda: webp_canvas(16_383),
    "JPEG of 200 scans": many_scans,
}


@functools.cache
def bomb(name: str) -> bytes:
    return BOMBS[name]()


def peak_memory() -> int:
    """Bytes: the high-water mark of this process, set back by ``reset_peak``."""
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def reset_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("read", [inspect, decode, lambda d, limits: list(frames(d, limits))])
def test_bombs_are_refused_from_the_header(
    name: str, read: Callable[[bytes, PictureLimits], object]
) -> None:
    data = bomb(name)
    before, started = reset_peak(), time.process_time()
    with pytest.raises(TooLarge) as caught:
        read(data, LIMITS)
    assert time.process_time() - started < 2
    assert peak_memory() - before < 64 * 2**20
    assert caught.value.code == "image_too_large"


def test_rle_bmp_allocates_no_more_than_its_pixels_and_255_rows() -> None:
    data = bmp_rle(60_000, 1000)
    before = reset_peak()
    with pytest.raises(NotAnImage):
        decode(data, LIMITS)
    assert peak_memory() - before < 200 * 2**20


def test_each_limit_is_inclusive() -> None:
    data = animate(plates(3), "GIF")  # 12 × 10
    exact = PictureLimits(max_bytes=len(data), max_pixels=120, max_frames=3, max_total_pixels=360)
    assert len(list(frames(data, exact))) == 3
    for tighter in (
        PictureLimits(max_bytes=len(data) - 1),
        PictureLimits(max_pixels=119),
        PictureLimits(max_frames=2),
        PictureLimits(max_total_pixels=359),
    ):
        with pytest.raises(TooLarge):
            inspect(data, tighter)


def test_a_later_page_may_not_be_larger_than_the_limit() -> None:
    data = animate([photo(8, 8), photo(400, 400)], "TIFF")
    with pytest.raises(TooLarge):
        list(frames(data, PictureLimits(max_pixels=10_000)))


def test_warnings_as_errors_do_not_change_the_answer() -> None:
    program = (
        "import sys; from gallery.imaging.decoding.reading import decode\n"
        "from gallery.imaging.decoding.limits import PictureLimits, TooLarge\n"
        "try: decode(sys.stdin.buffer.read(), PictureLimits())\n"
        "except TooLarge: print('too large')"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        input=png_of_zeros(13_000, 13_000, 1),
        capture_output=True,
        check=True,
    )
    assert run.stdout.strip() == b"too large"
    assert run.stderr == b""


def test_threads_share_a_picture() -> None:
    picture = decode(encode(photo(300, 200), "PNG"), LIMITS)
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(picture.rgb.tobytes())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert set(results) == {photo(300, 200).tobytes()}
