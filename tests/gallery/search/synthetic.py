"""What tests of searches share: thousands of made-up vectors, and how right an answer is.

Recall compares distances: of several images at one distance any may be answered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from gallery.items.models import Image

COUNT = 2000
Floats = NDArray[np.float64]


def clustered(
    rng: np.random.Generator, count: int, strength: Floats, spread: float = 0.2
) -> Floats:
    """As real pictures lie: half alone, half in 50 groups of near-duplicates.

    ``strength``: how far the points reach in each direction.
    """
    dimensions = len(strength)
    alone = rng.normal(size=(count - count // 2, dimensions))
    groups = rng.normal(size=(50, dimensions))[rng.integers(50, size=count // 2)]
    near = groups + rng.normal(scale=spread, size=groups.shape)
    return (np.concatenate([alone, near]) * strength)[rng.permutation(count)]


def rounded(points: Floats, kind: Any) -> Floats:
    """As the database keeps them."""
    return points.astype(kind).astype(np.float64)


def unit(points: Floats) -> Floats:
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def bit_text(bits: Floats) -> str:
    return "".join(str(int(bit)) for bit in bits)


def add_images() -> list[Image]:
    """Ready images without vectors; one in 100 has each of the rare labels."""
    with connection.cursor() as cursor:
        # What other tests rolled back stays in the graphs until a VACUUM, or this.
        cursor.execute("TRUNCATE gallery_image, gallery_clipversion CASCADE")
    return Image.objects.bulk_create(
        Image(
            md5=f"{row:032d}",
            format="png",
            width=1,
            height=1,
            bytes=1,
            status="ready",
            added_by="tests",
            data_id="rare-x" if row % 100 == 0 else f"common-{row}",
            meta={"kind": "rare" if row % 100 == 1 else "common"},
        )
        for row in range(COUNT)
    )


def force_indexes() -> None:
    """Forbid sequential scans and sorts in this transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")


def recall(found: Floats, right: Floats) -> float:
    """The share of answers that are no farther than the right ones, rank by rank."""
    assert len(found) == len(right)
    return float(np.mean(found <= right + 2e-6))
