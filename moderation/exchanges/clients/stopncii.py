"""StopNCII.org: hashes of intimate pictures that people submitted about themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

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
from moderation.lists.formats import stopncii as reader
from moderation.lists.formats.reading import Format

PAGE_RECORDS: Final = 800
BEGINNING: Final = 10
"""The time from which its own clients begin."""


class StopNCII:
    URL: ClassVar = "https://api.stopncii.org/v1"
    FORMAT: ClassVar = Format.STOPNCII
    SOURCE: ClassVar = reader.NAME
    CREDENTIALS: ClassVar[Mapping[str, str]] = {
        "subscription": "Subscription key",
        "fetch": "Function key of FetchHashes",
        "feedback": "Function key of SubmitFeedback",
    }
    # PendingReview: there was a match, and nobody has decided.
    WORDS: ClassVar[Mapping[str, str]] = {
        "confirmed": "Blocked",
        "dismissed": "NotBlocked",
        "wrong": "NotBlocked",
        "undone": "PendingReview",
    }
    AT_ONCE: ClassVar = 100

    def __init__(self, session: Session, group: str) -> None:
        self._session = session

    def page(self, since: Checkpoint, cursor: Cursor | None) -> Page:
        query = {"startTimestamp": since.get("time", BEGINNING), "pageSize": PAGE_RECORDS}
        if cursor:
            query["nextPageToken"] = cursor["token"]
        answer = self._session.json(
            "GET", "/FetchHashes", query=query, headers=self._headers("fetch")
        )
        following, done = None, None
        if answer.get("hasMoreRecords"):
            following = {"token": str(answer.get("nextPageToken") or "")}
            if not following["token"]:
                raise ServiceFailed("The answer promises more records without a page token.")
        else:
            done = {"time": answer.get("nextSetTimestamp")}
            if not isinstance(done["time"], int):
                raise ServiceFailed("The answer has no nextSetTimestamp.")
        count = records_of(answer, "hashRecords")
        return Page(orjson.dumps({"hashRecords": answer["hashRecords"]}), count, following, done)

    def tell(self, opinions: Iterable[Opinion]) -> None:
        told = [
            {"hashValue": value, "feedbackValue": opinion.word, "tags": []}
            for opinion in opinions
            for _, value in opinion.hashes
        ]
        self._session.send(
            "POST",
            "/SubmitFeedback",
            headers=self._headers("feedback"),
            body=orjson.dumps({"count": len(told), "hashFeedbacks": told}),
        )

    def _headers(self, function: str) -> dict[str, str]:
        return {
            "x-functions-key": self._session.credentials.get(function, ""),
            "Ocp-Apim-Subscription-Key": self._session.credentials.get("subscription", ""),
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
