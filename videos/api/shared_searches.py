"""v1: share a search with an uploaded clip by a link, for a limited time."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from gallery.api.shared_searches import ShareSearch, share_schema
from videos.match.query_copies import copy_query


class SharedVideoSearches(ShareSearch):
    """Make a link to a search with an uploaded clip."""

    name = "Shared searches of videos"

    def copied(self, data: bytes) -> bytes:
        return copy_query(data)

    @share_schema
    def post(self, request: Request) -> Response:
        """Keep the pictures of the clip that a search looks at, at most 40, for ``SHARE_HOURS``.
        Whoever may search and has the token gets them, by ``images/shared/{token}/``.
        """
        return self.share(request)
