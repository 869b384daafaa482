"""The gate of pict-rs, the picture server of Lemmy: its ``external_validation`` address.

pict-rs sends the bytes of an upload and refuses it unless the answer is a 200.
"""

from __future__ import annotations

from typing import ClassVar, Final

from drf_spectacular.utils import extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.api.facades import AnyBytes
from gallery.shared.access import access_of
from gallery.shared.errors import UserError
from moderation.access.permissions import Actor
from moderation.gates import policies
from moderation.pipeline.check import CheckRequest

COST: Final = 3


@extend_schema(exclude=True)
class PictRs(APIView):
    name = "Gate of pict-rs"
    scope: ClassVar[str] = "check"
    throttle_cost = COST
    parser_classes = (AnyBytes,)
    renderer_classes = (JSONRenderer,)

    def post(self, request: Request) -> Response:
        """Answer 200 for an upload that may be stored, and 406 for any other."""
        gate = policies.pict_rs()
        gate.check_works()
        data = request.data
        if not isinstance(data, bytes) or not data:
            raise UserError("Send the bytes of a picture or a video.")
        by = Actor.caller(access_of(request))
        judged = gate.judge(by=by, request=CheckRequest(data=data))
        status = 406 if judged.is_refused else 200
        return Response({"outcome": str(judged.outcome.value)}, status=status)
