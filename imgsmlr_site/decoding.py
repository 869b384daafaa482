"""What a request may spend on decoding pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse

from gallery.imaging.decoding.budget import Caller, decoding_for
from gallery.shared.access import access_of

PATIENCE_SECONDS: Final = 2.0
"""A request waits so long for memory, then the answer is 429. Workers wait as long as it takes."""

POINT_BYTES: Final = 64 * 2**20
"""Memory for decoding that costs one point of ``THROTTLE_POINTS``: an opaque picture of 3.3
megapixels."""

CHARGED: Final = ("/api/", "/imgsmlr/")
"""Paths that are charged; pages of the admin and of moderators are not."""


class DecodingMiddleware:
    """Charges a client by the size of what was decoded, and does not let a request wait for long.

    The size is known only when the file is read, and then there may be a transaction. So the
    client pays afterwards: its next requests wait until it has points again.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        caller = Caller(PATIENCE_SECONDS)
        with decoding_for(caller):
            response = self.get_response(request)
        points = caller.spent // POINT_BYTES
        if points and request.path_info.startswith(CHARGED):
            access_of(request).owe(points)
        return response
