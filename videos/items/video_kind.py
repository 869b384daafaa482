"""The ``ItemKind`` of videos."""

from __future__ import annotations

from typing import Final

from gallery.items.kinds import ItemKind
from videos.models import Video

VIDEO: Final = ItemKind(
    model=Video,
    contents="video",
    stored="frames",
    keep_setting="KEEP_VIDEOS",
    file_view="video-file",
    thumbnail_view="video-thumbnail",
    icon="movie",
    failed_icon="videocam_off",
    needs_original=lambda video: video.reindex,
)
