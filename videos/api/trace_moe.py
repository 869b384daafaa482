"""The API of trace.moe over our videos: which video a picture is from, and at what time.

``similarity`` is the calibrated confidence. ``anilist`` and ``episode`` are what the video's meta
says under these names; ``filename`` is its ``data_id``, or the end of its URL.
"""

from __future__ import annotations

from posixpath import basename
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.api.facades import AnyBytes, FacadeView, picture_in
from gallery.api.serializers import address
from gallery.items.media_access import set_visibility
from gallery.shared.access import access_of, sender_of
from gallery.shared.errors import UserError
from videos.api.searching import SEARCH_COST
from videos.api.serializers import frame_url
from videos.match import video_search
from videos.match.video_search import VideoMatch
from videos.models import Frame, Video

MOST: Final = 10
EVERY_CANDIDATE: Final = 0.0


class TraceMoeView(FacadeView):
    parser_classes = (MultiPartParser, AnyBytes)
    scope: ClassVar[str] = "search"

    def error_body(self, error: Exception, sentence: str) -> dict[str, Any]:
        return {"error": sentence}


class Search(TraceMoeView):
    throttle_cost = SEARCH_COST

    def get(self, request: Request) -> Response:
        """Search with the picture at ``url``."""
        url = request.query_params.get("url")
        if not url:
            raise UserError("Give the picture by ?url=, or send it.")
        return self._answer(request, url=url)

    def post(self, request: Request) -> Response:
        """Search with the body, or with the file in the field ``image``."""
        if request.query_params.get("url"):
            return self.get(request)
        if request.FILES:
            return self._answer(request, data=picture_in(request, "image"))
        if not isinstance(request.data, bytes) or not request.data:
            raise UserError("Send a picture as the body, or in the field image.")
        return self._answer(request, data=request.data)

    def _answer(self, request: Request, **query: Any) -> Response:
        found = video_search.search_videos(
            **query,
            limit=MOST,
            min_confidence=EVERY_CANDIDATE,
            sender=sender_of(request),
            may_lag=True,
        )
        set_visibility(access_of(request), [hit.video for hit in found.results])
        wanted = request.query_params.get("anilistID")
        rows = [result(request, hit) for hit in found.results]
        return Response(
            {
                "frameCount": frame_count(),
                "error": "",
                **quota(),
                "result": [row for row in rows if wanted in (None, "", str(row["anilist"]))],
            }
        )


class Me(TraceMoeView):
    def get(self, request: Request) -> Response:
        """Say what the caller may ask for. Points a minute stand for the quota."""
        return Response(
            {"id": access_of(request).actor, "priority": 0, "concurrency": 1, **quota()}
        )


def frame_count() -> int:
    """Return about how many frames are searched: counting millions would take longer than that."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = %s::regclass",
            [Frame._meta.db_table],
        )
        (count,) = cursor.fetchone()
    return int(count)


def quota() -> dict[str, int]:
    return {"quota": settings.THROTTLE_POINTS // SEARCH_COST, "quotaUsed": 0}


def result(request: Request, hit: VideoMatch) -> dict[str, Any]:
    video = hit.video
    at = hit.offset if hit.kind == "still" else hit.start
    duration = None if video.duration_ms is None else video.duration_ms / 1000
    meta = video.meta or {}
    return {
        "anilist": meta.get("anilist"),
        "filename": filename(video),
        "episode": meta.get("episode"),
        "episode_start": 0.0,
        "episode_end": duration,
        "duration": duration,
        "from": hit.start / 1000,
        "to": hit.end / 1000,
        "at": at / 1000,
        "similarity": hit.confidence,
        "video": f"{address(request, 'video-file', video)}?small=1#t={hit.start / 1000:g}",
        "image": frame_url(request, video, at),
    }


def filename(video: Video) -> str:
    return video.data_id or basename(urlsplit(video.url or "").path) or f"video {video.pk}"
