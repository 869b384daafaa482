"""Errors of the client."""

from __future__ import annotations

from typing import Any


class ImgsmlrError(Exception):
    """Any error of this client."""


class NotReached(ImgsmlrError):
    """There was no answer. The request may have been carried out, unless it says otherwise."""


class ApiError(ImgsmlrError):
    """The service refused a request.

    ``code`` is for programs, ``detail`` for people. ``field``: the input that is wrong, if it is
    one. ``existing_id``: the row that has the same bytes already.
    """

    def __init__(self, status: int, body: Any) -> None:
        said = body if isinstance(body, dict) else {}
        self.status = status
        self.code = str(said.get("code", ""))
        self.detail = str(said.get("detail", f"The service answered {status}."))
        self.field: str | None = said.get("field")
        self.existing_id: int | None = said.get("existing_id")
        super().__init__(f"{status} {self.code}: {self.detail}".replace("  ", " "))
