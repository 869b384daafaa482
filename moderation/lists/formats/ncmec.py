"""Read NCMEC Hash Sharing v2: the ``queryResult`` XML documents that its API returns.

An entry is identified by member and id. ``deletedImage`` and ``deletedVideo`` are tombstones
without hashes. Entries are not ordered by time: the latest ``updated_at`` counts. Members vote on
single fingerprints, so the rows of one entry may differ in feedback. Fingerprints given as a link
(``rel``, ``href``) are skipped. A file may hold several documents, one after the other or inside an
enclosing element. Document types and entities are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from moderation.lists.formats.rows import (
    Feedback,
    HashRow,
    InvalidRow,
    Media,
    Opinion,
    Row,
    SkippedHash,
    State,
)
from moderation.lists.formats.source import NESTING, BrokenFile, Source, WrongFormat
from moderation.lists.formats.values import (
    BadValue,
    clean,
    clean_id,
    excerpt,
    hash_rows,
    known_time,
)

NAME: Final = "NCMEC"
ENTRIES: Final = {
    "image": (Media.IMAGE, State.ACTIVE),
    "video": (Media.VIDEO, State.ACTIVE),
    "deletedImage": (Media.IMAGE, State.TOMBSTONE),
    "deletedVideo": (Media.VIDEO, State.TOMBSTONE),
}
OPINIONS: Final = {
    "affirmativeFeedback": Opinion.CONFIRMED,
    "negativeFeedback": Opinion.FALSE_POSITIVE,
}

_DECLARATION: Final = b"<?xml "
_CUT_DECLARATIONS: Final = tuple(_DECLARATION[:size] for size in range(1, len(_DECLARATION)))
_MARK: Final = re.compile(r"<(\w+:)?queryResult[\s>/]")


def matches(head: str) -> bool:
    return bool(_MARK.search(head))


def read(source: Source) -> Iterator[Row]:
    count, found = 0, False
    try:
        for element in _elements(source):
            name = _name(element)
            found = found or name == "queryResult"
            if name not in ENTRIES:
                continue
            count += 1
            place = f"entry {count}"
            try:
                yield from _rows(element, name, place)
            except BadValue as bad:
                yield InvalidRow(place, str(bad), excerpt(" ".join(element.itertext())))
    except (ParseError, DefusedXmlException, BrokenFile) as error:
        if not count:
            raise WrongFormat(f"This is not an {NAME} file: {_reason(error)}.") from error
        reason = f"the file breaks off: {_reason(error)}"
        yield InvalidRow(f"after entry {count}", reason, "", ends_file=True)
    if not count and not found:
        raise WrongFormat(f"This is not an {NAME} file: it has no queryResult.")


def _elements(source: Source) -> Iterator[Element]:
    """Yield every finished entry and document element. Drops finished entries from the tree."""
    for document in _documents(source):
        parents: list[Element] = []
        for event, element in _events(document):
            if event == "start":
                parents.append(element)
                if len(parents) > NESTING:
                    raise BrokenFile("its elements are nested too deeply")
                continue
            parents.pop()
            if _name(element) in (*ENTRIES, "queryResult"):
                yield element
                source.next_record()
                if parents:
                    parents[-1].clear()


def _events(document: _Document) -> Iterator[tuple[str, Element]]:
    try:
        yield from iterparse(document, events=("start", "end"), forbid_dtd=True)
    except (BrokenFile, DefusedXmlException):
        raise
    except (LookupError, ValueError) as error:  # raised by the codec that the declaration names
        raise BrokenFile("its declaration names an encoding that cannot be read") from error


class _Document:
    """One document for `iterparse`, up to the next XML declaration."""

    def __init__(self, source: Source, first: bytes) -> None:
        self._source, self._first, self._over = source, first, False
        self.rest = b""

    def read(self, _size: int = -1) -> bytes:
        if self._over:
            return b""
        data = self._first or self._source.read()
        while data.endswith(_CUT_DECLARATIONS) and (more := self._source.read(len(_DECLARATION))):
            data += more
        at = data.find(_DECLARATION, 1 if self._first else 0)
        self._first = b""
        if at < 0:
            return data
        self._over, self.rest = True, data[at:]
        return data[:at]


def _documents(source: Source) -> Iterator[_Document]:
    rest = source.read().lstrip()
    while rest:
        document = _Document(source, rest)
        yield document
        rest = document.rest


def _rows(entry: Element, name: str, place: str) -> Iterator[Row]:
    media, state = ENTRIES[name]
    parts = {_name(part): part for part in entry}
    member = parts.get("member")
    member_id = None if member is None else member.get("id")
    entry_id = _text(parts, "id")
    if not member_id or not entry_id:
        raise BadValue("the member or the id is missing")
    row = HashRow(
        place=place,
        state=state,
        media=media,
        source=NAME,
        source_id=clean_id(f"{member_id}-{entry_id}"),
        owner=clean(_text(parts, "member") or member_id),
        category=clean(_text(parts, "classification")),
        updated_at=known_time(_text(parts, "timestamp")),
    )
    prints = list(parts.get("fingerprints", ()))
    if state is State.TOMBSTONE and not prints:
        yield row
    elif not prints:
        raise BadValue("there are no fingerprints")
    votes = list(_votes(parts.get("feedback")))
    for one in prints:
        kind = _name(one)
        if one.get("href"):
            yield SkippedHash(place, kind)
            continue
        said = tuple(vote for voted, vote in votes if voted.lower() in (kind.lower(), ""))
        yield from hash_rows(replace(row, feedback=said) if said else row, [(kind, one.text)])


def _votes(feedback: Element | None) -> Iterator[tuple[str, Feedback]]:
    """Yield the kind of fingerprint that was voted on, and one member's vote.

    Members are listed under the vote, or under the reasons they share.
    """
    for group in () if feedback is None else feedback:
        opinion = OPINIONS.get(_name(group))
        if opinion is None:
            continue
        inside = [(_name(one), one) for one in group.iter()]
        reasons = tuple(clean(one.get("name")) for name, one in inside if name == "reason")
        members = [clean(one.text or one.get("id")) for name, one in inside if name == "member"]
        for member in members or [""]:
            yield group.get("type", ""), Feedback(by=member, opinion=opinion, reasons=reasons)


def _text(parts: dict[str, Element], name: str) -> str:
    part = parts.get(name)
    return "" if part is None else (part.text or "").strip()


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _reason(error: Exception) -> str:
    if isinstance(error, DefusedXmlException):
        return "it declares a document type or entities, which are refused"
    return f"it is not well-formed ({error})" if isinstance(error, ParseError) else str(error)
