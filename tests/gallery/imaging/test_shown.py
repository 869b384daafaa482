"""What is described of a file is what a viewer shows of it: kinds of files made to show another
picture than the one that is looked at, and honest ones that were refused or shown wrongly."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageCms, ImageFilter, ImageOps

from gallery.imaging import decoding
from gallery.imaging.decoding import appended_video
from gallery.imaging.decoding.containers.jpeg import SOI
from gallery.imaging.decoding.frames import Frame
from gallery.imaging.decoding.icc_profiles import profile_of_cicp, profile_of_gamma
from gallery.imaging.decoding.limits import NotAnImage, PictureLimits, TooLarge
from gallery.imaging.decoding.reading import FileFrame, decode, file_frames, inspect, open_data
from gallery.imaging.descriptors.pdq import dihedral_hashes
from tests import bypasses
from tests.factories import packed_zeros
from tests.gallery.imaging.test_decoding import encode

LIMITS = PictureLimits()
LOSSY = 4.0
NEAR = 16
"""PDQ bits that a picture may change by when it is stored; of two scenes some 128 differ."""


def scene(seed: int, side: int = 128) -> Image.Image:
    """A picture of blobs large and small, different for each seed."""
    random = np.random.default_rng(seed)
    large, small = (
        Image.fromarray(random.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize((side, side))
        for n in (7, 24)
    )
    return Image.blend(large, small, 0.5)


BANNED, DECOY = scene(1), scene(2)


def bits(rgb: np.ndarray) -> np.ndarray:
    found = dihedral_hashes(rgb)
    assert found is not None
    return np.unpackbits(np.frombuffer(found[0][0], np.uint8))


def apart(rgb: np.ndarray, image: Image.Image) -> int:
    return int((bits(rgb) != bits(np.asarray(image.convert("RGB")))).sum())


def off(rgb: np.ndarray, image: Image.Image) -> float:
    expected = np.asarray(image.convert("RGB")).astype(int)
    assert rgb.shape == expected.shape
    return float(np.abs(rgb.astype(int) - expected).mean())


def file_pictures(data: bytes, limits: PictureLimits) -> Iterator[FileFrame]:
    return file_frames(open_data(data, limits), limits)


def named(picture: Frame) -> dict[str, np.ndarray]:
    return {rendering.name: rendering.rgb for rendering in picture.renderings()}


# --- colour


def curved(table: np.ndarray) -> bytes:
    """A profile with sRGB's colours whose curve is this table of 0 to 1."""
    profile = profile_of_gamma(1.0, None)
    at = profile.index(b"curv")
    values = (table * 65535).round().astype(">u2").tobytes()
    curve = struct.pack(">4sII", b"curv", 0, len(table)) + values
    tags = bytearray(profile[:at] + curve)
    for entry in range(struct.unpack_from(">I", profile, 128)[0]):
        name, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * entry)
        if name.endswith(b"TRC"):
            struct.pack_into(">4sII", tags, 132 + 12 * entry, name, offset, len(curve))
    tags[:4] = len(tags).to_bytes(4, "big")
    return bytes(tags)


FALLING = curved(((255 - np.arange(256)) / 255) ** 2.2)
SAW = curved(((np.arange(256) * 4 % 256) / 255) ** 2.2)
P3 = profile_of_cicp(12, 13)
assert P3 is not None


def as_saw(image: Image.Image) -> Image.Image:
    """Stored so that the saw-tooth curve shows the image, in the steepest quarters."""
    values = np.asarray(image).astype(int)
    quarter = np.arange(values.size).reshape(values.shape) % 4
    return Image.fromarray(((values + 256 * quarter) / 4).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_a_falling_curve_shows_the_negative_of_what_is_stored(format: str) -> None:
    data = encode(ImageOps.invert(BANNED), format, icc_profile=FALLING, quality=95)
    picture = decode(data, LIMITS)
    assert apart(picture.rgb, BANNED) <= NEAR
    assert apart(decode(decoding.decode(data, LIMITS).thumbnail(128), LIMITS).rgb, BANNED) <= NEAR
    assert picture.doubt is not None
    assert apart(named(picture)["unconverted"], ImageOps.invert(BANNED)) <= NEAR
    assert apart(picture.legacy_rgb, ImageOps.invert(BANNED)) <= NEAR


def test_a_saw_tooth_is_doubted() -> None:
    picture = decode(encode(as_saw(BANNED), "PNG", icc_profile=SAW), LIMITS)
    assert apart(picture.rgb, BANNED) <= 20
    assert picture.doubt is not None


@pytest.mark.parametrize("gamma", [0.02, 0.05, 5.0])
def test_an_extreme_gamma_is_applied_and_doubted(gamma: float) -> None:
    shown_as = np.asarray(BANNED) / 255
    linear = np.where(shown_as <= 0.04045, shown_as / 12.92, ((shown_as + 0.055) / 1.055) ** 2.4)
    stored = (linear**gamma * 255).round().astype(np.uint8)
    picture = decode(png_with(Image.fromarray(stored), [(b"gAMA", gama(gamma))]), LIMITS)
    if gamma < 1:  # otherwise what is stored is too dark to hold the picture
        assert apart(picture.rgb, BANNED) <= 24
    assert picture.doubt is not None
    assert "unconverted" in named(picture)


def test_swapped_colours_are_doubted() -> None:
    sides = ((0.3127, 0.329), (0.15, 0.06), (0.64, 0.33), (0.3, 0.6))
    picture = decode(encode(BANNED, "PNG", icc_profile=profile_of_gamma(0.45, sides)), LIMITS)
    assert picture.doubt is not None


HONEST: dict[str, bytes] = {
    "sRGB": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "Display P3": P3,
    "Adobe RGB": profile_of_gamma(
        1 / 2.2, ((0.3127, 0.329), (0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
    ),
    "ProPhoto": profile_of_gamma(
        1 / 1.8, ((0.3457, 0.3585), (0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))
    ),
    "linear": profile_of_gamma(1.0, None),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_profiles_are_not_doubted(name: str) -> None:
    """The fast way and lcms agree, and what is shown of the profile's own values is the picture."""
    icc = HONEST[name]
    stored = ImageCms.profileToProfile(
        DECOY, ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(icc))
    )
    picture = decode(encode(stored, "PNG", icc_profile=icc), LIMITS)
    assert picture.doubt is None
    assert off(picture.rgb, DECOY) < 2
    assert (picture.rgb is picture.legacy_rgb) == (name == "sRGB")


@pytest.mark.parametrize(
    "icc", [b"", b"\0" * 128, b"x" * 500, FALLING[:200], FALLING[:128] + b"\xff" * 400, P3[:-40]]
)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_a_broken_profile_is_ignored(format: str, icc: bytes) -> None:
    picture = decode(encode(DECOY, format, icc_profile=icc, quality=95), LIMITS)
    assert off(picture.rgb, DECOY) < LOSSY


def test_a_profile_of_other_colours_is_ignored() -> None:
    picture = decode(encode(DECOY, "JPEG", icc_profile=grey_profile(FALLING), quality=95), LIMITS)
    assert off(picture.rgb, DECOY) < LOSSY


def grey_profile(of: bytes) -> bytes:
    """A profile of greys with the curve of another one."""
    at = of.index(b"curv")
    curve, white = of[at:], struct.pack(">4sI3i", b"XYZ ", 0, 63190, 65536, 54061)
    table = struct.pack(">I4sII4sII", 2, b"wtpt", 156, 20, b"kTRC", 176, len(curve))
    header = bytearray(of[:128])
    header[16:20] = b"GRAY"
    header[:4] = (176 + len(curve)).to_bytes(4, "big")
    return bytes(header) + table + white + curve


@pytest.mark.parametrize("icc", [grey_profile(FALLING), FALLING])
def test_greys_are_converted_too(icc: bytes) -> None:
    grey = BANNED.convert("L")
    picture = decode(encode(ImageOps.invert(grey), "JPEG", icc_profile=icc, quality=95), LIMITS)
    assert apart(picture.rgb, grey) <= NEAR
    assert picture.doubt is not None


def cmyk_profile(*, falling: bool) -> bytes:
    """Any ink is black; or, where the curve falls, white."""
    corners = [any(corner >> bit & 1 for bit in range(4)) for corner in range(16)]
    light = [255 * (ink == falling) for ink in corners]
    identity = bytes(range(256))
    table = b"".join(bytes([value, 128, 128]) for value in light)
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    tag = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + identity * 4 + table + identity * 3
    header = bytearray(FALLING[:128])
    header[12:24] = b"prtrCMYKLab "
    header[:4] = (144 + len(tag)).to_bytes(4, "big")
    return bytes(header) + struct.pack(">I4sII", 1, b"A2B0", 144, len(tag)) + tag


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
@pytest.mark.parametrize("falling", [False, True])
def test_cmyk_is_converted_by_its_profile(format: str, falling: bool) -> None:
    grey = BANNED.convert("L")
    none = Image.new("L", grey.size)
    black = grey if falling else ImageOps.invert(grey)
    ink = Image.merge("CMYK", [none, none, none, black])
    data = encode(ink, format, icc_profile=cmyk_profile(falling=falling), quality=95)
    picture = decode(data, LIMITS)
    assert apart(picture.rgb, grey) <= NEAR
    assert (picture.doubt is not None) == falling


def test_jpeg_2000_is_converted_by_its_profile() -> None:
    data = encode(ImageOps.invert(BANNED), "JPEG2000")
    at = data.index(b"colr") - 4
    own = int.from_bytes(data[at : at + 4], "big")
    box = struct.pack(">I4s3B", 11 + len(FALLING), b"colr", 2, 0, 0) + FALLING
    head = data.index(b"jp2h") - 4
    size = int.from_bytes(data[head : head + 4], "big") - own + len(box)
    changed = data[:head] + struct.pack(">I", size) + data[head + 4 : at] + box + data[at + own :]
    picture = decode(changed, LIMITS)
    assert apart(picture.rgb, BANNED) <= NEAR
    assert picture.doubt is not None


def test_cmyk_is_read_both_ways_where_no_marker_says_which() -> None:
    """Browsers take it as Adobe writes it, others as the standard has it."""

    def stored(ink: Image.Image) -> tuple[bytes, bytes]:
        data = encode(ink, "JPEG", quality=95, subsampling=0)
        at = data.index(b"Adobe")
        return data, data[: at - 4] + data[at + 12 :]

    ink = BANNED.convert("CMYK")
    marked, unmarked = stored(ink)
    for data in (marked, unmarked):
        assert apart(decode(data, LIMITS).rgb, BANNED) <= NEAR
    assert "inverted" not in named(decode(marked, LIMITS))
    _, other_way = stored(ImageChops.invert(ink))
    assert apart(named(decode(other_way, LIMITS))["inverted"], BANNED) <= NEAR


# --- PNG


def png_with(
    image: Image.Image, chunks: list[tuple[bytes, bytes]], *, before: bytes = b"IDAT"
) -> bytes:
    """A PNG with further chunks, each with its right checksum."""
    data = encode(image, "PNG")
    at = data.index(before) - 4
    return data[:at] + b"".join(chunk(*one) for one in chunks) + data[at:]


def chunk(kind: bytes, content: bytes, crc: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def gama(gamma: float) -> bytes:
    return struct.pack(">I", round(gamma * 100_000))


SRGB_CHRM = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)

ZEROS = packed_zeros(100 * 2**20)
"""100 MiB of them."""

BROKEN = {
    "wrong checksum": chunk(b"tEXt", b"Title\0x", crc=1),
    "wrong checksum of gAMA": chunk(b"gAMA", gama(0.02), crc=1),
    "1 MiB of text": chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**20 + 1))),
    "100 MiB of text": chunk(b"iTXt", b"a\0\1\0\0\0" + ZEROS),
    "short sRGB": chunk(b"sRGB", b""),
    "short gAMA": chunk(b"gAMA", b"\0\0\7"),
    "short cHRM": chunk(b"cHRM", b"\0" * 31),
    "short tRNS": chunk(b"tRNS", b"\0" * 5),
    "short pHYs": chunk(b"pHYs", b"\0"),
    "gamma of nothing": chunk(b"gAMA", bytes(4)),
    "profile without an end": chunk(b"iCCP", b"x\0\0" + zlib.compress(FALLING)[:-9]),
    "profile packed otherwise": chunk(b"iCCP", b"x\0\7" + zlib.compress(FALLING)),
    "profile of 100 MiB": chunk(b"iCCP", b"x\0\0" + ZEROS),
    "text of unknown packing": chunk(b"zTXt", b"a\0\x09abc"),
    "broken EXIF": chunk(b"eXIf", b"II*\0\xff\xff\xff\xff"),
    "a name of its own": chunk(b"abCd", b"anything"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_ancillary_chunk_does_not_cost_the_picture(name: str) -> None:
    data = encode(DECOY, "PNG")
    at = data.index(b"IDAT") - 4
    picture = decode(data[:at] + BROKEN[name] + data[at:], LIMITS)
    assert off(picture.rgb, DECOY) == 0
    assert picture.doubt is None


def test_gamma_after_the_pixels_says_nothing() -> None:
    picture = decode(png_with(DECOY, [(b"gAMA", gama(0.02))], before=b"IEND"), LIMITS)
    assert off(picture.rgb, DECOY) == 0


@pytest.mark.parametrize(
    ("chunks", "counts"),
    [
        ([(b"gAMA", gama(1.0))], True),
        ([(b"gAMA", gama(1.0)), (b"cHRM", SRGB_CHRM)], True),
        ([(b"gAMA", gama(0.45455)), (b"cHRM", SRGB_CHRM)], False),
        ([(b"cHRM", SRGB_CHRM[::-1])], False),
        ([(b"sRGB", b"\0"), (b"gAMA", gama(1.0))], False),
        ([(b"cICP", b"\1\x0d\0\1"), (b"gAMA", gama(1.0))], False),
        ([(b"cICP", b"\1\x08\0\1"), (b"sRGB", b"\0")], True),
        ([(b"gAMA", gama(0.45455)), (b"gAMA", gama(0.02))], False),
        (
            [(b"iCCP", b"x\0\0" + zlib.compress(profile_of_gamma(1.0, None))), (b"sRGB", b"\0")],
            True,
        ),
        ([(b"iCCP", b"x\0\0broken"), (b"gAMA", gama(1.0))], True),
    ],
)
def test_which_chunk_says_the_colours(chunks: list[tuple[bytes, bytes]], counts: bool) -> None:
    """Linear light is shown brighter; what does not count leaves every pixel as it is."""
    brighter = decode(png_with(DECOY, chunks), LIMITS).rgb.mean() - np.asarray(DECOY).mean()
    assert brighter > 20 if counts else brighter == 0


def test_a_whole_file_is_not_said_to_end_early() -> None:
    data = encode(DECOY, "PNG")
    at = data.index(b"IDAT") + 4
    broken = data[:at] + bytes(40) + data[at + 40 :]
    with pytest.raises(NotAnImage, match="damaged"):
        decode(broken, LIMITS)
    with pytest.raises(NotAnImage, match="ends early"):
        decode(data[: len(data) // 2], LIMITS)


# --- transparency


def mirage(format: str, **options: Any) -> bytes:
    """Over white the decoy, over black the banned picture."""
    white = 128 + np.asarray(DECOY.convert("L")).astype(int) // 2
    black = np.asarray(BANNED.convert("L")).astype(int) // 2
    alpha = 255 - (white - black)
    grey = (black * 255 / np.maximum(alpha, 1)).round().clip(0, 255)
    both = np.dstack([grey, alpha]).astype(np.uint8)
    return encode(Image.fromarray(both, "LA").convert("RGBA"), format, **options)


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("WEBP", {"lossless": True, "exact": True}),
        ("TIFF", {}),
        ("AVIF", {"quality": 100}),
        ("HEIF", {"quality": 100}),
    ],
)
def test_both_pictures_of_a_mirage_are_seen(format: str, options: dict[str, Any]) -> None:
    picture = decode(mirage(format, **options), LIMITS)
    ways = named(picture)
    assert next(iter(ways)) == "white"
    assert ways["white"] is picture.rgb
    assert apart(ways["white"], DECOY.convert("L")) <= 16
    assert apart(ways["black"], BANNED.convert("L")) <= 16


def test_colours_that_are_all_transparent_are_seen_alone() -> None:
    hidden = BANNED.convert("RGBA")
    hidden.putalpha(0)
    ways = named(decode(encode(hidden, "PNG"), LIMITS))
    assert off(ways["colour"], BANNED) == 0
    assert ways["white"].min() == 255
    assert ways["black"].max() == 0


def test_an_opaque_alpha_says_nothing() -> None:
    assert list(named(decode(encode(DECOY.convert("RGBA"), "PNG"), LIMITS))) == ["white"]


@pytest.mark.parametrize("kind", ["GIF", "palette", "animation"])
def test_transparent_palettes(kind: str) -> None:
    """White ink on nothing: to be read over black alone."""
    ink = Image.fromarray((np.asarray(BANNED.convert("L")) > 128).astype(np.uint8) * 1, "P")
    ink.putpalette([255, 255, 255, 255, 255, 255])
    if kind == "animation":
        data = encode(
            ink,
            "GIF",
            save_all=True,
            append_images=[Image.eval(ink, lambda v: 1 - v)],
            transparency=0,
            disposal=2,
        )
    else:
        data = encode(ink, "GIF" if kind == "GIF" else "PNG", transparency=0)
    one = next(file_pictures(data, LIMITS)).frame
    assert one.rgb.min() == 255
    assert apart(named(one)["black"], BANNED.convert("L").point(lambda v: 255 * (v > 128))) <= 2


def grey_png(values: np.ndarray, depth: int, key: int) -> bytes:
    """Greys of 2, 4, 8 or 16 bits with one transparent grey, packed by hand."""
    height, width = values.shape
    if depth == 16:
        rows = [b"\0" + row.astype(">u2").tobytes() for row in values]
    else:
        per = 8 // depth
        rows = []
        for row in values:
            packed = sum(row[at::per].astype(int) << (8 - depth * (at + 1)) for at in range(per))
            rows.append(b"\0" + packed.astype(np.uint8).tobytes())
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tRNS", struct.pack(">H", key))
        + chunk(b"IDAT", zlib.compress(b"".join(rows)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("depth", [2, 4, 8, 16])
def test_one_transparent_grey_of_any_depth(depth: int) -> None:
    top = (1 << depth) - 1
    values = (np.asarray(BANNED.convert("L")).astype(int) * top + 127) // 255
    key = int(np.bincount(values.ravel()).argmax())
    picture = decode(grey_png(values, depth, key), LIMITS)
    expected = np.where(values == key, 255, values * 255 // top).astype(np.uint8)
    assert off(picture.rgb, Image.fromarray(expected)) <= 1
    assert named(picture)["black"][values == key].max() == 0


@pytest.mark.parametrize("key", [(65_535, 0, 0), (1_000, 2_000, 3_000)])
def test_one_transparent_colour_of_16_bits(key: tuple[int, int, int]) -> None:
    values = (np.asarray(BANNED).astype(int) * 257).astype(">u2")
    values[:40, :40] = key
    header = struct.pack(">IIBBBBB", 128, 128, 16, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tRNS", struct.pack(">3H", *key))
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in values)))
        + chunk(b"IEND", b"")
    )
    picture = decode(data, LIMITS)
    assert picture.rgb[:40, :40].min() == 255
    assert named(picture)["black"][:40, :40].max() == 0
    assert off(picture.rgb[40:], BANNED.crop((0, 40, 128, 128))) == 0


def test_greys_of_16_bits_look_like_those_of_8() -> None:
    values = np.asarray(BANNED.convert("L")).astype(int)
    deep = decode(grey_png(values * 257, 16, 120 * 257), LIMITS)
    plain = decode(grey_png(values, 8, 120), LIMITS)
    assert int((bits(deep.rgb) != bits(plain.rgb)).sum()) <= 4


# --- TIFF


def tiff(values: np.ndarray, photometric: int, order: str = "<") -> bytes:
    """Greys of one strip without compression."""
    height, width = values.shape
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    body = values.astype(values.dtype.newbyteorder(order)).tobytes()
    tags = {256: width, 257: height, 258: values.itemsize * 8, 259: 1, 262: photometric}
    tags |= {273: 8, 277: 1, 278: height, 279: len(body), 339: kind}
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, v) for tag, v in tags.items())
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(body))
    return head + body + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


GREY = np.asarray(BANNED.convert("L"))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f4"])
def test_greys_of_tiff(dtype: str, white_is_zero: bool, order: str) -> None:
    scale = {"u1": 1, "u2": 257, "u4": 257 * 65537, "f4": 1 / 255}[dtype]
    values = ((255 - GREY if white_is_zero else GREY) * np.float64(scale)).astype(dtype)
    picture = decode(tiff(values, 0 if white_is_zero else 1, order), LIMITS)
    assert apart(picture.rgb, BANNED.convert("L")) <= NEAR


@pytest.mark.parametrize("value", [1e30, -1e30, np.inf, np.nan])
def test_one_outlier_does_not_hide_a_float_picture(value: float) -> None:
    values = (GREY / 255).astype("f4")
    values[3, 5] = value
    assert apart(decode(tiff(values, 1), LIMITS).rgb, BANNED.convert("L")) <= NEAR


@pytest.mark.parametrize("order", ["<", ">"])
def test_compressed_floats(order: str) -> None:
    stream = io.BytesIO(tiff((GREY / 255).astype("f4"), 1, order))
    with Image.open(stream) as image:
        data = encode(image, "TIFF", compression="tiff_deflate")
    assert apart(decode(data, LIMITS).rgb, BANNED.convert("L")) <= NEAR


def raw(kind: str) -> bytes:
    """A small preview, as raw files begin, and what makes them raw."""
    small = encode(scene(3, 160), "TIFF")
    if kind == "cr2":
        return small[:8] + b"CR\2\0" + small[12:]
    with Image.open(io.BytesIO(small)) as image:
        if kind == "dng":
            return encode(image, "TIFF", tiffinfo={50706: b"\1\4\0\0"})
        data = encode(image, "TIFF", tiffinfo={330: 0})
    at = (
        data.index(struct.pack("<HHI", 330, 4, 1)) if struct.pack("<HHI", 330, 4, 1) in data else -1
    )
    if at < 0:
        at = data.index(struct.pack("<HH", 330, 13))
    sensor = struct.pack("<HHHII", 1, 262, 3, 1, 32803) + bytes(4)
    return data[: at + 8] + struct.pack("<I", len(data)) + data[at + 12 :] + sensor


@pytest.mark.parametrize("kind", ["cr2", "dng", "nef"])
def test_raw_files_say_what_they_are(kind: str) -> None:
    with pytest.raises(NotAnImage, match="camera's raw file") as caught:
        decode(raw(kind), LIMITS)
    assert caught.value.format == "tiff"


@pytest.mark.parametrize(
    "head", [b"FUJIFILMCCD-RAW 0201", b"IIRO\x08\0\0\0", b"\0\0\0\x18ftypcrx \0"]
)
def test_other_raw_files_say_what_they_are(head: bytes) -> None:
    with pytest.raises(NotAnImage, match="camera's raw file"):
        decode(head + bytes(64), LIMITS)


# --- JPEG


def jpeg(image: Image.Image, **options: Any) -> bytes:
    return encode(image, "JPEG", quality=90, **options)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("lost", [1, 2, 3, 12])
def test_a_jpeg_may_lack_its_last_bytes(lost: int, progressive: bool) -> None:
    data = jpeg(BANNED, progressive=progressive)
    assert off(decode(data[:-lost], LIMITS).rgb, BANNED) < LOSSY


@pytest.mark.parametrize(
    ("part", "progressive"), [(0.5, False), (0.8, False), (0.93, False), (0.5, True)]
)
def test_a_jpeg_cut_off_is_none(part: float, progressive: bool) -> None:
    data = jpeg(BANNED.filter(ImageFilter.UnsharpMask(8, 400)), progressive=progressive)
    with pytest.raises(NotAnImage, match="ends early"):
        decode(data[: int(len(data) * part)], LIMITS)


@pytest.mark.parametrize(
    "tail", [b"\xff\xda" * 64, b"\xff\xda\0\x0c" * 5_000, bytes(1_000), b"\xff" * 99]
)
def test_scans_behind_the_picture_are_none(tail: bytes) -> None:
    assert off(decode(jpeg(DECOY) + tail, LIMITS).rgb, DECOY) < LOSSY


def test_scans_of_the_picture_are_counted() -> None:
    data = jpeg(DECOY, progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(TooLarge):
        inspect(data[:-2] + last * 64 + b"\xff\xd9", LIMITS)


def test_padding_costs_no_time() -> None:
    data = jpeg(DECOY)
    at = data.index(b"\xff\xdb")
    assert off(decode(data[:at] + b"\xff" * 2_000_000 + data[at:], LIMITS).rgb, DECOY) < LOSSY


def places(data: bytes) -> list[tuple[str, int]]:
    return [(one.place, one.number) for one in file_pictures(data, LIMITS)]


def test_a_jpeg_behind_a_jpeg_is_seen() -> None:
    data = jpeg(DECOY) + bytes(10) + jpeg(scene(5)) + jpeg(BANNED)
    assert places(data) == [("full", 0), ("picture", 1), ("picture", 2)]
    assert apart(list(file_pictures(data, LIMITS))[2].frame.rgb, BANNED) <= NEAR


def test_mpo_pictures_are_seen() -> None:
    data = encode(DECOY, "MPO", save_all=True, append_images=[BANNED], quality=90)
    assert inspect(data, LIMITS).frames == 1
    assert apart(list(file_pictures(data, LIMITS))[1].frame.rgb, BANNED) <= NEAR


def test_a_copy_and_a_broken_picture_are_passed_over() -> None:
    assert places(jpeg(DECOY) + jpeg(DECOY.resize((64, 64))) + jpeg(BANNED)[:400]) == [("full", 0)]


def with_preview(image: Image.Image, preview: Image.Image, orientation: int = 1) -> bytes:
    small = jpeg(preview.resize((64, 64)))
    directory = struct.pack("<HHHII", 1, 0x0112, 3, 1, orientation) + struct.pack("<I", 26)
    second = struct.pack("<HHHIIHHII", 2, 0x0201, 4, 1, 56, 0x0202, 4, 1, len(small)) + bytes(4)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + directory + second + small


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_an_embedded_preview_of_something_else_is_seen(format: str) -> None:
    other = encode(DECOY, format, exif=with_preview(DECOY, BANNED), quality=95)
    assert [place for place, _ in places(other)] == ["full", "thumbnail"]
    assert apart(list(file_pictures(other, LIMITS))[1].frame.rgb, BANNED) <= NEAR
    own = encode(DECOY, format, exif=with_preview(DECOY, DECOY), quality=95)
    assert places(own) == [("full", 0)]


def test_a_preview_is_turned_with_its_picture() -> None:
    turned = DECOY.transpose(Image.Transpose.ROTATE_90)
    data = jpeg(turned, exif=with_preview(turned, turned, orientation=6))
    assert places(data) == [("full", 0)]
    assert off(decode(data, LIMITS).rgb, DECOY) < LOSSY


def test_a_preview_of_photoshop_is_seen() -> None:
    small = jpeg(BANNED.resize((64, 64)))
    block = b"8BIM\x04\x0c\0\0" + struct.pack(">I", 28 + len(small)) + bytes(28) + small
    segment = b"Photoshop 3.0\0" + block
    data = jpeg(DECOY)
    head = b"\xff\xed" + struct.pack(">H", 2 + len(segment)) + segment
    assert places(data[:2] + head + data[2:]) == [("full", 0), ("thumbnail", 1)]


MP4 = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"mp42") + struct.pack(">I4s", 8, b"mdat")


def test_the_clip_of_a_motion_photo() -> None:
    assert appended_video(jpeg(DECOY)) is None
    assert appended_video(jpeg(DECOY) + MP4) == MP4
    assert appended_video(jpeg(DECOY) + jpeg(BANNED) + MP4) == MP4
    heic = encode(DECOY, "HEIF")
    assert appended_video(heic) is None
    assert appended_video(heic + struct.pack(">I4s", 8 + len(MP4), b"mpvd") + MP4) == MP4
    assert apart(decode(heic + MP4, LIMITS).rgb, DECOY) <= NEAR


# --- several pictures, frames, time


def test_the_primary_picture_of_a_heic_is_shown_and_the_others_are_seen() -> None:
    images = [scene(3), BANNED, scene(4)]
    data = encode(images[0], "HEIF", save_all=True, append_images=images[1:], primary_index=1)
    assert apart(decode(data, LIMITS).rgb, BANNED) <= NEAR
    found = list(file_pictures(data, LIMITS))
    assert [(one.place, one.number) for one in found] == [
        ("full", 0),
        ("picture", 1),
        ("picture", 2),
    ]
    for one, image in zip(found, [BANNED, scene(3), scene(4)], strict=True):
        assert apart(one.frame.rgb, image) <= NEAR


def test_a_default_image_is_no_frame() -> None:
    data = encode(
        DECOY,
        "PNG",
        save_all=True,
        append_images=[BANNED, scene(3)],
        default_image=True,
        duration=500,
    )
    assert inspect(data, LIMITS).frames == 2
    assert apart(decode(data, LIMITS).rgb, BANNED) <= NEAR
    assert [(one.place, one.duration_ms) for one in file_pictures(data, LIMITS)] == [
        ("full", 500),
        ("frame", 500),
        ("picture", None),
    ]


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_each_frame_is_given_with_the_time_it_is_shown(format: str) -> None:
    images = [scene(seed, 48) for seed in range(6)]
    data = encode(
        images[0],
        format,
        save_all=True,
        append_images=images[1:],
        duration=[40, 0, 70, 500, 60, 90],
    )
    times = [one.duration_ms for one in file_pictures(data, LIMITS)]
    assert times == [40, 100, 70, 500, 60, 90] or format == "AVIF"
    assert len(times) == 6


def test_equal_frames_are_one_that_is_shown_longer() -> None:
    data = encode(
        scene(1, 48),
        "PNG",
        save_all=True,
        append_images=[scene(1, 48), scene(2, 48)],
        duration=[200, 300, 50],
    )
    assert [one.duration_ms for one in file_pictures(data, LIMITS)] == [500, 50]


def test_frames_that_differ_over_black_alone_are_two() -> None:
    frames = []
    for seed in (1, 2):
        both = np.dstack([np.full((48, 48), 255), np.asarray(scene(seed, 48).convert("L"))])
        frames.append(Image.fromarray(both.astype(np.uint8), "LA").convert("RGBA"))
    data = encode(frames[0], "PNG", save_all=True, append_images=frames[1:], blend=0, disposal=1)
    assert len(list(file_pictures(data, LIMITS))) == 2


def test_both_halves_of_an_avif_are_seen() -> None:
    """A still that is the first frame of its animation, whichever of the two the brand names."""
    data = encode(DECOY, "AVIF", save_all=True, append_images=[BANNED], duration=100)
    for brand in (b"avis", b"avif"):
        found = list(file_pictures(data[:8] + brand + data[12:], LIMITS))
        assert min(apart(one.frame.rgb, BANNED) for one in found) <= NEAR


def test_all_frames_together_are_within_the_limits() -> None:
    data = jpeg(DECOY) + jpeg(BANNED)
    tight = PictureLimits(max_total_pixels=128 * 128)
    assert [one.place for one in file_pictures(data, tight)] == ["full", "picture"]
    assert [one.place for one in file_pictures(data + jpeg(scene(9)), tight)] == ["full", "picture"]


# --- JPEG XL and JPEG 2000


def jxl(values: np.ndarray, **options: Any) -> bytes:
    from imagecodecs import jpegxl_encode

    return bytes(jpegxl_encode(values, **options))


@pytest.mark.parametrize("shape", [(48, 64), (33, 100), (128, 96), (200, 300), (7, 1000)])
@pytest.mark.parametrize("container", [False, True])
def test_the_size_of_a_jpeg_xl_is_read_from_its_head(
    shape: tuple[int, int], container: bool
) -> None:
    image = scene(1).resize(shape[::-1])
    data = jxl(np.asarray(image), lossless=True, usecontainer=container)
    info = inspect(data, LIMITS)
    assert (info.height, info.width, info.format) == (*shape, "jxl")
    assert off(decode(data, LIMITS).rgb, image) == 0
    with pytest.raises(TooLarge):
        inspect(data, PictureLimits(max_pixels=shape[0] * shape[1] - 1))


@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_deep_jpeg_xl(dtype: str) -> None:
    scale = {"u2": 257, "f4": 1 / 255}[dtype]
    data = jxl((np.asarray(BANNED) * np.float64(scale)).astype(dtype), lossless=True)
    assert off(decode(data, LIMITS).rgb, BANNED) <= 1


def test_transparent_jpeg_xl() -> None:
    hidden = BANNED.convert("RGBA")
    hidden.putalpha(1)
    data = jxl(np.asarray(hidden), lossless=True)
    assert apart(named(decode(data, LIMITS))["colour"], BANNED) <= NEAR


def test_animated_jpeg_xl_says_so() -> None:
    data = jxl(np.stack([np.asarray(DECOY), np.asarray(BANNED)]))
    with pytest.raises(NotAnImage, match="Animated JPEG XL"):
        inspect(data, LIMITS)


@pytest.mark.parametrize(
    "options", [{}, {"no_jp2": True}, {"irreversible": True, "quality_layers": [20]}]
)
def test_jpeg_2000_is_read(options: dict[str, Any]) -> None:
    data = encode(BANNED, "JPEG2000", **options)
    assert inspect(data, LIMITS).format == "jp2"
    assert apart(decode(data, LIMITS).rgb, BANNED) <= NEAR
    with pytest.raises(TooLarge):
        inspect(data, PictureLimits(max_pixels=128 * 128 - 1))


@pytest.mark.parametrize("count", [0, 100])
def test_a_preview_is_seen_behind_bytes_that_only_begin_like_one(count: int) -> None:
    shows = bypasses.with_segment(0xE0, b"JFXX\0\x10" + bypasses.small_jpeg())
    behind = bypasses.with_segment(0xE5, SOI * count, shows)
    assert [one.place for one in file_pictures(behind, PictureLimits())] == ["full", "thumbnail"]
