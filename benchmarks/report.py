"""Markdown tables, and docs/benchmarks.md, whose sections are replaced one at a time."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"

INTRODUCTION = """# Benchmarks

Written by `make bench` (`make bench ARGS=--quick`: at most 10 minutes; `ARGS=speed`, `ARGS=filter`
or `ARGS=scale` for one part, the last only so). It starts a service of its own, as `make run` does,
with its own data, and stops it afterwards.

What was measured of a prototype before this service was built, on 2 cores, and decided how it is
built (searches per second by link, 4 clients):

| variant | searches/s |
|---|---|
| Django view, BLAS with its own threads | 42 |
| the same with `OPENBLAS_NUM_THREADS=1` | 139 |
| and vectors encoded by orjson | 165 |
| and area-averaging by an integral image of integers | 201 |

A two-stage search as one raw SQL statement took 2.6 ms, through the ORM 8.9 ms.
"""


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table. Numbers below 100 have one decimal, others none."""
    lines = [header, ["---"] * len(header), *([_text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.1f}" if abs(cell) < 100 else f"{cell:.0f}"
    return str(cell)


def machine() -> str:
    """Return a sentence with processor, cores, memory and versions. It queries the database."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'), extversion FROM pg_extension "
            "WHERE extname = 'vector'"
        )
        postgres, pgvector = cursor.fetchone()
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", info)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{model.group(1) if model else platform.machine()}, "
        f"{len(os.sched_getaffinity(0))} cores, {memory:.0f} GB, Python "
        f"{platform.python_version()}, PostgreSQL {postgres}, pgvector {pgvector}"
    )


def write(section: str, title: str, command: str, body: str, page: Path = PAGE) -> None:
    now = datetime.now(UTC).strftime("%d %B %Y")
    text = page.read_text() if page.exists() else INTRODUCTION
    block = (
        f"<!-- {section} -->\n## {title}\n\n{now}, `{command}`. {machine()}.\n\n{body}\n"
        f"<!-- end of {section} -->\n"
    )
    pattern = re.compile(f"<!-- {section} -->\n.*?<!-- end of {section} -->\n", re.DOTALL)
    text = pattern.sub(lambda _: block, text) if pattern.search(text) else f"{text}\n{block}"
    page.parent.mkdir(exist_ok=True)
    page.write_text(text)
