"""The gate of Mastodon: its webhook tells of new and edited posts, after they are published.

The attachments of a post are fetched and checked. A refused post is reported to the moderators of
the server, by the account whose token the settings have. An answer that is no success makes
Mastodon send the message again.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import orjson
from django.conf import settings
from django.core.cache import cache
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.items import conf
from gallery.net.posting import post
from gallery.net.transport import FetchFailed
from gallery.shared.errors import Unavailable, UserError
from moderation.access.permissions import Actor, Role
from moderation.gates import policies
from moderation.gates.acting import record
from moderation.gates.policies import Judged
from moderation.pipeline.check import CheckRequest

COST: Final = 6
EVENTS: Final = ("status.created", "status.updated")
COMPARED: Final = ("image", "gifv", "video")
MOST_ATTACHMENTS: Final = 16
REPORTED_FOR: Final = 7 * 86_400
"""Seconds for which a report is remembered: Mastodon repeats a message for about three days."""
BY: Final = Actor("gate:mastodon", Role.NOBODY, via_key=True)


class SignedByMastodon(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        """Raise unless the gate works and the body is signed with the webhook's secret."""
        policies.mastodon().check_works()
        expected = signature(settings.MASTODON_SECRET, request.body)
        sent = request.headers.get("X-Hub-Signature", "")
        if not hmac.compare_digest(expected.encode(), sent.encode()):
            raise AuthenticationFailed(
                "X-Hub-Signature does not fit the body: MASTODON_SECRET has to be the secret that "
                "Mastodon shows for this webhook."
            )
        return True


def signature(secret: str, body: bytes) -> str:
    return f"sha256={hmac.digest(secret.encode(), body, hashlib.sha256).hex()}"


@extend_schema(exclude=True)
class Mastodon(APIView):
    name = "Gate of Mastodon"
    permission_classes = (SignedByMastodon,)
    throttle_cost = COST
    renderer_classes = (JSONRenderer,)

    def post(self, request: Request) -> Response:
        """Check the attachments of a post, and report the post if one is refused."""
        event, status = told(request.body)
        if event not in EVENTS:
            return Response({"outcome": "ignored"})
        links = attachments(status)
        gate = policies.mastodon()
        judged = [gate.judge(by=BY, request=CheckRequest(url=link)) for link in links]
        refused = [one for one in judged if one.is_refused]
        if not refused:
            return Response({"outcome": "accepted"})
        return Response({"outcome": "refused", "reported": reported(status, refused, len(links))})


def told(body: bytes) -> tuple[str, Mapping[str, Any]]:
    """Return the event and its object. Raises ``UserError``."""
    try:
        message = orjson.loads(body)
        event, about = message["event"], message["object"]
    except (ValueError, TypeError, KeyError):
        event, about = None, None
    if not isinstance(event, str) or not isinstance(about, Mapping):
        raise UserError("Send a message of Mastodon's webhooks: JSON with event and object.")
    return event, about


def attachments(status: Mapping[str, Any]) -> list[str]:
    """Return the links of a post's pictures and videos. Raises ``UserError``."""
    rows = status.get("media_attachments")
    try:
        found = [str(row["url"]) for row in rows or () if row["type"] in COMPARED and row["url"]]
        if len(found) <= MOST_ATTACHMENTS and status["id"] and status["account"]["id"]:
            return found
    except (TypeError, KeyError):
        pass
    raise UserError(
        f"A post has id, account.id, and up to {MOST_ATTACHMENTS} media_attachments with type "
        "and url."
    )


def reported(status: Mapping[str, Any], refused: list[Judged], attached: int) -> bool:
    """Report the post once. Returns whether it is reported; without a token nothing is.

    Raises ``Unavailable``.
    """
    if not settings.MASTODON_TOKEN:
        return False
    version = f"{status['id']} {status.get('edited_at')}"
    key = f"gate-mastodon-{hashlib.sha256(version.encode()).hexdigest()}"
    if cache.get(key):
        return True
    found = sum(one.compared for one in refused)
    parts = [
        f"{found} of {attached} attachments are on a list of banned content." if found else "",
        f"{len(refused) - found} of {attached} attachments could not be compared."
        if found < len(refused)
        else "",
        *[f"Case {one.case.pk} of imgsmlr-server." for one in refused if one.case],
    ]
    body = {
        "account_id": str(status["account"]["id"]),
        "status_ids": [str(status["id"])],
        "comment": " ".join(filter(None, parts))[:1000],
        "category": "other",
    }
    _send(orjson.dumps(body))
    cache.set(key, True, REPORTED_FOR)
    case = next((one for one in refused if one.case), refused[0])
    record(BY, "gate.post_reported", case, {"what": f"the post {status['id']} on Mastodon"})
    return True


def _send(body: bytes) -> None:
    headers = {
        "Authorization": f"Bearer {settings.MASTODON_TOKEN}",
        "Content-Type": "application/json",
    }
    policy = conf.fetch_policy().for_chosen_address()
    try:
        status = post(f"{settings.MASTODON_URL}/api/v1/reports", body, headers, policy)
    except FetchFailed as error:
        raise Unavailable(f"The post could not be reported: {error}") from error
    # A post that was deleted in the meantime needs no report.
    if not (200 <= status < 300 or status == 404):
        raise Unavailable(
            f"The post could not be reported: Mastodon answered {status}. Check that "
            "MASTODON_TOKEN is valid and has the scope write:reports."
        )
