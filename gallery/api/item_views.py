"""Views of every kind of item: its collection and one item."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from django_filters import rest_framework as filters
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_view,
)
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.api.fields import MAX_DATA_ID, MAX_URL
from gallery.api.schema import answers, json
from gallery.api.serializers import ConflictSerializer, PatchSerializer
from gallery.api.visibility import check_own, hidden_from
from gallery.items import retention
from gallery.items.changing import delete_items, update_item
from gallery.items.item import Item, Status
from gallery.items.kinds import ItemKind
from gallery.items.media_access import with_visibility
from gallery.items.retention import Withheld
from gallery.shared.access import access_of
from gallery.shared.errors import NotFound, UserError

MAX_REASON: Final = 1000
DELETED_BY: Final = {"data_id", "url", "md5"}
DELETION_NAMES: Final = {"reason", "override"}
DELETION: Final = [
    OpenApiParameter("reason", str, description="Goes into the audit."),
    OpenApiParameter(
        "override",
        bool,
        description="Also what a case, a legal hold or the quarantine withholds: for "
        "administrators, with a reason.",
    ),
]


class ItemFilter(filters.FilterSet):
    data_id = filters.CharFilter(max_length=MAX_DATA_ID, strip=False)
    data_id_prefix = filters.CharFilter(
        "data_id", lookup_expr="startswith", max_length=MAX_DATA_ID, strip=False
    )
    url = filters.CharFilter(max_length=MAX_URL)
    md5 = filters.CharFilter(max_length=32)
    status = filters.ChoiceFilter(choices=Status.choices)


def collection_schema(
    operation_id: str, serializer: Any, deleted: Any
) -> Callable[[type[ItemCollection]], Any]:
    noun = operation_id.partition("_")[0]
    names = [
        OpenApiParameter("data_id", str, examples=[OpenApiExample("added before", "example-1")]),
        OpenApiParameter("md5", str),
        OpenApiParameter("url", str),
    ]
    return extend_schema_view(
        get=extend_schema(
            summary=f"List {noun}, newest first",
            responses=answers({200: serializer(many=True)}, 404),
        ),
        delete=extend_schema(
            operation_id=operation_id,
            parameters=[*names, *DELETION],
            responses=answers({200: deleted, 409: ConflictSerializer}),
        ),
    )


def detail_schema(serializer: Any) -> Callable[[type[ItemDetail]], Any]:
    return extend_schema_view(
        get=extend_schema(
            summary=f"Read one {serializer.Meta.model._meta.verbose_name}",
            responses=answers({200: serializer}, 404),
        ),
        patch=extend_schema(
            request=json(PatchSerializer), responses=answers({200: serializer}, 404, body=True)
        ),
        delete=extend_schema(
            parameters=DELETION, responses=answers({204: None, 409: ConflictSerializer}, 404)
        ),
    )


class _ItemView(generics.GenericAPIView):
    item_kind: ClassVar[ItemKind]

    def visible_items(self) -> Any:
        return self.item_kind.model._default_manager.exclude(hidden_from(self.request))

    def get_queryset(self) -> Any:
        return with_visibility(access_of(self.request), self.visible_items())


class ItemCollection(_ItemView, generics.ListAPIView):
    """Lists and deletes items. A subclass adds them with POST."""

    scopes = {"GET": "search", "POST": "add", "DELETE": "add"}
    filterset_class = ItemFilter
    add_cost: ClassVar[int]

    def throttle_cost(self, request: Request) -> int:
        return self.add_cost if request.method == "POST" else 1

    def would_delete(self) -> str:
        """Return what DELETE with this query would delete, as words; "" if it says too little."""
        given = self._given(self.request)
        if given is None:
            return ""
        count = self.visible_items().filter(**given).count()
        by = " and ".join(f"{name} “{value}”" for name, value in given.items())
        return f"{self.item_kind.count_text(count)} with the {by}" if count else ""

    def _given(self, request: Request) -> dict[str, str] | None:
        """Return which items to delete. An empty or misspelt filter deletes nothing."""
        names = request.query_params.keys() - DELETION_NAMES
        given = {name: request.query_params[name] for name in sorted(names)}
        fine = given and given.keys() <= DELETED_BY and all(given.values())
        return given if fine else None

    def delete(self, request: Request) -> Response:
        """Delete all items with this ``data_id``, ``url`` or ``md5``, with their files and vectors.

        If one of them is withheld, none is deleted (409).
        """
        options = deletion_options(request)
        given = self._given(request)
        if given is None:
            raise UserError(
                f"Say which {self.item_kind.name}s to delete: give data_id, url or md5, not empty."
            )
        items = self.visible_items().filter(**given)
        check_own(request, items.order_by().values_list("added_by", flat=True).distinct())
        with explained(request):
            deleted = delete_items(items=items, by=access_of(request).actor, **options)
        return Response({"deleted": deleted})


class ItemDetail(_ItemView, generics.RetrieveAPIView):
    scopes = {"GET": "search", "PATCH": "add", "DELETE": "add"}

    def get_object(self) -> Any:
        item = self.get_queryset().filter(pk=self.kwargs["pk"]).first()
        if item is None:
            raise NotFound(f"There is no {self.item_kind.name} {self.kwargs['pk']}.")
        return item

    def offers(self, method: str) -> bool:
        """Whether the pages show the method: the caller may change the item."""
        item = self.get_queryset().filter(pk=self.kwargs["pk"]).first()
        return item is not None and access_of(self.request).may_change(item.added_by)

    def would_delete(self) -> str:
        return f"{self.item_kind.name} {self.kwargs['pk']} with its files and vectors"

    def own_item(self) -> Item:
        item: Item = self.get_object()
        check_own(self.request, [item.added_by])
        return item

    def patch(self, request: Request, pk: int) -> Response:
        """Change data_id, remark or meta."""
        item = self.own_item()
        body = PatchSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        actor = access_of(request).actor
        changed = update_item(
            model=type(item), item_id=item.pk, fields=body.validated_data, by=actor
        )
        return Response(self.get_serializer(changed).data)

    def delete(self, request: Request, pk: int) -> Response:
        """Delete the item with its files and vectors. The same file may be added again."""
        options = deletion_options(request)
        items = self.item_kind.rows([self.own_item().pk])
        with explained(request):
            delete_items(items=items, by=access_of(request).actor, **options)
        return Response(status=status.HTTP_204_NO_CONTENT)


def deletion_options(request: Request) -> dict[str, Any]:
    """Return ``reason`` and ``override`` as arguments of the services.

    Raises ``UserError``, also for callers who may not override.
    """
    reason = request.query_params.get("reason", "").strip()
    if len(reason) > MAX_REASON:
        raise UserError(f"A reason has at most {MAX_REASON} characters.", field="reason")
    text = request.query_params.get("override", "false")
    if text not in ("true", "false"):
        raise UserError("override is true or false.", field="override")
    if text == "true":
        retention.check_override(access_of(request))
    return {"reason": reason, "override": text == "true"}


@contextmanager
def explained(request: Request) -> Iterator[None]:
    """Tell callers who may see cases why an item is withheld."""
    try:
        yield
    except Withheld as error:
        raise error.explained_to(access_of(request)) from error
