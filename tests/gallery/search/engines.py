"""Runs tests of searches on each index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from gallery.search import index_feeding, milvus, milvus_index
from gallery.search.models import IndexChange, IndexCollection

PGVECTOR, MILVUS = "pgvector", "milvus"
PATIENCE = 60.0
"""Seconds for an answer on a busy machine, where a test would fail if pgvector stepped in."""


@contextmanager
def searching_on(engine: str, request: pytest.FixtureRequest, blocker: Any) -> Iterator[None]:
    """Search by an index that holds what is stored now. Outside of a test's transaction."""
    if engine != MILVUS:
        yield
        return
    with (
        on_milvus(request.getfixturevalue("milvus_url"), blocker),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(milvus, "SEARCH_SECONDS", PATIENCE)
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
    index_feeding._drop(list(IndexCollection.objects.all()))
    with override_settings(MILVUS_URL=""):
        index_feeding.feed_some()


_shared: dict[tuple[str, str, int], str] = {}
"""Names of collections in this session's Milvus, by what they hold; tests take turns with them."""


@contextmanager
def fed_before_each_search() -> Iterator[None]:
    """Tell Milvus all that is stored whenever it is asked, so that it alone proposes.

    For tests whose transaction is rolled back, and for those that commit.
    """
    really_propose = milvus_index.MilvusIndex.propose

    def feed_and_propose(index: milvus_index.MilvusIndex, questions: Any) -> Any:
        if IndexChange.objects.exists() or index_feeding.lag().incomplete:
            feed()
        proposals = really_propose(index, questions)
        for question, proposal in zip(questions, proposals, strict=True):
            assert proposal.rows is not None or question.wanted > milvus_index.MOST
        return proposals

    index_feeding._set_triggers("ENABLE")
    for key in index_feeding._wanted():
        _take(key)
    milvus_index.MILVUS.forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(milvus_index.MilvusIndex, "propose", feed_and_propose)
        patch.setattr(milvus, "SEARCH_SECONDS", PATIENCE)
        yield
    _empty_all()
    milvus_index.MILVUS.forget()
    if not connection.in_atomic_block:
        index_feeding._set_triggers("DISABLE")


def _take(key: tuple[str, str, int]) -> None:
    if key not in _shared:
        index_feeding._create(key)
        _shared[key] = IndexCollection.objects.latest("id").name
        milvus.finish(_shared[key])
        IndexCollection.objects.latest("id").delete()
    fields = dict(zip(index_feeding._KEY, key, strict=True))
    IndexCollection.objects.create(name=_shared[key], complete_at=timezone.now(), **fields)


def _empty_all() -> None:
    """Making a collection anew takes long."""
    with milvus._asked() as client:
        for name in client.list_collections():
            if name in _shared.values():
                client.delete(name, filter=f"{milvus.ID} >= 0")
            else:
                client.drop_collection(name)
