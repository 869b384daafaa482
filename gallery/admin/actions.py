"""What can be done to many images, and from an image's own page, each by one service call."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from unfold.decorators import action

from gallery.access import access_of
from gallery.admin.export import csv_response
from gallery.models import Image, Status
from gallery.services import changing

SHOWN_BEFORE_DELETION = 24
AGAIN, QUARANTINE, RELEASE = "Describe again", "Quarantine", "Release"


def actor(request: HttpRequest) -> str:
    """Who is written into rows and news."""
    return f"user:{request.user.get_username()}"


def images_text(count: int) -> str:
    """ "1 image", "2 images"."""
    return f"{count} image{'' if count == 1 else 's'}"


class ImageActions:
    """Bulk actions, and buttons for a single image."""

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
    def describe_again(self, request: HttpRequest, queryset: QuerySet[Image]) -> None:
        """Queue failed images; say how many were left and why."""
        failed = queryset.filter(status=Status.FAILED)
        lost = failed.filter(original="").count()
        others = queryset.count() - failed.count()
        queued = changing.describe_again(images=queryset, by=actor(request))
        if queued:
            messages.success(request, f"{images_text(queued)} queued to be described again.")
        if lost:
            messages.warning(
                request,
                f"{images_text(lost)} skipped: the original was not kept, so there is nothing to "
                "read again. Add the picture again.",
            )
        if others:
            messages.warning(
                request, f"{images_text(others)} skipped: only failed images are described again."
            )

    @admin.action(description=QUARANTINE, permissions=["change"])
    def quarantine(self, request: HttpRequest, queryset: QuerySet[Image]) -> None:
        """Take ready images out of every search."""
        selected = queryset.count()
        done = changing.quarantine_images(images=queryset, by=actor(request))
        self._tell(request, "quarantined", Status.READY, done, selected)

    @admin.action(description=RELEASE, permissions=["release"])
    def release(self, request: HttpRequest, queryset: QuerySet[Image]) -> None:
        """Let quarantined images be found again."""
        selected = queryset.count()
        done = changing.release_images(images=queryset, by=actor(request))
        self._tell(request, "released", Status.QUARANTINED, done, selected)

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Image]) -> HttpResponseBase:
        """Download the selected rows."""
        return csv_response(queryset)

    @admin.action(description="Delete", permissions=["delete"])
    def delete_selected(
        self, request: HttpRequest, queryset: QuerySet[Image]
    ) -> HttpResponseBase | None:
        """Show what would go; delete once that very number has been confirmed."""
        count = queryset.count()
        confirmed = request.POST.get("confirmed")
        if confirmed == str(count):
            deleted = changing.delete_images(images=queryset, by=actor(request))
            messages.success(request, f"{images_text(deleted)} deleted.")
            return None
        if confirmed is not None:
            messages.warning(request, "The selection has changed meanwhile: please check again.")
        return self._confirm_deletion(request, queryset, count)

    @action(description=AGAIN, permissions=["change"])
    def describe_this_again(self, request: HttpRequest, image: Image) -> None:
        """The button of a failed image."""
        self.describe_again(request, Image.objects.filter(pk=image.pk))

    @action(description=QUARANTINE, permissions=["change"])
    def quarantine_this(self, request: HttpRequest, image: Image) -> None:
        """The button of a ready image."""
        self.quarantine(request, Image.objects.filter(pk=image.pk))

    @action(description=RELEASE, permissions=["release"])
    def release_this(self, request: HttpRequest, image: Image) -> None:
        """The button of a quarantined image."""
        self.release(request, Image.objects.filter(pk=image.pk))

    def _tell(
        self, request: HttpRequest, done_text: str, needed: Status, done: int, selected: int
    ) -> None:
        if done:
            messages.success(request, f"{images_text(done)} {done_text}.")
        if skipped := selected - done:
            messages.warning(
                request, f"{images_text(skipped)} skipped: only {needed} images can be {done_text}."
            )

    def _confirm_deletion(
        self, request: HttpRequest, images: QuerySet[Image], count: int
    ) -> TemplateResponse:
        by_status = images.order_by().values_list("status").annotate(Count("pk"))
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "title": f"Delete {images_text(count)}?",
            "opts": Image._meta,
            "count": count,
            "by_status": sorted(by_status),
            "images": images[:SHOWN_BEFORE_DELETION],
            "more": max(0, count - SHOWN_BEFORE_DELETION),
            "select_across": request.POST.get("select_across") == "1",
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        }
        return TemplateResponse(request, "gallery/admin/delete_images.html", context)
