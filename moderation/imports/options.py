"""What an import is told beside its file, as the row of the import keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from gallery.shared.errors import UserError
from moderation.lists.formats import Format, Kind

LONGEST = 255


@dataclass(frozen=True)
class Options:
    """``source``: of rows that name none. ``kind``: of hashes that are given without one.

    ``categories``: the source's own words for what is taken, all else is skipped; () = all.
    ``full``: the file is all there is of its sources, so what it lacks is retired.
    """

    source: str = ""
    kind: Kind | None = None
    categories: tuple[str, ...] = ()
    full: bool = False

    @classmethod
    def read(cls, stored: dict[str, Any]) -> Options:
        """From what ``stored`` answered."""
        kind = stored.get("kind")
        return cls(
            source=stored.get("source", ""),
            kind=Kind(kind) if kind else None,
            categories=tuple(stored.get("categories", ())),
            full=bool(stored.get("full")),
        )

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {name: value for name, value in asdict(self).items() if value}


def options(
    *, source: str = "", kind: str = "", categories: Iterable[str] = (), full: bool = False
) -> Options:
    """From what a person wrote. Raises ``UserError``."""
    if kind and kind not in set(Kind):
        raise UserError(f"{kind!r} is none of {', '.join(Kind)}.", field="kind")
    text = " ".join(source.split())
    if len(text) > LONGEST:
        raise UserError(f"A source has at most {LONGEST} characters.", field="source")
    words = dict.fromkeys(word.strip() for word in categories)
    return Options(
        source=text,
        kind=Kind(kind) if kind else None,
        categories=tuple(word for word in words if word),
        full=full,
    )


def check_fits(chosen: Options, format: Format) -> None:
    """Raises ``UserError`` for a file that cannot be read safely with these options."""
    if format is Format.PROJECT_VIC and not chosen.categories:
        raise UserError(
            "Project VIC files hold harmless media too, and what a category means depends on the "
            "country: name the categories to take, for example 1 and 2.",
            field="categories",
        )
    if chosen.full and format in (Format.CSV, Format.PLAIN) and not chosen.source:
        raise UserError(
            "A full import retires what its source no longer has, so name the source.",
            field="source",
        )
