"""What is true of videos alone, for code that handles any item."""

from __future__ import annotations

from typing import Final

from gallery.items.kinds import ItemKind
from videos.items import reindexing
from videos.models import Video

VIDEO: Final = ItemKind(
    model=Video,
    contents="video",
    stored="frames",
    thumbnail_view="video-thumbnail",
    icon="movie",
    failed_icon="videocam_off",
    try_again=reindexing.index_again,
    needs_original=lambda video: video.reindex,
)
