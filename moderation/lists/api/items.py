"""v1: the items of a list. Each view makes one service call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Count, Prefetch, Q, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.api.schema import answers, json, json_or_files
from gallery.api.serializers import ConflictSerializer
from gallery.shared.errors import NotFound
from moderation.access.api import SCOPE, caller
from moderation.access.permissions import Actor
from moderation.lists import items
from moderation.lists.api.item_serializers import (
    AddItemSerializer,
    ChangedSerializer,
    ChangeItemSerializer,
    IdsSerializer,
    ItemBatchResultSerializer,
    ItemBatchSerializer,
    ItemSerializer,
    MoveSerializer,
    OpinionSerializer,
    error_of,
    facts_of,
)
from moderation.lists.api.lists import list_or_404, reader
from moderation.lists.models import BannedHash, BannedItem

ADD_COST, FETCH_COST, BATCH_COST = 3, 10, 20


def shown(items: QuerySet[BannedItem]) -> QuerySet[BannedItem]:
    """With what ``ItemSerializer`` says of hashes; a video's thousands are only counted."""
    of_all = BannedHash.objects.filter(time_ms=None).order_by("id")
    return items.annotate(
        frames=Count("hashes", filter=Q(hashes__time_ms__isnull=False))
    ).prefetch_related(Prefetch("hashes", of_all, to_attr="of_all"))


def item_or_404(list_id: int, item_id: int) -> BannedItem:
    """Raises ``NotFound``."""
    item = shown(BannedItem.objects.filter(list=list_id, pk=item_id)).first()
    if item is None:
        raise NotFound(f"There is no item {item_id} on the list {list_id}.")
    return item


class ItemFilter(filters.FilterSet):
    """Filters of the items. ``hash``: any of their hashes, whole, in hex."""

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
        """Those that have the tag."""
        return items.filter(tags__contains=[tag])

    def filter_hash(self, items: QuerySet[BannedItem], name: str, value: str) -> Any:
        """Those that have the hash, of whatever kind, also for a frame."""
        found = BannedHash.objects.valued([value.strip().lower()])
        return items.filter(pk__in=found.values("item"))


@extend_schema_view(get=extend_schema(responses=answers({200: ItemSerializer(many=True)}, 404)))
class ItemCollection(generics.ListAPIView):
    """Add and read items."""

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
        """Add one item. A video's file or link is read whole before the answer."""
        body = AddItemSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        made = add(caller(request), pk, body.validated_data)
        answer = ItemSerializer(item_or_404(pk, made.pk))
        return Response(answer.data, status=status.HTTP_201_CREATED)


def add(by: Actor, list_id: int, asked: dict[str, Any]) -> BannedItem:
    """One item in the way it was given."""
    common: dict[str, Any] = {
        "by": by,
        "list_id": list_id,
        "reason": asked.get("reason", ""),
        **facts_of(asked),
    }
    if "file" in asked:
        return items.add_file(file=asked["file"], **common)
    if "url" in asked:
        return items.add_link(url=asked["url"], **common)
    if "image_id" in asked:
        return items.add_image(image_id=asked["image_id"], **common)
    if "video_id" in asked:
        return items.add_video(video_id=asked["video_id"], **common)
    return items.add_hashes(hashes=asked["hashes"], **common)


class ItemBatch(generics.GenericAPIView):
    """Up to 1,000 items by hash."""

    queryset = BannedItem.objects.all()
    scope = SCOPE
    serializer_class = ItemBatchSerializer
    throttle_cost = BATCH_COST

    @extend_schema(
        request=json(ItemBatchSerializer),
        responses=answers({200: ItemBatchResultSerializer}, 404, body=True),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Each succeeds or fails alone; all are one command and one event of the audit."""
        body = ItemBatchSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        rows = [{"hashes": row["hashes"], **facts_of(row)} for row in body.validated_data["items"]]
        added = items.add_batch(
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

    queryset = BannedItem.objects.all()
    scope = SCOPE
    serializer_class = ChangeItemSerializer

    @extend_schema(responses=answers({200: ItemSerializer}, 404))
    def get(self, request: Request, pk: int, item: int) -> Response:
        """What is known of it."""
        reader(request)
        return Response(ItemSerializer(item_or_404(pk, item)).data)

    @extend_schema(
        request=json(ChangeItemSerializer),
        responses=answers({200: ItemSerializer, 409: ConflictSerializer}, 404, body=True),
    )
    def patch(self, request: Request, pk: int, item: int) -> Response:
        """Change what is said of it."""
        by = reader(request)
        body = ChangeItemSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        found = item_or_404(pk, item)
        items.change_item(by=by, item_id=found.pk, **body.validated_data)
        return Response(ItemSerializer(item_or_404(pk, item)).data)


class ItemCommand(generics.GenericAPIView):
    """Something that is done to some items of a list."""

    queryset = BannedItem.objects.all()
    scope = SCOPE
    serializer_class = IdsSerializer
    command: Callable[..., int]

    def run(self, request: Request, pk: int) -> Response:
        """Check the body and call the service."""
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
    """Make items match nothing any more."""

    command = items.retire

    @extend_schema(request=json(IdsSerializer), responses=SAID)
    def post(self, request: Request, pk: int) -> Response:
        """Retired items stay as a record."""
        return self.run(request, pk)


class Activate(ItemCommand):
    """Make retired items match again."""

    command = items.activate

    @extend_schema(request=json(IdsSerializer), responses=SAID)
    def post(self, request: Request, pk: int) -> Response:
        """They are looked for in what is already here."""
        return self.run(request, pk)


class GiveOpinion(ItemCommand):
    """Say what we think of items."""

    command = items.give_opinion
    serializer_class = OpinionSerializer

    @extend_schema(request=json(OpinionSerializer), responses=SAID)
    def post(self, request: Request, pk: int) -> Response:
        """A disputed item leads to review at most, a false positive matches nothing."""
        return self.run(request, pk)


class Move(ItemCommand):
    """Put items onto another list."""

    command = items.move
    serializer_class = MoveSerializer

    @extend_schema(request=json(MoveSerializer), responses=SAID)
    def post(self, request: Request, pk: int) -> Response:
        """They have the other list's policy from then on."""
        return self.run(request, pk)
