"""Bodies of v1 requests and answers."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, ClassVar, Final

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from gallery.api.bodies import BodySerializer
from gallery.api.fields import (
    EXAMPLE_LINK,
    MAX_BATCH,
    MAX_DATA_ID,
    MAX_REMARK,
    MAX_UPLOADER,
    DistanceField,
    MetaField,
    PictureFileField,
    PictureUrlField,
    VerbatimField,
)
from gallery.api.visibility import BLURRED, CLEARABLE, blur
from gallery.items.item import Item
from gallery.items.kinds import kind_of
from gallery.items.models import Image
from gallery.search.match_types import MATCH_TYPES

SOURCE: Final = (
    "Where it was fetched from, null for an upload. Its host may show something else by now, which "
    "nobody has screened: show `file`."
)
"""The API's description of ``Item.url``."""


def file_url(request: Any, item: Item) -> str:
    """Return the absolute URL of the original, or of a smaller copy if it is not kept."""
    return address(request, kind_of(item).file_view, item)


def address(request: Any, view: str, item: Item) -> str:
    url: str = request.build_absolute_uri(reverse(view, args=[item.pk]))
    return url


class ItemSerializer(serializers.ModelSerializer):
    """An item. ``copied``: the fields that are columns of the row."""

    copied: ClassVar[tuple[str, ...]] = (
        "id", "url", "data_id", "md5", "sha1", "sha256", "remark", "meta", "format", "width",
        "height", "bytes", "status", "failure", "created_at",
    )  # fmt: skip

    url = serializers.CharField(allow_null=True, help_text=SOURCE)
    thumbnail = serializers.CharField(allow_null=True, help_text="Absolute link to a small JPEG.")
    file = serializers.CharField(allow_null=True)
    kept = serializers.BooleanField(help_text="Whether the original is kept.")
    blurred = serializers.BooleanField(help_text=BLURRED)
    clearable = serializers.BooleanField(help_text=CLEARABLE)

    def has_file(self, item: Any) -> bool:
        raise NotImplementedError

    def to_representation(self, item: Any) -> dict[str, Any]:
        """Written by hand: DRF's fields would take longer than the search itself."""
        request = self.context["request"]
        thumbnail = address(request, kind_of(item).thumbnail_view, item) if item.thumbnail else None
        return {
            **{name: getattr(item, name) for name in self.copied},
            "md5": item.known_md5 or "",
            "thumbnail": thumbnail,
            "file": file_url(request, item) if self.has_file(item) else None,
            "kept": bool(item.original),
            **blur(request, item),
        }


class ImageSerializer(ItemSerializer):
    """A stored image: its facts, its state, and links to its media."""

    file = serializers.CharField(
        allow_null=True,
        help_text="Absolute link to our copy: the original where it is kept, else the thumbnail.",
    )

    class Meta:
        model = Image
        fields = [
            "id", "url", "data_id", "md5", "sha1", "sha256", "remark", "meta", "format", "width",
            "height", "bytes", "status", "failure", "thumbnail", "file", "kept", "blurred",
            "clearable", "created_at",
        ]  # fmt: skip
        read_only_fields = fields

    def has_file(self, item: Image) -> bool:
        return bool(item.original or item.thumbnail)


class PatchSerializer(BodySerializer):
    """The fields that can be changed later."""

    example: ClassVar[Any] = {"remark": "A sunset at the sea", "meta": {"album": "2024"}}

    data_id = VerbatimField(max_length=MAX_DATA_ID)
    remark = VerbatimField(max_length=MAX_REMARK)
    meta = MetaField(required=False, allow_null=True)


class AddItemSerializer(PatchSerializer):
    """One item to add: ``url`` (JSON) or ``file`` (multipart)."""

    contents: ClassVar[str]
    uploader = VerbatimField(max_length=MAX_UPLOADER)
    url = PictureUrlField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Require a url or a file. With a file, the url is only stored."""
        if attrs.get("url") is None and attrs.get("file") is None:
            raise serializers.ValidationError(
                {"url": f"Give the {self.contents} as url or as file."}
            )
        return attrs


class AddSerializer(AddItemSerializer):
    """One picture to add: ``url`` (JSON) or ``file`` (multipart)."""

    contents = "picture"
    example = {"url": EXAMPLE_LINK, "data_id": "example-1", "remark": "A sunset"}
    form_example = {"data_id": "example-1", "meta": {"album": "2024"}}
    file = PictureFileField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        attrs["data"] = attrs.pop("file", None)
        return attrs


class BatchItemSerializer(AddSerializer):
    """One picture of a batch, by URL. Files are added one by one."""

    url = PictureUrlField()
    file = None  # type: ignore[assignment]


class BatchSerializer(BodySerializer):
    """Up to 100 pictures by URL."""

    example = {"images": [{"url": EXAMPLE_LINK, "data_id": "example-2"}]}
    images = BatchItemSerializer(  # type: ignore[call-arg]  # the list's own arguments
        many=True, allow_empty=False, max_length=MAX_BATCH
    )


class ErrorSerializer(serializers.Serializer):
    """The shape of every error."""

    type = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()
    field = serializers.CharField(required=False)


class ConflictSerializer(ErrorSerializer):
    """A conflict with stored data. ``existing_id``: the item that has the same bytes."""

    existing_id = serializers.IntegerField(required=False)


class DeletedSerializer(serializers.Serializer):
    """How many items were deleted."""

    deleted = serializers.IntegerField()


class BatchResultSerializer(serializers.Serializer):
    """The result for one picture of a batch: its image, or its error."""

    image = ImageSerializer(required=False)
    error = ConflictSerializer(required=False)


class BatchResultsSerializer(serializers.Serializer):
    """One result for each picture, in the order they were sent."""

    results = BatchResultSerializer(many=True)


class SearchSerializer(BodySerializer):
    """What to search for (one of file, url, id, text), how, and among which images."""

    example = {"id": 1, "limit": 5}
    form_example = {"limit": 5}
    file = PictureFileField(required=False)
    url = PictureUrlField(required=False)
    id = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    text = serializers.CharField(required=False, max_length=500)
    match_type = serializers.ChoiceField(
        choices=list(MATCH_TYPES), required=False, help_text="Default: auto; for text clip."
    )
    threshold = DistanceField(
        required=False,
        allow_null=True,
        help_text="Largest distance that counts (≤). Default: 0.5 for auto and copy, else the"
        " precise one.",
    )
    limit = serializers.IntegerField(required=False, min_value=1, max_value=100)
    data_id_prefix = VerbatimField(max_length=MAX_DATA_ID)
    meta = MetaField(
        required=False, help_text="Only images whose meta holds these keys and values."
    )
    explain = serializers.BooleanField(
        default=False,
        help_text="Send a small copy of what a file or link shows. With auto and copy: draw the"
        " first matches that geometry proves.",
    )


def data_link(data: bytes, content_type: str = "image/jpeg") -> str:
    """Return a link that holds a file itself."""
    return f"data:{content_type};base64,{b64encode(data).decode()}"


Box = serializers.ListField(child=serializers.FloatField(), min_length=4, max_length=4)
Region = serializers.ListField(
    child=serializers.ListField(child=serializers.FloatField(), min_length=2, max_length=2)
)


class GeometrySerializer(serializers.Serializer):
    """Where and how the query shows the image. Boxes and regions are shares 0..1."""

    inliers = serializers.IntegerField(help_text="Places that agree on the transformation.")
    support = serializers.FloatField(help_text="Share of the shared region's places that agree.")
    mirrored = serializers.BooleanField()
    rotation = serializers.FloatField(help_text="Degrees, clockwise, of the query.")
    scale = serializers.FloatField(help_text="Size in the query ÷ size in the image.")
    crop = serializers.BooleanField(help_text="The query shows a part of the image only.")
    border = serializers.BooleanField(help_text="The query shows something around it.")
    candidate_box = Box
    query_box = Box
    candidate_area = serializers.FloatField()
    query_area = serializers.FloatField()
    candidate_region = Region
    query_region = Region


class MatchSerializer(serializers.Serializer):
    """An image that was found, and how near it is to the query."""

    image = ImageSerializer()
    distance = serializers.FloatField()
    confidence = serializers.FloatField(
        allow_null=True, help_text="Calibrated probability of a copy; of auto and copy only."
    )
    certainty = serializers.ChoiceField(
        choices=["sure", "likely", "unlikely"],
        allow_null=True,
        help_text="Of auto and copy only. sure: within the precise threshold, where nearly every"
        " match is right; likely: more likely a copy than not.",
    )
    methods = serializers.DictField(
        child=serializers.FloatField(), help_text="Distances by method, as far as known."
    )
    geometry = GeometrySerializer(allow_null=True)
    explanation = serializers.CharField(
        required=False, help_text="A data: link to a JPEG, query left, image right."
    )


class SearchResultSerializer(serializers.Serializer):
    """The answer to a search: matches, the nearest first."""

    match_type = serializers.CharField()
    threshold = serializers.FloatField()
    results = MatchSerializer(many=True)
    low_information = serializers.BooleanField()
    unavailable = serializers.DictField(child=serializers.CharField())
    took_ms = serializers.FloatField()
    query = serializers.CharField(
        required=False,
        help_text="A data: link to a small JPEG of what the file or link shows, if that was asked"
        " for and a result that you see clearly is like it.",
    )


class CompareSerializer(BodySerializer):
    """Two pictures, each as a file or a link."""

    example = {"a_url": EXAMPLE_LINK, "b_url": EXAMPLE_LINK}
    form_example: ClassVar[Any] = {}
    a = PictureFileField(required=False)
    b = PictureFileField(required=False)
    a_url = PictureUrlField(required=False)
    b_url = PictureUrlField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for side in ("a", "b"):
            if (attrs.get(side) is None) == (attrs.get(f"{side}_url") is None):
                raise serializers.ValidationError({side: f"Give {side} or {side}_url."})
        return attrs


@extend_schema_field({"type": "object", "additionalProperties": True})
class DistancesField(serializers.DictField):
    """Distances by match type."""


class ComparisonSerializer(serializers.Serializer):
    """Distances between two pictures, by each available descriptor."""

    imgsmlr = DistancesField(required=False)
    pdq = DistancesField(required=False)
    copy = DistancesField(required=False)
    clip = DistancesField(required=False)
    unavailable = serializers.DictField(child=serializers.CharField())
