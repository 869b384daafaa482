"""v1: the items of a list. Each view calls one service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.db.models import Count, Prefetch, Q, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.api.bodies import BodySerializer
from gallery.api.fields import PictureUrlField
from gallery.api.schema import answers, json, json_or_files
from gallery.api.serializers import ConflictSerializer
from gallery.items.kinds import kinds
from gallery.shared.errors import NotFound, UserError
from moderation.access.api import MAX_IDS, MAX_NOTE, SCOPE, IdField, ReasonField, caller
from moderation.access.permissions import Actor
from moderation.lists import item_adding, item_changing
from moderation.lists.api.lists import list_or_404, reader
from moderation.lists.item_adding import FACTS
from moderation.lists.models import BannedHash, BannedItem
from moderation.lists.verdicts import HASH_TYPES
from videos.api.serializers import VideoFileField

MAX_BATCH = 1000
MAX_TAGS = 50
KINDS = (*HASH_TYPES, "pdq")
EXAMPLE_HASHES = {"md5": "0123456789abcdef0123456789abcdef", "category": "example"}


class HashSerializer(serializers.Serializer):
    """One hash."""

    kind = serializers.ChoiceField(choices=KINDS)
    value = serializers.CharField()
    quality = serializers.IntegerField(allow_null=True, help_text="Of pdq, 0 to 100.")


class ItemSerializer(serializers.ModelSerializer):
    """An item.

    ``hashes``: the hashes of the whole file. ``frames``: the number of hashes of a video's frames.
    ``picture``: whether a picture is stored.
    """

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
        """Needs rows from ``shown``."""
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


class TextsSerializer(BodySerializer):
    """Fields of an item that can be changed."""

    category = serializers.CharField(max_length=255, allow_blank=True, required=False)
    severity = serializers.CharField(max_length=255, allow_blank=True, required=False)
    owner = serializers.CharField(max_length=255, allow_blank=True, required=False)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=255), max_length=MAX_TAGS, required=False
    )
    note = serializers.CharField(max_length=MAX_NOTE, allow_blank=True, required=False)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)


class FactsSerializer(TextsSerializer):
    """Fields of an item, with its source, which cannot be changed."""

    source = serializers.CharField(  # type: ignore[assignment]  # a field of that name
        max_length=255, allow_blank=True, required=False
    )
    source_id = serializers.CharField(max_length=255, allow_blank=True, required=False)


class HashesSerializer(FactsSerializer):
    """An item, given by its hashes."""

    md5 = serializers.CharField(max_length=64, required=False, help_text="32 hex digits.")
    sha1 = serializers.CharField(max_length=64, required=False, help_text="40 hex digits.")
    sha256 = serializers.CharField(max_length=64, required=False, help_text="64 hex digits.")
    pdq = serializers.CharField(max_length=64, required=False, help_text="64 hex digits.")
    pdq_quality = serializers.IntegerField(min_value=0, max_value=100, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        quality = attrs.pop("pdq_quality", None)
        if quality is not None and "pdq" not in attrs:
            raise serializers.ValidationError(
                {"pdq_quality": "A quality belongs to a pdq: give that too."}
            )
        attrs["hashes"] = [
            (kind, attrs.pop(kind), quality if kind == "pdq" else None)
            for kind in KINDS
            if kind in attrs
        ]
        return attrs


class AddItemSerializer(HashesSerializer):
    """One item: by hashes, or by ``file`` (multipart), ``url``, ``image_id`` or ``video_id``."""

    example = {**EXAMPLE_HASHES, "reason": "Reported by a partner"}
    form_example = {"category": "example", "reason": "Reported by a partner"}
    file = VideoFileField(required=False)
    url = PictureUrlField(required=False)
    image_id = IdField(required=False)
    video_id = IdField(required=False)
    reason = ReasonField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        ways = [way for way in ("file", "url", "image_id", "video_id", "hashes") if attrs.get(way)]
        if len(ways) != 1:
            raise serializers.ValidationError(
                "Give the item in one way: hashes, file, url, image_id or video_id."
            )
        if ways != ["hashes"]:
            del attrs["hashes"]
        return attrs


class ItemBatchSerializer(BodySerializer):
    """Up to 1,000 items by hash."""

    example = {"items": [EXAMPLE_HASHES], "reason": "Reported by a partner"}
    items = HashesSerializer(  # type: ignore[call-arg]  # the list's own arguments
        many=True, allow_empty=False, max_length=MAX_BATCH
    )
    reason = ReasonField()


class RefusedSerializer(serializers.Serializer):
    """A row that was not added: its position in the batch, from 0, and the error."""

    index = serializers.IntegerField()
    error = ConflictSerializer()


class ItemBatchResultSerializer(serializers.Serializer):
    """The ids of the new items, in order, and the refused rows."""

    added = serializers.ListField(child=serializers.IntegerField())
    refused = RefusedSerializer(many=True)


class ChangeItemSerializer(TextsSerializer):
    """Fields to change."""

    example = {"note": "Seen before", "reason": "For the next who looks"}
    reason = ReasonField()


class IdsSerializer(BodySerializer):
    """Items of the list, and a reason."""

    example: ClassVar[Any] = {"ids": [1], "reason": "Looked at again"}
    ids = serializers.ListField(child=IdField(), allow_empty=False, max_length=MAX_IDS)
    reason = ReasonField(required=True, allow_blank=False)


class OpinionSerializer(IdsSerializer):
    """Our own opinion of items."""

    example = {**IdsSerializer.example, "opinion": "disputed"}
    opinion = serializers.ChoiceField(choices=BannedItem.Opinion.choices)


class MoveSerializer(IdsSerializer):
    """Items to move, and the list to move them to."""

    example = {**IdsSerializer.example, "list": 2}
    list = IdField(help_text="The list to move them to.")


class ChangedSerializer(serializers.Serializer):
    """How many items changed. Items that were already in that state do not count."""

    changed = serializers.IntegerField()


def facts_of(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in FACTS if name in body}


def error_of(error: UserError) -> dict[str, Any]:
    """Return the error in the common format, to be nested in an answer."""
    existing = getattr(error, "existing_id", None)
    body: dict[str, Any] = {
        "type": "client_error" if existing else "validation_error",
        "code": error.code,
        "detail": error.message,
    }
    if error.field:
        body["field"] = error.field
    return {**body, "existing_id": existing} if existing else body


ADD_COST, FETCH_COST, BATCH_COST = 3, 10, 20


def shown(items: QuerySet[BannedItem]) -> QuerySet[BannedItem]:
    """Add all that ``ItemSerializer`` shows. The hashes of frames are only counted."""
    of_all = BannedHash.objects.filter(time_ms=None).order_by("id")
    return items.annotate(
        frames=Count("hashes", filter=Q(hashes__time_ms__isnull=False))
    ).prefetch_related(Prefetch("hashes", of_all, to_attr="of_all"))


def item_or_404(list_id: int, item_id: int) -> BannedItem:
    item = shown(BannedItem.objects.filter(list=list_id, pk=item_id)).first()
    if item is None:
        raise NotFound(f"There is no item {item_id} on the list {list_id}.")
    return item


class ItemFilter(filters.FilterSet):
    """``hash``: any complete hash of an item, in hex."""

    state = filters.ChoiceFilter(choices=BannedItem.State.choices)
    opinion = filters.ChoiceFilter(choices=BannedItem.Opinion.choices)
    media = filters.ChoiceFilter(choices=BannedItem.Media.choices)
    source = filters.CharFilter(max_length=255)
    source_id = filters.CharFilter(max_length=255)
    tag = filters.CharFilter(max_length=255, method="filter_tag")
    hash = filters.CharFilter(max_length=64, method="filter_hash")
    suspended = filters.BooleanFilter("suspended_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = BannedItem
        fields: list[str] = []

    def filter_tag(self, items: QuerySet[BannedItem], name: str, tag: str) -> Any:
        return items.filter(tags__contains=[tag])

    def filter_hash(self, items: QuerySet[BannedItem], name: str, value: str) -> Any:
        """Find hashes of any kind, also those of frames."""
        found = BannedHash.objects.valued([value.strip().lower()])
        return items.filter(pk__in=found.values("item"))


@extend_schema_view(
    get=extend_schema(
        summary="List the items of a list, newest first",
        responses=answers({200: ItemSerializer(many=True)}, 404),
    )
)
class ItemCollection(generics.ListAPIView):
    """Add and read items."""

    name = "Items"
    actions = {"POST": "edit items"}
    queryset = BannedItem.objects.all()
    scope = SCOPE
    filterset_class = ItemFilter

    def throttle_cost(self, request: Request) -> int:
        return FETCH_COST if request.method == "POST" else ADD_COST

    def get_serializer_class(self) -> Any:
        return AddItemSerializer if self.request.method == "POST" else ItemSerializer

    def get_queryset(self) -> QuerySet[BannedItem]:
        reader(self.request)
        return shown(BannedItem.objects.filter(list=list_or_404(self.kwargs["pk"])))

    @extend_schema(
        request=json_or_files(AddItemSerializer),
        responses=answers({201: ItemSerializer, 409: ConflictSerializer}, 404, 503, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Add one item. For a video, the answer waits until its file or link is read completely."""
        body = AddItemSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        made = add(caller(request), pk, body.validated_data)
        answer = ItemSerializer(item_or_404(pk, made.pk))
        return Response(answer.data, status=status.HTTP_201_CREATED)


def add(by: Actor, list_id: int, asked: dict[str, Any]) -> BannedItem:
    common: dict[str, Any] = {
        "by": by,
        "list_id": list_id,
        "reason": asked.get("reason", ""),
        **facts_of(asked),
    }
    if "file" in asked:
        return item_adding.add_file(file=asked["file"], **common)
    if "url" in asked:
        return item_adding.add_link(url=asked["url"], **common)
    for kind in kinds():
        if f"{kind}_id" in asked:
            return item_adding.add_stored(kind=kind, item_id=asked[f"{kind}_id"], **common)
    return item_adding.add_hashes(hashes=asked["hashes"], **common)


class ItemBatch(generics.GenericAPIView):
    """Up to 1,000 items by hash."""

    name = "Add many items"
    actions = {"POST": "edit items"}
    queryset = BannedItem.objects.all()
    scope = SCOPE
    serializer_class = ItemBatchSerializer
    throttle_cost = BATCH_COST

    @extend_schema(
        request=json(ItemBatchSerializer),
        responses=answers({200: ItemBatchResultSerializer}, 404, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Add items by hash. Each succeeds or fails alone. All of them make one audit event."""
        body = ItemBatchSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        rows = [{"hashes": row["hashes"], **facts_of(row)} for row in body.validated_data["items"]]
        added = item_adding.add_batch(
            by=caller(request),
            list_id=pk,
            rows=rows,
            reason=body.validated_data.get("reason", ""),
        )
        refused = [
            {"index": index, "error": error_of(error)} for index, error in added.refused.items()
        ]
        return Response({"added": [item.pk for item in added.items], "refused": refused})


class ItemDetail(generics.GenericAPIView):
    """One item."""

    name = "Item"
    numbered = True
    actions = {"PATCH": "edit items"}
    queryset = BannedItem.objects.all()
    scope = SCOPE
    serializer_class = ChangeItemSerializer

    @extend_schema(responses=answers({200: ItemSerializer}, 404))
    def get(self, request: Request, pk: int, item: int) -> Response:
        """Read an item."""
        reader(request)
        return Response(ItemSerializer(item_or_404(pk, item)).data)

    @extend_schema(
        request=json(ChangeItemSerializer),
        responses=answers({200: ItemSerializer, 409: ConflictSerializer}, 404, body=True),
    )
    def patch(self, request: Request, pk: int, item: int) -> Response:
        """Change some fields."""
        by = reader(request)
        body = ChangeItemSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        found = item_or_404(pk, item)
        item_changing.change_item(by=by, item_id=found.pk, **body.validated_data)
        return Response(ItemSerializer(item_or_404(pk, item)).data)


class ItemCommand(generics.GenericAPIView):
    """A command on some items of a list."""

    queryset = BannedItem.objects.all()
    scope = SCOPE
    serializer_class = IdsSerializer
    command: Callable[..., int]

    def run(self, request: Request, pk: int) -> Response:
        body = self.get_serializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = dict(body.validated_data)
        if "list" in asked:
            asked["list_id"] = asked.pop("list")
        chosen = BannedItem.objects.filter(list=pk, pk__in=asked.pop("ids"))
        by = reader(request)
        list_or_404(pk)
        return Response({"changed": type(self).command(by=by, items=chosen, **asked)})


SAID = answers({200: ChangedSerializer, 409: ConflictSerializer}, 404, body=True)


class Retire(ItemCommand):
    """Stop matching items."""

    name = "Retire items"
    actions = {"POST": "edit items"}
    command = item_changing.retire

    @extend_schema(request=json(IdsSerializer), responses=SAID)
    def post(self, request: Request, pk: int) -> Response:
        """Stop matching these items. They are kept as a record."""
        return self.run(request, pk)


class Activate(ItemCommand):
    """Match retired items again."""

    name = "Activate items"
    actions = {"POST": "edit items"}
    command = item_changing.activate

    @extend_schema(request=json(IdsSerializer), responses=SAID)
    def post(self, request: Request, pk: int) -> Response:
        """Match these retired items again. A rescan looks for them in stored content."""
        return self.run(request, pk)


class GiveOpinion(ItemCommand):
    """Set our opinion of items."""

    name = "Give an opinion"
    actions = {"POST": "give opinions"}
    command = item_changing.give_opinion
    serializer_class = OpinionSerializer

    @extend_schema(request=json(OpinionSerializer), responses=SAID)
    def post(self, request: Request, pk: int) -> Response:
        """Set our opinion. Disputed items lead to review at most; false positives never match."""
        return self.run(request, pk)


class Move(ItemCommand):
    """Move items to another list."""

    name = "Move items"
    actions = {"POST": "edit items"}
    command = item_changing.move
    serializer_class = MoveSerializer

    @extend_schema(request=json(MoveSerializer), responses=SAID)
    def post(self, request: Request, pk: int) -> Response:
        """Move these items. The other list's policy then applies to them."""
        return self.run(request, pk)
