"""Refusals of a whole file."""

from __future__ import annotations

from gallery.shared.errors import UserError


class UnknownFormat(UserError):
    """The first bytes fit none of the formats."""

    code = "unknown_format"


class WrongFormat(UserError):
    """The file is not of the format it was said to be."""

    code = "wrong_format"
