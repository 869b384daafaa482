"""What is asked before a hash list is read, or written."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from moderation.imports.options import Options, options
from moderation.lists.formats import Format, Kind
from moderation.lists.formats.export import WRITERS
from moderation.lists.formats.formats import KNOWN
from moderation.lists.models import BannedList


class ImportForm(forms.Form):
    """A file and how to read it."""

    list = forms.ModelChoiceField(
        queryset=BannedList.objects.all(), widget=UnfoldAdminSelectWidget(), empty_label="Choose…"
    )
    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.txt,.xml,.json,text/*"}),
        help_text=f"{KNOWN}.",
    )
    format = forms.ChoiceField(
        required=False,
        choices=[("", "found out"), *((one.value, one.value) for one in Format)],
        widget=UnfoldAdminSelectWidget(),
    )
    source = forms.CharField(
        required=False,
        max_length=255,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Whose entries these are, for rows that do not say so.",
    )
    kind = forms.ChoiceField(
        required=False,
        choices=[("", "as the file says"), *((one.value, one.value) for one in Kind)],
        widget=UnfoldAdminSelectWidget(),
        help_text="Of hashes that stand alone.",
    )
    categories = forms.CharField(
        required=False,
        max_length=1000,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Take only these, separated by commas; empty = all. Project VIC needs them.",
    )
    full = forms.BooleanField(
        required=False,
        label="This is the full list",
        widget=UnfoldBooleanSwitchWidget(),
        help_text="What its sources no longer have is retired.",
    )

    def clean_file(self) -> Any:
        """An upload that is not too large."""
        file = self.cleaned_data["file"]
        if file.size > settings.MAX_LIST_BYTES:
            raise forms.ValidationError(
                f"The file has {file.size:,} bytes; at most {settings.MAX_LIST_BYTES:,} are taken "
                "here. manage.py import_hash_list takes any."
            )
        return file

    def options(self) -> Options:
        """What is said beside the file. Raises ``UserError``."""
        given = self.cleaned_data
        return options(
            source=given["source"],
            kind=given["kind"],
            categories=given["categories"].split(","),
            full=given["full"],
        )


class ExportForm(forms.Form):
    """A list and a format."""

    list = forms.ModelChoiceField(
        queryset=BannedList.objects.all(), widget=UnfoldAdminSelectWidget(), empty_label="Choose…"
    )
    format = forms.ChoiceField(
        choices=[(one.value, one.value) for one in WRITERS], widget=UnfoldAdminSelectWidget()
    )
