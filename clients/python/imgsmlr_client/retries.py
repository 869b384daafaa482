"""When a request is sent again, and after how long."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from imgsmlr_client.calls import Call
from imgsmlr_client.errors import ApiError, NotReached

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
PASSING = frozenset({502, 504})
"""Statuses of a proxy whose service did not answer: as if the answer had been lost."""


@dataclass
class Attempts:
    """The attempts of one call. ``patience``: seconds that waiting may take, all in all."""

    call: Call[Any]
    patience: float
    count: int = 0
    waited: float = 0.0
    lost: bool = False
    """Whether an attempt may have been carried out, as its answer was lost."""

    def after_answer(self, response: httpx2.Response) -> float | None:
        """Return the seconds to wait before the next attempt, or None if this answer counts."""
        named = _seconds(response.headers)
        if response.status_code == 429 or (response.status_code == 503 and named is not None):
            return self._wait(named)  # nothing was done
        if response.status_code in PASSING:
            self.lost = True
            return self._wait(named) if self._may_repeat else None
        return None

    def after_error(self, error: httpx2.TransportError) -> float:
        """Return the seconds to wait. Raise ``NotReached`` if it is not sent again."""
        never_sent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        self.lost = self.lost or not never_sent
        wait = self._wait(None) if never_sent or self._may_repeat else None
        if wait is None:
            raise NotReached(f"{type(error).__name__}: {error}") from error
        return wait

    def stored(self, error: ApiError) -> Call[Any] | None:
        """Return the call that reads what a lost attempt had stored. None if it stored nothing."""
        if self.lost and error.existing_id is not None and self.call.stored_at:
            return Call("GET", self.call.stored_at.format(error.existing_id), repeatable=True)
        return None

    @property
    def _may_repeat(self) -> bool:
        return self.call.repeatable or bool(self.call.stored_at)

    def _wait(self, named: float | None) -> float | None:
        self.count += 1
        doubled = min(FIRST_WAIT * 2 ** (self.count - 1), LONGEST_WAIT)
        # Clients that failed together must not come back together.
        wait = named if named is not None else doubled * random.uniform(0.5, 1.0)  # noqa: S311
        if self.waited + wait > self.patience or not self.call.rewinds:
            return None
        self.waited += wait
        return wait


def _seconds(headers: Mapping[str, str]) -> float | None:
    """Return what ``Retry-After`` asks for: seconds, or a date."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def answer_of(response: httpx2.Response) -> Any:
    """Return the JSON of an answer, None if it has none. Raise ``ApiError``."""
    try:
        body = response.json() if response.content else None
    except ValueError:
        body = None
    if response.is_success:
        return body
    raise ApiError(response.status_code, body)
