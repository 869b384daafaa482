"""Tables that keep an index outside of PostgreSQL up to date. They are empty without one."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone


class IndexChange(models.Model):
    """The outbox: a fingerprint that was added, deleted, published or withheld.

    Triggers write it in the transaction of the change, once for each statement. They are off as
    long as there is no index to feed.
    """

    fingerprint = models.BigIntegerField()
    version = models.CharField(max_length=160)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"change of fingerprint {self.fingerprint}"


class IndexCollection(models.Model):
    """A collection of the outer index: the vectors of one column that one version made.

    It proposes once it is complete. ``read_to``: the last fingerprint that was read to fill it.
    """

    name = models.CharField(max_length=64, unique=True)
    match_type = models.CharField(max_length=8)
    version = models.CharField(max_length=160)
    dimensions = models.PositiveSmallIntegerField()
    read_to = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    complete_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
