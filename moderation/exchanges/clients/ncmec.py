"""NCMEC's hash sharing, version 2. Its pages are not in order of time: only all of them count."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import ClassVar, Final
from urllib.parse import quote, urlsplit
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from moderation.exchanges.clients.base import (
    Checkpoint,
    Cursor,
    Opinion,
    Page,
    ServiceFailed,
    Session,
    iso_time,
)
from moderation.lists.formats import ncmec as reader
from moderation.lists.formats.reading import Format

NAMESPACE: Final = "https://hashsharing.ncmec.org/hashsharing/v2"
DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'
AFFIRMATIVE, NEGATIVE = "affirmative", "negative"
OVERLAP: Final = 3600
"""Seconds that each pull reads again: an entry may be listed some time after its own time."""


class Ncmec:
    URL: ClassVar = "https://report.cybertip.org/hashsharing"
    FORMAT: ClassVar = Format.NCMEC
    SOURCE: ClassVar = reader.NAME
    CREDENTIALS: ClassVar[Mapping[str, str]] = {"user": "User name", "password": "Password"}
    WORDS: ClassVar[Mapping[str, str]] = {
        "confirmed": AFFIRMATIVE,
        "dismissed": "",
        "wrong": NEGATIVE,
        "undone": "",
    }
    AT_ONCE: ClassVar = 1

    def __init__(self, session: Session, group: str) -> None:
        self._session = session
        self._headers = {**session.basic(), "Accept": "application/xml"}

    def page(self, since: Checkpoint, cursor: Cursor | None) -> Page:
        until = int(cursor["until"]) if cursor else int(time.time())
        if cursor:
            body = self._session.send("GET", cursor["path"], headers=self._headers)
        else:
            begin = max(0, int(since.get("time", 0)) - OVERLAP)
            body = self._session.send(
                "GET",
                "/v2/entries",
                query={"from": iso_time(begin), "to": iso_time(until)},
                headers=self._headers,
            )
        try:
            root = fromstring(body, forbid_dtd=True)
        except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
            raise ServiceFailed("The answer is not XML that can be read.") from error
        names = {str(part.tag).rpartition("}")[2]: part for part in root.iter()}
        if not str(root.tag).endswith("queryResult"):
            raise ServiceFailed("The answer is no queryResult.")
        count = sum(str(part.tag).rpartition("}")[2] in reader.ENTRIES for part in root.iter())
        following = _path(names["next"].text) if "next" in names else None
        if not body.lstrip().startswith(b"<?xml"):
            body = DECLARATION + body
        return Page(
            body.lstrip(),
            count,
            None if following is None else {"path": following, "until": until},
            {"time": until} if following is None else None,
        )

    def tell(self, opinions: Iterable[Opinion]) -> None:
        """State or withdraw an opinion on each fingerprint of the entry."""
        for opinion in opinions:
            member, _, entry = opinion.source_id.partition("-")
            for kind in sorted({kind for kind, _ in opinion.hashes}):
                path = f"/v2/entries/{quote(member, '')}/{quote(entry, '')}/{kind.upper()}/feedback"
                self._session.send(
                    "PUT" if opinion.word else "DELETE",
                    path,
                    headers={**self._headers, "Content-Type": "application/xml"},
                    body=_submission(opinion) if opinion.word else b"",
                )


def _submission(opinion: Opinion) -> bytes:
    inside = "<affirmative/>"
    if opinion.word == NEGATIVE:
        guid = escape(opinion.reason)
        inside = f"<negative><reasonIds><guid>{guid}</guid></reasonIds></negative>"
    text = f'<feedbackSubmission xmlns="{NAMESPACE}">{inside}</feedbackSubmission>'
    return DECLARATION + text.encode()


def _path(text: str | None) -> str | None:
    """Return the next page's path and query below the service's address."""
    link = urlsplit((text or "").strip())
    if not link.path:
        return None
    at = link.path.find("/v2/")
    if at < 0:
        raise ServiceFailed("The answer names a next page that is not one of its own.")
    return f"{link.path[at:]}?{link.query}" if link.query else link.path[at:]
