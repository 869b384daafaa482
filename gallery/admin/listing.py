"""Filters, search and pagination for lists of any length. None needs a long scan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import BadRequest, ValidationError
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import (
    CheckboxFilter,
    DropdownFilter,
    RadioFilter,
    RangeDateFilter,
    TextFilter,
)
from unfold.utils import parse_date_str
from unfold.views import ChangeList
from unfold.widgets import INPUT_CLASSES, UnfoldAdminSelectWidget

from gallery.imaging.decoding.opening import FORMATS
from gallery.items.models import Image, ImageFingerprint

PERIODS = {
    "1": _("the last 24 hours"),
    "7": _("the last 7 days"),
    "30": _("the last 30 days"),
}
MD5_LENGTH, SHA256_LENGTH = 32, 64
HEX = frozenset("0123456789abcdef")
SEARCH_HELP = _("An id, md5 or sha256; a whole url; or the beginning of a data id.")


def matching(images: QuerySet[Image], term: str) -> QuerySet[Image]:
    """Return the items that match a search term. Each condition uses an index."""
    term = term.strip()
    if not term:
        return images
    named = Q(data_id__startswith=term) | Q(url=term)
    digest = term.lower()
    if HEX.issuperset(digest):
        if len(digest) == MD5_LENGTH:
            named |= Q(md5=digest)
        elif len(digest) == SHA256_LENGTH:
            named |= Q(sha256=digest)
    if term.isascii() and term.isdigit():
        named |= Q(pk=term)
    return images.filter(named)


class EstimatingPaginator(Paginator):
    """Counts exactly up to ``EXACT``; larger counts are the planner's estimates."""

    EXACT = 10_000

    @cached_property
    def count(self) -> int:
        images: Any = self.object_list
        rows = images.order_by()
        counted: int = rows[: self.EXACT + 1].count()
        if counted <= self.EXACT:
            return counted
        (plan,) = json.loads(rows.explain(format="json"))
        estimated: int = plan["Plan"]["Plan Rows"]
        return max(estimated, counted)


class NearestPageList(ChangeList):
    """A page beyond the last one is the last one: the rows of that page were deleted or no longer
    match. Django would drop search and filters, and the next action on all rows would take all."""

    page_num: int

    def get_results(self, request: HttpRequest) -> None:
        try:
            super().get_results(request)
        except IncorrectLookupParameters:
            rows = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)
            self.page_num = min(max(self.page_num, 1), rows.num_pages)
            super().get_results(request)


class BulkListMixin:
    """For the admin of a model: what all lists with actions have in common."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return NearestPageList

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        key = self.model._meta.pk  # type: ignore[attr-defined]
        try:
            for text in request.POST.getlist(ACTION_CHECKBOX_NAME):
                key.to_python(text)
        except ValidationError as error:
            raise BadRequest("A selected row is no id.") from error
        return super().response_action(request, queryset)  # type: ignore[misc]


class PickForm(forms.Form):
    """A plain list to choose from, which needs no script."""

    def __init__(self, name: str, label: str, choices: Any, data: Any, multiple: bool) -> None:
        super().__init__(data)
        self.fields[name] = forms.ChoiceField(
            label=label, required=False, choices=choices, widget=UnfoldAdminSelectWidget
        )


class PickFilter(DropdownFilter):
    """One of many values, in a list that may have groups. ``column``: it has the value."""

    form_class = PickForm
    column: str

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset


class DaysForm(forms.Form):
    """The browser's own fields for dates."""

    def __init__(self, name: str, data: Any) -> None:
        super().__init__(data)
        for end, label in (("from", _("from")), ("to", _("to"))):
            attributes = {"type": "date", "aria-label": label, "class": " ".join(INPUT_CLASSES)}
            self.fields[f"{name}_{end}"] = forms.DateField(
                required=False, widget=forms.DateInput(attrs=attributes, format="%Y-%m-%d")
            )


class DaysFilter(RangeDateFilter):
    """From one day to another, both included. A day that cannot be read counts as none."""

    form_class = DaysForm

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = _("day, first and last")

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first, last = (
            parse_date_str(str(self.used_parameters.get(f"{self.parameter_name}_{end}", "")))
            for end in ("from", "to")
        )
        if first:
            queryset = queryset.filter(**{f"{self.field_path}__gte": _midnight(first)})
        if last and last < date.max:
            after = _midnight(last + timedelta(days=1))
            queryset = queryset.filter(**{f"{self.field_path}__lt": after})
        return queryset


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


class FormatFilter(CheckboxFilter):
    title = _("format")
    parameter_name = "format"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        """Offer all formats that can be added: reading them from the table would scan all of it."""
        return [(name, name) for name in FORMATS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Image]) -> QuerySet[Image]:
        return queryset.filter(format__in=self.value()) if self.value() else queryset


class YesNoFilter(RadioFilter):
    condition: Any

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [("1", str(_("Yes"))), ("0", str(_("No")))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Image]) -> QuerySet[Image]:
        conditions = {"1": self.condition, "0": ~self.condition}
        condition = conditions.get(self.value())
        return queryset if condition is None else queryset.filter(condition)


class StaleFilter(YesNoFilter):
    """Whether the URL was found to hold another picture."""

    title = _("stale")
    parameter_name = "stale"
    condition = Q(stale_at__isnull=False)


class ClipFilter(YesNoFilter):
    title = _("CLIP vector")
    parameter_name = "clip"
    condition = Exists(
        ImageFingerprint.objects.filter(item=OuterRef("pk"), view="full", clip__isnull=False)
    )


class AddedByFilter(TextFilter):
    """Exactly one client: a list of all clients would read the whole table."""

    title = _("added by")
    parameter_name = "added_by"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Image]) -> QuerySet[Image]:
        return queryset.filter(added_by=self.value()) if self.value() else queryset


class AddedSinceFilter(RadioFilter):
    title = _("added in")
    parameter_name = "days"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(days, str(label)) for days, label in PERIODS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Image]) -> QuerySet[Image]:
        if self.value() not in PERIODS:
            return queryset
        return queryset.filter(created_at__gte=timezone.now() - timedelta(days=int(self.value())))
