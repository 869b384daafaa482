"""What a match stores in English, such as "cropped to 80 %, mirrored", in the reader's language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


EDITS: Final[Sequence[tuple[str, _StrPromise]]] = (
    (r"negative", _("negative")),
    (r"with a border", _("with a border")),
    (r"cropped to (?P<number>\S+) %", _("cropped to %(number)s %%")),
    (r"turned (?P<number>\S+)°", _("turned %(number)s°")),
    (r"mirrored", _("mirrored")),
    (r"turned or mirrored", _("turned or mirrored")),
)
"""What may be stored (``pdq_variants``) → the same as a text."""


def in_words(stored: str) -> str:
    return gettext(", ").join(_edit(one) for one in stored.split(", "))


def _edit(stored: str) -> str:
    for pattern, text in EDITS:
        if found := re.fullmatch(pattern, stored):
            numbers = found.groupdict()
            return str(text % numbers if numbers else text)
    return stored


def counted(stored: str) -> str:
    """For "64 of 65 pictures", as ``Coverage.partly`` stores it."""
    found = re.fullmatch(r"(?P<some>\d+) of (?P<all>\d+) pictures", stored)
    return gettext("%(some)s of %(all)s pictures") % found.groupdict() if found else stored
