"""Add several files and links at once in the admin. Each has its own result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from gallery.items.item import Item
from gallery.items.kinds import Words
from gallery.shared.errors import Conflict, UserError

MAX_URL = 2048


@dataclass(frozen=True)
class AddResult:
    """``item_id``: the new item, or the one that is stored already."""

    name: str
    item_id: int | None = None
    problem: str = ""


class FilesWidget(forms.FileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """A list of uploads. Their bytes are checked when they are added."""

    widget = FilesWidget

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        """Return all files; Django's own field would take only the last one."""
        return list(data or [])


class AddItemsForm(forms.Form):
    """Files, links, or both.

    ``words``: of the kind of item. ``formats``: the formats that can be read, in words.
    ``accept``: the attribute of the file input. ``command``: the command that adds more than
    ``max_items``.
    """

    words: ClassVar[Words]
    formats: ClassVar[str]
    accept: ClassVar[str]
    max_items: ClassVar[int]
    command: ClassVar[str]
    links_help: ClassVar[Any] = _("One a line.")

    files = FilesField(required=False, label=_("Files"))  # type: ignore[assignment]  # Django names its uploads so as well
    urls = forms.CharField(
        required=False,
        label=_("Links"),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 5, "placeholder": "https://…"}),
    )
    remark = forms.CharField(
        required=False,
        label=_("Remark"),
        max_length=10_000,
        empty_value=None,
        widget=UnfoldAdminTextInputWidget(),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["files"].widget.attrs["accept"] = self.accept
        self.fields["files"].help_text = _("%(formats)s. You can choose several.") % {
            "formats": self.formats
        }
        self.fields["urls"].help_text = self.links_help
        self.fields["remark"].help_text = self.words.noted

    def clean_urls(self) -> list[str]:
        urls = [line.strip() for line in self.cleaned_data["urls"].splitlines() if line.strip()]
        if any(len(url) > MAX_URL for url in urls):
            raise forms.ValidationError(_("A link has at most %(n)s characters.") % {"n": MAX_URL})
        return urls

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        count = len(cleaned.get("files", [])) + len(cleaned.get("urls", []))
        if not count and not self.errors:
            raise forms.ValidationError(_("Choose a file or give a link."))
        if count > self.max_items:
            limits = {"n": count, "most": self.max_items, "command": self.command}
            raise forms.ValidationError(self.words.too_many % limits)
        return cleaned


def attempt(name: str, add: Callable[[], Item]) -> AddResult:
    """Add one item. A refused item does not stop the others."""
    try:
        return result_of(name, add())
    except UserError as error:
        return result_of(name, error)


def result_of(name: str, added: Item | UserError) -> AddResult:
    if isinstance(added, UserError):
        existing = added.existing_id if isinstance(added, Conflict) else None
        return AddResult(name, existing, added.message)
    return AddResult(name, added.pk)


def too_large(file: UploadedFile, max_bytes: int) -> AddResult | None:
    """Return the error for a file above the limit. Call it before reading the file into memory."""
    size = file.size or 0
    if size <= max_bytes:
        return None
    problem = _("The file has %(n)s bytes; at most %(most)s are taken.")
    return AddResult(file.name or "unnamed", problem=problem % {"n": size, "most": max_bytes})
