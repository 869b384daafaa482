"""Hash lists: files of many formats → rows, and rows → files. Pure, streaming.

    with open(path, "rb") as stream:
        for row in read_rows(stream, now=now):
            match row: HashRow … SkippedHash … BadRow …

One module per format (`delimited`, `plain`, `ncmec`, `stopncii`, `threatexchange`,
`tech_against_terrorism`, `project_vic`); `json_records` and `source` bound the memory, `values`
checks each hash. Duplicates inside a file, and which of two rows is the newer, are the caller's
business. Nothing is logged: the lists are secret.
"""

from __future__ import annotations

from moderation.lists.formats.errors import UnknownFormat, WrongFormat
from moderation.lists.formats.export import NotWritable, write_rows
from moderation.lists.formats.formats import Format, detect, read_rows
from moderation.lists.formats.rows import (
    BadRow,
    Feedback,
    HashRow,
    Kind,
    Media,
    Opinion,
    Row,
    SkippedHash,
    State,
)

__all__ = [
    "BadRow",
    "Feedback",
    "Format",
    "HashRow",
    "Kind",
    "Media",
    "NotWritable",
    "Opinion",
    "Row",
    "SkippedHash",
    "State",
    "UnknownFormat",
    "WrongFormat",
    "detect",
    "read_rows",
    "write_rows",
]
