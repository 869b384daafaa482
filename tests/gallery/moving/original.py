"""A database as the original imgsmlr-server made it, with the types of imgsmlr as text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import orjson
import psycopg2
from django.db import connection
from psycopg2.extensions import make_dsn

from gallery.imaging.decoding import decode
from gallery.imaging.decoding.limits import PictureLimits
from gallery.imaging.descriptors import haar

TABLE = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE DOMAIN pattern AS text;
CREATE DOMAIN signature AS text;
CREATE TABLE image (
    id serial PRIMARY KEY, url text, md5 text, phash vector(512), pattern pattern,
    signature signature, clip vector(512), data_id text, remark text, meta jsonb
);
"""


def text_of(values: Any) -> str:
    """As the extension prints a signature (16) or a pattern (64×64)."""
    values = np.asarray(values, np.float32)
    if values.ndim == 1:
        return "(" + ", ".join(f"{value:f}" for value in values) + ")"
    return "(" + ", ".join(text_of(row) for row in values) + ")"


def vectors_of(data: bytes) -> tuple[str, str]:
    """(signature, pattern), as the original server stored them: the pattern is shuffled."""
    wavelets = haar.pattern(decode(data, PictureLimits()).legacy_rgb)
    return text_of(haar.signature(wavelets)), text_of(haar.shuffled(wavelets))


class Original:
    """The database and its connection."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.connection = psycopg2.connect(dsn)
        self.connection.autocommit = True

    def run(self, sql: str, params: Any = None) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)

    def add(self, data: bytes | None, **values: Any) -> None:
        """A row with the vectors of this picture, if there is one."""
        if data is not None:
            values["signature"], values["pattern"] = vectors_of(data)
        if "meta" in values:
            values["meta"] = orjson.dumps(values["meta"]).decode()
        names = ", ".join(values)
        marks = ", ".join(["%s"] * len(values))
        self.run(f"INSERT INTO image ({names}) VALUES ({marks})", list(values.values()))


@contextmanager
def original_database(name: str) -> Iterator[Original]:
    """Make an empty one beside the tests' own; it is dropped afterwards."""
    own = connection.get_connection_params()
    own = {key: own[key] for key in ("host", "port", "user", "password") if own.get(key)}
    server = psycopg2.connect(make_dsn(dbname="postgres", **own))
    server.autocommit = True
    with server.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name}")
    source = Original(make_dsn(dbname=name, **own))
    try:
        source.run(TABLE)
        yield source
    finally:
        source.connection.close()
        with server.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
        server.close()
