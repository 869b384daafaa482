"""The HTTP API of the original imgsmlr-server, for existing clients.

Plain Django views: no content negotiation, HTTP 200 with a ``code`` in the body, and request
bodies read as JSON whatever their Content-Type. docs/legacy-api.md lists each rule; tests check
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from gallery.api import legacy_body
from gallery.api.serializers import file_url
from gallery.imaging.decoding.limits import NotAnImage
from gallery.imaging.descriptors.base import FlatPicture
from gallery.items import adding
from gallery.net.transport import FetchFailed
from gallery.search import image_search
from gallery.search.nearest import ImageMatch, ThresholdRule
from gallery.shared.access import access_of, sender_of
from gallery.shared.errors import Busy, UserError

NAMED_FORMATS = {"jpeg", "png", "gif", "webp"}
ADD_COST = SEARCH_COST = 3
INLINE = ("imgsmlr", "pdq", "clip")
"""Ready when this API answers, because its clients search by these; the rest follows later."""
COMPARISON = ThresholdRule("<", digits=6, round_first=False)
CLIP_COMPARISON = ThresholdRule("<", digits=4, round_first=True)


View = Callable[[HttpRequest], Any]


def legacy_view(scope: str, cost: int) -> Callable[[View], Callable[[HttpRequest], HttpResponse]]:
    """Check scope and budget, run the view, and wrap its result or error in the envelope."""

    def decorate(view: View) -> Callable[[HttpRequest], HttpResponse]:
        @csrf_exempt
        @require_POST
        def wrapped(request: HttpRequest) -> HttpResponse:
            access = access_of(request)
            access.require(scope)
            access.charge(cost)
            try:
                return _json({"code": 200, "msg": "OK", "data": view(request)})
            except legacy_body.Malformed as error:
                return _json({"detail": error.problems}, 422)
            except RequestDataTooBig:
                return _json({"detail": [legacy_body.too_large()]}, 422)
            except Busy:
                raise  # 429, like the limits of requests
            except UserError as error:
                answer = _json({"code": 400, "msg": message(error), "data": None})
                # For the log: the status of this answer is 200.
                answer.refused = error  # type: ignore[attr-defined]
                return answer

        return wrapped

    return decorate


@legacy_view("add", ADD_COST)
def add(request: HttpRequest) -> dict[str, Any]:
    """``POST /imgsmlr/mgr/add``: fetch, describe and publish one picture before answering."""
    body = legacy_body.parse_add(request.body)
    sender = sender_of(request)
    image = adding.add_image(
        url=body.url,
        data_id=body.data_id,
        remark=body.remark,
        meta=body.meta,
        by=sender.name,
        client=sender.client,
        inline=INLINE,
        refuse_flat=True,
    )
    if image.banned:
        raise UserError("image is banned", code="image_banned")
    return {"id": image.pk}


@legacy_view("search", SEARCH_COST)
def search(request: HttpRequest) -> dict[str, Any]:
    """``POST /imgsmlr/search``: return images below the threshold, nearest first."""
    body = legacy_body.parse_search(request.body)
    match_type = body.match_type or image_search.original_match_type()
    found = image_search.search_images(
        image_search.ImageQuery(url=body.url, sender=sender_of(request)),
        match_type=match_type,
        threshold=body.threshold,
        limit=body.limit,
        rule=CLIP_COMPARISON if match_type == "clip" else COMPARISON,
    )
    if found.low_information:
        if match_type == "imgsmlr":
            raise FlatPicture
        raise UserError(f"the picture is too small to be compared by {match_type}")
    return {
        "images": [_result(request, match) for match in found.matches],
        "threshold": body.threshold,
    }


def message(error: UserError) -> str:
    """Return the original's message for an error, or ours if it had none."""
    if isinstance(error, FetchFailed):
        return f"fetch url failed, status: {error.upstream_status}"
    if isinstance(error, NotAnImage):
        named = f"{error.format} " if error.format in NAMED_FORMATS else ""
        return f"not a valid {named}file"
    if isinstance(error, adding.AlreadyStored):
        return "image file already exists"
    return error.message


def _result(request: HttpRequest, match: ImageMatch) -> dict[str, Any]:
    image = match.image
    return {
        "id": image.pk,
        "url": image.url if image.url is not None else file_url(request, image),
        "dataId": image.data_id,
        "md5": image.known_md5,
        "remark": image.remark,
        "meta": image.meta,
        "simr": match.distance,
    }


def _json(body: dict[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(orjson.dumps(body), content_type="application/json", status=status)
