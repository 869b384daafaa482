"""Shapes of v1 requests and answers about imports."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework import serializers

from gallery.imaging.picture_limits import TooLarge
from moderation.access.api import IdField
from moderation.imports.models import BadRow, ListImport
from moderation.lists.formats import Format, Kind


class ListFileField(serializers.FileField):
    """An uploaded hash list, which is never held in memory as a whole."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(use_url=False, help_text="A form with a file.", **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        """The upload. Raises ``TooLarge``."""
        upload = super().to_internal_value(data)
        if upload.size > settings.MAX_LIST_BYTES:
            raise TooLarge(
                f"The file has {upload.size:,} bytes, more than the {settings.MAX_LIST_BYTES:,} "
                "accepted; use manage.py import_hash_list.",
                field=self.field_name,
                code="too_large",
            )
        return upload


class AddImportSerializer(serializers.Serializer):
    """A hash list, and how to read it."""

    file = ListFileField()
    list = IdField(help_text="Id of the list to import into.")
    format = serializers.ChoiceField(
        choices=[format.value for format in Format],
        required=False,
        help_text="Found out if it is not given.",
    )
    source = serializers.CharField(  # type: ignore[assignment]  # a name that its base has, too
        max_length=255, required=False, help_text="Of rows that name none."
    )
    kind = serializers.ChoiceField(
        choices=[kind.value for kind in Kind],
        required=False,
        help_text="Of hashes that are given without one.",
    )
    categories = serializers.ListField(
        child=serializers.CharField(max_length=255),
        required=False,
        max_length=100,
        help_text="Take only entries of these categories.",
    )
    full = serializers.BooleanField(
        required=False,
        help_text="The file is all there is of its sources: what it lacks is retired.",
    )
    dry_run = serializers.BooleanField(required=False, help_text="Only say what would change.")
    confirmed = serializers.BooleanField(
        required=False, help_text="Agree to a large change beforehand."
    )


class CountsSerializer(serializers.Serializer):
    """Entries by what becomes of them; skipped are hashes, bad are rows. Empty until it is read.

    ``missing`` of the retired were no longer in a full list. ``broken``: the file breaks off.
    """

    added = serializers.IntegerField(required=False)
    changed = serializers.IntegerField(required=False)
    reactivated = serializers.IntegerField(required=False)
    retired = serializers.IntegerField(required=False)
    missing = serializers.IntegerField(required=False)
    unchanged = serializers.IntegerField(required=False)
    kept = serializers.IntegerField(
        required=False, help_text="Retired here, which an import does not undo."
    )
    skipped = serializers.IntegerField(required=False)
    skipped_kinds = serializers.DictField(child=serializers.IntegerField(), required=False)
    bad = serializers.IntegerField(required=False)
    rows = serializers.IntegerField(required=False)
    broken = serializers.BooleanField(required=False)


class ImportSerializer(serializers.ModelSerializer):
    """An import and how far it is."""

    list = serializers.IntegerField(source="list_id")
    counts = CountsSerializer()

    class Meta:
        model = ListImport
        fields = [
            "id",
            "list",
            "state",
            "progress",
            "file_name",
            "sha256",
            "size",
            "format",
            "options",
            "dry_run",
            "confirmed",
            "counts",
            "samples",
            "failure",
            "added_by",
            "created_at",
            "finished_at",
        ]
        read_only_fields = fields


class BadRowSerializer(serializers.ModelSerializer):
    """Where it stands, why it could not be used, and its first characters."""

    class Meta:
        model = BadRow
        fields = ["place", "reason", "excerpt"]
        read_only_fields = fields
