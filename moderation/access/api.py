"""Who asks over v1."""

from __future__ import annotations

from rest_framework.request import Request

from gallery.shared.access import access_of
from moderation.access.permissions import Actor

SCOPE = "lists"


def caller(request: Request) -> Actor:
    """Who asks, whose role the services check."""
    return Actor.caller(access_of(request))
