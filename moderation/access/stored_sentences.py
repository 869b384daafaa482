"""Sentences that are stored in English, in the reader's language: why a row of an import is bad, or
why a message was not delivered.

Stored text stays English, so that programs and logs read the same whoever worked. A page translates
what fits one of the templates; anything else is shown as it is.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from django.utils.translation import gettext, gettext_noop

TEMPLATES: Final = (
    # Rows of imports.
    gettext_noop("there is no hash"),
    gettext_noop("there is no MD5, SHA1 or other hash"),
    gettext_noop("there are %(found)s fields, the header has %(width)s"),
    gettext_noop("this is not CSV: a quote stands where none can"),
    gettext_noop("“%(word)s” is not a state; write active or deleted"),
    gettext_noop("“%(word)s” is not an opinion; write %(allowed)s"),
    gettext_noop("the line is longer than %(most)s characters"),
    gettext_noop("“%(word)s” is not a known kind of hash"),
    gettext_noop("%(kind)s needs %(digits)s hex digits, this has %(number)s characters"),
    gettext_noop("%(kind)s needs %(digits)s hex digits, this has other characters"),
    gettext_noop("this %(kind)s is that of an empty file"),
    gettext_noop("one repeated digit is the %(kind)s of no picture"),
    gettext_noop("64 hex digits may be a sha256 or a pdq; write the kind before the value"),
    gettext_noop("this is not a hash"),
    gettext_noop("the quality “%(word)s” is not a number from 0 to 100"),
    gettext_noop("“%(word)s” is neither true nor false"),
    gettext_noop("“%(word)s” is not a date; write it as 2030-01-31"),
    gettext_noop("“%(word)s” is not a date"),
    gettext_noop("the id is not a text or a number"),
    gettext_noop("the id is longer than %(most)s characters"),
    gettext_noop("signalType or hashValue is missing"),
    gettext_noop("the hashStatus “%(word)s” is not known"),
    gettext_noop("algorithm or hash_digest is missing"),
    gettext_noop("the member or the id is missing"),
    gettext_noop("there are no fingerprints"),
    gettext_noop("this is not JSON: %(why)s"),
    gettext_noop("this is not an object with fields"),
    gettext_noop("an array of objects is expected in descriptors, tags and reactions"),
    gettext_noop("%(name)s is not an object"),
    gettext_noop("%(name)s is not an array"),
    gettext_noop("%(name)s holds something that is no object"),
    gettext_noop("a quote is opened and not closed"),
    gettext_noop("the file breaks off: %(why)s"),
    gettext_noop("it is cut short"),
    gettext_noop("it is not well-formed (%(why)s)"),
    gettext_noop("its brackets are nested too deeply"),
    gettext_noop("a record is nested too deeply"),
    gettext_noop("one record is longer than %(most)s MiB"),
    gettext_noop("the %(name)s is missing"),
    gettext_noop("line %(number)s"),
    gettext_noop("record %(number)s"),
    gettext_noop("entry %(number)s"),
    gettext_noop("after record %(number)s"),
    gettext_noop("after entry %(number)s"),
    # Imports as a whole.
    gettext_noop("The import was interrupted. Nothing was changed; import the file again."),
    gettext_noop("The import failed; the service's log says why."),
    gettext_noop("This is not a CSV file with a header that names a hash column."),
    gettext_noop("%(number)s columns of this CSV file stand for “%(name)s”; keep one."),
    gettext_noop("This is not a list of hashes: write a kind and a hash on each line."),
    gettext_noop("This %(format)s file is in %(encoding)s; save it as UTF-8."),
    gettext_noop("This is not a %(format)s file: %(why)s."),
    # Messages to webhooks.
    gettext_noop("The receiver answered %(status)s: redirects are not followed."),
    gettext_noop("The receiver answered %(status)s."),
    gettext_noop("%(host)s did not answer within %(seconds)s seconds."),
    gettext_noop("The certificate of %(host)s is not valid (%(why)s)."),
    gettext_noop("%(host)s could not be reached or closed the connection."),
    gettext_noop("The host %(host)s is not known; check the spelling of the address."),
)
"""The more special ones first."""


def sentence(stored: str) -> str:
    """Return a stored text in the reader's language, if it is a known one."""
    if not stored:
        return ""
    whole = gettext(stored)
    if whole != stored:
        return whole
    for template, pattern in _patterns():
        if found := pattern.fullmatch(stored):
            parts = {name: sentence(part) for name, part in found.groupdict().items()}
            return gettext(template) % parts
    return stored


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((template, _pattern(template)) for template in TEMPLATES)


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"%\((\w+)\)s", template)
    texts, names = parts[::2], [*parts[1::2], None]
    return re.compile(
        "".join(
            re.escape(text) + (f"(?P<{name}>.+)" if name else "")
            for text, name in zip(texts, names, strict=True)
        ),
        re.DOTALL,
    )
