"""Fields that requests of v1 share."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

MAX_IDS = 1000
MAX_NOTE = 10_000
BIGGEST_ID = 2**63 - 1


class ReasonField(serializers.CharField):
    """Why: it goes into the audit."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_length=1000,
            help_text="Goes into the audit.",
            **{"required": False, "allow_blank": True, **kwargs},
        )


class IdField(serializers.IntegerField):
    """The id of a row."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=BIGGEST_ID, **kwargs)
