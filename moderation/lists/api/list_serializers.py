"""Shapes of v1 requests and answers about lists."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from moderation.access.api import MAX_IDS, MAX_NOTE, IdField, ReasonField
from moderation.lists.models import BannedList, ListMethod
from moderation.lists.verdicts import PICTURE_TYPES, Action, Severity


class SeverityField(serializers.ChoiceField):
    """A severity by its word; the database orders them by number."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[severity.name.lower() for severity in Severity], **kwargs)

    def to_internal_value(self, data: Any) -> int:  # type: ignore[override]
        """The number."""
        return Severity[super().to_internal_value(data).upper()].value

    def to_representation(self, value: Any) -> str:
        """The word."""
        return Severity(value).name.lower()


class BoundsSerializer(serializers.Serializer):
    """Distances, inclusive."""

    threshold = serializers.FloatField()
    observe = serializers.FloatField()


class MethodSerializer(serializers.ModelSerializer):
    """How a list uses a match type; ``effective``: with the defaults put in."""

    effective = BoundsSerializer()

    class Meta:
        model = ListMethod
        fields = ["match_type", "enabled", "threshold", "observe", "may_block", "effective"]
        read_only_fields = fields

    def to_representation(self, method: ListMethod) -> dict[str, Any]:
        """The row, and what it comes to."""
        names = ("match_type", "enabled", "threshold", "observe", "may_block")
        used = method.thresholds
        effective = {"threshold": used.threshold, "observe": used.near_miss}
        return {**{name: getattr(method, name) for name in names}, "effective": effective}


class ChangeMethodSerializer(serializers.Serializer):
    """What to change; null is the default distance."""

    enabled = serializers.BooleanField(required=False)
    threshold = serializers.FloatField(required=False, allow_null=True)
    observe = serializers.FloatField(required=False, allow_null=True)
    may_block = serializers.BooleanField(required=False)
    reason = ReasonField()


class ListSerializer(serializers.ModelSerializer):
    """A list and its methods."""

    severity = SeverityField()
    allows_for = serializers.ListField(child=serializers.IntegerField())
    methods = MethodSerializer(many=True)

    class Meta:
        model = BannedList
        fields = [
            "id",
            "name",
            "kind",
            "category",
            "description",
            "owner",
            "severity",
            "action",
            "enabled",
            "hold_on_review",
            "hash_only",
            "two_person",
            "allows_for",
            "flood_limit",
            "observe_share",
            "version",
            "created_at",
            "methods",
        ]
        read_only_fields = fields

    def to_representation(self, row: BannedList) -> dict[str, Any]:
        """Methods in the order in which they are asked; what was prefetched is not asked again."""
        special = {"severity", "allows_for", "methods"}
        order = PICTURE_TYPES.index
        methods = sorted(row.methods.all(), key=lambda method: order(method.match_type))
        return {
            **{name: getattr(row, name) for name in self.Meta.fields if name not in special},
            "severity": Severity(row.severity).name.lower(),
            "allows_for": sorted(other.pk for other in row.allows_for.all()),
            "methods": [MethodSerializer(method).data for method in methods],
        }


class ChangeListSerializer(serializers.Serializer):
    """What to change of a list."""

    name = serializers.CharField(max_length=100, required=False)
    kind = serializers.ChoiceField(choices=BannedList.Kind.choices, required=False)
    category = serializers.CharField(max_length=100, allow_blank=True, required=False)
    description = serializers.CharField(max_length=MAX_NOTE, allow_blank=True, required=False)
    owner = serializers.CharField(max_length=160, allow_blank=True, required=False)
    severity = SeverityField(required=False)
    action = serializers.ChoiceField(
        choices=[action.value for action in Action],
        required=False,
        help_text="A new list only notes what it would do (shadow), unless you say otherwise.",
    )
    enabled = serializers.BooleanField(required=False)
    hold_on_review = serializers.BooleanField(required=False)
    hash_only = serializers.BooleanField(
        required=False, help_text="No picture is kept; switching it on deletes those that are."
    )
    two_person = serializers.BooleanField(required=False)
    allows_for = serializers.ListField(
        child=IdField(),
        max_length=MAX_IDS,
        required=False,
        help_text="Of an allow list: the lists it outranks; none = all.",
    )
    flood_limit = serializers.IntegerField(
        min_value=0, max_value=2**31 - 1, allow_null=True, required=False
    )
    observe_share = serializers.FloatField(min_value=0, max_value=1, required=False)
    reason = ReasonField()


class AddListSerializer(ChangeListSerializer):
    """A new list."""

    name = serializers.CharField(max_length=100)
