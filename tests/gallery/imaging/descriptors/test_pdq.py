"""PDQ hashes: pinned, robust to what the hash is robust to, and their notations."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pdqhash
import pytest
import skimage.data
from PIL import Image

from gallery.imaging.decoding import decode
from gallery.imaging.decoding.limits import PictureLimits
from gallery.imaging.descriptors import pdq
from gallery.imaging.descriptors.base import PIXELS_VERSION
from gallery.imaging.pixels import Pixels
from gallery.shared.errors import UserError

DATA = Path(__file__).parents[3] / "data" / "imgsmlr"

PINNED = {
    "b_tall_90x400.png": ("e59a55f0535a551c755cd5d2d7d64b587d747d3d925a8788a8e178a95a078203", 100),
    "c_square_64.png": ("33f0ccdf120f2c0c9ff027ea001142627f9bdc7f211d1de0c770709fee236799", 65),
    "d_tiny_17x13.png": ("e663339cc8f163cd370ecc63199e6265d84e71b92646c99c61b1646eb78d1e43", 100),
    "l_graypng_100x140.png": (
        "e394f14837e34ceb48bebf34bf1475dc51ca22a7a80785140751ee68aeaaa963",
        97,
    ),
}
"""Lossless files, so that no decoder can move them: a change here breaks every stored hash."""


def describe(data: bytes) -> Any:
    (columns,) = pdq.Pdq().describe([decode(data, PictureLimits())])
    return columns


def describe_pixels(rgb: Pixels) -> Any:
    return describe(encoded(Image.fromarray(rgb), "PNG"))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("name", sorted(PINNED))
def test_hash_and_quality_are_pinned(name: str) -> None:
    columns = describe((DATA / name).read_bytes())
    assert (pdq.to_hex(columns["pdq"]), columns["pdq_quality"]) == PINNED[name]
    assert len(columns["pdq"]) == pdq.BITS and set(columns["pdq"]) <= {"0", "1"}
    assert pdq.Pdq().version == PIXELS_VERSION


def test_copies_are_near_and_others_far() -> None:
    photo = Image.fromarray(skimage.data.astronaut())
    original = describe(encoded(photo, "PNG"))
    copies = [
        describe(encoded(photo, "JPEG", quality=30)),
        describe(encoded(photo.resize((200, 200)), "WEBP")),
    ]
    other = describe(encoded(Image.fromarray(skimage.data.chelsea()), "PNG"))
    distance = pdq.Pdq().distance
    assert max(distance(original, copy) for copy in copies) <= 31
    assert distance(original, other) > 80
    assert distance(original, original) == 0


def test_the_upright_picture_is_hashed() -> None:
    photo = Image.fromarray(skimage.data.chelsea())
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = photo.transpose(Image.Transpose.ROTATE_90)
    assert describe(encoded(turned, "PNG", exif=exif)) == describe(encoded(photo, "PNG"))


def test_grey_16_bit_and_transparent_pictures_are_converted_first() -> None:
    grey = skimage.data.camera()
    expected = describe_pixels(np.dstack([grey] * 3))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    assert describe(encoded(deep, "PNG")) == expected
    opaque = Image.merge("LA", [Image.fromarray(grey), Image.new("L", grey.shape[::-1], 255)])
    assert describe(encoded(opaque, "PNG")) == expected
    hidden = Image.merge("LA", [Image.fromarray(grey), Image.new("L", grey.shape[::-1], 0)])
    assert describe(encoded(hidden, "PNG")) is None


def test_a_featureless_picture_has_no_hash() -> None:
    """Its bits are noise: stored, they would match each other and slow every search."""
    assert describe_pixels(np.full((100, 100, 3), 128, np.uint8)) is None


@pytest.mark.parametrize("size", [(1, 1), (4, 300), (300, 4)])
def test_a_picture_too_small_to_hash_has_none(size: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert describe_pixels(rgb) is None


def test_five_pixels_are_enough() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8)
    assert len(describe_pixels(rgb)["pdq"]) == pdq.BITS


def test_up_to_four_megapixels_the_full_size_is_hashed() -> None:
    rgb = cv2.resize(skimage.data.astronaut(), (1200, 1000), interpolation=cv2.INTER_CUBIC)
    bits, quality = pdqhash.compute(rgb)
    expected = {"pdq": "".join(map(str, bits)), "pdq_quality": quality}
    assert describe_pixels(rgb) == expected


def test_a_huge_picture_is_reduced_with_next_to_no_drift() -> None:
    rgb = cv2.resize(skimage.data.astronaut(), (2501, 2003), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(0).integers(-12, 13, rgb.shape, np.int16)
    rgb = np.clip(rgb + noise, 0, 255).astype(np.uint8)
    full, _ = pdqhash.compute(rgb)
    assert pdq.hamming(describe_pixels(rgb)["pdq"], "".join(map(str, full))) <= 4


def test_a_huge_thin_picture_is_hashed() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (6, 300_000, 3), np.uint8)
    found = pdq.describe_pdq(rgb)
    assert found is not None and len(found["pdq"]) == pdq.BITS


PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "ihc.png", "camera.png")


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_pictures_of_odd_sizes_have_the_bits_of_the_reference(name: str) -> None:
    picture = Image.open(Path(skimage.data.__file__).parent / name).convert("RGB")
    sizes = np.random.default_rng(len(name)).integers(64, 900, (11, 2)).tolist()
    for size in sizes:
        rgb = np.asarray(picture.resize(size))
        expected, quality = pdqhash.compute_dihedral(rgb)
        found = pdq.dihedral_hashes(rgb)
        assert found is not None and found[1] == quality
        bits = np.unpackbits([np.frombuffer(one, np.uint8) for one in found[0]], axis=1)
        assert np.array_equal(bits, np.array(expected)), size


def test_hexadecimal_and_back() -> None:
    bits = "1" + "0" * 254 + "1"
    assert pdq.to_hex(bits) == "8" + "0" * 62 + "1"
    assert pdq.from_hex(pdq.to_hex(bits).upper()) == bits
    assert pdq.hamming(bits, "0" * 256) == 2


@pytest.mark.parametrize(
    "text", ["", "abc", "g" * 64, "0" * 63, "0" * 65, "0x" + "0" * 62, "٣" * 64]
)
def test_what_is_no_hash_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="64 hexadecimal digits"):
        pdq.from_hex(text)


def test_explain_tells_the_qualities() -> None:
    a, b = (
        describe((DATA / name).read_bytes()) for name in ("c_square_64.png", "d_tiny_17x13.png")
    )
    explained = pdq.Pdq().explain(a, b)
    assert explained == {"distance": pdq.Pdq().distance(a, b), "quality": [65, 100]}
