"""Local features: compact, repeatable, mirrored without the picture, and safe to read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from gallery.imaging.geometry import verify, verify_many
from gallery.imaging.local_features import (
    _BASIS,
    MAX_BYTES,
    MAX_EXTRACTED,
    MAX_STORED,
    LocalFeatures,
    NotLocalFeatures,
    extract,
)
from gallery.shared.errors import UserError
from tests.examples import fuzz

ASTRONAUT = np.asarray(skimage.data.astronaut(), np.uint8)
COFFEE = np.asarray(skimage.data.coffee(), np.uint8)
FEATURES = extract(ASTRONAUT)
PACKED = FEATURES.pack()


def same(a: LocalFeatures, b: LocalFeatures) -> bool:
    sizes = (a.width, a.height) == (b.width, b.height)
    return sizes and a.records.tobytes() == b.records.tobytes()


def test_a_photograph_has_hundreds_the_strongest_of_which_are_stored() -> None:
    assert len(FEATURES) == MAX_EXTRACTED
    stored = LocalFeatures.unpack(PACKED)
    assert len(stored) == MAX_STORED
    assert stored.records.tobytes() == FEATURES.records[:MAX_STORED].tobytes()
    assert (stored.width, stored.height) == (512, 512)
    assert same(LocalFeatures.unpack(stored.pack()), stored)
    assert same(LocalFeatures.unpack(memoryview(PACKED)), stored)


def test_numbers_are_in_their_ranges() -> None:
    features = extract(COFFEE)
    points = features.points()
    assert points.shape == (len(features), 2)
    assert (points >= 0).all()
    assert (points <= (600, 400)).all()
    assert (features.sizes() > 0).all()
    assert ((features.angles() >= 0) & (features.angles() < 2 * np.pi)).all()
    assert np.allclose(np.linalg.norm(features.descriptors(), axis=1), 1.0, atol=1e-5)


def test_places_are_in_pixels_of_the_picture_given() -> None:
    large = cv2.resize(ASTRONAUT, (2048, 2048), interpolation=cv2.INTER_CUBIC)
    match = verify(extract(large), FEATURES)
    assert match is not None
    assert match.scale == pytest.approx(4.0, rel=0.01)
    assert extract(large).points().max() > 1800


def test_the_same_picture_gives_the_same_bytes_in_any_thread() -> None:
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: extract(ASTRONAUT).pack(), range(6))) == {PACKED}


def test_views_of_arrays_are_read_as_they_look() -> None:
    turned = np.rot90(ASTRONAUT, 2)
    assert same(extract(turned), extract(np.ascontiguousarray(turned)))


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_mirrored_features_are_those_of_the_mirrored_picture(name: str) -> None:
    rgb = np.asarray(getattr(skimage.data, name)(), np.uint8)
    found, made = extract(np.ascontiguousarray(rgb[:, ::-1])), extract(rgb).mirrored()
    near = np.linalg.norm(found.points()[:, None] - made.points(), axis=2) < 1.5
    turned = np.exp(1j * (found.angles()[:, None] - made.angles())).real > 0.99
    alike = found.descriptors() @ made.descriptors().T > 0.95
    same_feature = near & turned & alike
    assert same_feature.any(axis=1).mean() > 0.85
    assert same_feature.any(axis=0).mean() > 0.85


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_inverted_features_are_those_of_the_negative(name: str) -> None:
    rgb = np.asarray(getattr(skimage.data, name)(), np.uint8)
    negative = extract(255 - rgb)
    assert verify(negative, extract(rgb)) is None
    match = verify(negative.inverted(), extract(rgb))
    assert match is not None
    assert match.inliers > 100
    assert not match.mirrored
    assert match.rotation == pytest.approx(0.0, abs=0.2)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_features_on_a_plain_page_are_those_that_sift_finds(level: int) -> None:
    page = np.full((360, 360, 3), level, np.uint8)
    page[40:240, 30:330] = cv2.resize(COFFEE, (300, 200), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(page, cv2.COLOR_RGB2GRAY)
    sift = cv2.SIFT.create(nfeatures=MAX_EXTRACTED, contrastThreshold=0.005)
    points, descriptors = sift.detectAndCompute(grey, None)
    features = extract(page)
    places = np.array([point.pt for point in points]) + 0.5
    near = np.linalg.norm(features.points()[:, None] - places, axis=2) < 0.1
    turns = np.deg2rad([point.angle for point in points])
    turned = np.cos(features.angles()[:, None] - turns) > 0.999
    sizes = np.array([point.size for point in points])
    sized = np.abs(features.sizes()[:, None] / sizes - 1) < 0.03
    compact = np.sqrt(descriptors / descriptors.sum(axis=1, keepdims=True)) @ _BASIS.T
    compact /= np.linalg.norm(compact, axis=1, keepdims=True)
    alike = features.descriptors() @ compact.T > 0.99
    same_feature = near & turned & sized & alike
    assert same_feature.any(axis=1).mean() > 0.99
    assert same_feature.any(axis=0).mean() > 0.99


def test_inverted_twice_is_as_before() -> None:
    assert same(FEATURES.inverted().inverted(), FEATURES)
    assert same(FEATURES.inverted().mirrored(), FEATURES.mirrored().inverted())


def test_mirrored_twice_is_as_before() -> None:
    assert same(FEATURES.mirrored().mirrored(), FEATURES)
    assert not same(FEATURES.mirrored(), FEATURES)


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_a_flat_picture_has_none(value: int) -> None:
    flat = extract(np.full((300, 400, 3), value, np.uint8))
    assert len(flat) == 0
    assert same(LocalFeatures.unpack(flat.pack()), flat)
    assert len(flat.mirrored()) == 0
    assert flat.points().shape == (0, 2)
    assert flat.descriptors().shape == (0, 32)


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 5000), (5000, 1), (7, 7), (8, 8), (8, 9000), (9000, 8), (30, 400)]
)
def test_thin_and_tiny_pictures(shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    features = extract(rgb)
    assert (features.height, features.width) == shape
    assert len(LocalFeatures.unpack(features.pack())) == min(MAX_STORED, len(features))


def test_strong_blur_leaves_few_and_nothing_breaks() -> None:
    features = extract(cv2.GaussianBlur(ASTRONAUT, (0, 0), 40))
    assert len(features) < 30
    verify(features, FEATURES)


@pytest.mark.slow
@fuzz(15)
@given(
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    seed=st.integers(0, 2**32 - 1),
    grain=st.sampled_from([1, 3, 8, 30]),
    levels=st.sampled_from([2, 16, 256]),
)
def test_any_picture_fits(height: int, width: int, seed: int, grain: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    size = max(1, height // grain), max(1, width // grain)
    coarse = (random.integers(0, levels, (*size, 3)) * (255 // (levels - 1))).astype(np.uint8)
    rgb = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    features = extract(rgb)
    packed = features.pack()
    assert len(packed) <= MAX_BYTES
    assert len(features) <= MAX_EXTRACTED
    assert same(
        LocalFeatures.unpack(packed), LocalFeatures(width, height, features.records[:MAX_STORED])
    )
    assert (features.points() <= (width, height)).all()


def test_the_busiest_pictures_fit() -> None:
    random = np.random.default_rng(0)
    for rgb in (
        random.integers(0, 256, (500, 700, 3)),
        np.kron(random.integers(0, 2, (90, 90, 1)) * 255, np.ones((8, 8, 3))),
    ):
        packed = extract(rgb.astype(np.uint8)).pack()
        assert MAX_BYTES - 200 < len(packed) <= MAX_BYTES


def changed(at: int, value: int) -> bytes:
    return PACKED[:at] + bytes([value]) + PACKED[at + 1 :]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PACKED[:1],
        PACKED[:10],
        PACKED[:-1],
        PACKED + b"\0",
        changed(0, 0),
        changed(0, 2),
        changed(1, PACKED[1] ^ 1),
        PACKED[:3] + bytes(4) + PACKED[7:],
        PACKED[:7] + bytes(4) + PACKED[11:],
        b"not local features at all, but long enough for a header",
    ],
)
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(NotLocalFeatures) as caught:
        LocalFeatures.unpack(data)
    assert isinstance(caught.value, UserError)
    assert "describe" in caught.value.message
    with pytest.raises(NotLocalFeatures):
        verify_many(FEATURES, [PACKED, data])


def test_more_features_than_are_ever_stored_are_refused() -> None:
    count = MAX_STORED + 1
    header = bytes([1]) + count.to_bytes(2, "little") + PACKED[3:11]
    with pytest.raises(NotLocalFeatures):
        LocalFeatures.unpack(header + bytes(count * 38))


@fuzz(60)
@given(st.binary(max_size=200) | st.binary(min_size=11, max_size=400).map(lambda b: b"\1" + b))
def test_any_bytes_are_features_or_refused(data: bytes) -> None:
    try:
        features = LocalFeatures.unpack(data)
    except NotLocalFeatures:
        return
    verify(FEATURES, features)


@fuzz(10)
@given(st.data())
def test_damage_that_cannot_be_seen_does_no_harm(data: Any) -> None:
    damaged = bytearray(PACKED)
    for _ in range(data.draw(st.integers(1, 200))):
        damaged[data.draw(st.integers(11, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    features = LocalFeatures.unpack(bytes(damaged))
    for one, other in ((FEATURES, features), (features, FEATURES), (features, features)):
        match = verify(one, other)
        assert match is None or match.inliers >= 5


def test_random_records_match_nothing() -> None:
    random = np.random.default_rng(0)
    noise = [PACKED[:11] + random.bytes(len(PACKED) - 11) for _ in range(10)]
    assert verify_many(FEATURES, noise) == [None] * 10
