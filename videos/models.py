"""Tables of videos: changeable facts, and one row of vectors for each distinct picture."""

from __future__ import annotations

from typing import Final, Self

from django.db import models
from pgvector.django import HnswIndex

from gallery.imaging.descriptors.base import COPY_VERSION, PIXELS_VERSION
from gallery.items.item import (
    Item,
    ItemQuerySet,
    Status,
    outdated_index,
)
from gallery.items.vectors import Fingerprint
from videos.screened import RECORD

FRAME_VERSION = f"{PIXELS_VERSION}+{COPY_VERSION}"
"""Version of a frame's row. It holds the columns of both versions: two rows would cost twice."""

PICTURES_VERSION: Final = 1
"""A higher version makes workers index all videos again, which takes minutes for each."""


class VideoQuerySet(ItemQuerySet["Video"]):
    def indexable(self) -> Self:
        """Return the videos that wait for a worker: new, tried again, or to be indexed again."""
        return self.unclaimed().filter(models.Q(status=Status.PENDING) | models.Q(reindex=True))


class Video(Item):
    """One video. ``width`` and ``height`` as shown: upright, with square pixels."""

    PICTURES_VERSION = PICTURES_VERSION

    duration_ms = models.PositiveBigIntegerField(null=True, help_text="null until it is known")
    fps = models.FloatField(null=True, help_text="frames a second, as its header says")
    progress = models.PositiveSmallIntegerField(default=0, help_text="of indexing, per cent")
    proxy = models.FileField(
        max_length=200, blank=True, help_text="a small MP4 with the same times, made by us"
    )
    reindex = models.BooleanField(
        default=False, help_text="to be indexed anew; found by its old frames until then"
    )
    reindex_failure = models.TextField(
        blank=True, help_text="why it could not be indexed anew, as a sentence"
    )

    objects = VideoQuerySet.as_manager()

    class Meta(Item.Meta):
        indexes = [*Item.Meta.indexes, outdated_index(PICTURES_VERSION)]
        constraints = [
            *Item.Meta.constraints,
            models.CheckConstraint(
                condition=models.Q(progress__lte=100), name="%(class)s_progress_per_cent"
            ),
            models.CheckConstraint(
                condition=models.Q(reindex=False)
                | models.Q(status__in=[Status.READY, Status.QUARANTINED]),
                name="%(class)s_reindex_of_indexed",
            ),
        ]


class Frame(Fingerprint):
    """A picture of a video, and the time span in which it is shown.

    ``view``: ``full``, or ``trimmed`` for a second row of the same span without the video's
    borders. A picture that says nothing about its video (black, flat, noise) has ``weight`` 0
    and no ``cnn``: it is on the timeline and in no index. The inherited columns ``haar`` and
    ``clip`` stay null. Rows are inserted and deleted, never changed.
    """

    item = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="frames")
    t0 = models.PositiveIntegerField(help_text="ms, of the first frame that looks like this")
    t1 = models.PositiveIntegerField(help_text="ms, of the last one")
    weight = models.FloatField(help_text="0 = never votes, else its rarity up to 1")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["item", "t0", "view", "version"], name="frame_item_t0_view_version"
            ),
            models.CheckConstraint(
                condition=models.Q(t0__lte=models.F("t1")), name="frame_t0_before_t1"
            ),
            models.CheckConstraint(
                condition=models.Q(weight__gte=0, weight__lte=1), name="frame_weight_0_to_1"
            ),
        ]
        # No index on pdq: it only compares the candidates that the vectors find.
        indexes = [
            HnswIndex(
                name="frame_cnn_hnsw",
                fields=["cnn"],
                opclasses=["halfvec_cosine_ops"],
                m=16,
                ef_construction=128,
                condition=models.Q(version=FRAME_VERSION, weight__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.t0 / 1000:.3f} to {self.t1 / 1000:.3f} s of video {self.item_id}"


class ScreenedHashes(models.Model):
    """Hashes of pictures that a video shows besides its stored frames, however briefly.

    They serve screening; no search reads them. ``packed``: records of ``screened.RECORD``,
    thousands in one row.
    """

    item = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="screened_hashes")
    packed = models.BinaryField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{len(self.packed) // RECORD.itemsize:,} hashes of video {self.item_id}"
