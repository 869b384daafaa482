"""The section of docs/benchmarks.md: the questions and the figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from benchmarks import report
from benchmarks.recall import transforms
from benchmarks.recall.corpus import Source
from benchmarks.recall.figures import NEVER, Bin, Figures, Row
from benchmarks.recall.split import Split

SMALL = 0.02
"""Tables and indexes with less than this share of the total are not named."""


def corpus(
    found: Sequence[Source],
    unique: Sequence[Source],
    parts: Split,
    siblings: Sequence[Source],
    images: int,
) -> str:
    usable, left = (Counter(s.package for s in sources) for sources in (found, unique))
    originals = Counter(s.package for s in parts.test_originals)
    negatives = Counter(s.package for s in parts.test_negatives)
    header = ["package", "usable pictures", "without near-duplicates", "test originals"]
    rows = [
        [name, usable[name], left[name], originals[name], negatives[name]]
        for name in sorted(usable, key=lambda name: -usable[name])
    ]
    generated = images - len(parts.gallery)
    return "\n\n".join(
        [
            f"Gallery: {images:,} images: {len(parts.test_originals)} test originals, "
            f"{len(parts.calibration_originals)} calibration originals, "
            f"{len(parts.distractors):,} distractors"
            + (f", and {generated:,} generated pictures to fill it up" if generated else "")
            + f". {len(parts.test_negatives):,} test negatives and "
            f"{len(parts.calibration_negatives):,} calibration negatives are in no gallery; "
            "siblings of theirs are (flags, stamps and icons of the same series). Of pictures that "
            f"show the same, one was kept; {len(siblings)} of those left out are no copies but "
            "made of the same elements as one in the gallery (playing cards, puzzle pieces, flags "
            "with the same arms): they are asked too, and counted apart as *of a common template*. "
            "Pictures whose SHA-256 is even were fitted on, odd ones test.",
            report.table([*header, "test negatives"], rows),
        ]
    )


def recall(figures: Mapping[str, Figures], rows: Sequence[str], missing: Mapping[str, str]) -> str:
    names = list(figures)
    titles = {
        "first": "R@1: the original is the first answer, percent.",
        "frozen": "Recall at the threshold that was frozen on the calibration negatives (none of "
        "them nearer), percent: the original is among the answers and nearer than it.",
        "own": "Recall at the test negatives' own threshold without a false positive, percent.",
    }
    parts = []
    for field, title in titles.items():
        lines: list[list[object]] = [
            [row, *(_percent(figures[name].rows[row], field) for name in names)] for row in rows
        ]
        lines.append(["**mean**", *(_percent(figures[name].mean, field) for name in names)])
        if field == "frozen":
            lines.append(["threshold", *(_distance(figures[name].threshold) for name in names)])
            wrong = [figures[name].false_positives for name in names]
            lines.append(["false positives", *wrong])
            alike = [figures[name].siblings for name in names]
            lines.append(["of a common template", *alike])
        if field == "own":
            lines.append(["threshold", *(_distance(figures[name].own_threshold) for name in names)])
        parts += [title, report.table(["edit", *names], lines)]
    parts += [f"{name}: no weights here. {why}" for name, why in missing.items()]
    return "\n\n".join(parts)


def _percent(row: Row, field: str) -> str:
    return f"{100 * getattr(row, field):.1f}"


def _distance(threshold: float) -> str:
    return "none" if threshold == NEVER else f"{threshold:.4g}"


def calibration(errors: Mapping[str, tuple[float, Sequence[Bin]]]) -> str:
    """Return the ECE of each match type that answers a confidence, and its bins."""
    parts = []
    for name, (error, bins) in errors.items():
        lines = [
            [f"{place / 10:.1f} – {place / 10 + 0.1:.1f}", one.count, *_claimed(one)]
            for place, one in enumerate(bins)
        ]
        parts.append(
            f"Calibration of {name}: ECE {error:.4f} over the first answers to "
            f"{sum(one.count for one in bins):,} test questions, copies and negatives."
        )
        parts.append(report.table(["confidence", "answers", "mean", "right"], lines))
    return "\n\n".join(parts)


def _claimed(one: Bin) -> tuple[str, str]:
    return (f"{one.confidence:.3f}", f"{one.correct:.3f}") if one.count else ("", "")


def cost(
    latencies: Mapping[str, tuple[float, float]], images: int, sizes: Mapping[str, float]
) -> str:
    lines = [[name, p50, p95] for name, (p50, p95) in latencies.items()]
    total = sum(sizes.values())
    large = {name: size for name, size in sizes.items() if size >= SMALL * total}
    rows = [*large.items(), ("the others", total - sum(large.values())), ("all", total)]
    return "\n\n".join(
        [
            f"A search among {images:,} images, one after another in one process, from the JPEG's "
            "bytes to the answer; limit 10. The libraries are scanned by numpy.",
            report.table(["method", "p50 ms", "p95 ms"], lines),
            "What an image takes in the database:",
            report.table(["table or index", "KB"], rows),
        ]
    )


def targets(figures: Figures, p95: float, error: float) -> str:
    easy = {n: row.first for n, row in figures.rows.items() if n not in transforms.HARD}
    hard = {n: row.first for n, row in figures.rows.items() if n in transforms.HARD}
    mean = figures.mean
    lines = [
        _target("mean R@1", mean.first, 0.97),
        _target(f"least R@1 of a row ({_worst(easy)})", min(easy.values()), 0.95),
        _target(f"the same of hard rows ({_worst(hard)})", min(hard.values()), 0.85),
        _target("mean recall at the frozen threshold", mean.frozen, 0.93),
        _target("false positives there", figures.false_positives, 0, most=True),
        _target("search p95, ms", p95, 120, most=True),
        _target("calibration error (ECE)", error, 0.03, most=True),
    ]
    return report.table(["auto", "reached", "target", ""], lines)


def _worst(rows: Mapping[str, float]) -> str:
    return min(rows, key=lambda name: rows[name])


def _target(what: str, reached: float, wanted: float, *, most: bool = False) -> list[str]:
    met = reached <= wanted if most else reached >= wanted
    return [
        what,
        f"{reached:.4g}",
        f"{'≤' if most else '≥'} {wanted:g}",
        "met" if met else "missed",
    ]
