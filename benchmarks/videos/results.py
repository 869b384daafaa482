"""The results of a run, stored so that its costs can be measured again separately."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.cache import directory
from benchmarks.videos.figures import Montage, Row, Unrelated
from benchmarks.videos.gallery import Cost


@dataclass(frozen=True)
class Results:
    """``gallery``: the searched gallery; ``corpus``: its content in words; ``room``: its storage.

    ``rows`` and ``unrelated``: figures by row; ``peer``: vPDQ's share of first places, or ``why``
    it has none. ``films``: files to index again.
    """

    gallery: str
    corpus: str
    rows: Mapping[str, Row]
    unrelated: Mapping[str, Unrelated]
    montage: Montage
    room: Cost
    peer: Mapping[str, float]
    why: str
    films: tuple[str, ...]


def write(results: Results, kind: str) -> None:
    _file(kind).write_text(json.dumps(asdict(results)))


def read(kind: str) -> Results:
    """Return the results of the last run. Raise ``FileNotFoundError`` if there is none."""
    values = json.loads(_file(kind).read_text())
    rows = {
        name: Row(**{**row, "errors": tuple(row["errors"]), "raw": tuple(row["raw"])})
        for name, row in values["rows"].items()
    }
    return Results(
        **{
            **values,
            "rows": rows,
            "unrelated": {name: Unrelated(**one) for name, one in values["unrelated"].items()},
            "montage": Montage(**values["montage"]),
            "room": Cost(**values["room"]),
            "films": tuple(values["films"]),
        }
    )


def _file(kind: str) -> Path:
    return directory() / f"results-{kind}.json"
