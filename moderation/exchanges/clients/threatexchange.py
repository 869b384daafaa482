"""Meta's ThreatExchange, also GIFCT's hash-sharing database: ``threat_updates`` of a privacy group.

The token is sent in a header. A link to the next page holds the token, so only its cursor is kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import orjson

from moderation.exchanges.clients.base import (
    Checkpoint,
    Cursor,
    Opinion,
    Page,
    ServiceFailed,
    Session,
    records_of,
)
from moderation.lists.formats import threatexchange as reader
from moderation.lists.formats.reading import Format

FIELDS: Final = (
    "id,indicator,type,last_updated,should_delete,"
    "descriptors{id,reactions,owner{id,name},tags,status,severity,description}"
)
PAGE_RECORDS: Final = 500
OVERLAP: Final = 300
"""Seconds that each pull reads again, as two clocks differ."""
HELPFUL: Final = "HELPFUL"


class ThreatExchange:
    URL: ClassVar = "https://graph.facebook.com/v19.0"
    FORMAT: ClassVar = Format.THREATEXCHANGE
    SOURCE: ClassVar = reader.NAME
    CREDENTIALS: ClassVar[Mapping[str, str]] = {"token": "Access token"}
    WORDS: ClassVar[Mapping[str, str]] = {
        "confirmed": HELPFUL,
        "dismissed": "",
        "wrong": reader.DISAGREES,
        "undone": "",
    }
    AT_ONCE: ClassVar = 1

    def __init__(self, session: Session, group: str) -> None:
        self._session, self._group = session, group
        token = session.credentials.get("token", "")
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    def page(self, since: Checkpoint, cursor: Cursor | None) -> Page:
        begun = int(cursor["begun"]) if cursor else int(time.time())
        query: dict[str, Any] = {
            "start_time": max(0, since.get("time", 0) - OVERLAP),
            "stop_time": begun,
            "limit": PAGE_RECORDS,
            "fields": FIELDS,
        }
        if cursor:
            query["after"] = cursor["after"]
        answer = self._session.json(
            "GET", f"/{self._group}/threat_updates/", query=query, headers=self._headers
        )
        after = _after(answer)
        following = {"after": after, "begun": begun} if after else None
        done = None if following else {"time": begun}
        # Without the links of ``paging``: they hold the token.
        body = orjson.dumps({"data": answer.get("data")})
        return Page(body, records_of(answer, "data"), following, done)

    def tell(self, opinions: Iterable[Opinion]) -> None:
        """React to each descriptor of the indicator; a reaction that was withdrawn is removed."""
        for opinion in opinions:
            answer = self._session.json(
                "GET",
                f"/{quote(opinion.source_id, '')}/descriptors",
                query={"fields": "id"},
                headers=self._headers,
            )
            records_of(answer, "data")
            for one in answer["data"]:
                self._react(str(one["id"]), opinion.word)

    def _react(self, descriptor: str, word: str) -> None:
        if not descriptor.isdecimal():
            raise ServiceFailed("A descriptor has no numeric id.")
        others = {HELPFUL, reader.DISAGREES} - {word}
        for name, value in (
            ("reactions_to_remove", ",".join(sorted(others))),
            ("reactions", word),
        ):
            if value:
                self._session.send(
                    "POST",
                    f"/{descriptor}",
                    headers={
                        **self._headers,
                        "Content-Type": "application/x-www-form-urlencoded",
                    },
                    body=urlencode({name: value}).encode(),
                )


def _after(answer: Mapping[str, Any]) -> str:
    """Return the cursor of the next page, "" after the last."""
    paging = answer.get("paging") or {}
    if not paging.get("next"):
        return ""
    named = parse_qs(urlsplit(str(paging["next"])).query).get("after", [""])[0]
    after = named or str((paging.get("cursors") or {}).get("after") or "")
    if not after:
        raise ServiceFailed("The answer names a next page without a cursor.")
    return after
