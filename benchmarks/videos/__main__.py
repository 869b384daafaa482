"""Run the benchmark and write its section of docs/benchmarks.md."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks import report
from benchmarks.recall import database
from benchmarks.videos import (
    asking,
    corpus,
    costs,
    figures,
    gallery,
    peers,
    queries,
    results,
    table,
    tracks,
)
from benchmarks.videos.corpus import Corpus
from benchmarks.videos.queries import Question
from benchmarks.videos.results import Results

FULL_INDEX = 50_000


def main(arguments: Sequence[str] | None = None) -> None:
    """The quick run takes at most 10 minutes once the packages are downloaded. Both runs can be
    stopped and continued. ``--only costs`` takes 5."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.videos", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="8 films, a tenth of the questions")
    parser.add_argument("--workers", type=int, default=2, help="processes that search")
    parser.add_argument(
        "--only",
        choices=["costs"],
        help="measure latency and indexing again, on a quiet machine; the rest as it was found",
    )
    options = parser.parse_args(arguments)
    kind = "quick" if options.quick else "full"
    if options.only:
        found = results.read(kind)
        with _running(kind, found.gallery):
            _report(found, kind)
        return
    whole = corpus.build(corpus.QUICK if options.quick else corpus.FULL, options.workers)
    tracks.prepare(whole.films.values(), options.workers)
    name = gallery.digest(whole)
    with _running(kind, name):
        gallery.fill(whole)
        room = gallery.cost()
        if not options.quick:
            gallery.pad(FULL_INDEX)
        found = _found(whole, kind, name, room, options.workers)
        results.write(found, kind)
        _report(found, kind)


def _running(kind: str, name: str) -> AbstractContextManager[None]:
    return database.running(f"videos_{kind}-{name}")


def _report(found: Results, kind: str) -> None:
    measured = costs.measure(kind, [Path(film) for film in found.films])
    body = table.section(found, measured)
    print(body)
    title, section = (
        ("Videos, quick run", "videos-quick") if kind == "quick" else ("Videos", "videos")
    )
    command = f"python -m benchmarks.videos{' --quick' if kind == 'quick' else ''}"
    report.write(section, title, command, body)


def _found(whole: Corpus, kind: str, name: str, room: gallery.Cost, workers: int) -> Results:
    from videos.match.confidence import calibrations

    refused = gallery.refused(whole)
    stored = _without(whole, {film.key for film in refused})
    counts = queries.QUICK if kind == "quick" else queries.FULL
    rows = figures.by_row(queries.run_questions(stored, counts))
    films = costs.save(rows, stored, kind)
    answers = asking.ask([q for row in rows.values() for q in row], whole, name, workers)
    still, clip = (calibrations()[kind].precise for kind in ("still", "clip"))
    seen = tracks.of(whole.films)
    measured = {
        row: figures.measure(asked, answers, still if asked[0].still else clip, seen)
        for row, asked in rows.items()
        if row in {**queries.STILL_ROWS, **queries.CLIP_ROWS} and row != queries.MONTAGE
    }
    least = {queries.UNRELATED_CLIP: clip, queries.UNRELATED_STILL: still}
    negatives = {
        row: figures.unrelated(rows[row], answers, least.get(row, min(still, clip)))
        for row in (queries.UNRELATED_STILL, queries.UNRELATED_CLIP, *queries.FLAGGED)
        if row in rows
    }
    why = peers.missing()
    return Results(
        name,
        table.corpus(whole, refused, FULL_INDEX if kind == "full" else 0),
        measured,
        negatives,
        figures.montage(rows.get(queries.MONTAGE, []), answers, clip),
        room,
        {} if why else _peer(rows, whole, name),
        why,
        tuple(map(str, films)),
    )


def _without(whole: Corpus, keys: set[str]) -> Corpus:
    films = {key: film for key, film in whole.films.items() if key not in keys}
    return Corpus(films, whole.clips, whole.pictures)


def _peer(rows: dict[str, list[Question]], whole: Corpus, name: str) -> dict[str, float]:
    asked = {row: rows[row] for row in queries.CLIP_ROWS if row in rows and row != queries.MONTAGE}
    found = peers.ask([q for row in asked.values() for q in row], whole, name)
    return {row: peers.top(own, found) for row, own in asked.items()}


if __name__ == "__main__":
    main()
