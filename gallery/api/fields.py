"""Input fields that several requests share, with the limits of the columns they end in."""

from __future__ import annotations

import math
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from gallery.api.limits import MAX_URL
from gallery.imaging.picture_limits import TooLarge
from gallery.shared import exact_json
from gallery.shared.meta import meta_problem


@extend_schema_field({"type": "object", "additionalProperties": True})
class MetaField(serializers.JSONField):
    """A JSON object of at most 64 KB without NUL characters. Multipart requests send it as text."""

    def to_internal_value(self, data: Any) -> Any:
        """Raises ValidationError with what to send instead."""
        if isinstance(data, str):
            try:
                data = exact_json.loads(data.encode())
            except ValueError as error:
                raise serializers.ValidationError(f"Not JSON: {error}.") from None
        if not isinstance(data, dict):
            raise serializers.ValidationError('Give a JSON object, for example {"album": "2024"}.')
        if problem := meta_problem(data):
            raise serializers.ValidationError(f"{problem[0].upper()}{problem[1:]}.")
        return data


class VerbatimField(serializers.CharField):
    """A text of the client's own, kept as it was sent: null, ``""`` and spaces are its business."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            required=False, allow_null=True, allow_blank=True, trim_whitespace=False, **kwargs
        )


class PictureUrlField(serializers.CharField):
    """An http or https link; whether it may be fetched is decided when it is."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_URL, help_text="http:// or https://", **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Raises ValidationError for any other scheme: what is stored is shown as a link."""
        url = super().to_internal_value(data)
        if not url.lower().startswith(("http://", "https://")):
            raise serializers.ValidationError("Give a link that starts with http:// or https://.")
        return url


class DistanceField(serializers.FloatField):
    """A finite number of at least 0."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=1e6, **kwargs)

    def to_internal_value(self, data: Any) -> float:
        """Raises ValidationError, also for the text ``nan``, which no range check refuses."""
        value = super().to_internal_value(data)
        if math.isnan(value):
            self.fail("invalid")
        return value


class PictureFileField(serializers.FileField):
    """An uploaded picture, as its bytes."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            allow_empty_file=True, use_url=False, help_text="In forms, not in JSON.", **kwargs
        )

    def to_internal_value(self, data: Any) -> bytes:  # type: ignore[override]
        """Raises ``TooLarge`` beyond the size limit. What the bytes are is decided later."""
        upload = super().to_internal_value(data)
        if upload.size > settings.MAX_UPLOAD_BYTES:
            raise TooLarge(
                f"The file has {upload.size:,} bytes, more than the "
                f"{settings.MAX_UPLOAD_BYTES:,} accepted; send a smaller version.",
                field=self.field_name,
            )
        content: bytes = upload.read()
        return content
