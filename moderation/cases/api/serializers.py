"""Requests and responses of v1 about cases and decisions."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from gallery.api.bodies import BodySerializer
from moderation.access.api import IdField
from moderation.cases import permissions, queue, reasons
from moderation.cases.models import MAX_SELECTED, CaseMatch, Decision, DecisionBatch, ReviewCase
from moderation.cases.states import CaseState
from moderation.lists.api.lists import SeverityField
from moderation.lists.verdicts import MATCH_TYPES

MAX_NOTE = 2000
STATUSES = [*CaseState.values, queue.UNDECIDED, queue.DECIDED]
VERBS = ["confirm", "dismiss", "escalate"]
BANDS, AGES = list(queue.BANDS), list(queue.AGES)
ALL_REASONS = sorted({code for codes in reasons.REASONS.values() for code in codes})


class CaseMatchSerializer(serializers.ModelSerializer):
    """A match. Its values are those from the time when it was found."""

    time = serializers.SerializerMethodField(help_text="Seconds into the video; null otherwise.")
    item_time = serializers.SerializerMethodField(help_text="Seconds into the item's video.")

    class Meta:
        model = CaseMatch
        fields = [
            "list", "list_name", "list_version", "item", "source", "match_type", "distance",
            "threshold", "observe", "quality", "time", "item_time", "frame", "geometry", "edit",
            "verdict",
        ]  # fmt: skip
        read_only_fields = fields

    def get_time(self, match: CaseMatch) -> float | None:
        return None if match.time_ms is None else match.time_ms / 1000

    def get_item_time(self, match: CaseMatch) -> float | None:
        return None if match.item_time_ms is None else match.item_time_ms / 1000


class DecisionSerializer(serializers.ModelSerializer):
    """One person's decision about one case."""

    by = serializers.CharField(source="by.username")
    reason = serializers.CharField(source="batch.reason")
    note = serializers.CharField(source="batch.note")

    class Meta:
        model = Decision
        fields = [
            "id", "batch", "by", "verb", "reason", "note", "state_before", "state_after",
            "looked", "created_at", "undone_at",
        ]  # fmt: skip
        read_only_fields = fields


class CaseSerializer(serializers.ModelSerializer):
    """A case with its matches. ``decisions`` hides the first of two votes until both are made."""

    severity = SeverityField()
    claimed_by = serializers.CharField(source="claimed_by.username", default=None)
    legal_hold = serializers.BooleanField(
        source="is_on_legal_hold", help_text="Whether it is under a legal hold that has not ended."
    )
    matches = CaseMatchSerializer(many=True)
    decisions = serializers.SerializerMethodField()

    class Meta:
        model = ReviewCase
        fields = [
            "id", "state", "origin", "verdict", "severity", "confidence", "two_person", "held",
            "cluster", "sampling_weight", "image", "video", "evidence", "claimed_by",
            "claimed_until", "legal_hold", "legal_hold_until", "legal_hold_reason", "created_at",
            "decided_at", "matches", "decisions",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(DecisionSerializer(many=True))
    def get_decisions(self, case: ReviewCase) -> Any:
        """Leave out second opinions and votes that are hidden from the caller."""
        by = self.context["by"]
        shown = [
            one
            for one in case.decisions.all()
            if not one.blind_review and not permissions.is_blinded(one, case, by)
        ]
        return DecisionSerializer(shown, many=True).data


class CaseQuerySerializer(BodySerializer):
    list = IdField(required=False, help_text="With a match on this list.")
    match_type = serializers.ChoiceField(choices=MATCH_TYPES, required=False)
    band = serializers.ChoiceField(
        choices=BANDS,
        required=False,
        help_text="exact: distance 0; near: up to half the threshold; edge: up to it; beyond.",
    )
    age = serializers.ChoiceField(
        choices=AGES,
        required=False,
        help_text="hour: less than one; day: an hour to a day; week: a day to a week; older.",
    )
    assignee = serializers.CharField(
        max_length=150, required=False, help_text="A user's name, me, or nobody."
    )
    status = serializers.ChoiceField(
        choices=STATUSES, required=False, help_text="Undecided ones if it is left out."
    )
    origin = serializers.ChoiceField(choices=ReviewCase.Origin.values, required=False)
    item = IdField(required=False, help_text="An item that it matched.")
    uploader = serializers.CharField(
        max_length=255, required=False, help_text="The uploader when it was opened, whole."
    )


class NextSerializer(CaseQuerySerializer):
    example: ClassVar[Any] = {}
    skipped = serializers.ListField(
        child=IdField(),
        max_length=MAX_SELECTED,
        required=False,
        default=list,
        help_text="Cases that come last, with their clusters.",
    )


class ClaimSerializer(BodySerializer):
    example = {"take_over": False}
    take_over = serializers.BooleanField(
        default=False, help_text="Also if somebody else has claimed it."
    )


class SayingSerializer(BodySerializer):
    """The reason of a decision, and a note."""

    example: ClassVar[Any] = {"reason": "new_facts", "note": "The owner has written to us"}
    reason = serializers.ChoiceField(
        choices=ALL_REASONS,
        required=False,
        allow_blank=True,
        default="",
        help_text="A code of the verb; its first code if it is left out.",
    )
    note = serializers.CharField(max_length=MAX_NOTE, required=False, allow_blank=True, default="")


class DecideSerializer(SayingSerializer):
    """A decision about one case."""

    example = {"verb": "dismiss", "reason": "permitted", "note": "A news photo", "looked": True}
    verb = serializers.ChoiceField(choices=VERBS)
    allow = serializers.BooleanField(
        default=False, help_text="With dismiss: never stop these exact bytes again."
    )
    looked = serializers.BooleanField(
        default=False,
        help_text="Whether you looked at the media unfiltered. Recorded only if you say so.",
    )


class DecideManySerializer(DecideSerializer):
    """The same decision about many cases."""

    example = {**DecideSerializer.example, "cases": [1]}
    cases = serializers.ListField(child=IdField(), min_length=1, max_length=MAX_SELECTED)


class LiftSerializer(BodySerializer):
    example = {"reason": "The request of the police, file 4711"}
    reason = serializers.CharField(max_length=MAX_NOTE)


class LegalHoldSerializer(LiftSerializer):
    until = serializers.DateTimeField(
        required=False, allow_null=True, help_text="When it ends; without it when it is lifted."
    )


class UndoSerializer(BodySerializer):
    example = {"reason": "A slip"}
    reason = serializers.CharField(max_length=500)


class DecisionBatchSerializer(serializers.ModelSerializer):
    """Decisions that were made together. The first of two votes is hidden until both are made."""

    by = serializers.CharField(source="by.username")
    undone_by = serializers.CharField(source="undone_by.username", default=None)
    cases = serializers.SerializerMethodField(help_text="The ids of its cases.")
    decisions = serializers.SerializerMethodField()

    class Meta:
        model = DecisionBatch
        fields = [
            "id", "by", "reason", "note", "created_at", "undone_at", "undone_by", "cases",
            "decisions",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.IntegerField()))
    def get_cases(self, batch: DecisionBatch) -> list[int]:
        return [one.case_id for one in batch.decisions.all()]

    @extend_schema_field(DecisionSerializer(many=True))
    def get_decisions(self, batch: DecisionBatch) -> Any:
        by = self.context["by"]
        rows = [
            one for one in batch.decisions.all() if not permissions.is_blinded(one, one.case, by)
        ]
        return DecisionSerializer(rows, many=True).data

    def to_representation(self, batch: DecisionBatch) -> dict[str, Any]:
        """Leave out the reason of a hidden vote too: it reveals the vote."""
        shown: dict[str, Any] = super().to_representation(batch)
        if len(shown["decisions"]) < len(shown["cases"]):
            shown["reason"] = shown["note"] = ""
        return shown


class UndoneSerializer(serializers.Serializer):
    """The result of undoing a batch. The numbers are ids."""

    batch = IdField()
    undone = serializers.ListField(child=IdField())
    left = serializers.ListField(child=IdField(), help_text="Changed since, so left as they are.")
