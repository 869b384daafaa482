"""What a process remembers of the last pictures: results, and no pixels."""

from __future__ import annotations

import gc
import weakref
from functools import lru_cache

import numpy as np

from gallery.imaging import local_features
from gallery.imaging.cache_keys import PixelsKey
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


def test_a_picture_is_described_once() -> None:
    rgb = np.asarray(photo(2_003, (300, 200)))  # that no other test describes
    before = local_features._found.cache_info()
    first, again = (local_features.extract(rgb) for _ in range(2))
    after = local_features._found.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 1)
    assert len(first.records) and np.array_equal(first.records, again.records)
