"""What is stored of an image: its mutable facts, its vectors, and what only re-ranking reads."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib.postgres.indexes import GinIndex, HashIndex
from django.db import models
from django.utils import timezone
from pgvector.django import VectorField

from gallery.errors import Conflict
from gallery.vectors import Fingerprint


class Status(models.TextChoices):
    """Where an item is on its way to being found."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"
    QUARANTINED = "quarantined"


TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.READY, Status.FAILED, Status.QUARANTINED}),
    Status.FAILED: frozenset({Status.PENDING}),
    Status.READY: frozenset({Status.QUARANTINED}),
    Status.QUARANTINED: frozenset({Status.READY}),
}
"""The state machine; docs/image-states.md is generated from it."""


class ImageQuerySet(models.QuerySet["Image"]):
    """Questions about several images."""

    def ready(self) -> ImageQuerySet:
        """Those a search may return."""
        return self.filter(status=Status.READY)

    def describable(self) -> ImageQuerySet:
        """Pending, and not being described by a worker whose lease still runs."""
        free = models.Q(claimed_until__isnull=True) | models.Q(claimed_until__lt=timezone.now())
        return self.filter(free, status=Status.PENDING)


class Image(models.Model):
    """One picture: mutable facts only, no vectors. Ids are never reused."""

    url = models.CharField(
        max_length=2048, null=True, blank=True, help_text="where it was fetched from; null = upload"
    )
    data_id = models.CharField(max_length=255, null=True, blank=True, help_text="the client's id")
    md5 = models.CharField(max_length=32, unique=True)
    sha1 = models.CharField(max_length=40)
    sha256 = models.CharField(max_length=64, db_index=True)
    format = models.CharField(max_length=8)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    bytes = models.PositiveBigIntegerField()
    remark = models.TextField(null=True, blank=True)
    meta = models.JSONField(null=True, blank=True)
    original = models.FileField(max_length=200, blank=True)
    thumbnail = models.FileField(max_length=200, blank=True)
    keep_original = models.BooleanField(default=True)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.PENDING)
    failure = models.TextField(blank=True, help_text="why it failed, as a sentence")
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True, blank=True)
    stale_at = models.DateTimeField(
        null=True, blank=True, help_text="when its URL was found to hold another picture"
    )
    added_by = models.CharField(max_length=160, help_text="who added it: user:…, key:…, open")
    uploader = models.CharField(max_length=255, null=True, blank=True, help_text="client's text")
    created_at = models.DateTimeField(default=timezone.now)

    objects = ImageQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["data_id"], opclasses=["text_pattern_ops"], name="image_data_id_prefix"
            ),
            HashIndex(fields=["url"], name="image_url_hash"),
            GinIndex(fields=["meta"], opclasses=["jsonb_path_ops"], name="image_meta_gin"),
            models.Index(fields=["status", "id"], name="image_status_id"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=Status.values), name="image_status_known"
            ),
            models.CheckConstraint(
                condition=models.Q(status=Status.FAILED) ^ models.Q(failure=""),
                name="image_failure_iff_failed",
            ),
        ]

    def __str__(self) -> str:
        return f"image {self.pk}"

    def move_to(self, status: Status, *, failure: str = "") -> None:
        """Change the status in memory, as TRANSITIONS allows.

        Raises ``Conflict`` for a forbidden step. The caller holds the row's lock and saves.
        """
        if status not in TRANSITIONS[Status(self.status)]:
            raise Conflict(f"An image that is {self.status} cannot become {status}.")
        self.status = status
        self.failure = failure
        self.claimed_until = None


class ImageFingerprint(Fingerprint):
    """The vectors of one view of an image."""

    item = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="fingerprints")

    class Meta(Fingerprint.Meta):
        pass

    def __str__(self) -> str:
        return f"{self.view} of image {self.item_id} by {self.version}"


class ImageDetail(models.Model):
    """What only re-ranking reads, kept out of the rows that scans touch.

    ``pattern`` is the 64×64 imgsmlr pattern, shuffled and weighted so that ``<->`` is the
    pattern distance: 16 KB. ``local_features`` are those of ``gallery.local_features``, packed:
    at most 12 KB. Both are stored out of line and uncompressed.
    """

    fingerprint = models.OneToOneField(
        ImageFingerprint, on_delete=models.CASCADE, primary_key=True, related_name="detail"
    )
    pattern = VectorField(dimensions=4096, null=True)
    local_features = models.BinaryField(null=True)

    def __str__(self) -> str:
        return f"detail of fingerprint {self.fingerprint_id}"


class ClipVersion(models.Model):
    """A CLIP model whose vectors are stored. Searches read the active one."""

    class State(models.TextChoices):
        """Filling: beside the active one, until every image has a vector of it."""

        FILLING = "filling"
        ACTIVE = "active"

    version = models.CharField(max_length=160, unique=True)
    model = models.CharField(max_length=80)
    pretrained = models.CharField(max_length=500)
    dimensions = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=8, choices=State.choices)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=models.Q(state="active"), name="one_active_clip_version"
            )
        ]

    def __str__(self) -> str:
        return self.version


class DuplicateRun(models.Model):
    """What the one search for duplicates that is stored went by. ``--restart`` replaces it."""

    min_confidence = models.FloatField(help_text="what stored pairs reach, 0 to 1")
    rules = models.CharField(max_length=80, help_text="what confidence was computed by")
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"search for duplicates of {self.started_at:%Y-%m-%d}"


class DuplicateScan(models.Model):
    """An image whose duplicates were looked for. A run goes on with those that lack it."""

    image = models.OneToOneField(
        Image, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    content = models.FloatField(help_text="share of its area within plain margins, 0 to 1")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"scan of image {self.image_id}"


class DuplicatePair(models.Model):
    """Two images, ``a`` the older id, that are copies as far as ``confidence`` goes.

    What geometry found, null where it found nothing: ``shared_a`` and ``shared_b`` are the
    shares of each that the other shows; ``b`` is ``a`` times ``scale`` (in pixels), turned by
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
    """A person's word: in one ``group`` only those marked ``together`` may be duplicates.

    A row an image, not a row a pair, of which a large group has too many.
    """

    group = models.UUIDField()
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="+")
    together = models.BooleanField(help_text="may be a duplicate of others marked so")

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["group", "image"], name="notduplicate_once")]

    def __str__(self) -> str:
        return f"image {self.image_id} in group {self.group}"
