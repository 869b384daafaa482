"""Shapes of v1 requests and answers about the items of lists."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from gallery.api.fields import PictureUrlField
from gallery.api.serializers import ConflictSerializer
from gallery.shared.errors import UserError
from moderation.access.api import MAX_IDS, MAX_NOTE, IdField, ReasonField
from moderation.lists.item_storing import FACTS
from moderation.lists.models import BannedItem
from moderation.lists.verdicts import HASH_TYPES
from videos.api.serializers import VideoFileField

MAX_BATCH = 1000
MAX_TAGS = 50
KINDS = (*HASH_TYPES, "pdq")


class HashSerializer(serializers.Serializer):
    """One hash."""

    kind = serializers.ChoiceField(choices=KINDS)
    value = serializers.CharField()
    quality = serializers.IntegerField(allow_null=True, help_text="Of pdq, 0 to 100.")


class ItemSerializer(serializers.ModelSerializer):
    """An item. ``hashes``: of all of it; ``frames``: how many pictures of a video it has besides;
    ``picture``: whether one is kept."""

    hashes = HashSerializer(many=True)
    frames = serializers.IntegerField()
    picture = serializers.BooleanField()
    tags = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = BannedItem
        fields = [
            "id",
            "list",
            "media",
            "hashes",
            "frames",
            "picture",
            "source",
            "source_id",
            "state",
            "retired_at",
            "retired_because",
            "opinion",
            "feedback",
            "category",
            "severity",
            "owner",
            "tags",
            "note",
            "updated_at",
            "expires_at",
            "suspended_at",
            "added_by",
            "created_at",
        ]
        read_only_fields = fields

    def to_representation(self, item: BannedItem) -> dict[str, Any]:
        """Needs what ``api.items.shown`` adds to the rows."""
        special = {"list", "hashes", "frames", "picture"}
        hashes = item.of_all  # type: ignore[attr-defined]
        return {
            **{name: getattr(item, name) for name in self.Meta.fields if name not in special},
            "list": item.list_id,
            "hashes": [
                {"kind": one.kind, "value": one.value, "quality": one.quality} for one in hashes
            ],
            "frames": item.frames,  # type: ignore[attr-defined]
            "picture": bool(item.picture),
        }


class TextsSerializer(serializers.Serializer):
    """What can be said of an item at any time."""

    category = serializers.CharField(max_length=255, allow_blank=True, required=False)
    severity = serializers.CharField(max_length=255, allow_blank=True, required=False)
    owner = serializers.CharField(max_length=255, allow_blank=True, required=False)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=255), max_length=MAX_TAGS, required=False
    )
    note = serializers.CharField(max_length=MAX_NOTE, allow_blank=True, required=False)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)


class FactsSerializer(TextsSerializer):
    """And whose entry it is, which stays."""

    source = serializers.CharField(  # type: ignore[assignment]  # a field of that name
        max_length=255, allow_blank=True, required=False
    )
    source_id = serializers.CharField(max_length=255, allow_blank=True, required=False)


class HashesSerializer(FactsSerializer):
    """An item by its hashes."""

    md5 = serializers.CharField(max_length=64, required=False, help_text="32 hex digits.")
    sha1 = serializers.CharField(max_length=64, required=False, help_text="40 hex digits.")
    sha256 = serializers.CharField(max_length=64, required=False, help_text="64 hex digits.")
    pdq = serializers.CharField(max_length=64, required=False, help_text="64 hex digits.")
    pdq_quality = serializers.IntegerField(min_value=0, max_value=100, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The hashes as the service takes them, in ``hashes``."""
        quality = attrs.pop("pdq_quality", None)
        if quality is not None and "pdq" not in attrs:
            raise serializers.ValidationError({"pdq_quality": "This is of a pdq: give that too."})
        attrs["hashes"] = [
            (kind, attrs.pop(kind), quality if kind == "pdq" else None)
            for kind in KINDS
            if kind in attrs
        ]
        return attrs


class AddItemSerializer(HashesSerializer):
    """One item: by hashes, or as ``file`` (multipart), ``url``, ``image_id`` or ``video_id``."""

    file = VideoFileField(required=False)
    url = PictureUrlField(required=False)
    image_id = IdField(required=False)
    video_id = IdField(required=False)
    reason = ReasonField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One way of saying what it is, and no second one."""
        attrs = super().validate(attrs)
        ways = [way for way in ("file", "url", "image_id", "video_id", "hashes") if attrs.get(way)]
        if len(ways) != 1:
            raise serializers.ValidationError(
                "Give the item in one way: hashes, file, url, image_id or video_id."
            )
        if ways != ["hashes"]:
            del attrs["hashes"]
        return attrs


class ItemBatchSerializer(serializers.Serializer):
    """Up to 1,000 items by hash."""

    items = HashesSerializer(  # type: ignore[call-arg]  # the list's own arguments
        many=True, allow_empty=False, max_length=MAX_BATCH
    )
    reason = ReasonField()


class RefusedSerializer(serializers.Serializer):
    """A row of a batch that was not added, by its position from 0, and why."""

    index = serializers.IntegerField()
    error = ConflictSerializer()


class ItemBatchResultSerializer(serializers.Serializer):
    """What became of a batch: the new items' ids in order, and what was refused."""

    added = serializers.ListField(child=serializers.IntegerField())
    refused = RefusedSerializer(many=True)


class ChangeItemSerializer(TextsSerializer):
    """What can be changed of an item."""

    reason = ReasonField()


class IdsSerializer(serializers.Serializer):
    """Items of the list, and why."""

    ids = serializers.ListField(child=IdField(), allow_empty=False, max_length=MAX_IDS)
    reason = ReasonField(required=True, allow_blank=False)


class OpinionSerializer(IdsSerializer):
    """What we think of items."""

    opinion = serializers.ChoiceField(choices=BannedItem.Opinion.choices)


class MoveSerializer(IdsSerializer):
    """Where to move items."""

    list = IdField(help_text="The list they are to be on.")


class ChangedSerializer(serializers.Serializer):
    """How many items it changed; those that were so already do not count."""

    changed = serializers.IntegerField()


def facts_of(body: dict[str, Any]) -> dict[str, Any]:
    """The facts of a checked body."""
    return {name: body[name] for name in FACTS if name in body}


def error_of(error: UserError) -> dict[str, Any]:
    """The common error shape, for errors inside an answer."""
    existing = getattr(error, "existing_id", None)
    body: dict[str, Any] = {
        "type": "client_error" if existing else "validation_error",
        "code": error.code,
        "detail": error.message,
    }
    if error.field:
        body["field"] = error.field
    return {**body, "existing_id": existing} if existing else body
