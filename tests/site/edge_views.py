"""A small API of the tests' own: what the edge does must not depend on the product's views."""

from __future__ import annotations

from typing import Any

from django.core import exceptions as django_errors
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions, generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.shared.errors import (
    Conflict,
    NotFound,
    Unavailable,
    UserError,
)
from imgsmlr_site.models import ApiKey


def describe(request: Request) -> Response:
    access = request._request.access
    return Response(
        {"actor": access.actor, "user": request.user.get_username(), "client": access.client}
    )


class PerMethod(APIView):
    """One scope for each method."""

    scopes = {
        "GET": "search",
        "POST": "add",
        "PUT": "check",
        "PATCH": "lists",
        "DELETE": "moderate",
    }

    def get(self, request: Request) -> Response:
        return describe(request)

    post = put = patch = delete = get


class Undeclared(APIView):
    """Someone forgot to declare a scope."""

    def get(self, request: Request) -> Response:
        return describe(request)


class Echo(APIView):
    """Returns what it was sent; costs what the query says."""

    scope = "search"

    def throttle_cost(self, request: Request) -> int:
        return int(request.query_params.get("cost", 1))

    def get(self, request: Request) -> Response:
        return describe(request)

    def post(self, request: Request) -> Response:
        return Response(request.data)


class PointSerializer(serializers.Serializer):
    x = serializers.IntegerField(max_value=10)


class PolygonSerializer(serializers.Serializer):
    points = PointSerializer(many=True)


class Failing(APIView):
    """Raises the error that the address names."""

    scope = "search"
    errors: dict[str, Any] = {
        "invalid": UserError("Send a number.", field="threshold", code="bad_threshold"),
        "missing": NotFound("There is no image 5."),
        "conflict": Conflict("It is here already.", existing_id=7),
        "unavailable": Unavailable("Set CLIP_PRETRAINED."),
        "http404": Http404("No Secret matches the given query."),
        "denied": django_errors.PermissionDenied("inside"),
        "django_validation": django_errors.ValidationError({"name": ["Is taken."]}),
        "body": django_errors.RequestDataTooBig(),
        "fields": django_errors.TooManyFieldsSent("inside"),
        "files": django_errors.TooManyFilesSent("inside"),
        "suspicious": django_errors.SuspiciousOperation("inside"),
        "parse": exceptions.ParseError("Bad JSON"),
        "media": exceptions.UnsupportedMediaType("text/x"),
        "bug": RuntimeError("a secret of the inside"),
    }

    def get(self, request: Request, kind: str) -> Response:
        raise self.errors[kind]

    def post(self, request: Request, kind: str) -> Response:
        many = isinstance(request.data, list)
        PolygonSerializer(data=request.data, many=many).is_valid(raise_exception=True)
        return Response(status=204)


class KeySerializer(serializers.ModelSerializer):
    class Meta:
        model = ApiKey
        fields = ["id"]


class Listed(generics.ListAPIView):
    scope = "search"
    throttle_cost = 0
    queryset = ApiKey.objects.all()
    serializer_class = KeySerializer


@csrf_exempt
def plain(request: HttpRequest) -> HttpResponse:
    """A view outside REST framework, as the legacy API is."""
    request.access.require("search")
    request.access.charge(3)
    return HttpResponse(request.access.actor)


urlpatterns = [
    path("api/methods/", PerMethod.as_view()),
    path("api/undeclared/", Undeclared.as_view()),
    path("api/echo/", Echo.as_view(), name="echo"),
    path("api/failing/<str:kind>/", Failing.as_view()),
    path("api/listed/", Listed.as_view()),
    path("plain/", plain),
    # The rest is as it is served: the admin's navigation links to all of it.
    path("", include("imgsmlr_site.urls")),
]
handler400 = "imgsmlr_site.error_handlers.bad_request"
handler403 = "imgsmlr_site.error_handlers.permission_denied"
handler404 = "imgsmlr_site.error_handlers.not_found"
handler500 = "imgsmlr_site.error_handlers.server_error"
