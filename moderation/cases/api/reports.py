"""v1: the report of a case, all decisions as CSV, and the dashboard's numbers."""

from __future__ import annotations

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.api.schema import answers
from gallery.items.media_responses import is_cross_site
from gallery.shared.responses import download
from moderation.access.api import caller
from moderation.cases import reports, statistics
from moderation.cases.models import Decision


class CaseReport(APIView):
    name = "Report"
    actions = {"GET": "view the audit"}
    scope = "moderate"

    @extend_schema(
        parameters=[OpenApiParameter("media", bool, description="With the files themselves.")],
        responses=answers({(200, "application/zip"): OpenApiTypes.BINARY}, 404),  # type: ignore[dict-item]
    )
    def get(self, request: Request, pk: int) -> HttpResponseBase:
        """Download the report of a case as a zip: the case, its hashes, decisions and audit events.
        The media files are included only for callers who may export media.

        Each file counts as a look and is written to the audit.
        """
        media = request.query_params.get("media") == "true" and not is_cross_site(request)
        body = reports.build_case_report(by=caller(request), case_id=pk, media=media)
        return download(f"case-{pk}.zip", body, "application/zip")


class Decisions(APIView):
    name = "Decisions as CSV"
    actions = {"GET": "view the audit"}
    scope = "moderate"

    @extend_schema(responses=answers({(200, "text/csv"): OpenApiTypes.BINARY}))  # type: ignore[dict-item]
    def get(self, request: Request) -> HttpResponseBase:
        """Download all decisions as CSV."""
        lines = reports.decisions_csv(by=caller(request), decisions=Decision.objects.all())
        return download("decisions.csv", lines)


class StatisticsSerializer(serializers.Serializer):
    """The numbers of the dashboard."""

    waiting = serializers.DictField(help_text="age → severity → cases")
    per_day = serializers.DictField(help_text="date → confirmed, dismissed, escalated")
    median_seconds = serializers.FloatField(allow_null=True)
    p90_seconds = serializers.FloatField(allow_null=True)
    agreement = serializers.FloatField(allow_null=True)
    kappa = serializers.FloatField(allow_null=True)
    judged_again = serializers.IntegerField()
    backlog = serializers.DictField(child=serializers.IntegerField())


class Statistics(APIView):
    name = "Statistics"
    scope = "moderate"

    @extend_schema(responses=answers({200: StatisticsSerializer}))
    def get(self, request: Request) -> Response:
        """Return the numbers of the dashboard: queue, decisions, time to decision, agreement and
        backlog."""
        found = statistics.overview(by=caller(request))
        return Response(
            {
                "waiting": {
                    age.name: dict(zip(found.severities, age.counts, strict=True))
                    for age in found.queue
                },
                "per_day": {
                    f"{day.day}": {
                        "confirmed": day.confirmed,
                        "dismissed": day.dismissed,
                        "escalated": day.escalated,
                    }
                    for day in found.days
                },
                "median_seconds": found.delays.median,
                "p90_seconds": found.delays.p90,
                "agreement": found.agreements.all.raw,
                "kappa": found.agreements.all.kappa,
                "judged_again": found.agreements.all.cases,
                "backlog": found.backlog,
            }
        )
