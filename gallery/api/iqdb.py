"""The API of IQDB, which boorus speak, over our images.

A booru names its pictures by number. Here the number is the image's ``data_id``, so images whose
``data_id`` is no number have no place in the answers. The score is 100 × the calibrated confidence
of ``auto``. The ``hash`` of a picture is the SHA-256 of its file.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.api.facades import FacadeView, picture_in, value_in
from gallery.api.visibility import check_own
from gallery.imaging import descriptors
from gallery.items import adding
from gallery.items.changing import delete_items
from gallery.items.inserting import AlreadyStored
from gallery.items.item import Status
from gallery.items.models import Image
from gallery.search import image_search
from gallery.search.image_search import ImageQuery
from gallery.shared.access import access_of, sender_of
from gallery.shared.errors import NotFound, UserError

COST: Final = 3
MOST: Final = 100
EVERY_CANDIDATE: Final = 1.0


class IqdbView(FacadeView):
    scopes: ClassVar[dict[str, str]] = {"GET": "search", "POST": "add", "DELETE": "add"}

    def error_body(self, error: Exception, sentence: str) -> dict[str, Any]:
        return {"exception": type(error).__name__, "message": sentence, "backtrace": []}


def numbered(post: int) -> QuerySet[Image]:
    return Image.objects.filter(data_id=str(post))


def facts(image: Image) -> dict[str, Any]:
    return {"post_id": int(image.data_id or 0), "hash": image.sha256, "signature": {}}


class Picture(IqdbView):
    """A picture by its number."""

    throttle_cost = COST

    def get(self, request: Request, post: int) -> Response:
        image = Image.objects.ready().filter(data_id=str(post)).order_by("-pk").first()
        if image is None:
            raise NotFound(f"There is no picture {post}.")
        return Response(facts(image))

    def post(self, request: Request, post: int) -> Response:
        """Add a picture, or put another one in its place. It is found from the answer on."""
        sender = sender_of(request)
        try:
            image = adding.add_image(
                by=sender.name,
                client=sender.client,
                data=picture_in(request, "file"),
                data_id=str(post),
                inline=descriptors.available_names(),
            )
        except AlreadyStored as error:
            same = numbered(post).filter(pk=error.existing_id or 0).first()
            if same is None:
                raise
            image = same
        self._delete(request, numbered(post).exclude(pk=image.pk), "replaced")
        return Response(facts(image))

    def delete(self, request: Request, post: int) -> Response:
        self._delete(request, numbered(post), "deleted by its number")
        return Response({"post_id": post})

    def _delete(self, request: Request, images: QuerySet[Image], why: str) -> None:
        """What is quarantined stays. Raises ``NotYours`` if another caller has added an image."""
        images = images.exclude(status=Status.QUARANTINED)
        check_own(request, images.values_list("added_by", flat=True))
        delete_items(items=images, by=access_of(request).actor, reason=why)


class Query(IqdbView):
    """Find pictures like a file, or like a picture that is here."""

    scopes: ClassVar[dict[str, str]] = {"POST": "search"}
    throttle_cost = COST

    def post(self, request: Request) -> Response:
        if "file" in request.FILES:
            query = ImageQuery(data=picture_in(request, "file"), sender=sender_of(request))
        else:
            sha256 = str(value_in(request, "hash") or "").lower()
            image = Image.objects.ready().filter(sha256=sha256).first()
            if image is None:
                raise UserError("Send a file, or the hash of a picture that is here.")
            query = ImageQuery(image_id=image.pk)
        # More than asked for, as those without a number are left out.
        found = image_search.search_images(
            query, match_type="auto", threshold=EVERY_CANDIDATE, limit=MOST
        )
        rows = [
            {**facts(match.image), "score": round(100 * (match.confidence or 0.0), 2)}
            for match in found.matches
            if (match.image.data_id or "").isdecimal()
        ]
        return Response(rows[: _limit(request)])


def _limit(request: Request) -> int:
    text = str(value_in(request, "limit") or "10")
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise UserError(f"limit is a number from 1 to {MOST}.")
    return int(text)


class Counts(IqdbView):
    def get(self, request: Request) -> Response:
        rows = Image.objects.ready().filter(data_id__regex=r"^[0-9]+$")
        return Response({"images": rows.count()})
