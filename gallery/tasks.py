"""What the workers run: each takes ids and makes one service call."""

from __future__ import annotations

from gallery.items import (
    describing,
    embedding,
    link_checks,
    looking_through,
    orphans,
)


def describe_images(ids: list[int]) -> int:
    """Light cluster: imgsmlr and pdq, then publish."""
    return describing.describe_images(ids)


def embed_images(ids: list[int], match_type: str) -> int:
    """A model's vectors of images that lack them: CLIP's in the embed cluster."""
    return embedding.embed_images(ids, match_type)


def check_links() -> int:
    """Lists cluster, every few minutes: links that have not been looked at for long."""
    return link_checks.check_links().total()


def sweep() -> int:
    """Light cluster, every few minutes: images whose own task was given up."""
    return describing.describe_images([])


def look_through() -> int:
    """Lists cluster, hourly: images that older code described."""
    return looking_through.look_through_some()


def remove_orphans() -> int:
    """Lists cluster, daily: files that no row names. Fails where there are too many."""
    return orphans.remove()
