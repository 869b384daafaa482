"""Take over the images of an original imgsmlr-server, without fetching their pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

from gallery.imaging.decoding.rendered_pictures import FULL_VIEW
from gallery.imaging.descriptors.base import PIXELS_VERSION, Columns
from gallery.items.models import Image
from gallery.moving.imgsmlr_server import Source, SourceRow
from gallery.moving.storing import (
    MovedImage,
    MoveOutcome,
    exists_as,
    reserve_ids,
    store,
    stored_ids,
    taken_ids,
)
from gallery.shared import exact_json
from gallery.shared.interrupts import interrupted_later

ROWS_PER_BATCH: Final = 250
MERGED: Final = ("url", "data_id", "remark", "meta")
LONGEST: Final = {"url": 2048, "data_id": 255}
"""Characters that the columns hold."""

BY: Final = "command:import_imgsmlr"
NO_VECTORS: Final = "It has no usable pattern: no search finds it until its picture is fetched."


@dataclass(frozen=True)
class _Batch:
    """Some first rows of ``source``: those to store, merged, and the outcomes of the others."""

    rows: Sequence[SourceRow]
    todo: Mapping[int, SourceRow]
    outcomes: Sequence[MoveOutcome]


def take_over(source: Source, *, highest_id: int, dry_run: bool = False) -> Iterator[MoveOutcome]:
    """Store every row of ``source``, one transaction for each batch. Yield an outcome for each.

    Rows with the same md5 are one image: the first, whose empty fields are filled from the others.
    Rows without a md5 are one if link and pattern are equal. ``dry_run`` changes nothing.
    """
    if not dry_run:
        reserve_ids(Image, highest_id)
    with ThreadPoolExecutor(1) as pool:
        # Read the vectors of the next batch while this one is stored.
        waiting: deque[tuple[_Batch, Future[dict[int, Columns]]]] = deque()
        for rows in source.rows(ROWS_PER_BATCH):
            batch = _sorted(source, rows)
            waiting.append((batch, pool.submit(source.vectors, list(batch.todo))))
            if len(waiting) > 1:
                yield from _finish(source, *waiting.popleft(), dry_run)
        while waiting:
            yield from _finish(source, *waiting.popleft(), dry_run)


def _sorted(source: Source, rows: Sequence[SourceRow]) -> _Batch:
    known = stored_ids(Image, [row.key for row in rows])
    outcomes = [exists_as(row.id, known[row.key]) for row in rows if row.key in known]
    todo: dict[int, SourceRow] = {}
    for row in rows:
        if row.key in known:
            continue
        merged = _merge(row, source.later_rows(row))
        if problem := _problem(merged):
            outcomes.append(MoveOutcome(row.id, "failed", None, problem))
        else:
            todo[row.id] = merged
    return _Batch(rows, todo, outcomes)


def _finish(
    source: Source, batch: _Batch, read: Future[dict[int, Columns]], dry_run: bool
) -> Iterator[MoveOutcome]:
    vectors, outcomes = read.result(), list(batch.outcomes)
    with interrupted_later():
        if dry_run:
            outcomes += _foretell(list(batch.todo), vectors)
        else:
            moved = [_moved(row, vectors.get(pk)) for pk, row in batch.todo.items()]
            outcomes += store(moved, by=BY)
    yield from outcomes
    first = {outcome.source_id: outcome for outcome in outcomes}
    for row in batch.rows:
        for other in source.later_rows(row):
            yield _merged(other, batch.todo.get(row.id, row), first[row.id])


def _merge(row: SourceRow, others: Sequence[SourceRow]) -> SourceRow:
    """Fill the empty fields of a row from the others, the first that has a value."""
    values = {name: getattr(row, name) for name in MERGED}
    for name in MERGED:
        for other in others:
            values[name] = values[name] or getattr(other, name)
    return replace(row, **values)


def _merged(other: SourceRow, kept: SourceRow, outcome: MoveOutcome) -> MoveOutcome:
    if outcome.kind == "failed":
        reason = f"It is the same picture as row {kept.id}, which was left out."
        return MoveOutcome(other.id, "failed", None, reason)
    lost = [
        f"{name} {value}"
        for name in MERGED
        if (value := getattr(other, name)) and value != getattr(kept, name)
    ]
    reason = f"It is the same picture as row {kept.id}."
    if lost:
        reason += f" Not kept: {', '.join(lost)}."
    return MoveOutcome(other.id, "merged", outcome.image_id, reason)


def _problem(row: SourceRow) -> str:
    """Return why a row cannot be kept whole, or ""."""
    for name, longest in LONGEST.items():
        if len(getattr(row, name) or "") > longest:
            return f"Its {name} has more than {longest:,} characters."
    try:
        if not isinstance(_meta(row), dict | None):
            return "Its meta is no JSON object."
    except ValueError as error:
        return f"Its meta cannot be kept: {error}."
    return ""


def _meta(row: SourceRow) -> Any:
    return None if row.meta is None else exact_json.loads(row.meta.encode())


def _moved(row: SourceRow, columns: Columns | None) -> MovedImage:
    image = Image(
        pk=row.id,
        url=row.url or None,
        data_id=row.data_id,
        md5=row.key,
        remark=row.remark,
        meta=_meta(row),
        width=0,
        height=0,
        bytes=0,
        keep_original=False,
    )
    views = {FULL_VIEW: {PIXELS_VERSION: columns}} if columns is not None else {}
    return MovedImage(image, views, note="" if columns is not None else NO_VECTORS)


def _foretell(ids: Sequence[int], vectors: dict[int, Columns]) -> list[MoveOutcome]:
    taken = taken_ids(Image, ids)
    outcomes = []
    for pk in ids:
        notes = [] if pk in vectors else [NO_VECTORS]
        if pk in taken:
            notes.append("Its id is taken here: it would get another.")
        outcomes.append(MoveOutcome(pk, "added", None, " ".join(notes)))
    return outcomes
