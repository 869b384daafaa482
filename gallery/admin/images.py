"""The pages of images: the list, one image, and adding some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from gallery.admin import listing
from gallery.admin.actions import ImageActions, actor
from gallery.admin.adding import AddPicturesForm, add_pictures
from gallery.imaging.shown_pictures import labels, other_renderings
from gallery.items import changing
from gallery.items.item import Status
from gallery.items.media_access import seen_by
from gallery.items.models import Image, ImageFingerprint
from gallery.shared.access import access_of, sender_of
from gallery.shared.meta import meta_problem

BADGES = {
    Status.READY.value: "success",
    Status.PENDING.value: "info",
    Status.FAILED.value: "danger",
    Status.QUARANTINED.value: "warning",
}
ICONS = {
    Status.PENDING: "hourglass_empty",
    Status.FAILED: "broken_image",
    Status.QUARANTINED: "visibility_off",
    Status.READY: "image",
}
NOT_SHOWN_BY_BROWSERS = frozenset({"tiff", "heic", "jxl", "jp2"})
URL_SHOWN = 48


def vectors_of(image_id: int) -> QuerySet[ImageFingerprint, Any]:
    """Which vectors are stored; not the vectors, which would be 16 KB a row."""
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
            has_clip=Q(clip__isnull=False),
        )
    )


def renderings_of(image_id: int) -> list[tuple[str, str]]:
    """How viewers may show a picture, and what each is called; empty if there is one way."""
    views = ImageFingerprint.objects.filter(item=image_id).values_list("view", flat=True)
    names = ["", *other_renderings(views.distinct())]
    return list(zip(names, labels(names), strict=True)) if len(names) > 1 else []


class MetaField(forms.JSONField):
    """A JSON object; an image without one shows an empty box, not the word null."""

    def prepare_value(self, value: Any) -> Any:
        """The text in the box."""
        return "" if value is None else super().prepare_value(value)


class ImageForm(forms.ModelForm):
    """What may be changed of an image. An emptied field becomes null."""

    remark = forms.CharField(
        required=False,
        max_length=10_000,
        empty_value=None,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )
    meta = MetaField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 5}),
        help_text="A JSON object.",
    )

    class Meta:
        model = Image
        fields = ["data_id", "remark", "meta"]

    def clean_meta(self) -> Any:
        """An object, as the API has it, that PostgreSQL can store."""
        meta = self.cleaned_data["meta"]
        if meta is None:
            return None
        if not isinstance(meta, dict):
            raise forms.ValidationError('Give a JSON object, for example {"album": "2024"}.')
        if problem := meta_problem(meta):
            raise forms.ValidationError(f"{problem[0].upper()}{problem[1:]}.")
        return meta


@admin.register(Image)
class ImageAdmin(ImageActions, ModelAdmin):
    """Images in the admin."""

    form = ImageForm
    fields = ["data_id", "remark", "meta"]
    change_form_outer_before_template = "gallery/admin/image_facts.html"
    list_display = [
        "picture",
        "number",
        "shown_status",
        "kind",
        "data_id",
        "source",
        "shown_added_by",
        "added",
    ]
    list_display_links = ["number"]
    list_filter = [
        ("status", ChoicesCheckboxFilter),
        listing.FormatFilter,
        listing.AddedSinceFilter,
        listing.StaleFilter,
        listing.ClipFilter,
        listing.AddedByFilter,
    ]
    list_filter_submit = True
    list_fullwidth = True
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = listing.EstimatingPaginator
    # Only the primary key can be sorted by without sorting the whole table.
    sortable_by = ["number"]
    search_fields = ["data_id"]
    search_help_text = listing.SEARCH_HELP

    def get_queryset(self, request: HttpRequest) -> QuerySet[Image]:
        """Every image, with how this user may see its picture."""
        return seen_by(access_of(request), super().get_queryset(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Image], search_term: str
    ) -> tuple[QuerySet[Image], bool]:
        """Exact and prefix matches alone; see ``listing.matching``."""
        return listing.matching(queryset, search_term), False

    @display(description="")
    def picture(self, image: Image) -> str:
        """The thumbnail, or a sign for why there is none."""
        context = {
            "item": image,
            "url": image.thumbnail and reverse("gallery:thumbnail", args=[image.pk]),
            "href": reverse("admin:gallery_image_change", args=[image.pk]),
            "alt": f"Picture of image {image.pk}",
            "icon": ICONS[Status(image.status)],
        }
        return render_to_string("gallery/admin/picture.html", context)

    @display(description="id", ordering="pk")
    def number(self, image: Image) -> int:
        return image.pk

    @display(description="status", label=BADGES)
    def shown_status(self, image: Image) -> str:
        return image.status

    @display(description="format", header=True)
    def kind(self, image: Image) -> Sequence[str]:
        return (
            image.format,
            f"{image.width}\u00a0×\u00a0{image.height}, {filesizeformat(image.bytes)}",
        )

    @display(description="url and md5", header=True)
    def source(self, image: Image) -> Sequence[str]:
        """Where it came from, in a line's length, and its digest."""
        url = image.url or "uploaded"
        shown = url if len(url) <= URL_SHOWN else f"{url[: URL_SHOWN - 1]}…"
        return (
            format_html('<span class="image-url" title="{}">{}</span>', url, shown),
            format_html('<code class="image-digest">{}</code>', image.md5),
        )

    @display(description="added by")
    def shown_added_by(self, image: Image) -> str:
        """A link to all that the same client added."""
        return format_html('<a href="?added_by={}">{}</a>', image.added_by, image.added_by)

    @display(description="added")
    def added(self, image: Image) -> str:
        """Day and minute, UTC."""
        return format_html(
            '<span class="image-time">{}</span> {}',
            f"{image.created_at:%Y-%m-%d}",
            f"{image.created_at:%H:%M}",
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One image: picture, facts and vectors above what can be changed."""
        context = {
            "withheld": self.withheld_words(request, object_id),
            "vectors": vectors_of(int(object_id)) if object_id.isdecimal() else [],
            "picture_name": f"Image {object_id}",
            "renderings": renderings_of(int(object_id)) if object_id.isdecimal() else [],
            "show_save_and_add_another": False,
            "not_shown_by_browsers": NOT_SHOWN_BY_BROWSERS,
            **(extra_context or {}),
        }
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Add pictures: files, links, or both."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form, outcomes = AddPicturesForm(), []
        if request.method == "POST":
            form = AddPicturesForm(request.POST, request.FILES)
            if form.is_valid():
                outcomes = add_pictures(form.cleaned_data, sender_of(request))
                form = AddPicturesForm()
        context = {
            **self.admin_site.each_context(request),
            "title": "Add pictures",
            "opts": self.opts,
            "form": form,
            "outcomes": outcomes,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "gallery/admin/add_pictures.html", context)

    def save_model(self, request: HttpRequest, obj: Image, form: Any, change: bool) -> None:
        """Write what was changed; ``response_change`` does what the pressed button says."""
        if fields := {name: form.cleaned_data[name] for name in form.changed_data}:
            changing.update_image(image_id=obj.pk, fields=fields, by=actor(request))
