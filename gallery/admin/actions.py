"""What can be done to many images, and from an image's own page, each by one service call."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseBase
from unfold.decorators import action

from gallery.admin.commands import Command, Commands, actor
from gallery.admin.export import csv_response
from gallery.items import batches, changing
from gallery.items.item import Status
from gallery.items.models import Image, ItemBatch
from gallery.items.retention import Act
from gallery.shared.access import access_of

__all__ = ["ImageActions", "actor", "images_text"]

AGAIN, QUARANTINE, RELEASE = "Describe again", "Quarantine", "Release"


def images_text(count: int) -> str:
    """ "1 image", "2 images"."""
    return f"{count} image{'' if count == 1 else 's'}"


def _quarantine(rows: QuerySet[Image], *, by: str, reason: str, override: bool) -> ItemBatch:
    return batches.move(
        kind=batches.IMAGES, to=Status.QUARANTINED, items=rows, by=by, reason=reason
    )


def _release(rows: QuerySet[Image], *, by: str, reason: str, override: bool) -> ItemBatch:
    return batches.move(
        kind=batches.IMAGES, to=Status.READY, items=rows, by=by, reason=reason, override=override
    )


def _delete(rows: QuerySet[Image], *, by: str, reason: str, override: bool) -> int:
    return changing.delete_images(images=rows, by=by, reason=reason, override=override)


def _describe_again(rows: QuerySet[Image], *, by: str, reason: str, override: bool) -> int:
    return changing.describe_again(images=rows, by=by)


COMMANDS: Final = {
    "describe_again": Command(
        AGAIN,
        "queued to be described again",
        "be read and described again by the worker.",
        _describe_again,
        leaves=(
            (
                Q(status=Status.FAILED, original=""),
                "the original was not kept, so there is nothing to read again. Add the picture "
                "again.",
            ),
            (~Q(status=Status.FAILED), "only failed images are described again."),
        ),
    ),
    "quarantine": Command(
        QUARANTINE,
        "quarantined",
        "be hidden from every search at once. This can be undone.",
        _quarantine,
        leaves=((~Q(status=Status.READY), "only ready images can be quarantined."),),
        asks=True,
    ),
    "release": Command(
        RELEASE,
        "released",
        "be found by everybody again at once. This can be undone.",
        _release,
        leaves=((~Q(status=Status.QUARANTINED), "only quarantined images can be released."),),
        act=Act.RELEASE,
        asks=True,
    ),
    "delete_selected": Command(
        "Delete",
        "deleted",
        "be deleted for good, with vectors and files. This cannot be undone.",
        _delete,
        act=Act.DELETE,
        asks=True,
        final=True,
    ),
}


class ImageActions(Commands):
    """Bulk actions, and buttons for a single image."""

    commands = COMMANDS
    item_kind = batches.IMAGES
    confirm_template = "gallery/admin/delete_images.html"
    actions = ["describe_again", "quarantine", "release", "export_csv", "delete_selected"]
    actions_submit_line = ["describe_this_again", "quarantine_this", "release_this"]
    SUBMIT_LINE_STATUS = {
        "describe_this_again": Status.FAILED,
        "quarantine_this": Status.READY,
        "release_this": Status.QUARANTINED,
    }

    def has_release_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may not look at quarantined pictures may not let them out either."""
        may_change: bool = self.has_change_permission(request)  # type: ignore[attr-defined]
        return may_change and access_of(request).allows("moderate")

    def get_actions_submit_line(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """The buttons that fit the image's status."""
        image = self.get_object(request, str(object_id))  # type: ignore[attr-defined]
        prefix = "gallery_image_"
        return [
            button
            for button in super().get_actions_submit_line(request, object_id)  # type: ignore[misc]
            if image
            and self.SUBMIT_LINE_STATUS[button.action_name.removeprefix(prefix)] == image.status
        ]

    @admin.action(description=AGAIN, permissions=["change"])
    def describe_again(self, request: HttpRequest, queryset: QuerySet[Image]) -> Any:
        return self.ask(request, queryset, "describe_again")

    @admin.action(description=QUARANTINE, permissions=["change"])
    def quarantine(self, request: HttpRequest, queryset: QuerySet[Image]) -> Any:
        """Take ready images out of every search."""
        return self.ask(request, queryset, "quarantine")

    @admin.action(description=RELEASE, permissions=["release"])
    def release(self, request: HttpRequest, queryset: QuerySet[Image]) -> Any:
        """Let quarantined images be found again."""
        return self.ask(request, queryset, "release")

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Image]) -> HttpResponseBase:
        """Download the selected rows."""
        return csv_response(queryset)

    @admin.action(description="Delete", permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Image]) -> Any:
        return self.ask(request, queryset, "delete_selected")

    @action(description=AGAIN, permissions=["change"])
    def describe_this_again(self, request: HttpRequest, image: Image) -> Any:
        """The button of a failed image."""
        return self.ask_alone(request, image, "describe_again")

    @action(description=QUARANTINE, permissions=["change"])
    def quarantine_this(self, request: HttpRequest, image: Image) -> Any:
        """The button of a ready image."""
        return self.ask_alone(request, image, "quarantine")

    @action(description=RELEASE, permissions=["release"])
    def release_this(self, request: HttpRequest, image: Image) -> Any:
        """The button of a quarantined image."""
        return self.ask_alone(request, image, "release")
