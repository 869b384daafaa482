"""The rows chosen for a bulk action, fixed when its confirmation page is shown.

The page carries a signed digest of the ids and of the columns it shows. A confirmation counts
only if they are unchanged, so an action never changes a row that was not on the page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from django.core import signing
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

MAX_AGE_SECONDS: Final = 24 * 3600
"""How long a confirmation page stays valid."""
CHANGED: Final = _("The selection has changed meanwhile: please check it again.")
FIELD: Final = "confirmed"


class Selection:
    """The chosen rows as they are now: ``ids``, ascending, and the token that confirms them.

    ``columns``: the columns that the page shows.
    """

    def __init__(
        self,
        request: HttpRequest,
        action: str,
        rows: QuerySet[Any],
        columns: Sequence[str] = (),
    ) -> None:
        self._request, self._action = request, action
        found = rows.order_by("pk").values_list("pk", *columns)
        self._facts = {row[0]: row for row in found}
        self._more: Any = None

    @property
    def ids(self) -> list[int]:
        return list(self._facts)

    def says(self, more: Any) -> None:
        """Include further content of the page, such as why rows are left out, in the digest."""
        self._more = more

    @property
    def token(self) -> str:
        return signing.dumps([self._action, self._digest()], salt=self._salt())

    @property
    def is_asked(self) -> bool:
        """Whether this request comes from a confirmation page."""
        return FIELD in self._request.POST

    @property
    def is_confirmed(self) -> bool:
        """Whether that page showed this selection, to the same person, for the same action."""
        token = self._request.POST.get(FIELD, "")
        try:
            told = signing.loads(token, salt=self._salt(), max_age=MAX_AGE_SECONDS)
        except signing.BadSignature:
            return False
        return bool(told == [self._action, self._digest()])

    def _digest(self) -> str:
        text = repr((list(self._facts.values()), self._more))
        return hashlib.sha256(text.encode()).hexdigest()

    def _salt(self) -> str:
        return f"selection of user {self._request.user.pk}"


def ids_of(texts: Sequence[str]) -> list[int]:
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]
