"""How to read the file of an import. The options are stored with the import."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from django.utils.translation import gettext

from gallery.shared.errors import UserError
from moderation.lists.formats.reading import Format
from moderation.lists.formats.rows import HashKind

LONGEST = 255


@dataclass(frozen=True)
class Options:
    """``source``: for rows without a source. ``kind``: for hashes without a kind.

    ``categories``: the source's own names of the categories to import; () means all. ``full``: the
    file is complete for its sources, so entries missing from it are retired. ``withdrawals``: apply
    only what the file withdraws.
    """

    source: str = ""
    kind: HashKind | None = None
    categories: tuple[str, ...] = ()
    full: bool = False
    withdrawals: bool = False

    @classmethod
    def read(cls, stored: dict[str, Any]) -> Options:
        kind = stored.get("kind")
        return cls(
            source=stored.get("source", ""),
            kind=HashKind(kind) if kind else None,
            categories=tuple(stored.get("categories", ())),
            full=bool(stored.get("full")),
            withdrawals=bool(stored.get("withdrawals")),
        )

    def stored(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value}


def options(
    *, source: str = "", kind: str = "", categories: Iterable[str] = (), full: bool = False
) -> Options:
    """Return options from user input. Raises ``UserError``."""
    if kind and kind not in set(HashKind):
        raise UserError(
            gettext("%(kind)r is none of %(choices)s.")
            % {"kind": kind, "choices": ", ".join(HashKind)},
            field="kind",
        )
    text = " ".join(source.split())
    if len(text) > LONGEST:
        raise UserError(
            gettext("A source has at most %(longest)s characters.") % {"longest": LONGEST},
            field="source",
        )
    words = dict.fromkeys(word.strip() for word in categories)
    return Options(
        source=text,
        kind=HashKind(kind) if kind else None,
        categories=tuple(word for word in words if word),
        full=full,
    )


def check_fits(chosen: Options, format: Format) -> None:
    """Raise ``UserError`` if the file cannot be read safely with these options."""
    if format is Format.PROJECT_VIC and not chosen.categories:
        raise UserError(
            gettext(
                "Project VIC files also list harmless media, and what a category means depends "
                "on the country: name the categories to import, for example 1 and 2."
            ),
            field="categories",
        )
    if chosen.full and format in (Format.CSV, Format.PLAIN) and not chosen.source:
        raise UserError(
            gettext(
                "A full import retires the entries its source no longer has, so name the source."
            ),
            field="source",
        )
