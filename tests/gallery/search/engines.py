"""Runs tests of searches on each index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import override_settings

from gallery.search import index_feeding, milvus_index

PGVECTOR, MILVUS = "pgvector", "milvus"


@contextmanager
def searching_on(engine: str, request: pytest.FixtureRequest, blocker: Any) -> Iterator[None]:
    """Search by an index that holds what is stored now. Outside of a test's transaction."""
    if engine != MILVUS:
        yield
        return
    with on_milvus(request.getfixturevalue("milvus_url"), blocker):
        with blocker.unblock():
            feed()
            assert not index_feeding.lag().incomplete
        yield
        assert milvus_index.MILVUS.answers()


@contextmanager
def on_milvus(url: str, blocker: Any) -> Iterator[None]:
    with override_settings(MILVUS_URL=url):
        milvus_index.MILVUS.forget()
        yield
        with blocker.unblock():
            forget()
    milvus_index.MILVUS.forget()


def feed() -> int:
    """Feed until all is done; return how many rows were read."""
    counts = list(index_feeding.feed())
    milvus_index.MILVUS.forget()
    return counts[-1] if counts else 0


def forget() -> None:
    """Drop all collections, and switch the triggers off."""
    from gallery.search.models import IndexCollection

    index_feeding._drop(list(IndexCollection.objects.all()))
    with override_settings(MILVUS_URL=""):
        index_feeding.feed_some()
