"""Locking cases with what they are about, in the order of ``gallery.shared.locking``."""

from __future__ import annotations

from collections.abc import Iterable

from gallery.items.models import Image
from gallery.shared.locking import locked
from moderation.cases.models import ReviewCase
from videos.models import Video


def locked_cases(case_ids: Iterable[int]) -> list[ReviewCase]:
    """The cases, by id, and before them their images and videos, locked to the transaction's end.

    The publishing gate and deletions hold an image when they come to its cases: whoever locked the
    cases first would wait for them, and they for whoever that is.
    """
    wanted = ReviewCase.objects.filter(pk__in=set(case_ids))
    subjects = list(wanted.order_by().values_list("image", "video"))
    images = {image for image, _ in subjects if image is not None}
    videos = {video for _, video in subjects if video is not None}
    if images:
        locked(Image.objects.filter(pk__in=images).only("pk"), no_key=True)
    if videos:
        locked(Video.objects.filter(pk__in=videos).only("pk"), no_key=True)
    locked(wanted.only("pk"))
    # Read once more: what is joined to them must be as of after the locks.
    return list(
        wanted.select_related("image", "video", "claimed_by")
        .defer("image__meta", "video__meta")
        .order_by("pk")
    )
