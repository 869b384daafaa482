"""What the admin pages of images have beyond those of every item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import action, display

from gallery.admin import listing
from gallery.admin.actions import Command, item_commands
from gallery.admin.adding import AddItemsForm, AddResult, attempt, result_of
from gallery.admin.batch_pages import actor
from gallery.admin.export import csv_response
from gallery.admin.item_admin import ItemAdmin
from gallery.imaging.decoding.rendered_pictures import other_renderings, rendering_labels
from gallery.imaging.decoding.sniffing import ACCEPTED
from gallery.items import adding
from gallery.items.describing import describe_again
from gallery.items.image_kind import IMAGE
from gallery.items.item import Status
from gallery.items.models import Image, ImageFingerprint

NOT_SHOWN_BY_BROWSERS = frozenset({"tiff", "heic", "jxl", "jp2"})
DESCRIBE_AGAIN = _("Describe again")


class AddPicturesForm(AddItemsForm):
    words = IMAGE.words
    formats = ACCEPTED
    accept = "image/*"
    max_items = 100
    command = "add_images"


def vectors_of(image_id: int) -> QuerySet[ImageFingerprint, Any]:
    """Return which vectors are stored, without the vectors, which are 16 KB a row."""
    return (
        ImageFingerprint.objects.filter(item=image_id)
        .order_by("version", "view")
        .values(
            "version",
            "view",
            "pdq_quality",
            has_haar=Q(haar__isnull=False),
            has_pattern=Q(detail__isnull=False),
            has_pdq=Q(pdq__isnull=False),
            has_cnn=Q(cnn__isnull=False),
            has_clip=Q(clip__isnull=False),
        )
    )


def renderings_of(image_id: int) -> list[tuple[str, str]]:
    """Return how viewers may show a picture, each with a label; empty if there is only one way."""
    views = ImageFingerprint.objects.filter(item=image_id).values_list("view", flat=True)
    names = ["", *other_renderings(views.distinct())]
    return list(zip(names, rendering_labels(names), strict=True)) if len(names) > 1 else []


@admin.register(Image)
class ImageAdmin(ItemAdmin):
    item_kind = IMAGE
    add_form = AddPicturesForm
    change_form_outer_before_template = "gallery/items/image_facts.html"
    list_display = [
        "picture", "number", "shown_status", "kind", "data_id", "source", "shown_added_by",
        "added",
    ]  # fmt: skip
    list_filter = [
        ("status", ChoicesCheckboxFilter),
        listing.FormatFilter,
        listing.AddedSinceFilter,
        ("created_at", listing.DaysFilter),
        listing.StaleFilter,
        listing.ClipFilter,
        listing.AddedByFilter,
    ]
    commands = {
        "describe_again": Command(
            DESCRIBE_AGAIN,
            _("%(items)s queued to be described again."),
            _("%(items)s would be read and described again by the worker."),
            lambda rows, *, by, **_: describe_again(items=rows, by=by),
            exceptions=(
                (
                    Q(status=Status.FAILED, original=""),
                    _(
                        "the original was not kept, so there is nothing to read again. Add the "
                        "picture again."
                    ),
                ),
                (~Q(status=Status.FAILED), _("only failed images are described again.")),
            ),
        ),
        **item_commands(IMAGE),
    }
    actions = ["describe_again", "quarantine", "release", "export_csv", "delete_selected"]
    actions_submit_line = ["describe_this_again", "quarantine_this", "release_this"]
    button_statuses = {
        "describe_this_again": frozenset({Status.FAILED}),
        "quarantine_this": frozenset({Status.READY}),
        "release_this": frozenset({Status.QUARANTINED}),
    }

    @admin.action(description=DESCRIBE_AGAIN, permissions=["change"])
    def describe_again(self, request: HttpRequest, queryset: QuerySet[Image]) -> Any:
        return self.ask(request, queryset, "describe_again")

    @action(description=DESCRIBE_AGAIN, permissions=["change"])
    def describe_this_again(self, request: HttpRequest, image: Image) -> Any:
        return self.ask_alone(request, image, "describe_again")

    @admin.action(description=_("Export as CSV"), permissions=["view"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Image]) -> HttpResponseBase:
        return csv_response(queryset, by=actor(request))

    @display(description=_("added by"))
    def shown_added_by(self, image: Image) -> str:
        return format_html('<a href="?added_by={}">{}</a>', image.added_by, image.added_by)

    def facts(self, item_id: int) -> dict[str, Any]:
        return {
            "vectors": vectors_of(item_id),
            "renderings": renderings_of(item_id),
            "not_shown_by_browsers": NOT_SHOWN_BY_BROWSERS,
        }

    def max_file_bytes(self) -> int:
        return settings.MAX_UPLOAD_BYTES

    def add_file(self, file: UploadedFile, **common: Any) -> AddResult:
        return attempt(file.name or "unnamed", lambda: adding.add_image(data=file.read(), **common))

    def add_links(self, urls: Sequence[str], **common: Any) -> list[AddResult]:
        remark = common.pop("remark")
        results = adding.add_batch(items=[{"url": url, "remark": remark} for url in urls], **common)
        return [result_of(url, result) for url, result in zip(urls, results, strict=True)]
