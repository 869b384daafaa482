"""What HMA's API knows of lists and items that the lists themselves do not."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class HmaBank(models.Model):
    """The share of look-ups that see a list as a bank. A list without a row is seen by all."""

    list = models.OneToOneField(
        "moderation.BannedList", on_delete=models.CASCADE, related_name="hma_bank"
    )
    enabled_ratio = models.FloatField(default=1.0, help_text="0 to 1")

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(enabled_ratio__gte=0, enabled_ratio__lte=1), name="hmabank_ratio"
            )
        ]

    def __str__(self) -> str:
        return f"bank of list {self.list_id}"


class HmaContent(models.Model):
    """What a client of HMA's API said of an item. Only look-ups of that API are affected."""

    item = models.OneToOneField(
        "moderation.BannedItem", on_delete=models.CASCADE, related_name="hma_content"
    )
    disabled_until = models.DateTimeField(null=True, blank=True)
    metadata = models.JSONField(default=dict, help_text="the client's own")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"content of item {self.item_id}"
