"""What a process remembers of the last pictures: results, and no pixels."""

from __future__ import annotations

import gc
import weakref
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gallery.imaging import local_features
from gallery.imaging.cache_keys import PixelsKey, remember_last
from tests.factories import photo


def test_a_cache_keeps_no_pixels() -> None:
    calls = []

    @lru_cache(maxsize=4)
    def total(key: PixelsKey) -> int:
        calls.append(key)
        return int(key.take().sum())

    pixels = np.full((4, 4), 7, np.uint8)
    gone = weakref.ref(pixels)
    assert total(PixelsKey(pixels)) == 112
    del pixels
    gc.collect()
    assert gone() is None
    assert total(PixelsKey(np.full((4, 4), 7, np.uint8))) == 112
    assert len(calls) == 1
    # The same bytes in another shape are another picture.
    assert total(PixelsKey(np.full((2, 8), 7, np.uint8))) == 112
    assert len(calls) == 2


def test_the_last_result_is_remembered_while_its_pixels_are_in_use() -> None:
    calls = []

    @remember_last
    def total(pixels: NDArray[np.uint8]) -> int:
        calls.append(pixels.shape)
        return int(pixels.sum())

    def fixed(value: int) -> NDArray[np.uint8]:
        pixels = np.full((4, 4), value, np.uint8)
        pixels.flags.writeable = False
        return pixels

    sevens, eights = fixed(7), fixed(8)
    assert [total(one) for one in (sevens, sevens, eights, sevens)] == [112, 112, 128, 112]
    assert len(calls) == 3
    gone = weakref.ref(sevens)
    del sevens
    gc.collect()
    assert gone() is None
    changing = np.full((4, 4), 1, np.uint8)
    assert total(changing) == 16
    changing[:] = 2
    assert total(changing) == 32


def test_a_picture_is_described_once() -> None:
    rgb = np.asarray(photo(2_003, (300, 200)))  # that no other test describes
    before = local_features._found.cache_info()
    first, again = (local_features.extract(rgb) for _ in range(2))
    after = local_features._found.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 1)
    assert len(first.records) and np.array_equal(first.records, again.records)
