"""The root of v1: what there is."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from imgsmlr_site.browsable import addresses


class Root(APIView):
    """Everything that the API offers."""

    name = "API"
    scope = "search"

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """List the addresses by their part of the product."""
        return Response(
            {
                part: {link.title: request.build_absolute_uri(link.href) for link in links}
                for part, links in addresses.parts(lambda view: True).items()
            }
        )
