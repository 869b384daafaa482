"""Tasks of the workers. Each makes one call."""

from __future__ import annotations

from gallery.items import (
    describing,
    embedding,
    expiry,
    link_checks,
    orphans,
    reprocessing,
    versions,
)
from gallery.search import index_feeding, sharing


def describe_images(ids: list[int]) -> int:
    """Light cluster: describe images by imgsmlr, pdq and copy, then publish them."""
    return describing.describe_images(ids)


def embed_images(ids: list[int], match_type: str) -> int:
    """Compute a model's missing vectors. CLIP runs in the embed cluster."""
    return embedding.embed_images(ids, match_type)


def check_links() -> int:
    """Lists cluster, every few minutes: check links that are due."""
    return link_checks.check_links().total()


def sweep() -> int:
    """Light cluster, every few minutes: describe images whose own task was lost."""
    return describing.describe_images([])


def look_through() -> int:
    """Lists cluster, hourly: reprocess images that older code described."""
    return reprocessing.reprocess_some()


def drop_replaced_vectors() -> int:
    """Lists cluster, every few minutes: delete the vectors of a CLIP model that was replaced."""
    return versions.drop_replaced()


def remove_orphans() -> int:
    """Lists cluster, daily: remove files that no row names. Raises if there are too many."""
    return orphans.remove()


def delete_expired_media() -> int:
    """Light cluster, daily: delete the files of what was quarantined ``QUARANTINE_DAYS`` ago."""
    return expiry.delete_expired_media()


def forget_shared_searches() -> int:
    """Light cluster, every five minutes: delete the pictures of shared searches that ended."""
    return sharing.forget_ended()


def feed_index() -> int:
    """Lists cluster, every minute: bring the index outside of PostgreSQL up to date."""
    return index_feeding.feed_some()
