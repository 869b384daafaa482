"""Stored patterns, against the distances of the C library and of whole patterns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gallery.imaging.decoding import decode
from gallery.imaging.decoding.limits import PictureLimits
from gallery.imaging.descriptors.haar import Haar
from gallery.imaging.descriptors.stored_patterns import (
    COEFFICIENTS,
    NotAPattern,
    PatternQuery,
    encoded,
    pack,
    pack_pattern,
    unpack,
    unpack_pattern,
)
from tests import factories as make

DATA = Path(__file__).parents[3] / "data/imgsmlr"
ORACLE = json.loads((DATA / "oracle.json").read_bytes())
TRANSPARENT = {"i_alpha_160.png"}

Patterns = dict[str, NDArray[np.float32]]


def pattern_of(data: bytes) -> NDArray[np.float32]:
    (columns,) = Haar().describe([decode(data, PictureLimits())])
    assert columns is not None
    pattern: NDArray[np.float32] = columns["pattern"]
    return pattern


@pytest.fixture(scope="module")
def patterns() -> Patterns:
    names = [name for name, facts in ORACLE["images"].items() if "error" not in facts]
    return {name: pattern_of((DATA / name).read_bytes()) for name in names}


def distance(query: NDArray[np.float32] | bytes, stored: bytes) -> float:
    return float(PatternQuery.of(query).distances([stored])[0])


def test_the_c_librarys_distances_hold_to_a_thousandth(patterns: Patterns) -> None:
    packed = {name: pack_pattern(pattern) for name, pattern in patterns.items()}
    for expected in ORACLE["distances"]:
        a, b = expected["a"], expected["b"]
        close = 1e-2 if TRANSPARENT & {a, b} else 1e-3
        assert distance(patterns[a], packed[b]) == pytest.approx(expected["pattern"], abs=close)
        assert distance(packed[a], packed[b]) == pytest.approx(expected["pattern"], abs=close)


def test_copies_and_other_pictures_are_as_far_as_by_whole_patterns() -> None:
    stored = [pattern_of(make.png(make.photo(seed))) for seed in range(12)]
    queries = [
        *(pattern_of(make.jpeg(make.photo(seed), 20 + 30 * seed)) for seed in range(3)),
        *(pattern_of(make.png(make.photo(seed).resize((97, 80)))) for seed in range(3)),
        pattern_of(make.png(Image.linear_gradient("L").convert("RGB"))),
    ]
    packed = [pack_pattern(pattern) for pattern in stored]
    for query in queries:
        expected = np.linalg.norm(np.subtract(stored, query, dtype=np.float64), axis=1)
        assert np.abs(PatternQuery.of(query).distances(packed) - expected).max() < 1e-3


def test_a_picture_is_at_0_from_itself(patterns: Patterns) -> None:
    for pattern in patterns.values():
        packed = pack_pattern(pattern)
        assert round(distance(pattern, packed), 9) == distance(packed, packed) == 0


def test_packing_again_changes_nothing(patterns: Patterns) -> None:
    packed = [pack_pattern(pattern) for pattern in patterns.values()]
    codes, errors = unpack(packed)
    assert list(map(pack, codes, errors.tolist())) == packed
    whole = np.stack([unpack_pattern(one) for one in packed])
    np.testing.assert_array_equal(encoded(whole)[0], codes)
    assert max(map(len, packed)) < 2200


def test_the_farthest_patterns_there_can_be() -> None:
    """No code overflows: chess boards of one pixel, and one white pixel on black."""
    chess = np.indices((64, 64)).sum(axis=0) % 2 * 255
    dot = np.zeros((64, 64))
    dot[0, 0] = 255
    a, b = (pattern_of(make.png(Image.fromarray(one.astype(np.uint8)))) for one in (chess, dot))
    expected = np.linalg.norm(np.subtract(a, b, dtype=np.float64))
    assert distance(a, pack_pattern(b)) == pytest.approx(expected, abs=1e-3)
    assert distance(b, pack_pattern(a)) == pytest.approx(expected, abs=1e-3)


def test_the_least_distance_of_each_item(patterns: Patterns) -> None:
    a, b, c = list(patterns.values())[:3]
    query = PatternQuery.of(a)
    least = query.least([(1, pack_pattern(c)), (2, pack_pattern(b)), (1, pack_pattern(a))])
    assert least == pytest.approx({1: 0, 2: float(np.linalg.norm(a - b))}, abs=1e-3)
    packed = list(enumerate(map(pack_pattern, patterns.values())))
    for within in (0.0, 1.0, 3.0, 4.5):
        few = query.least(packed, within)
        assert few == {item: far for item, far in query.least(packed).items() if far <= within}
    assert query.least([]) == {}


@pytest.mark.parametrize("cut", [0, 5, 9, 200, -1])
def test_damaged_bytes(patterns: Patterns, cut: int) -> None:
    packed = pack_pattern(next(iter(patterns.values())))
    with pytest.raises(NotAPattern):
        unpack([packed, packed[:cut]])
    with pytest.raises(NotAPattern):
        unpack([b"\x02" + packed[1:]])
    with pytest.raises(NotAPattern):
        unpack([pack(np.zeros(COEFFICIENTS + 1, np.int16), 0.0)])
