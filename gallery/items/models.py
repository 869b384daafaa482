"""Tables of images: changeable facts, vectors, and details that only re-ranking reads."""

from __future__ import annotations

from typing import Final

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from gallery.imaging.decoding.pictures import ReadFile
from gallery.items.item import (
    Item,
    ItemQuerySet,
    Status,
    outdated_index,
)
from gallery.items.vectors import Fingerprint

PICTURES_VERSION: Final = 1


class ImageQuerySet(ItemQuerySet["Image"]):
    pass


class Image(Item):
    """A stored image."""

    PICTURES_VERSION = PICTURES_VERSION

    stale_at = models.DateTimeField(
        null=True, blank=True, help_text="when its URL was found to hold another picture"
    )

    objects = ImageQuerySet.as_manager()

    in_hand: ReadFile | None = None
    """Set in memory while the image is published, if its file was just read and decoded."""

    class Meta(Item.Meta):
        indexes = [*Item.Meta.indexes, outdated_index(PICTURES_VERSION)]


class LinkCheck(models.Model):
    """When an image's link was last checked.

    ``etag`` and ``last_modified`` are the headers that the host sent with the bytes that were
    added. They are empty if it sent none or the bytes have changed.
    """

    image = models.OneToOneField(
        Image, on_delete=models.CASCADE, primary_key=True, related_name="link_check"
    )
    checked_at = models.DateTimeField(db_index=True)
    etag = models.CharField(max_length=255, blank=True)
    last_modified = models.CharField(max_length=255, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"check of the link of image {self.image_id}"


class ImageFingerprint(Fingerprint):
    """The vectors of one view of an image."""

    item = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="fingerprints")

    class Meta(Fingerprint.Meta):
        pass

    def __str__(self) -> str:
        return f"{self.view} of image {self.item_id} by {self.version}"


class ImageDetail(models.Model):
    """Details that only re-ranking reads, kept apart from the rows that searches scan.

    ``pattern`` is the imgsmlr pattern as ``imaging.descriptors.stored_patterns`` packs it: 1.9 KB.
    ``local_features`` are those of ``imaging.local_features``, packed: at most 12 KB. Neither is
    compressed again.
    """

    fingerprint = models.OneToOneField(
        ImageFingerprint, on_delete=models.CASCADE, primary_key=True, related_name="detail"
    )
    pattern = models.BinaryField(null=True)
    local_features = models.BinaryField(null=True)

    def __str__(self) -> str:
        return f"detail of fingerprint {self.fingerprint_id}"


class ClipVersion(models.Model):
    """A CLIP model whose vectors are stored. Searches read the active one."""

    class State(models.TextChoices):
        """``filling``: a new model, until every image has its vector. ``replaced``: its vectors are
        being deleted, and then the row."""

        FILLING = "filling"
        ACTIVE = "active"
        REPLACED = "replaced"

    version = models.CharField(max_length=160, unique=True)
    model = models.CharField(max_length=80)
    pretrained = models.CharField(max_length=500)
    dimensions = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=8, choices=State.choices)
    created_at = models.DateTimeField(default=timezone.now)
    replaced_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=models.Q(state="active"), name="one_active_clip_version"
            )
        ]

    def __str__(self) -> str:
        return self.version


class DuplicateRun(models.Model):
    """The duplicate search whose results are stored. ``--restart`` replaces it."""

    min_confidence = models.FloatField(help_text="what stored pairs reach, 0 to 1")
    rules = models.CharField(max_length=80, help_text="what confidence was computed by")
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"search for duplicates of {self.started_at:%Y-%m-%d}"


class DuplicateScan(models.Model):
    """An image whose duplicates were searched for. A run continues with the other images."""

    image = models.OneToOneField(
        Image, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    content = models.FloatField(help_text="share of its area within plain margins, 0 to 1")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"scan of image {self.image_id}"


class DuplicatePair(models.Model):
    """Two images, ``a`` with the smaller id, that are copies with this ``confidence``.

    The geometry is null where none was found. ``shared_a`` and ``shared_b`` are the shares of
    each image that the other shows. ``b`` is ``a`` scaled by ``scale`` (in pixels), rotated by
    ``rotation`` degrees clockwise, then mirrored left to right if ``mirrored``.
    """

    a = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="+")
    b = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="+")
    confidence = models.FloatField()
    shared_a = models.FloatField(null=True)
    shared_b = models.FloatField(null=True)
    scale = models.FloatField(null=True)
    rotation = models.FloatField(null=True)
    mirrored = models.BooleanField(null=True)

    class Meta:
        default_permissions = ()
        verbose_name = "duplicate"
        constraints = [
            models.UniqueConstraint(fields=["a", "b"], name="duplicatepair_once"),
            models.CheckConstraint(
                condition=models.Q(a__lt=models.F("b")), name="duplicatepair_older_first"
            ),
        ]

    def __str__(self) -> str:
        return f"images {self.a_id} and {self.b_id}"


class NotDuplicate(models.Model):
    """A person's decision: in one ``group`` only images marked ``together`` may be duplicates.

    There is one row per image, since a large group has too many pairs.
    """

    group = models.UUIDField()
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="+")
    together = models.BooleanField(help_text="may be a duplicate of others marked so")

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["group", "image"], name="notduplicate_once")]

    def __str__(self) -> str:
        return f"image {self.image_id} in group {self.group}"


class SharedSearch(models.Model):
    """The picture or clip of a search that its sender shares by a link, until it ends.

    ``digest``: SHA-256 of the link's token. The table is UNLOGGED, so that no backup keeps it.
    """

    digest = models.CharField(max_length=64, unique=True)
    picture = models.BinaryField(help_text="a JPEG or MP4 without metadata")
    shared_by = models.CharField(max_length=160)
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"shared search {self.pk}"


class ItemBatch(models.Model):
    """Items of one ``kind``, image or video, that one command quarantined or released."""

    kind = models.CharField(max_length=8)
    status = models.CharField(
        max_length=12, choices=Status.choices, help_text="what they became by it"
    )
    ids = ArrayField(models.BigIntegerField())
    by = models.CharField(max_length=160)
    reason = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.CharField(max_length=160, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"batch {self.pk} of {self.kind}s"
