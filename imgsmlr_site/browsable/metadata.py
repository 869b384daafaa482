"""The answer to OPTIONS: the fields that each method takes, for those who may use it."""

from __future__ import annotations

from typing import Any

from rest_framework.metadata import SimpleMetadata
from rest_framework.request import Request

from gallery.api.schema import body_of
from imgsmlr_site.browsable.addresses import about, title_of
from imgsmlr_site.browsable.renderer import WRITES, may


class BodyMetadata(SimpleMetadata):
    def determine_metadata(self, request: Request, view: Any) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            **super().determine_metadata(request, view),
            "name": title_of(type(view), view.kwargs),
            "description": about(type(view)),
        }
        metadata.pop("actions", None)
        allowed = {method: body_of(view, method) for method in WRITES if may(view, request, method)}
        actions = {
            method: self.get_serializer_info(body(partial=method == "PATCH"))
            for method, body in allowed.items()
            if body is not None
        }
        return {**metadata, "actions": actions} if actions else metadata

    def determine_actions(self, request: Request, view: Any) -> dict[str, Any]:
        return {}
