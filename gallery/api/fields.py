"""Input fields that several requests share, with the limits of the columns they end in."""

from __future__ import annotations

from typing import Any

import orjson
from django.conf import settings
from rest_framework import serializers

MAX_META_BYTES = 65_536
MAX_BATCH = 100


class MetaField(serializers.JSONField):
    """A JSON object of at most 64 KB without NUL characters. Multipart requests send it as text."""

    def to_internal_value(self, data: Any) -> Any:
        """Raises ValidationError with what to send instead."""
        if isinstance(data, str):
            try:
                data = orjson.loads(data.encode())
            except orjson.JSONDecodeError as error:
                raise serializers.ValidationError(f"Not JSON: {error}.") from None
        if not isinstance(data, dict):
            raise serializers.ValidationError('Give a JSON object, for example {"album": "2024"}.')
        encoded = orjson.dumps(data)
        if b"\\u0000" in encoded:
            raise serializers.ValidationError("Remove the NUL characters; they cannot be stored.")
        if len(encoded) > MAX_META_BYTES:
            raise serializers.ValidationError(f"At most {MAX_META_BYTES} bytes of JSON.")
        return data


class PictureUrlField(serializers.CharField):
    """An http or https link; whether it may be fetched is decided when it is."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=2048, **kwargs)


class PictureFileField(serializers.FileField):
    """An uploaded picture, as its bytes."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_empty_file=True, use_url=False, **kwargs)

    def to_internal_value(self, data: Any) -> bytes:
        """Raises ValidationError beyond the size limit. What the bytes are is decided later."""
        upload = super().to_internal_value(data)
        if upload.size > settings.MAX_UPLOAD_BYTES:
            raise serializers.ValidationError(
                f"The file has {upload.size} bytes; at most {settings.MAX_UPLOAD_BYTES} are taken."
            )
        return upload.read()
