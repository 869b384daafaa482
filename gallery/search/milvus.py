"""Milvus, as far as an index needs it: collections of vectors, each with the id of its row."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from gallery.shared.errors import Unavailable

SEARCH_SECONDS: Final = 2.0
"""A search does not wait longer: PostgreSQL answers it then."""

WRITE_SECONDS: Final = 60.0
ID, VECTOR = "id", "vector"
LINKS, BUILD_EFFORT = 16, 128
"""``M`` and ``efConstruction`` of the graph of a collection."""


class MilvusUnavailable(Unavailable):
    code = "milvus_unavailable"


def is_on() -> bool:
    return bool(settings.MILVUS_URL)


def lacks_package() -> bool:
    return find_spec("pymilvus") is None


def nearest(
    collection: str, vectors: Sequence[Sequence[float]], *, wanted: int, effort: int
) -> list[list[int]]:
    """Return the ids of the rows nearest to each vector, nearest first. ``effort``: ``ef``."""
    with _asked() as client:
        found = client.search(
            collection,
            data=vectors,
            anns_field=VECTOR,
            limit=wanted,
            output_fields=[ID],
            search_params={"params": {"ef": max(effort, wanted)}},
            timeout=SEARCH_SECONDS,
        )
        return [[hit[ID] for hit in hits] for hits in found]


def create(collection: str, dimensions: int, metric: str, numbers: str = "") -> None:
    """Make a collection. ``numbers``: what its graph keeps each number as, if it is not 4 bytes."""
    from pymilvus import DataType, MilvusClient

    with _asked() as client:
        schema = MilvusClient.create_schema(auto_id=False)
        schema.add_field(ID, DataType.INT64, is_primary=True)
        schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=dimensions)
        index = MilvusClient.prepare_index_params()
        index.add_index(
            VECTOR,
            index_type="HNSW_SQ" if numbers else "HNSW",
            metric_type=metric,
            params={
                "M": LINKS,
                "efConstruction": BUILD_EFFORT,
                **({"sq_type": numbers} if numbers else {}),
            },
        )
        client.create_collection(
            collection, schema=schema, index_params=index, timeout=WRITE_SECONDS
        )


def exists(collection: str) -> bool:
    with _asked() as client:
        return bool(client.has_collection(collection, timeout=WRITE_SECONDS))


def put(collection: str, ids: Sequence[int], vectors: NDArray[np.float32]) -> None:
    """Insert vectors; those of ids that are there are replaced."""
    rows = [{ID: pk, VECTOR: vector} for pk, vector in zip(ids, vectors, strict=True)]
    if rows:
        with _asked() as client:
            client.upsert(collection, rows, timeout=WRITE_SECONDS)


def remove(collection: str, ids: Sequence[int]) -> None:
    if ids:
        with _asked() as client:
            client.delete(collection, ids=list(ids), timeout=WRITE_SECONDS)


def finish(collection: str) -> None:
    """Seal what was put, so that its graph is built, and let searches ask for it."""
    with _asked() as client:
        client.flush(collection, timeout=WRITE_SECONDS)
    load(collection)


def load(collection: str) -> None:
    """Let searches ask it, also if a server that was restarted has forgotten that they may."""
    with _asked() as client:
        client.load_collection(collection, timeout=WRITE_SECONDS)


def drop(collection: str) -> None:
    with _asked() as client:
        client.drop_collection(collection, timeout=WRITE_SECONDS)


@contextmanager
def _asked() -> Iterator[Any]:
    """Give the client. Raises ``MilvusUnavailable`` for all that goes wrong with it."""
    if lacks_package():
        raise MilvusUnavailable(
            "MILVUS_URL is set, but the package pymilvus is missing: "
            "pip install -r requirements-milvus.lock"
        )
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        yield _client(settings.MILVUS_URL, settings.MILVUS_TOKEN)
    except (MilvusException, grpc.RpcError) as error:
        raise MilvusUnavailable(f"Milvus does not answer as it should: {error}") from error


@lru_cache(maxsize=1)
def _client(url: str, token: str) -> Any:
    """Connect at the first use: a process that was forked must have a connection of its own."""
    from pymilvus import MilvusClient

    # It writes a traceback for each refused connection; what is raised says as much.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return MilvusClient(url, token=token, timeout=SEARCH_SECONDS)
