"""Shared by the views of v1: the caller and common fields."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import generics, serializers
from rest_framework.request import Request

from gallery.shared.access import access_of
from moderation.access.permissions import Actor

SCOPE = "lists"


def caller(request: Request) -> Actor:
    """Return the caller, whose role the services check."""
    return Actor.caller(access_of(request))


MAX_IDS = 1000
MAX_NOTE = 10_000
BIGGEST_ID = 2**63 - 1


class CommandView(generics.GenericAPIView):
    scope: ClassVar[str] = SCOPE

    def given(self, *, partial: bool = False) -> dict[str, Any]:
        body = self.get_serializer(data=self.request.data, partial=partial)
        body.is_valid(raise_exception=True)
        return dict(body.validated_data)


class ReasonField(serializers.CharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_length=1000,
            help_text="Goes into the audit.",
            **{"required": False, "allow_blank": True, **kwargs},
        )


class IdField(serializers.IntegerField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=BIGGEST_ID, **kwargs)
