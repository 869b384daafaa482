"""imgsmlr against the numbers of the C library, and the shrinking against exact arithmetic."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gallery.imaging.decoding import decode
from gallery.imaging.decoding.limits import PictureLimits
from gallery.imaging.decoding.pictures import Picture
from gallery.imaging.descriptors import haar
from gallery.imaging.descriptors.base import PIXELS_VERSION, FlatPicture
from gallery.imaging.pixels import Pixels
from gallery.shared.errors import UserError

DATA = Path(__file__).parents[3] / "data" / "imgsmlr"
ORACLE = json.loads((DATA / "oracle.json").read_text())
PATTERNED = sorted(name for name, facts in ORACLE["images"].items() if "error" not in facts)
FLAT = sorted(name for name, facts in ORACLE["images"].items() if "error" in facts)
TRANSPARENT = {"i_alpha_160.png"}


def picture(name: str) -> Picture:
    return decode((DATA / name).read_bytes(), PictureLimits())


def tolerance(*names: str) -> float:
    return 1e-2 if TRANSPARENT & set(names) else 1e-4


class Array:
    """A picture that is already pixels."""

    def __init__(self, rgb: Pixels) -> None:
        self.legacy_rgb = self.rgb = rgb


def describe_one(picture: Any) -> Any:
    (columns,) = haar.Haar().describe([picture])
    return columns


def test_the_oracle_is_whole() -> None:
    assert (len(PATTERNED), len(FLAT), len(ORACLE["distances"])) == (13, 2, 78)


@pytest.mark.parametrize("name", PATTERNED)
def test_signature_and_patterns_are_the_c_librarys(name: str) -> None:
    facts, close = ORACLE["images"][name], tolerance(name)
    pattern = haar.pattern(picture(name).legacy_rgb)
    shuffled = haar.shuffled(pattern)
    for ours, theirs in (
        (haar.signature(pattern), facts["signature"]),
        (pattern[:4, :4], facts["pattern_corner_4x4"]),
        (pattern[[0, 17]], facts["pattern_rows_0_and_17"]),
        (shuffled[[5, 40]], facts["shuffled_rows_5_and_40"]),
        (np.linalg.norm(pattern), facts["pattern_l2"]),
        (np.linalg.norm(shuffled), facts["shuffled_l2"]),
    ):
        assert np.shape(ours) == np.shape(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=close)


def test_all_distances_are_the_c_librarys() -> None:
    descriptor = haar.Haar()
    columns = dict(
        zip(PATTERNED, descriptor.describe([picture(name) for name in PATTERNED]), strict=True)
    )
    for expected in ORACLE["distances"]:
        a, b = expected["a"], expected["b"]
        explained = descriptor.explain(columns[a], columns[b])  # type: ignore[arg-type]
        close = tolerance(a, b)
        assert explained["distance"] == pytest.approx(expected["pattern"], abs=close), (a, b)
        assert explained["signature_distance"] == pytest.approx(expected["signature"], abs=close)


@pytest.mark.parametrize("name", FLAT)
def test_flat_pictures_are_refused_in_the_c_librarys_words(name: str) -> None:
    with pytest.raises(FlatPicture) as refused:
        haar.pattern(picture(name).legacy_rgb)
    assert refused.value.message == ORACLE["images"][name]["error"]
    assert describe_one(picture(name)) is None


def test_a_flat_picture_does_not_disturb_its_batch() -> None:
    first, flat, last = haar.Haar().describe(
        [picture("c_square_64.png"), picture("m_solid_80.png"), picture("d_tiny_17x13.png")]
    )
    assert flat is None
    assert first is not None and last is not None
    np.testing.assert_array_equal(first["haar"], describe_one(picture("c_square_64.png"))["haar"])
    np.testing.assert_array_equal(last["haar"], describe_one(picture("d_tiny_17x13.png"))["haar"])


def test_what_is_stored() -> None:
    columns = describe_one(picture("a_rgb_300x200.jpg"))
    assert {name: (v.dtype, v.shape) for name, v in columns.items()} == {
        "haar": (np.float32, (16,)),
        "pattern": (np.float32, (4096,)),
    }
    assert haar.Haar().version == PIXELS_VERSION


def test_plain_l2_of_what_is_stored_is_the_weighted_distance() -> None:
    a, b = (picture(name).legacy_rgb for name in ("a_rgb_300x200.jpg", "c_square_64.png"))
    squares = (haar.shuffled(haar.pattern(a)) - haar.shuffled(haar.pattern(b))) ** 2
    weighted = 64 * squares[0, 0]
    for m, n in ((1, 32), (2, 16), (4, 8), (8, 4), (16, 2), (32, 1)):
        weighted += m * (squares[: 2 * n, : 2 * n].sum() - squares[:n, :n].sum())
    distance = haar.Haar().distance(describe_one(Array(a)), describe_one(Array(b)))
    assert distance == pytest.approx(np.sqrt(weighted), abs=1e-5)


def test_distance_is_zero_to_itself_and_symmetric() -> None:
    a, b = (describe_one(picture(name)) for name in ("a_rgb_300x200.jpg", "k_large_1900x1300.jpg"))
    descriptor = haar.Haar()
    assert descriptor.distance(a, a) == 0
    assert descriptor.distance(a, b) == descriptor.distance(b, a) > 1


def test_exif_orientation_is_ignored() -> None:
    pixels = Image.open(DATA / "a_rgb_300x200.jpg").convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    files = [io.BytesIO(), io.BytesIO()]
    pixels.save(files[0], "PNG")
    pixels.save(files[1], "PNG", exif=exif)
    upright, turned = (decode(file.getvalue(), PictureLimits()) for file in files)
    assert turned.rgb.shape == (300, 200, 3)
    assert haar.Haar().distance(describe_one(upright), describe_one(turned)) == 0


def test_words_have_no_pattern() -> None:
    with pytest.raises(UserError, match="clip"):
        haar.Haar().describe_text(["a cat"])


def exact_area_average(rgb: Pixels) -> Pixels:
    """By the definition: overlap lengths in 64ths, as integers that float64 holds exactly."""

    def overlaps(length: int) -> Any:
        edges = np.arange(65)[:, None] * length
        pixels = np.arange(length) * 64
        covered = np.minimum(edges[1:], pixels + 64) - np.maximum(edges[:-1], pixels)
        return np.maximum(covered, 0).astype(np.float64)

    height, width = rgb.shape[:2]
    rows, columns = overlaps(height), overlaps(width).T
    sums = [rows @ rgb[:, :, band].astype(np.float64) @ columns for band in range(3)]
    area = height * width
    return ((2 * np.dstack(sums).astype(np.int64) + area) // (2 * area)).astype(np.uint8)


@pytest.mark.parametrize(
    ("height", "width"),
    [
        (1, 1),
        (1, 500),
        (500, 1),
        (2, 3),
        (17, 13),
        (63, 65),
        (64, 64),
        (127, 129),
        (400, 500),
        (768, 1024),
        (5, 60_000),
        (60_000, 5),
    ],
)
def test_shrinking_is_exact_at_every_size(height: int, width: int) -> None:
    rgb = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    np.testing.assert_array_equal(haar.shrink(rgb), exact_area_average(rgb))


def test_shrinking_is_exact_where_the_sum_of_all_pixels_exceeds_32_bits() -> None:
    rgb = np.random.default_rng(0).integers(230, 256, (2_999, 3_001, 3), np.uint8)
    assert rgb[:, :, 0].sum(dtype=np.int64) > 2**31
    np.testing.assert_array_equal(haar.shrink(rgb), exact_area_average(rgb))


def test_a_view_that_is_not_contiguous_is_read_right() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (100, 90, 3), np.uint8)
    mirrored = rgb[:, ::-1]
    np.testing.assert_array_equal(haar.shrink(mirrored), exact_area_average(mirrored.copy()))


@pytest.mark.parametrize("size", [(1, 2), (2, 1), (1, 3000)])
def test_the_smallest_pictures_with_two_colours_have_finite_numbers(size: tuple[int, int]) -> None:
    rgb = np.zeros((*size, 3), np.uint8)
    rgb[-1, -1] = 255
    columns = describe_one(Array(rgb))
    assert np.isfinite(columns["haar"]).all()
    assert np.isfinite(columns["pattern"]).all()
