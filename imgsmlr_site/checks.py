"""System checks: is pgvector installed and new enough, do its indexes fit into memory, and is what
is on set up?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DEFAULT_DB_ALIAS, connections

from gallery.items import index_building
from gallery.search import milvus
from moderation.gates import policies

MINIMUM_VECTOR = (0, 8, 5)
"""Earlier versions can corrupt an HNSW index during VACUUM."""

EXTENSION = """
SELECT available.default_version, available.installed_version,
       coalesce((SELECT bool_or(versions.trusted) FROM pg_available_extension_versions versions
                 WHERE versions.name = 'vector'), false)
       OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS may_create
FROM pg_available_extensions available WHERE available.name = 'vector'
"""


def version_tuple(text: str) -> tuple[int, ...]:
    """Parse "0.8.10" to (0, 8, 10). A suffix such as "-dev" is ignored."""
    return tuple(int(part) for part in text.split("-")[0].split("."))


def extension_problem(database: str = "default") -> tuple[str, str] | None:
    """Return what is wrong with pgvector in a database and what to do, or None."""
    minimum = ".".join(map(str, MINIMUM_VECTOR))
    with connections[database].cursor() as cursor:
        cursor.execute(EXTENSION)
        row = cursor.fetchone()
    if row is None:
        return (
            "PostgreSQL does not have the extension pgvector.",
            f"Install pgvector {minimum} or later on the database server, or unset DATABASE_URL.",
        )
    available, installed, may_create = row
    if installed is None and not may_create:
        return (
            "The extension vector is missing, and this role may not create it.",
            "Run this once as a superuser, in this database: CREATE EXTENSION vector;",
        )
    if version_tuple(installed or available) >= MINIMUM_VECTOR:
        return None
    found = f"pgvector {installed or available} is too old: {minimum} is needed."
    if installed and version_tuple(available) >= MINIMUM_VECTOR:
        return found, "Run as a superuser, in this database: ALTER EXTENSION vector UPDATE;"
    return found, f"Install pgvector {minimum} or later on the database server."


@register(Tags.database)
def check_vector_extension(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """``migrate`` and ``check --database default`` run this check."""
    return [
        Error(problem[0], hint=problem[1], id="imgsmlr_site.E001")
        for database in databases or []
        if (problem := extension_problem(database))
    ]


@register(Tags.database)
def check_vector_indexes(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """``migrate`` and ``check --database default`` run this check."""
    from imgsmlr_site import health  # it imports this module

    # ``migrate`` asks before it has made the tables and their columns.
    if DEFAULT_DB_ALIAS not in (databases or []) or not health.migrated():
        return []
    return [Warning(text, id="imgsmlr_site.W001") for text in index_building.problems()]


@register()
def check_gates(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"{gate.setting} is on, but {' and '.join(gate.lacks)} not set.",
            hint="docs/gates.md says what the gate needs.",
            id="imgsmlr_site.E002",
        )
        for gate in policies.every()
        if gate.is_on and gate.lacks
    ]


@register()
def check_milvus(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if not (milvus.is_on() and milvus.lacks_package()):
        return []
    return [
        Error(
            "MILVUS_URL is set, but the package pymilvus is not installed.",
            hint="pip install -r requirements-milvus.lock, or unset MILVUS_URL.",
            id="imgsmlr_site.E003",
        )
    ]
