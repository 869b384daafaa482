"""Tasks of the video cluster. Each makes one call."""

from __future__ import annotations

from videos.index import indexing
from videos.items import reindexing


def index_videos(ids: list[int]) -> int:
    """Decode, sample and describe these videos, then publish them."""
    return indexing.index_videos(ids)


def sweep() -> int:
    """Every minute: index videos whose own task was lost."""
    return indexing.index_left_over()


def index_older() -> int:
    """Hourly, while no video waits: index some videos again that older code indexed."""
    return reindexing.index_some_older()
