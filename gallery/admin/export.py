"""Images as CSV."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.utils import timezone

from gallery.items.models import Image
from gallery.items.signals import exported
from gallery.shared.csv_export import csv_lines
from gallery.shared.responses import download

COLUMNS = (
    "id", "status", "failure", "format", "width", "height", "bytes", "md5", "sha1", "sha256",
    "url", "data_id", "remark", "meta", "added_by", "uploader", "created_at",
)  # fmt: skip
ROWS_PER_FETCH = 2_000


def csv_response(images: QuerySet[Image], *, by: str) -> HttpResponseBase:
    """Return one line per image, read from the database in chunks."""
    with transaction.atomic():
        exported.send(sender=Image, by=by, count=images.order_by().count())
    rows = images.values_list(*COLUMNS).iterator(ROWS_PER_FETCH)
    return download(f"images-{timezone.now():%Y%m%d-%H%M%S}.csv", csv_lines(COLUMNS, rows))
