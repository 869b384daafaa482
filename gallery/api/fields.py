"""Input fields that several requests share, with the limits of their columns."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from gallery.imaging.decoding.limits import TooLarge
from gallery.shared import exact_json
from gallery.shared.errors import UserError
from gallery.shared.meta import meta_problem

MAX_URL = 2048
MAX_DATA_ID = MAX_UPLOADER = 255
MAX_REMARK = 10_000
MAX_BATCH = 100
EXAMPLE_LINK = "http://127.0.0.1:9000/sunset.jpg"
"""In examples of requests: a picture of ``docs/samples``, which the README's first steps serve."""


@extend_schema_field({"type": "object", "additionalProperties": True})
class MetaField(serializers.JSONField):
    """A JSON object of at most 64 KB without NUL characters. Multipart requests send it as text."""

    def to_internal_value(self, data: Any) -> Any:
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
    """A text of the client's own, stored exactly as sent, including null, ``""`` and spaces."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            required=False, allow_null=True, allow_blank=True, trim_whitespace=False, **kwargs
        )


class PictureUrlField(serializers.CharField):
    """An http or https link. Whether it may be fetched is checked when it is fetched."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_URL, help_text="http:// or https://", **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Refuse any other scheme: a stored URL is shown as a link."""
        url = super().to_internal_value(data)
        if not url.lower().startswith(("http://", "https://")):
            raise serializers.ValidationError("Give a link that starts with http:// or https://.")
        return url


class DistanceField(serializers.FloatField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=1e6, **kwargs)

    def to_internal_value(self, data: Any) -> float:
        """Refuse the text ``nan`` too: range checks accept it."""
        value = super().to_internal_value(data)
        if math.isnan(value):
            self.fail("invalid")
        return value


class UploadField(serializers.FileField):
    """An uploaded file of limited size. Its bytes are checked later."""

    max_bytes_setting: ClassVar[str]
    too_large: ClassVar[type[UserError]]
    advice: ClassVar[str]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            allow_empty_file=True, use_url=False, help_text="In forms, not in JSON.", **kwargs
        )

    def to_internal_value(self, data: Any) -> Any:
        upload = super().to_internal_value(data)
        most = getattr(settings, self.max_bytes_setting)
        if (upload.size or 0) > most:
            raise self.too_large(
                f"The file has {upload.size:,} bytes, more than the {most:,} accepted; "
                f"send {self.advice}.",
                field=self.field_name,
            )
        return upload


class PictureFileField(UploadField):
    max_bytes_setting = "MAX_UPLOAD_BYTES"
    too_large = TooLarge
    advice = "a smaller version"

    def to_internal_value(self, data: Any) -> bytes:  # type: ignore[override]
        content: bytes = super().to_internal_value(data).read()
        return content
