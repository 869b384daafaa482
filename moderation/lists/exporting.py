"""Export lists and items as streamed files that others can import."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from gallery.shared.errors import NotFound
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.lists.formats.reading import Format
from moderation.lists.formats.rows import Feedback, HashKind, HashRow, Media, Opinion, State
from moderation.lists.formats.writing import WRITERS, NotWritable, write_rows
from moderation.lists.models import BannedItem, BannedList

CHUNK_ROWS = 2_000
EXTENSIONS = {Format.CSV: "csv", Format.PLAIN: "txt", Format.THREATEXCHANGE: "json"}
CONTENT_TYPES = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.PLAIN: "text/plain; charset=utf-8",
    Format.THREATEXCHANGE: "application/json",
}
COLUMNS = (
    "pk", "hashes__kind", "hashes__value", "hashes__quality", "state", "media", "source",
    "source_id", "owner", "category", "severity", "tags", "note", "opinion", "feedback",
    "updated_at", "expires_at",
)  # fmt: skip


@transaction.atomic
def export_list(*, by: Actor, list_id: int, format: str) -> tuple[str, Iterator[bytes]]:
    """Return the name and the pieces of the file. Read the pieces outside of transactions.

    Retired items become tombstones if the format has them. Raises ``NotAllowed``, ``NotFound``, and
    ``NotWritable`` if the format can only be read.
    """
    check(by, "export lists")
    row = BannedList.objects.filter(pk=list_id).first()
    if row is None:
        raise NotFound(gettext("There is no list %(number)s.") % {"number": list_id}, field="list")
    chosen = _format(format)
    items = BannedItem.objects.filter(list=row).order_by("pk")
    trail.record(
        by=by.name,
        verb="list.exported",
        subject=row,
        after={"format": chosen.value, "version": row.version},
        count=items.count(),
    )
    return _name(row, chosen), write_rows(rows(items), chosen)


def export_items(
    *, by: Actor, items: QuerySet[BannedItem], format: str
) -> tuple[str, Iterator[bytes]]:
    """Export some items, of any lists, as in ``export_list``."""
    check(by, "export lists")
    chosen = _format(format)
    with transaction.atomic():
        trail.record(
            by=by.name,
            verb="items.exported",
            subject=BannedItem,
            after={"format": chosen.value},
            count=items.count(),
        )
    name = f"items-{timezone.now():%Y%m%d-%H%M%S}.{EXTENSIONS[chosen]}"
    return name, write_rows(rows(items.order_by("pk")), chosen)


def rows(items: QuerySet[BannedItem]) -> Iterator[HashRow]:
    """Yield one row per hash. An item without hashes becomes a row only if it is retired.

    The opinion is our own if there is one, or else the source's.
    """
    for values in items.values_list(*COLUMNS).iterator(CHUNK_ROWS):
        row = _row(dict(zip(COLUMNS, values, strict=True)))
        if row.kind or (row.state is State.TOMBSTONE and row.source_id):
            yield row


def _row(item: dict[str, object]) -> HashRow:
    retired = item["state"] == BannedItem.State.RETIRED
    said = item["opinion"] if item["opinion"] != BannedItem.Opinion.NONE else item["feedback"]
    opinion = Opinion.NONE if said == BannedItem.Opinion.NONE else Opinion(str(said))
    media = Media.UNKNOWN if item["media"] == Media.UNKNOWN.name.lower() else item["media"]
    plain = ("source", "source_id", "owner", "category", "severity", "updated_at", "expires_at")
    return HashRow(
        place=f"item {item['pk']}",
        kind=HashKind(str(item["hashes__kind"])) if item["hashes__kind"] else None,
        value=str(item["hashes__value"] or ""),
        quality=item["hashes__quality"],  # type: ignore[arg-type]
        state=State.TOMBSTONE if retired else State.ACTIVE,
        media=Media(str(media)),
        tags=tuple(item["tags"]),  # type: ignore[arg-type]
        note=" ".join(str(item["note"]).split()),
        feedback=(Feedback("", opinion),) if opinion else (),
        **{name: item[name] for name in plain},  # type: ignore[arg-type]
    )


def _format(name: str) -> Format:
    if name not in set(Format) or Format(name) not in WRITERS:
        raise NotWritable(
            gettext("%(name)r is none of the formats that lists are written in: %(choices)s.")
            % {"name": name, "choices": ", ".join(WRITERS)},
            field="format",
        )
    return Format(name)


def _name(row: BannedList, format: Format) -> str:
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in row.name)
    return f"{plain}-version-{row.version}.{EXTENSIONS[format]}"
