"""The ``ItemKind`` of videos."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from gallery.items.kinds import ItemKind, Words
from videos.models import Video

VIDEO: Final = ItemKind(
    model=Video,
    words=Words(
        noun=_("video"),
        count=lambda n: ngettext("%(n)s video", "%(n)s videos", n) % {"n": n},
        numbered=_("Video %(id)s"),
        add=_("Add videos"),
        back=_("Back to the videos"),
        only_ready=_("only ready videos can be quarantined."),
        only_quarantined=_("only quarantined videos can be released."),
        deleted=_(
            "%(items)s would be deleted for good, with frames and files. This cannot be undone."
        ),
        too_many=_(
            "These are %(n)s videos; at most %(most)s at once. For more, run manage.py %(command)s."
        ),
        noted=_("Noted with each of these videos."),
    ),
    contents="video",
    keep_setting="KEEP_VIDEOS",
    file_view="video-file",
    thumbnail_view="video-thumbnail",
    icon="movie",
    failed_icon="videocam_off",
    needs_original=lambda video: video.reindex,
)
